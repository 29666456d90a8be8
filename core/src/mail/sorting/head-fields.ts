import { MAX_HEADER_FIELD_OCTETS } from '../../mime/limits.ts';

const LF = 0x0a;
const CR = 0x0d;
const TAB = 0x09;
const SPACE = 0x20;
const COLON = 0x3a;

/** Where the values of some fields lie in one header block after the other. Of a repeated field the last one counts, as in ENVELOPE. */
export class HeadFields {
  /** By field: offset of the value, -1 when there is none; and its end. */
  readonly starts: Int32Array;
  readonly ends: Int32Array;
  readonly #fields = new Map<string, number>();
  readonly #initials = new Uint8Array(256);
  readonly #longestName: number;

  /** `names` in lower case; their index is the number of the field. */
  constructor(names: readonly string[]) {
    this.starts = new Int32Array(names.length);
    this.ends = new Int32Array(names.length);
    let longest = 0;
    for (const [field, name] of names.entries()) {
      this.#fields.set(name, field);
      longest = Math.max(longest, name.length);
      this.#initials[name.charCodeAt(0)] = 1;
      this.#initials[name.charCodeAt(0) - 0x20] = 1;
    }
    this.#longestName = longest;
  }

  scan(head: Buffer): void {
    this.starts.fill(-1);
    for (let at = 0; at < head.length; ) {
      const first = head[at] as number;
      if (first === LF || (first === CR && head[at + 1] === LF)) return;
      let lf = head.indexOf(LF, at);
      if (this.#initials[first] === 1) {
        const nameEnd = this.#nameEnd(head, at);
        const field = nameEnd === at ? undefined : this.#fields.get(head.toString('latin1', at, nameEnd).toLowerCase());
        let start = nameEnd;
        // White space before the colon is obsolete, not wrong (RFC 5322 §4.5).
        if (field !== undefined) while (head[start] === SPACE || head[start] === TAB) start++;
        if (field !== undefined && head[start] === COLON) {
          start += 1;
          while (lf >= 0 && (head[lf + 1] === SPACE || head[lf + 1] === TAB)) lf = head.indexOf(LF, lf + 1);
          this.starts[field] = start;
          this.ends[field] = Math.min(lf < 0 ? head.length : lf + 1, start + MAX_HEADER_FIELD_OCTETS);
        }
      }
      if (lf < 0) return;
      at = lf + 1;
    }
  }

  /** Of a name that may be one of ours; `at` when it is too long. */
  #nameEnd(head: Buffer, at: number): number {
    const limit = at + this.#longestName;
    for (let end = at; end <= limit; end++) {
      const octet = head[end];
      if (octet === undefined || octet <= SPACE || octet === COLON) return end;
    }
    return at;
  }
}
