/**
 * Limits of the MIME reader (design: reliability §1.2). Mail beyond a limit is stored and served byte for byte; only its parsed view is coarser.
 */

/** Parts above a part. A multipart or message at this depth is an opaque leaf: nesting is where parsers of mail overflow or turn quadratic. */
export const MAX_MIME_DEPTH = 100;

/** Parts of one message, embedded messages included. Later delimiters are body text: memory stays proportional to this, not to the message. */
export const MAX_MIME_PARTS = 1_000;

/** Octets of one header field that are parsed; the rest of the field is kept unparsed. Bounds what a push parser must hold back. */
export const MAX_HEADER_FIELD_OCTETS = 256 * 1024;

/** Octets of all header blocks of a message that are parsed, and of the top header block that `head` holds. */
export const MAX_HEADERS_OCTETS = 1024 * 1024;

/** MIME parameters of one Content-Type or Content-Disposition field (RFC 2231); later ones are ignored. */
export const MAX_MIME_PARAMETERS = 128;

/** Octets of a boundary that are compared. RFC 2046 §5.1.1 allows 70; the surplus is for mail that is slightly wrong. */
export const MAX_BOUNDARY_OCTETS = 80;

/** Addresses of one field that ENVELOPE lists; 256 KiB of "a,a,a" would otherwise become a reply of 10 MB. */
export const MAX_ADDRESSES = 10_000;

/** Message ids kept of one References or In-Reply-To field: enough for any thread, and a bound for threading. */
export const MAX_MESSAGE_IDS = 1_000;

/** UTF-16 units of body text that are searchable per message; text after that is not found (and costs no memory). */
export const MAX_SEARCH_TEXT_UNITS = 1024 * 1024;

/** Characters of a preview (RFC 8970 §4: no more than 256; 200 is the recommended value). */
export const MAX_PREVIEW_CHARACTERS = 200;

/** Encoded octets that the preview reads of a part; HTML mail may begin with a long style sheet. */
export const MAX_PREVIEW_OCTETS = 64 * 1024;
