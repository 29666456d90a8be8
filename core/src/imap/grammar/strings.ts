/** atom, astring, string, nstring, literal8 (RFC 9051 §4, §9): as octets, or as text. */
import { isUtf8 } from 'node:buffer';
import type { Literal } from '../../net/line-reader.ts';
import { ASTRING_CHAR, ATOM_CHAR, BACKSLASH, BRACE, type Cursor, isClass, QUOTE, type Reader, TAG_CHAR } from './cursor.ts';

/** tag: any ASTRING-CHAR but `+`. */
export const tag: Reader<string> = (cursor) => {
  const start = cursor.span(TAG_CHAR);
  return cursor.offset === start ? cursor.fail('Tag expected') : cursor.since(start);
};

export const atom: Reader<string> = (cursor) => {
  const start = cursor.span(ATOM_CHAR);
  return cursor.offset === start ? cursor.fail('Atom expected') : cursor.since(start);
};

/** An atom in upper case, for names that we compare: mechanisms, algorithms, capabilities. */
export const upperAtom: Reader<string> = (cursor) => atom(cursor).toUpperCase();

/** quoted, its octets without quotes and escapes. 8-bit octets are let through; whoever decodes them judges them. */
function quotedOctets(cursor: Cursor): Buffer {
  const { text } = cursor;
  const open = cursor.offset;
  const start = open + 1;
  let escapes = 0;
  let offset = start;
  for (; ; offset += 1) {
    const octet = text[offset];
    if (octet === undefined) cursor.fail('Quoted string is not closed', open);
    if (octet === QUOTE) break;
    if (octet === BACKSLASH) {
      offset += 1;
      escapes += 1;
      const escaped = text[offset];
      if (escaped !== QUOTE && escaped !== BACKSLASH) cursor.fail('Wrong escape in a quoted string', offset);
    } else if (octet === 0x0d || octet === 0x0a || octet === 0) {
      cursor.fail('Control character in a quoted string', offset);
    }
  }
  cursor.offset = offset + 1;
  if (escapes === 0) return text.subarray(start, offset);
  const octets = Buffer.allocUnsafe(offset - start - escapes);
  let length = 0;
  for (let from = start; from < offset; from += 1) {
    if (text[from] === BACKSLASH) from += 1;
    octets[length] = text[from] ?? 0;
    length += 1;
  }
  return octets;
}

function literalOctets(cursor: Cursor): Buffer {
  const start = cursor.offset;
  const literal = cursor.takeLiteral();
  if (literal?.octets === undefined || literal.binary) return cursor.fail('Literal not allowed here', start);
  if (literal.octets.includes(0)) cursor.fail('NUL in a literal', start);
  return literal.octets;
}

function isString(octet: number): boolean {
  return octet === QUOTE || octet === BRACE;
}

/** string: quoted or literal. */
export const stringOctets: Reader<Buffer> = (cursor) => {
  const octet = cursor.peek();
  if (octet === QUOTE) return quotedOctets(cursor);
  return octet === BRACE ? literalOctets(cursor) : cursor.fail('String expected');
};

/** A string, or else octets of the class: astring is `stringOr(ASTRING_CHAR)`. */
export function stringOr(charClass: number): Reader<Buffer> {
  return (cursor) => {
    if (isString(cursor.peek())) return stringOctets(cursor);
    const start = cursor.span(charClass);
    return cursor.offset === start ? cursor.fail('String expected') : cursor.text.subarray(start, cursor.offset);
  };
}

export const astringOctets: Reader<Buffer> = stringOr(ASTRING_CHAR);

/** Octets as Unicode text. @throws ImapSyntaxError if they are not UTF-8 */
export function utf8Text(cursor: Cursor, octets: Buffer, offset: number): string {
  if (!isUtf8(octets)) cursor.fail('Text is not UTF-8', offset);
  return octets.toString('utf8');
}

/** astring as text. UTF-8 is understood whether or not it was enabled: its other readings are all wrong. */
export const astring: Reader<string> = (cursor) => {
  const start = cursor.offset;
  if (!isString(cursor.peek())) {
    cursor.span(ASTRING_CHAR);
    return cursor.offset === start ? cursor.fail('String expected') : cursor.since(start);
  }
  return utf8Text(cursor, stringOctets(cursor), start);
};

/** string as text, UTF-8. */
export const string: Reader<string> = (cursor) => {
  const start = cursor.offset;
  return utf8Text(cursor, stringOctets(cursor), start);
};

/** Moves past NIL, if it stands alone. */
export function takeNil(cursor: Cursor): boolean {
  const { text, offset } = cursor;
  // Letters differ from their capitals in one bit.
  const isNil =
    ((text[offset] ?? 0) & 0xdf) === 0x4e && ((text[offset + 1] ?? 0) & 0xdf) === 0x49 && ((text[offset + 2] ?? 0) & 0xdf) === 0x4c;
  if (!isNil || isClass(text[offset + 3] ?? 0, ASTRING_CHAR)) return false;
  cursor.offset += 3;
  return true;
}

/** nstring as text, UTF-8. */
export const nstring: Reader<string | null> = (cursor) => (takeNil(cursor) ? null : string(cursor));

/** literal or literal8, in memory, streamed or only announced: for APPEND. */
export const anyLiteral: Reader<Literal> = (cursor) => cursor.takeLiteral() ?? cursor.fail('Literal expected');

/** header-fld-name: printable ASCII without colon (RFC 5322 §2.2). */
export const headerFieldName: Reader<string> = (cursor) => {
  const start = cursor.offset;
  const octets = astringOctets(cursor);
  if (octets.length === 0) cursor.fail('Empty header field name', start);
  for (const octet of octets) {
    if (octet < 0x21 || octet > 0x7e || octet === 0x3a) cursor.fail('Wrong character in a header field name', start);
  }
  return octets.toString('latin1');
};
