/** section, section-binary and partial of FETCH (RFC 9051 §6.4.5, §9). */
import { CLOSE, type Cursor, list, type Reader } from './cursor.ts';
import { number, nzNumber } from './numbers.ts';
import { headerFieldName } from './strings.ts';
import type { OctetRange, Section, SectionText } from './syntax-tree.ts';

/** Deeper than any message is read apart (MIME depth 100). */
export const MAX_PART_DEPTH = 128;

const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const LESS = 0x3c;
const GREATER = 0x3e;
const DOT = 0x2e;

const WHOLE: Section = Object.freeze({ part: [], text: 'ALL', fields: [] });
const NO_FIELDS: readonly string[] = Object.freeze([]);
const texts = new Map<string, SectionText>(
  (['HEADER', 'HEADER.FIELDS', 'HEADER.FIELDS.NOT', 'TEXT', 'MIME'] as const).map((text) => [text, text]),
);
const fieldNames = list(headerFieldName, 1);

function isDigit(octet: number): boolean {
  return octet >= 0x30 && octet <= 0x39;
}

/** section-part, and a dot after it if anything follows. */
function partNumbers(cursor: Cursor): number[] {
  const part: number[] = [];
  while (isDigit(cursor.peek())) {
    part.push(nzNumber(cursor));
    if (part.length > MAX_PART_DEPTH) cursor.fail('Part number too deep');
    if (!cursor.take(DOT)) break;
    if (cursor.peek() === CLOSE_BRACKET) cursor.fail('Part number expected');
  }
  return part;
}

/** `[...]` after BODY and BODY.PEEK. */
export const section: Reader<Section> = (cursor) => {
  cursor.expect(OPEN_BRACKET, 'Section expected');
  if (cursor.take(CLOSE_BRACKET)) return WHOLE;
  const part = partNumbers(cursor);
  if (cursor.take(CLOSE_BRACKET)) return { part, text: 'ALL', fields: NO_FIELDS };
  const start = cursor.offset;
  if (part.length > 0 && cursor.text[start - 1] !== DOT) cursor.fail('Closing bracket expected');
  const text = texts.get(cursor.takeWord());
  if (text === undefined) return cursor.fail('Unknown section', start);
  if (text === 'MIME' && part.length === 0) cursor.fail('MIME needs a part number', start);
  let fields = NO_FIELDS;
  if (text === 'HEADER.FIELDS' || text === 'HEADER.FIELDS.NOT') {
    cursor.space();
    fields = fieldNames(cursor);
  }
  cursor.expect(CLOSE_BRACKET, 'Closing bracket expected');
  return { part, text, fields };
};

/** `[1.2]` or `[]` after BINARY. */
export const binarySection: Reader<readonly number[]> = (cursor) => {
  cursor.expect(OPEN_BRACKET, 'Section expected');
  const part = partNumbers(cursor);
  cursor.expect(CLOSE_BRACKET, 'Closing bracket expected');
  return part;
};

/** `<0.1024>` if it follows. */
export const octetRange: Reader<OctetRange | undefined> = (cursor) => {
  if (!cursor.take(LESS)) return undefined;
  const offset = number(cursor);
  cursor.expect(DOT, 'Length expected');
  const length = nzNumber(cursor);
  cursor.expect(GREATER, 'Wrong range');
  return { offset, length };
};

/** True if a section follows. */
export function atSection(cursor: Cursor): boolean {
  return cursor.peek() === OPEN_BRACKET;
}

/** True at the end of an item: nothing, a space or a closing parenthesis follows. */
export function atItemEnd(cursor: Cursor): boolean {
  const octet = cursor.peek();
  return octet === -1 || octet === 0x20 || octet === CLOSE;
}
