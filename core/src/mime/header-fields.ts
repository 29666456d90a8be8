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

/**
 * HEADER.FIELDS and HEADER.FIELDS.NOT (RFC 9051 §6.4.5.1): the fields with (or without) one of `names`, compared without regard to case, in
 * order and with their folds, and the blank line. What is left of a block without a blank line (`not`) ends without one too: a message
 * that has no body and no blank line shows none.
 */
export function headerFields(head: Uint8Array, names: Iterable<string>, { not = false }: { readonly not?: boolean } = {}): Buffer {
  const octets = asBuffer(head);
  const wanted = new Set<string>();
  for (const name of names) wanted.add(name.toLowerCase());
  const pieces: Buffer[] = [];
  let pieceStart = -1;
  let pieceEnd = 0;
  let blockEnd = 0;
  for (const field of headerFieldRanges(octets)) {
    blockEnd = field.end;
    if (wanted.has(octets.toString('latin1', field.start, field.nameEnd).toLowerCase()) === not) continue;
    if (field.start !== pieceEnd || pieceStart < 0) {
      if (pieceStart >= 0) pieces.push(octets.subarray(pieceStart, pieceEnd));
      pieceStart = field.start;
    }
    pieceEnd = field.end;
  }
  if (pieceStart >= 0) pieces.push(octets.subarray(pieceStart, pieceEnd));
  const hasBlankLine = blockEnd < octets.length;
  const last = pieces.at(-1);
  if (last !== undefined && last.at(-1) !== LF) pieces.push(CRLF);
  if (!not || hasBlankLine) pieces.push(CRLF);
  return Buffer.concat(pieces);
}
