/**
 * A command that does not follow the grammar. `message` is a short fixed text, fit for `BAD`; it never holds what the client sent.
 * The only error that a reader throws.
 */
export class ImapSyntaxError extends Error {
  override readonly name: string = 'ImapSyntaxError';
  /** Octets from the start of the command's text. */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** The CHARSET of a SEARCH, SORT or THREAD is not one that we decode: NO [BADCHARSET (...)], not BAD (RFC 9051 §7.1). */
export class BadCharset extends ImapSyntaxError {
  override readonly name = 'BadCharset';
  readonly charsets: readonly string[];

  constructor(offset: number, charsets: readonly string[]) {
    super('Charset is not supported', offset);
    this.charsets = charsets;
  }
}
