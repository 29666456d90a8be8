import { type CharsetDecoder, charsetDecoder } from './charset.ts';
import { headerFieldRanges } from './header-fields.ts';
import { decodeHeaderText } from './header-text.ts';
import { MAX_HEADER_FIELD_OCTETS, MAX_SEARCH_TEXT_UNITS } from './limits.ts';
import { asBuffer } from './octets.ts';
import { type MimePart, walkParts } from './part.ts';
import { type TransferDecoder, transferDecoder } from './transfer-encoding.ts';

/** Octets decoded at a time from a message in memory, so that the limit stops the work soon. */
const SLICE_OCTETS = 64 * 1024;

/**
 * Decoded field values by lower-case name, in order (RFC 2047 words decoded, unfolded, not case-folded): what HEADER, FROM, SUBJECT and
 * the other header keys of SEARCH look at (RFC 9051 §6.4.4).
 */
export function headerTexts(head: Uint8Array): Map<string, string[]> {
  const octets = asBuffer(head);
  const texts = new Map<string, string[]>();
  for (const { start, end, nameEnd, valueStart } of headerFieldRanges(octets)) {
    const name = octets.toString('latin1', start, nameEnd).toLowerCase();
    const value = decodeHeaderText(octets.toString('latin1', valueStart, Math.min(end, valueStart + MAX_HEADER_FIELD_OCTETS))).trim();
    const values = texts.get(name);
    if (values === undefined) texts.set(name, [value]);
    else values.push(value);
  }
  return texts;
}

/** The header block as one text for TEXT: `Name: decoded value` lines. */
export function headerText(head: Uint8Array): string {
  const octets = asBuffer(head);
  let text = '';
  for (const { start, end, nameEnd, valueStart } of headerFieldRanges(octets)) {
    const value = decodeHeaderText(octets.toString('latin1', valueStart, Math.min(end, valueStart + MAX_HEADER_FIELD_OCTETS))).trim();
    text += valueStart < end ? `${octets.toString('latin1', start, nameEnd)}: ${value}\n` : `${value}\n`;
  }
  return text;
}

/** Octets of the original message that BODY of SEARCH looks at, in the order of the message. */
export interface TextRange {
  readonly from: number;
  readonly to: number;
  readonly kind: 'header' | 'text';
  readonly encoding: string;
  readonly charset: string | undefined;
}

/** Which key of SEARCH the text is for: TEXT also looks at the Content-* fields of parts, so that file names are found. */
export type SearchScope = 'body' | 'text';

/**
 * What BODY searches: bodies of text parts, header blocks of embedded messages, and bodies of message parts that are not opened
 * (message/delivery-status). HTML is searched as source. A part that claims another type is not text, whatever it holds.
 */
export function bodyTextRanges(root: MimePart, scope: SearchScope = 'body'): TextRange[] {
  const ranges: TextRange[] = [];
  const embedded = new Set<MimePart>();
  for (const part of walkParts(root)) {
    if (part.message !== undefined) embedded.add(part.message);
    const showsHeader = part !== root && (scope === 'text' || embedded.has(part));
    if (showsHeader && part.bodyStart > part.headerStart) {
      ranges.push({ from: part.headerStart, to: part.bodyStart, kind: 'header', encoding: '7bit', charset: undefined });
    }
    const isText = part.type === 'text' || (part.type === 'message' && part.message === undefined);
    if (isText && part.bodyEnd > part.bodyStart) {
      ranges.push({ from: part.bodyStart, to: part.bodyEnd, kind: 'text', encoding: part.encoding, charset: part.charset });
    }
  }
  return ranges;
}

/** Scope and limit (in UTF-16 units) of body text. */
export interface BodyTextOptions {
  readonly scope?: SearchScope;
  readonly limit?: number;
}

/** Decodes one range in pieces of any size. */
export class TextRangeDecoder {
  readonly #transfer: TransferDecoder | undefined;
  readonly #charset: CharsetDecoder | undefined;
  readonly #header: Uint8Array[] = [];
  #headerOctets = 0;

  constructor({ kind, encoding, charset }: TextRange) {
    if (kind === 'header') return;
    this.#transfer = transferDecoder(encoding);
    this.#charset = charsetDecoder(charset);
  }

  push(octets: Uint8Array): string {
    if (this.#transfer !== undefined && this.#charset !== undefined) return this.#charset.write(this.#transfer.push(octets));
    // A header block is decoded as a whole, since an encoded-word may be cut; more than one field's limit of it is not searched.
    if (this.#headerOctets < MAX_HEADER_FIELD_OCTETS) {
      this.#header.push(Buffer.from(octets));
      this.#headerOctets += octets.length;
    }
    return '';
  }

  finish(): string {
    if (this.#transfer === undefined || this.#charset === undefined) return headerText(Buffer.concat(this.#header));
    return `${this.#charset.write(this.#transfer.finish())}${this.#charset.end()}\n`;
  }
}

/** Text that BODY (or TEXT, besides `headerText`) of SEARCH looks at, of a message in memory: decoded, not folded. */
export function bodyText(
  message: Uint8Array,
  root: MimePart,
  { scope = 'body', limit = MAX_SEARCH_TEXT_UNITS }: BodyTextOptions = {},
): string {
  const octets = asBuffer(message);
  let text = '';
  for (const range of bodyTextRanges(root, scope)) {
    const decoder = new TextRangeDecoder(range);
    for (let at = range.from; at < range.to && text.length < limit; at += SLICE_OCTETS) {
      text += decoder.push(octets.subarray(at, Math.min(range.to, at + SLICE_OCTETS)));
    }
    if (text.length >= limit) return text.slice(0, limit);
    text += decoder.finish();
  }
  return text.slice(0, limit);
}

/** The same of a stored message: only the ranges that hold text are read. `read` gives the octets `[from, to)`. */
export async function* bodyTextPieces(
  read: (from: number, to: number) => AsyncIterable<Uint8Array>,
  root: MimePart,
  { scope = 'body', limit = MAX_SEARCH_TEXT_UNITS }: BodyTextOptions = {},
): AsyncGenerator<string> {
  let left = limit;
  for (const range of bodyTextRanges(root, scope)) {
    const decoder = new TextRangeDecoder(range);
    for await (const octets of read(range.from, range.to)) {
      const piece = decoder.push(octets).slice(0, left);
      left -= piece.length;
      if (piece !== '') yield piece;
      if (left === 0) return;
    }
    const piece = decoder.finish().slice(0, left);
    left -= piece.length;
    if (piece !== '') yield piece;
    if (left === 0) return;
  }
}
