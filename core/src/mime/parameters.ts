import { BROKEN, ENDED, HeaderScanner, MORE } from './header-scanner.ts';
import { MAX_MIME_PARAMETERS } from './limits.ts';

/** One MIME parameter as IMAP shows it: name and value in the octets and case of the source, RFC 2231 pieces merged, still encoded. */
export interface Parameter {
  readonly name: string;
  readonly value: string;
}

/** Content-Type as far as it could be read; `boundary` and parameters only when type and subtype were well formed. */
export interface ContentType {
  readonly type: string;
  readonly subtype: string;
  readonly parameters: readonly Parameter[];
}

interface Piece {
  readonly name: string;
  readonly index: number;
  readonly extended: boolean;
  readonly value: string;
}

/** Reads `type/subtype; parameters` (RFC 2045 §5.1). */
export function parseContentType(value: string): ContentType {
  const scanner = new HeaderScanner(value);
  if (scanner.skipSpace() !== MORE) return { type: '', subtype: '', parameters: [] };
  const outcome = scanner.token();
  const type = scanner.text;
  if (outcome !== MORE || scanner.peek() !== 0x2f) return { type, subtype: '', parameters: [] };
  scanner.position++;
  if (scanner.skipSpace() !== MORE) return { type, subtype: '', parameters: [] };
  const end = scanner.token();
  return { type, subtype: scanner.text, parameters: end === BROKEN ? [] : parseParameters(scanner) };
}

/** Reads `token; parameters` (Content-Disposition, RFC 2183). Undefined if there is no token. */
export function parseTokenWithParameters(value: string): { readonly token: string; readonly parameters: readonly Parameter[] } | undefined {
  const scanner = new HeaderScanner(value);
  scanner.skipSpace();
  const outcome = scanner.token();
  const token = scanner.text;
  if (outcome === BROKEN || token === '') return undefined;
  return { token, parameters: parseParameters(scanner) };
}

/** Reads a lone token (Content-Transfer-Encoding, RFC 2045 §6.1). Undefined if there is none, or something else follows. */
export function parseToken(value: string): string | undefined {
  const scanner = new HeaderScanner(value);
  scanner.skipSpace();
  return scanner.token() !== BROKEN && scanner.skipSpace() === ENDED && scanner.text !== '' ? scanner.text : undefined;
}

/** Reads the comma-separated tags of Content-Language (RFC 3282). */
export function parseLanguages(value: string): string[] {
  const scanner = new HeaderScanner(value);
  const languages: string[] = [];
  scanner.skipSpace();
  while (languages.length < MAX_MIME_PARAMETERS && scanner.atom() !== BROKEN) {
    languages.push(scanner.text);
    if (scanner.peek() !== 0x2c) break;
    scanner.position++;
    scanner.skipSpace();
  }
  return languages;
}

function parseParameters(scanner: HeaderScanner): Parameter[] {
  const parameters: Parameter[] = [];
  const pieces: Piece[] = [];
  while (scanner.position < scanner.value.length && parameters.length + pieces.length < MAX_MIME_PARAMETERS) {
    const parameter = parseParameter(scanner);
    if (parameter === undefined) {
      scanner.position++; // resynchronise at the next ";"; each attempt consumed what it looked at
      continue;
    }
    const piece = asPiece(parameter);
    if (piece === undefined) parameters.push(parameter);
    else pieces.push(piece);
  }
  if (pieces.length > 0) mergePieces(pieces, parameters);
  return parameters;
}

function parseParameter(scanner: HeaderScanner): Parameter | undefined {
  if (scanner.peek() !== 0x3b) return undefined;
  scanner.position++;
  if (scanner.skipSpace() !== MORE) return undefined;
  const outcome = scanner.token();
  const name = scanner.text;
  if (outcome !== MORE || name === '' || scanner.peek() !== 0x3d) return undefined;
  scanner.position++;
  scanner.text = '';
  if (scanner.skipSpace() !== MORE) return scanner.position < scanner.value.length ? undefined : { name, value: '' };
  const first = scanner.peek();
  if (first === 0x22) {
    if (scanner.quotedString() === BROKEN) return undefined;
  } else if (first === 0x3d) readBareEncodedWord(scanner);
  else if (scanner.token() === BROKEN) return undefined;
  return { name, value: scanner.text };
}

/** `name==?utf-8?b?...?=` without quotes is wrong but common: read on to the next separator. */
function readBareEncodedWord(scanner: HeaderScanner): void {
  const start = scanner.position;
  for (; scanner.position < scanner.value.length; scanner.position++) {
    const code = scanner.peek();
    if (code === 0x3b || code === 0x20 || code === 0x09 || code === 0x0d || code === 0x0a) break;
  }
  scanner.text = scanner.value.slice(start, scanner.position);
}

/** `name*`, `name*0`, `name*0*` of RFC 2231 §3, §4. */
function asPiece({ name, value }: Parameter): Piece | undefined {
  const star = name.indexOf('*');
  if (star < 0) return undefined;
  let at = star;
  let index = 0;
  if (star + 1 < name.length) {
    at++;
    for (; at < name.length; at++) {
      const digit = name.charCodeAt(at) - 0x30;
      if (digit < 0 || digit > 9) break;
      index = Math.min(index * 10 + digit, MAX_MIME_PARAMETERS);
    }
  }
  const extended = name.charCodeAt(at) === 0x2a;
  if (extended) at++;
  return at === name.length ? { name: name.slice(0, star), index, extended, value } : undefined;
}

function mergePieces(pieces: Piece[], into: Parameter[]): void {
  pieces.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.index - b.index));
  for (let from = 0, to = 0; from < pieces.length; from = to) {
    const group: Piece[] = [];
    const name = pieces[from]?.name ?? '';
    const key = name.toLowerCase();
    for (let piece = pieces[to]; piece !== undefined && piece.name.toLowerCase() === key; piece = pieces[++to]) group.push(piece);
    const complete = group.every((piece, index) => piece.index === index);
    const extended = group.some((piece) => piece.extended);
    if (!complete) {
      for (const piece of group) into.push({ name: `${piece.name}*${piece.index}${piece.extended ? '*' : ''}`, value: piece.value });
      continue;
    }
    let value = extended && group[0]?.extended === false ? "''" : '';
    for (const piece of group) value += extended && !piece.extended ? piece.value.replaceAll('%', '%25') : piece.value;
    into.push({ name: extended ? `${name}*` : name, value });
  }
}

/** Value of the parameter `name` (lower case), compared without regard to case. */
export function parameterValue(parameters: readonly Parameter[], name: string): string | undefined {
  return parameters.find((parameter) => parameter.name.length === name.length && parameter.name.toLowerCase() === name)?.value;
}
