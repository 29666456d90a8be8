/**
 * Writers of response syntax (RFC 9051 §9). A wire string holds one octet per character (latin1), ready for `Buffer.write(..., 'latin1')`.
 * Nothing here can be made to write a line end that is not its own.
 */
import { ATOM_CHAR, isClass } from './cursor.ts';
import { DAY_MS, MONTHS } from './dates.ts';
import { encodeModifiedUtf7 } from './modified-utf7.ts';
import type { FlagName, ParseContext, Section } from './syntax-tree.ts';

/** Our own fault: a value that this place in a response cannot hold. Never caused by what a client sends, unless we let it through. */
export class UnwritableText extends Error {
  override readonly name = 'UnwritableText';
}

/** Longer strings go as literals: clients have line buffers too. */
const MAX_QUOTED_OCTETS = 1_000;

function octetsOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

type Content = 'plain' | 'escapes' | 'eight-bit' | 'literal';

/** What a wire string needs: nothing, backslashes, a client that takes 8-bit octets in quotes, or a literal. */
function contentOf(wire: string): Content {
  let content: Content = 'plain';
  for (let index = 0; index < wire.length; index += 1) {
    const code = wire.charCodeAt(index);
    if (code > 0xff) throw new UnwritableText('Not a wire string');
    if (code === 0x0d || code === 0x0a || code === 0) return 'literal';
    if (code >= 0x80) content = 'eight-bit';
    else if ((code === 0x22 || code === 0x5c) && content === 'plain') content = 'escapes';
  }
  return wire.length > MAX_QUOTED_OCTETS ? 'literal' : content;
}

function backslashed(wire: string): string {
  return wire.replace(/["\\]/g, '\\$&');
}

/** `{n}` and the octets. NUL cannot stand in it: such content is for `~{n}`, which only BINARY may send. */
export function literal(wire: string): string {
  if (wire.includes('\0')) throw new UnwritableText('NUL in a literal');
  return `{${wire.length}}\r\n${wire}`;
}

/** string from octets, for header text as it is: quoted if it is ASCII and short, otherwise a literal. */
export function octetString(wire: string): string {
  switch (contentOf(wire)) {
    case 'plain':
      return `"${wire}"`;
    case 'escapes':
      return `"${backslashed(wire)}"`;
    default:
      return literal(wire);
  }
}

/** string from Unicode text, as UTF-8: quoted as far as the client takes that, otherwise a literal. */
export function textString(text: string, { utf8 }: ParseContext): string {
  const wire = octetsOf(text);
  const content = contentOf(wire);
  if (content === 'plain') return `"${wire}"`;
  return content === 'escapes' || (content === 'eight-bit' && utf8) ? `"${backslashed(wire)}"` : literal(wire);
}

/** nstring from Unicode text. */
export function textNstring(text: string | null | undefined, context: ParseContext): string {
  return text === null || text === undefined ? 'NIL' : textString(text, context);
}

/** string from Unicode text for a place where a client expects header syntax: RFC 2047 words unless it takes UTF-8. */
export function headerString(text: string, context: ParseContext): string {
  if (context.utf8) return textString(text, context);
  return octetString(/^[\x20-\x7e]*$/.test(text) ? text : encodedWords(text));
}

/** 45 octets are 60 letters of base64: with `=?utf-8?B??=` just below the 75 that a word may have. */
const WORD_OCTETS = 45;

function encodedWords(text: string): string {
  const words: string[] = [];
  let octets: Buffer[] = [];
  let length = 0;
  // By characters, which no word may cut in two (RFC 2047 §5).
  for (const char of text.toWellFormed()) {
    const piece = Buffer.from(char, 'utf8');
    if (length + piece.length > WORD_OCTETS) {
      words.push(encodedWord(octets));
      octets = [];
      length = 0;
    }
    octets.push(piece);
    length += piece.length;
  }
  if (length > 0) words.push(encodedWord(octets));
  return words.join(' ');
}

function encodedWord(octets: readonly Buffer[]): string {
  return `=?utf-8?B?${Buffer.concat(octets).toString('base64')}?=`;
}

function isAtom(wire: string): boolean {
  if (wire === '') return false;
  for (let index = 0; index < wire.length; index += 1) {
    const code = wire.charCodeAt(index);
    if (code > 0x7e || !isClass(code, ATOM_CHAR)) return false;
  }
  return true;
}

/** An atom where that is possible and cannot be taken for NIL, otherwise a string. */
export function atomOrString(text: string, context: ParseContext): string {
  return isAtom(text) && text.toUpperCase() !== 'NIL' ? text : textString(text, context);
}

/** A mailbox name: modified UTF-7, or UTF-8 once that is agreed. Always a string, since clients parse that best; INBOX is an atom. */
export function mailbox(name: string, context: ParseContext): string {
  if (name === 'INBOX') return name;
  return context.utf8 ? textString(name, context) : octetString(encodeModifiedUtf7(name));
}

/** One flag. @throws UnwritableText if it is neither an atom nor a backslash and an atom (or `\*`) */
export function flag(name: FlagName): string {
  const bare = name.startsWith('\\') ? name.slice(1) : name;
  if (!isAtom(bare) && name !== '\\*') throw new UnwritableText('Not a flag');
  return name;
}

/** `(\Seen $Junk)`. */
export function flagList(flags: readonly FlagName[]): string {
  return `(${flags.map(flag).join(' ')})`;
}

const TWO_DIGITS: readonly string[] = Object.freeze(Array.from({ length: 100 }, (_, value) => String(value).padStart(2, '0')));

function twoDigits(value: number): string {
  return TWO_DIGITS[value] ?? '00';
}

/** The day last written, as text. Listings go through neighbours, so most dates find theirs here. */
interface DayText {
  readonly day: number;
  readonly text: string;
}

function dayText(day: number): DayText {
  const date = new Date(day * DAY_MS);
  const fullYear = date.getUTCFullYear();
  if (!(fullYear >= 0 && fullYear <= 9999)) throw new UnwritableText('Date out of range');
  const ofMonth = String(date.getUTCDate()).padStart(2, ' ');
  const year = String(fullYear).padStart(4, '0');
  return { day, text: `${ofMonth}-${MONTHS[date.getUTCMonth()] ?? ''}-${year}` };
}

/** A writer of date-time (INTERNALDATE), one for each listing: it keeps the day last written. Milliseconds are cut off. */
export function dateTimeWriter(): (epochMs: number, zoneMinutes?: number) => string {
  let last = dayText(0);
  return (epochMs, zoneMinutes = 0) => {
    const local = epochMs + zoneMinutes * 60_000;
    const day = Math.floor(local / DAY_MS);
    if (day !== last.day) last = dayText(day);
    const seconds = Math.floor((local - day * DAY_MS) / 1000);
    const minutes = Math.floor(seconds / 60);
    const time = `${twoDigits(Math.floor(minutes / 60))}:${twoDigits(minutes % 60)}:${twoDigits(seconds % 60)}`;
    return `"${last.text} ${time} ${zone(zoneMinutes)}"`;
  };
}

function zone(minutes: number): string {
  if (minutes === 0) return '+0000';
  const absolute = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${twoDigits(Math.floor(absolute / 60))}${twoDigits(absolute % 60)}`;
}

/** `1:4,7` from runs (pairs first, last), in their order; '' if there are none, which no response may hold. */
export function numberSet(runs: Uint32Array): string {
  let wire = '';
  for (let index = 0; index < runs.length; index += 2) {
    const first = runs[index] ?? 0;
    const last = runs[index + 1] ?? 0;
    if (index > 0) wire += ',';
    wire += first === last ? first : `${first}:${last}`;
  }
  return wire;
}

/** Rising numbers as runs, for `numberSet`. Numbers that do not rise begin a run of their own, so the order is kept. */
export function runsOf(numbers: ArrayLike<number>): Uint32Array {
  let runs = new Uint32Array(Math.min(2 * numbers.length, 16));
  let length = 0;
  for (let index = 0; index < numbers.length; index += 1) {
    const number = numbers[index] ?? 0;
    if (length > 0 && runs[length - 1] === number - 1) {
      runs[length - 1] = number;
      continue;
    }
    if (length === runs.length) {
      const grown = new Uint32Array(2 * length);
      grown.set(runs);
      runs = grown;
    }
    runs[length] = number;
    runs[length + 1] = number;
    length += 2;
  }
  return runs.slice(0, length);
}

/** A section as it stands in the answer: `1.HEADER.FIELDS (From To)`, without brackets. */
export function section({ part, text, fields }: Section): string {
  const words = text === 'ALL' ? part.join('.') : [...part, text].join('.');
  if (text !== 'HEADER.FIELDS' && text !== 'HEADER.FIELDS.NOT') return words;
  return `${words} (${fields.map((name) => (isAtom(name) ? name : octetString(name))).join(' ')})`;
}

/** Text of one line, such as resp-text. @throws UnwritableText for CR, LF, NUL, and for anything that is not a wire string */
export function lineText(text: string): string {
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === 0x0d || code === 0x0a || code === 0 || code > 0xff) throw new UnwritableText('Line end, NUL or wide character in a line');
  }
  return text;
}

/** A number that a client can read: 0 to 2^53-1. */
export function number(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0) throw new UnwritableText('Not a number');
  return String(value);
}
