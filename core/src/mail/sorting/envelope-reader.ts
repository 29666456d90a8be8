/** Reads an ENVELOPE as the store keeps it (RFC 9051 §7.5.2), no more of it than is asked for: a message's sort keys. */

/** latin1; encoded-words untouched. The start of a group has no host, its name is the mailbox. */
export interface EnvelopeAddress {
  readonly name: string | undefined;
  readonly mailbox: string | undefined;
  readonly host: string | undefined;
}

/** Fields in the order of RFC 9051 §9 (envelope). */
const FIELDS = { subject: 1, from: 2, to: 5, cc: 6 } as const;
export type AddressField = 'from' | 'to' | 'cc';

const SPACE = 0x20;
const QUOTE = 0x22;
const OPEN = 0x28;
const CLOSE = 0x29;
const BACKSLASH = 0x5c;
const LITERAL = 0x7b;

export class EnvelopeReader {
  readonly #wire: string;
  #at = 1;

  /** @throws Error from any method when it is no envelope: it was altered in the store */
  constructor(wire: string) {
    this.#wire = wire;
    if (wire.charCodeAt(0) !== OPEN) throw new Error('not an envelope');
  }

  subject(): string | undefined {
    this.#seek(FIELDS.subject);
    return this.#nstring();
  }

  firstAddress(field: AddressField): EnvelopeAddress | undefined {
    this.#seek(FIELDS[field]);
    if (this.#peek() !== OPEN) {
      this.#skip();
      return undefined;
    }
    this.#expect(OPEN);
    this.#expect(OPEN);
    const name = this.#nstring();
    this.#expect(SPACE);
    this.#skip();
    this.#expect(SPACE);
    const mailbox = this.#nstring();
    this.#expect(SPACE);
    const host = this.#nstring();
    this.#expect(CLOSE);
    return { name, mailbox, host };
  }

  /** From the start each time: a look at one field ends anywhere in it. */
  #seek(field: number): void {
    this.#at = 1;
    for (let before = 0; before < field; before++) {
      this.#skip();
      this.#expect(SPACE);
    }
  }

  #peek(): number {
    return this.#wire.charCodeAt(this.#at);
  }

  #expect(code: number): void {
    if (this.#peek() !== code) throw new Error('not an envelope');
    this.#at += 1;
  }

  /** One nstring, or a list of addresses with all that is in it. */
  #skip(): void {
    let level = 0;
    do {
      const code = this.#peek();
      if (code === OPEN || code === CLOSE) {
        level += code === OPEN ? 1 : -1;
        this.#at += 1;
      } else if (code === SPACE && level > 0) this.#at += 1;
      else this.#skipNstring();
    } while (level > 0);
  }

  #skipNstring(): void {
    const code = this.#peek();
    if (code === QUOTE) this.#at = this.#endOfQuoted() + 1;
    else if (code === LITERAL) this.#literal();
    else this.#nil();
  }

  #nstring(): string | undefined {
    const code = this.#peek();
    if (code === QUOTE) {
      const start = this.#at + 1;
      const end = this.#endOfQuoted();
      this.#at = end + 1;
      const text = this.#wire.slice(start, end);
      return text.includes('\\') ? text.replaceAll(/\\(.)/g, '$1') : text;
    }
    return code === LITERAL ? this.#literal() : this.#nil();
  }

  #endOfQuoted(): number {
    const wire = this.#wire;
    for (let at = this.#at + 1; at < wire.length; at++) {
      const code = wire.charCodeAt(at);
      if (code === QUOTE) return at;
      if (code === BACKSLASH) at += 1;
    }
    throw new Error('not an envelope');
  }

  #literal(): string {
    const wire = this.#wire;
    const brace = wire.indexOf('}\r\n', this.#at);
    const length = brace < 0 ? Number.NaN : Number(wire.slice(this.#at + 1, brace));
    const end = brace + 3 + length;
    if (!(end <= wire.length)) throw new Error('not an envelope');
    this.#at = end;
    return wire.slice(brace + 3, end);
  }

  #nil(): undefined {
    if (!this.#wire.startsWith('NIL', this.#at)) throw new Error('not an envelope');
    this.#at += 3;
  }
}
