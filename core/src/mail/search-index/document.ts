/** What the search thread is given of a content, and the terms that it makes of it. */
import { fold } from '../../mime/fold.ts';
import { headerFieldRanges } from '../../mime/header-fields.ts';
import { decodeHeaderText } from '../../mime/header-text.ts';
import { MAX_HEADER_FIELD_OCTETS } from '../../mime/limits.ts';
import { headerText, type TextRange, TextRangeDecoder } from '../../mime/search-text.ts';
import { foldHeader } from '../search/header-fold.ts';
import { shownAddresses } from '../search/shown-addresses.ts';
import {
  BODY_SPACE,
  FIELD_SPACES,
  HEAD_SPACE,
  PARTS_SPACE,
  UNKNOWN_ALL,
  UNKNOWN_BODY,
  UNKNOWN_FIELDS,
  UNKNOWN_HEAD,
  UNKNOWN_PARTS,
} from './segment-format.ts';
import { eachWord } from './words.ts';

export interface DocumentRange {
  readonly kind: TextRange['kind'];
  readonly encoding: string;
  readonly charset: string | undefined;
  /** `body`: BODY of SEARCH looks at it; `parts`: only TEXT does. */
  readonly scope: 'body' | 'parts';
  readonly octets: Uint8Array;
}
export interface Document {
  readonly id: number;
  readonly head: Uint8Array;
  /** `undefined`: too much, or not readable: its body is not indexed. */
  readonly ranges: readonly DocumentRange[] | undefined;
}
/** A content of which nothing is to be known: dropped or changed by a plugin, damaged. */
export interface OpaqueDocument {
  readonly id: number;
  readonly opaque: true;
}

/** A header block above this is not indexed, nor is a field value above the second. */
const HEAD_OCTETS = 128 * 1024;
const VALUE_UNITS = 8 * 1024;
/** Words this long are encoded data rather than text; more than so many in one message and its body is not indexed. */
const LONG_WORD_UNITS = 40;
const LONG_WORDS = 2_000;
/** Words in one message. */
const WORDS = 200_000;

/**
 * So many marks or characters beyond the BMP in a row that a search, which folds text in pieces, may cut it where an index did not
 * (search/needle-scan).
 */
const UNSAFE_TO_CUT = /[\p{M}\ud800-\udfff\u{10000}-\u{10ffff}]{100}/u;
const NON_ASCII = /[\u0080-\uffff]/;
const COLON = 0x3a;
const LF = 0x0a;

function isUnsafe(text: string): boolean {
  return NON_ASCII.test(text) && UNSAFE_TO_CUT.test(text);
}

/** The term is `text[from, to)`. */
export type AddTerm = (space: number, text: string, from: number, to: number) => void;

/** Hands out a document's terms by space, repeats included. Returns what of it is not known. */
export function documentTerms(document: Document | OpaqueDocument, term: AddTerm): number {
  if ('opaque' in document) return UNKNOWN_ALL;
  let unknown = 0;
  const { head, ranges } = document;
  if (head.length > HEAD_OCTETS) unknown |= UNKNOWN_FIELDS | UNKNOWN_HEAD;
  else {
    if (!fieldTerms(head, term)) unknown |= UNKNOWN_FIELDS;
    if (!headTerms(head, term)) unknown |= UNKNOWN_HEAD;
  }
  if (ranges === undefined) return unknown | UNKNOWN_PARTS | UNKNOWN_BODY;
  if (!rangeTerms(ranges, 'parts', term)) unknown |= UNKNOWN_PARTS;
  if (!rangeTerms(ranges, 'body', term)) unknown |= UNKNOWN_BODY;
  return unknown;
}

const FIELD_NUMBERS = new Map<string, number>(FIELD_SPACES.map((name, space) => [name, space]));
const SUBJECT = FIELD_SPACES.indexOf('subject');

/** Values as search/head-view compares them. */
function fieldTerms(head: Uint8Array, term: AddTerm): boolean {
  const octets = Buffer.from(head.buffer, head.byteOffset, head.length);
  let isKnown = true;
  for (const { start, end, nameEnd, valueStart } of headerFieldRanges(octets)) {
    if (nameEnd - start > 7) continue;
    const space = FIELD_NUMBERS.get(octets.toString('latin1', start, nameEnd).toLowerCase());
    if (space === undefined || !isFieldAt(octets, nameEnd, valueStart)) continue;
    const raw = octets.toString('latin1', valueStart, Math.min(end, valueStart + MAX_HEADER_FIELD_OCTETS));
    const value = foldHeader(decodeHeaderText(raw).trim());
    if (value.length > VALUE_UNITS || value.includes('\n')) isKnown = false;
    else if (space !== SUBJECT && shownAddresses(raw, value) !== undefined)
      isKnown = false; // FROM and its like find more than HEADER
    else term(space, value, 0, value.length);
  }
  return isKnown;
}

/** Only spaces and tabs between the name and its colon. */
function isFieldAt(octets: Buffer, nameEnd: number, valueStart: number): boolean {
  if (octets[valueStart - 1] !== COLON || valueStart <= nameEnd) return false;
  for (let at = nameEnd; at < valueStart - 1; at++) if (octets[at] !== 0x20 && octets[at] !== 0x09) return false;
  return true;
}

function headTerms(head: Uint8Array, term: AddTerm): boolean {
  // Of a block that ends within its last field, headerText may not show that field's name.
  if (head.length > 0 && head.at(-1) !== LF) return false;
  const text = foldHeader(headerText(head));
  eachWord(text, (from, to) => term(HEAD_SPACE, text, from, to));
  return true;
}

function rangeTerms(ranges: readonly DocumentRange[], scope: 'body' | 'parts', term: AddTerm): boolean {
  const pieces: { readonly text: string; readonly words: readonly number[] }[] = [];
  let words = 0;
  let longWords = 0;
  for (const range of ranges) {
    if (range.scope !== scope) continue;
    if (range.kind === 'header' && range.octets.length >= MAX_HEADER_FIELD_OCTETS) return false;
    const decoder = new TextRangeDecoder({ ...range, from: 0, to: range.octets.length });
    const text = decoder.push(range.octets) + decoder.finish();
    // What ends without a line end would make one word with what follows.
    if (isUnsafe(text) || (text !== '' && !text.endsWith('\n'))) return false;
    const folded = fold(text);
    const places: number[] = [];
    eachWord(folded, (from, to) => {
      places.push(from, to);
      if (to - from >= LONG_WORD_UNITS) longWords++;
    });
    pieces.push({ text: folded, words: places });
    words += places.length / 2;
    if (longWords > LONG_WORDS || words > WORDS) return false;
  }
  const space = scope === 'body' ? BODY_SPACE : PARTS_SPACE;
  for (const { text, words: places } of pieces) {
    for (let at = 0; at < places.length; at += 2) term(space, text, places[at] as number, places[at + 1] as number);
  }
  return true;
}
