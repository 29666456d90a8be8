/** Of the server and its command; as in package.json, which a test compares. */
export const VERSION = '0.1.0';
