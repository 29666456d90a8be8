/** For tests: a strict reader of the IMAP data that this folder writes (RFC 9051 §9: nstring, number, lists). */

export type WireValue = string | number | null | WireValue[];

/** @throws Error if the text is no single list of valid values, e.g. an 8-bit octet in a quoted string, a NUL, a wrong literal length */
export function parseWire(wire: string): WireValue {
  const reader = new WireReader(wire);
  const value = reader.value();
  if (reader.at !== wire.length) throw new Error(`octets after the value at ${reader.at}`);
  return value;
}

/** The text with literals written as quoted strings, octets unchanged: the form in which the expected values of the corpus are kept. */
export function quotedForm(wire: string): string {
  let result = '';
  for (let at = 0; at < wire.length; ) {
    const literal = wire[at] === '{' ? /\{(\d+)\}\r\n/y : undefined;
    if (literal !== undefined) literal.lastIndex = at;
    const match = literal?.exec(wire);
    if (match) {
      const start = at + match[0].length;
      const end = start + Number(match[1]);
      result += `"${wire.slice(start, end).replaceAll(/["\\]/g, '\\$&')}"`;
      at = end;
    } else if (wire[at] === '"') {
      let end = at + 1;
      while (end < wire.length && wire[end] !== '"') end += wire[end] === '\\' ? 2 : 1;
      result += wire.slice(at, end + 1);
      at = end + 1;
    } else result += wire[at++];
  }
  return result;
}

class WireReader {
  at = 0;
  readonly #wire: string;

  constructor(wire: string) {
    this.#wire = wire;
  }

  value(): WireValue {
    const first = this.#wire[this.at];
    if (first === '(') return this.#list();
    if (first === '"') return this.#quoted();
    if (first === '{') return this.#literal();
    const match = this.#take(/NIL|\d+/y);
    return match[0] === 'NIL' ? null : Number(match[0]);
  }

  #list(): WireValue[] {
    const values: WireValue[] = [];
    this.at++;
    while (this.#wire[this.at] !== ')') {
      // Parts of a multipart and addresses follow each other without a space; everything else is separated by one.
      const isAdjacentList = this.#wire[this.at] === '(' && this.#wire[this.at - 1] === ')';
      if (values.length > 0 && !isAdjacentList) this.#take(/ /y);
      values.push(this.value());
    }
    if (values.length === 0) throw new Error('empty list');
    this.at++;
    return values;
  }

  #quoted(): string {
    const match = this.#take(/"((?:[^"\\\r\n\0\x80-\uffff]|\\["\\])*)"/y);
    return (match[1] ?? '').replaceAll(/\\(.)/g, '$1');
  }

  #literal(): string {
    const length = Number(this.#take(/\{(\d+)\}\r\n/y)[1]);
    const value = this.#wire.slice(this.at, this.at + length);
    if (value.length !== length || /[\0\u0100-\uffff]/.test(value)) throw new Error(`bad literal at ${this.at}`);
    this.at += length;
    return value;
  }

  #take(pattern: RegExp): RegExpExecArray {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.#wire);
    if (match === null) throw new Error(`unexpected octet at ${this.at}: ${JSON.stringify(this.#wire.slice(this.at, this.at + 20))}`);
    this.at = pattern.lastIndex;
    return match;
  }
}
