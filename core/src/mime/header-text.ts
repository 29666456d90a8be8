import { decodeCharset, decodeGuessed } from './charset.ts';
import { unfold } from './imap-wire.ts';
import { type Parameter, parameterValue } from './parameters.ts';

/** Longest encoded-word that is decoded; RFC 2047 §2 allows 75 characters, real mail has whole subjects in one. */
const MAX_ENCODED_WORD = 16 * 1024;

interface EncodedWord {
  readonly charset: string;
  readonly encoding: string;
  readonly octets: Buffer;
  readonly end: number;
}

/** Words that follow each other in one charset. */
interface Run {
  readonly charset: string;
  readonly pieces: Buffer[];
}

/**
 * Unicode text of an unstructured or structured field value (latin1, may be folded): folds removed, encoded-words decoded (RFC 2047),
 * raw 8-bit octets taken as UTF-8 (RFC 6532) or else windows-1252. Tolerant: what is no encoded-word stays as it is. Linear.
 */
export function decodeHeaderText(value: string): string {
  const text = unfold(value);
  let at = text.indexOf('=?');
  if (at < 0) return decodeRaw(text);
  let result = '';
  let plainFrom = 0;
  let run: Run | undefined;
  while (at >= 0) {
    const word = encodedWordAt(text, at);
    if (word === undefined) {
      at = text.indexOf('=?', at + 2);
      continue;
    }
    const between = text.slice(plainFrom, at);
    const adjacent = run !== undefined && isBlank(between); // RFC 2047 §6.2: white space between encoded-words is not shown
    if (adjacent && run?.charset === word.charset && !isStateful(word.charset)) {
      run.pieces.push(word.octets); // some writers cut inside a character, so octets of one charset are decoded together
    } else {
      result += decodeRun(run);
      if (!adjacent) result += decodeRaw(between);
      run = { charset: word.charset, pieces: [word.octets] };
    }
    plainFrom = word.end;
    at = text.indexOf('=?', plainFrom);
  }
  return result + decodeRun(run) + decodeRaw(text.slice(plainFrom));
}

function decodeRun(run: Run | undefined): string {
  return run === undefined ? '' : decodeCharset(Buffer.concat(run.pieces), run.charset);
}

/** Charsets with shift states begin anew in each word, and joined words would hold empty shifts, which decoders take for an error. */
function isStateful(charset: string): boolean {
  return charset.startsWith('iso-2022') || charset.startsWith('utf-7') || charset.startsWith('hz');
}

/** Raw header octets as text. */
function decodeRaw(text: string): string {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) >= 0x80) return decodeGuessed(Buffer.from(text, 'latin1'));
  return text;
}

function isBlank(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x20) return false;
  return true;
}

/** `=?charset?encoding?text?=` at `start`. Looks no further than the question marks it needs. */
function encodedWordAt(text: string, start: number): EncodedWord | undefined {
  const first = boundedIndexOf(text, start + 2, start + 2 + 75);
  if (first < 0 || text.charCodeAt(first + 2) !== 0x3f) return undefined;
  const encoding = text.charAt(first + 1).toUpperCase();
  if (encoding !== 'B' && encoding !== 'Q') return undefined;
  const end = boundedIndexOf(text, first + 3, first + 3 + MAX_ENCODED_WORD);
  if (end < 0 || text.charCodeAt(end + 1) !== 0x3d) return undefined;
  const charset = text.slice(start + 2, first).toLowerCase();
  if (charset === '' || charset.includes(' ')) return undefined;
  const content = text.slice(first + 3, end);
  return { charset, encoding, octets: encoding === 'B' ? Buffer.from(content, 'base64') : decodeQ(content), end: end + 2 };
}

/** First "?" in `[from, to)`, or -1. */
function boundedIndexOf(text: string, from: number, to: number): number {
  const limit = Math.min(to, text.length);
  for (let at = from; at < limit; at++) if (text.charCodeAt(at) === 0x3f) return at;
  return -1;
}

/** The "Q" encoding (RFC 2047 §4.2). */
function decodeQ(content: string): Buffer {
  return Buffer.from(decodeEscapes(content.replaceAll('_', ' '), 0x3d), 'latin1');
}

/** Replaces `=XX` or `%XX` by the octet; an escape that is none stays. */
function decodeEscapes(content: string, markCode: number): string {
  const mark = String.fromCharCode(markCode);
  let at = content.indexOf(mark);
  if (at < 0) return content;
  let result = '';
  let from = 0;
  for (; at >= 0; at = content.indexOf(mark, at + 1)) {
    const octet = hexOctet(content, at + 1);
    if (octet < 0) continue;
    result += content.slice(from, at) + String.fromCharCode(octet);
    from = at + 3;
    at += 2;
  }
  return result + content.slice(from);
}

function hexOctet(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at));
  const low = hexDigit(text.charCodeAt(at + 1));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/**
 * Unicode value of a MIME parameter (`name` in lower case): the extended form `name*=charset'language'text` (RFC 2231) wins, then the
 * plain form, in which encoded-words are decoded although RFC 2047 §5 forbids them there.
 */
export function parameterText(parameters: readonly Parameter[], name: string): string | undefined {
  const extended = parameterValue(parameters, `${name}*`);
  if (extended !== undefined) return decodeExtended(extended);
  const plain = parameterValue(parameters, name);
  return plain === undefined ? undefined : decodeHeaderText(plain);
}

function decodeExtended(value: string): string {
  const first = value.indexOf("'");
  const second = first < 0 ? -1 : value.indexOf("'", first + 1);
  const charset = second < 0 ? undefined : value.slice(0, first);
  const octets = Buffer.from(decodeEscapes(value.slice(second + 1), 0x25), 'latin1');
  return charset === undefined || charset === '' ? decodeGuessed(octets) : decodeCharset(octets, charset);
}
