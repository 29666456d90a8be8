import { asBuffer } from './octets.ts';

const LF = 0x0a;
const CRLF = Buffer.from('\r\n');

/** Where a field lies in a header block: `[start, end)` with its line ends, the name `[start, nameEnd)`, the value from `valueStart`. */
export interface FieldRange {
  readonly start: number;
  readonly end: number;
  readonly nameEnd: number;
  readonly valueStart: number;
}

/** Fields of a header block in order, up to the blank line. A line without a colon is a field whose name is the whole line. */
export function* headerFieldRanges(head: Uint8Array): Generator<FieldRange> {
  const octets = asBuffer(head);
  let start = 0;
  while (start < octets.length) {
    const first = octets[start];
    if (first === LF || (first === 0x0d && octets[start + 1] === LF)) return;
    let end = start;
    do {
      const lf = octets.indexOf(LF, end);
      end = lf < 0 ? octets.length : lf + 1;
    } while (octets[end] === 0x20 || octets[end] === 0x09);
    const colon = octets.subarray(start, end).indexOf(0x3a);
    let nameEnd = colon < 0 ? end : start + colon;
    while (nameEnd > start && (octets[nameEnd - 1] ?? 0) <= 0x20) nameEnd--;
    yield { start, end, nameEnd, valueStart: colon < 0 ? end : start + colon + 1 };
    start = end;
  }
}

/** Names of fields, compared with what stands in a header block without making strings of it. */
class FieldNames {
  /** Lower case, by first octet. */
  readonly #byInitial: (readonly Uint8Array[] | undefined)[] = new Array(256).fill(undefined);

  constructor(names: Iterable<string>) {
    for (const name of names) {
      const octets = Buffer.from(name.toLowerCase(), 'latin1');
      const initial = octets[0];
      if (initial !== undefined) this.#byInitial[initial] = [...(this.#byInitial[initial] ?? []), octets];
    }
  }

  /** Whether the field in `[start, end)` has one of the names, white space before its colon or not. */
  has(octets: Uint8Array, start: number, end: number): boolean {
    const candidates = this.#byInitial[lower(octets[start] as number)];
    if (candidates === undefined) return false;
    for (let index = 0; index < candidates.length; index++) {
      const name = candidates[index] as Uint8Array;
      const nameEnd = start + name.length;
      if (nameEnd > end) continue;
      let at = 1;
      while (at < name.length && lower(octets[start + at] as number) === name[at]) at++;
      if (at < name.length) continue;
      let after = nameEnd;
      while (after < end && (octets[after] as number) <= 0x20) after++;
      if (after === end || octets[after] === 0x3a) return true;
    }
    return false;
  }

  /** The same in latin1 text. */
  hasText(text: string, start: number, end: number): boolean {
    const candidates = this.#byInitial[lower(text.charCodeAt(start))];
    if (candidates === undefined) return false;
    for (let index = 0; index < candidates.length; index++) {
      const name = candidates[index] as Uint8Array;
      const nameEnd = start + name.length;
      if (nameEnd > end) continue;
      let at = 1;
      while (at < name.length && lower(text.charCodeAt(start + at)) === name[at]) at++;
      if (at < name.length) continue;
      let after = nameEnd;
      while (after < end && text.charCodeAt(after) <= 0x20) after++;
      if (after === end || text.charCodeAt(after) === 0x3a) return true;
    }
    return false;
  }
}

function lower(octet: number): number {
  return octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet;
}

/** A FETCH asks all its messages for one list of names. */
const namesOf = new WeakMap<object, FieldNames>();

function fieldNames(names: Iterable<string> & object): FieldNames {
  let known = namesOf.get(names);
  if (known === undefined) namesOf.set(names, (known = new FieldNames(names)));
  return known;
}

/**
 * HEADER.FIELDS and HEADER.FIELDS.NOT (RFC 9051 §6.4.5.1): the fields with (or without) one of `names`, compared without regard to case, in
 * order and with their folds, and the blank line. What is left of a block without a blank line (`not`) ends without one too: a message
 * that has no body and no blank line shows none. `names` must not change afterwards.
 */
export function headerFields(head: Uint8Array, names: Iterable<string> & object, { not = false }: { readonly not?: boolean } = {}): Buffer {
  const octets = asBuffer(head);
  const { length } = octets;
  const wanted = fieldNames(names);
  const pieces: Buffer[] = [];
  let pieceStart = -1;
  let pieceEnd = 0;
  let start = 0;
  while (start < length) {
    const first = octets[start];
    if (first === LF || (first === 0x0d && octets[start + 1] === LF)) break;
    let end = start;
    do {
      // A line is short: looking at its octets here costs less than a native search for its end.
      while (end < length && octets[end] !== LF) end++;
      if (end < length) end++;
    } while (octets[end] === 0x20 || octets[end] === 0x09);
    if (wanted.has(octets, start, end) !== not) {
      if (start !== pieceEnd || pieceStart < 0) {
        if (pieceStart >= 0) pieces.push(octets.subarray(pieceStart, pieceEnd));
        pieceStart = start;
      }
      pieceEnd = end;
    }
    start = end;
  }
  if (pieceStart >= 0) pieces.push(octets.subarray(pieceStart, pieceEnd));
  const hasBlankLine = start < length;
  const last = pieces.at(-1);
  if (last !== undefined && last.at(-1) !== LF) pieces.push(CRLF);
  if (!not || hasBlankLine) pieces.push(CRLF);
  return Buffer.concat(pieces);
}

/** {@link headerFields} of a header block as latin1 text, one character an octet. */
export function headerFieldsText(head: string, names: Iterable<string> & object, { not = false }: { readonly not?: boolean } = {}): string {
  const { length } = head;
  const wanted = fieldNames(names);
  let found = '';
  let pieceStart = -1;
  let pieceEnd = 0;
  let start = 0;
  while (start < length) {
    const first = head.charCodeAt(start);
    if (first === LF || (first === 0x0d && head.charCodeAt(start + 1) === LF)) break;
    let end = start;
    let next: number;
    do {
      const lf = head.indexOf('\n', end);
      end = lf < 0 ? length : lf + 1;
      next = end < length ? head.charCodeAt(end) : 0;
    } while (next === 0x20 || next === 0x09);
    if (wanted.hasText(head, start, end) !== not) {
      if (pieceStart < 0) pieceStart = start;
      else if (start !== pieceEnd) {
        found += head.slice(pieceStart, pieceEnd);
        pieceStart = start;
      }
      pieceEnd = end;
    }
    start = end;
  }
  if (pieceStart >= 0) found += head.slice(pieceStart, pieceEnd);
  if (pieceStart >= 0 && head.charCodeAt(pieceEnd - 1) !== LF) found += '\r\n';
  return !not || start < length ? `${found}\r\n` : found;
}
