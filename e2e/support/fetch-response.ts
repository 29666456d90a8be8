/** A strict reader of FETCH responses (RFC 9051 §9, RFC 3516): what it refuses, a careful client refuses. */
import { isUtf8 } from 'node:buffer';

export type ImapValue = string | number | null | Flag | ImapValue[];
/** `\Seen`, a keyword, or another atom. */
export interface Flag {
  readonly atom: string;
}
export interface FetchResponse {
  readonly seq: number;
  /** Item name in capitals as the server sent it (`BODY[1.MIME]`, `BODY[]<10>`) to value; strings are latin1. */
  readonly items: ReadonlyMap<string, ImapValue>;
  /** The value as it stood on the wire. */
  readonly wire: ReadonlyMap<string, string>;
}

/** @throws Error at the first octet that the grammar does not allow */
export function readFetch(line: string): FetchResponse {
  return readFetchWith(line, 'ascii');
}

/** The same where quoted strings may be UTF-8. @throws Error */
export function readFetchWith(line: string, strings: 'ascii' | 'utf8'): FetchResponse {
  const reader = new ResponseReader(line);
  reader.strings = strings;
  const seq = Number(reader.take(/\* (\d+) FETCH \(/y)[1]);
  const items = new Map<string, ImapValue>();
  const wire = new Map<string, string>();
  for (;;) {
    const name = reader.take(/([A-Z0-9.]+(?:\[[^\]\r\n]*\])?(?:<\d+>)?) /y)[1]?.toUpperCase() ?? '';
    if (items.has(name)) throw new Error(`${name} twice`);
    const start = reader.at;
    // A message that came with NULs goes out as it came (exact octets, always); nothing that the server makes itself may hold one.
    reader.nul = name.startsWith('BODY[') ? 'allowed' : 'refused';
    items.set(name, reader.value());
    wire.set(name, line.slice(start, reader.at));
    if (line[reader.at] === ')') break;
    reader.take(/ /y);
  }
  if (reader.at + 1 !== line.length) throw new Error(`octets after the response: ${JSON.stringify(line.slice(reader.at, reader.at + 40))}`);
  return { seq, items, wire };
}

/** Values of any response: strings, literals, numbers, NIL, atoms, lists. */
export class ResponseReader {
  at = 0;
  nul: 'allowed' | 'refused' = 'refused';
  /** What a quoted string may hold: UTF-8 once that is agreed (RFC 9051 §9, RFC 6855 §3). */
  strings: 'ascii' | 'utf8' = 'ascii';
  readonly #line: string;
  constructor(line: string) {
    this.#line = line;
  }

  value(): ImapValue {
    const first = this.#line[this.at];
    if (first === '(') return this.#list();
    if (first === '"') return this.#quoted();
    if (first === '{' || first === '~') return this.#literal();
    const atom = this.take(/\\?[^\x00-\x20(){%*"\\\]\x7f-\xff]+|\\\*/y)[0];
    if (atom === 'NIL') return null;
    return /^\d+$/.test(atom) ? Number(atom) : { atom };
  }

  get isAtEnd(): boolean {
    return this.at === this.#line.length;
  }

  sees(octet: string): boolean {
    return this.#line[this.at] === octet;
  }

  /** Moves past it if it is there. */
  takes(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    if (!pattern.test(this.#line)) return false;
    this.at = pattern.lastIndex;
    return true;
  }

  /** @throws Error when it is not there; `pattern` is sticky */
  take(pattern: RegExp): RegExpExecArray {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.#line);
    if (match === null) throw new Error(`unexpected octet at ${this.at}: ${JSON.stringify(this.#line.slice(this.at, this.at + 40))}`);
    this.at = pattern.lastIndex;
    return match;
  }

  #list(): ImapValue[] {
    const values: ImapValue[] = [];
    this.at++;
    while (this.#line[this.at] !== ')') {
      // Parts of a multipart and addresses follow each other without a space; everything else is separated by one.
      const isAdjacentList = this.#line[this.at] === '(' && this.#line[this.at - 1] === ')';
      if (values.length > 0 && !isAdjacentList) this.take(/ /y);
      values.push(this.value());
    }
    this.at++;
    return values;
  }

  #quoted(): string {
    if (this.strings === 'utf8') {
      const octets = (this.take(/"((?:[^"\\\r\n\0]|\\["\\])*)"/y)[1] ?? '').replaceAll(/\\(.)/g, '$1');
      if (!isUtf8(Buffer.from(octets, 'latin1'))) throw new Error(`no UTF-8 before ${this.at}`);
      return octets;
    }
    return (this.take(/"((?:[^"\\\r\n\0\x80-\uffff]|\\["\\])*)"/y)[1] ?? '').replaceAll(/\\(.)/g, '$1');
  }

  #literal(): string {
    const [, binary, octets] = this.take(/(~?)\{(\d+)\}\r\n/y);
    const length = Number(octets);
    const value = this.#line.slice(this.at, this.at + length);
    if (value.length !== length) throw new Error(`literal of ${length} octets is cut at ${this.at}`);
    if (binary === '' && this.nul === 'refused' && value.includes('\0'))
      throw new Error(`NUL in a literal at ${this.at} (RFC 9051 §9: CHAR8)`);
    this.at += length;
    return value;
  }
}
