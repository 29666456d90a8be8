/** The package has no types of its own. */
declare module 'unix-crypt-td-js' {
  /** `password` ends at eight octets or at a 0; `salt` is two characters. Answers with the thirteen characters. */
  const unixCrypt: (password: readonly number[], salt: string) => string;
  export = unixCrypt;
}
