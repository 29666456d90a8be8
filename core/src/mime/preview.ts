import { charsetDecoder } from './charset.ts';
import { htmlText } from './html-text.ts';
import { MAX_PREVIEW_CHARACTERS, MAX_PREVIEW_OCTETS } from './limits.ts';
import { asBuffer } from './octets.ts';
import { type MimePart, walkParts } from './part.ts';
import { transferDecoder } from './transfer-encoding.ts';

/** Where to look for a preview: octets of the original message, bounded by MAX_PREVIEW_OCTETS. */
export interface PreviewSource {
  readonly from: number;
  readonly to: number;
  readonly part: MimePart;
}

/**
 * Parts the preview is made of, the best first: the first text/plain and the first text/html that are no attachments. Parts of embedded
 * messages count only if the message itself has no text.
 */
export function previewSources(root: MimePart): PreviewSource[] {
  let plain: MimePart | undefined;
  let html: MimePart | undefined;
  for (const part of walkParts(root)) {
    if (part.type !== 'text' || part.disposition === 'attachment' || part.bodyEnd <= part.bodyStart) continue;
    if (part.subtype === 'plain') plain ??= part;
    else if (part.subtype === 'html') html ??= part;
    if (plain !== undefined && html !== undefined) break;
  }
  const sources: PreviewSource[] = [];
  for (const part of [plain, html]) {
    if (part === undefined) continue;
    sources.push({ from: part.bodyStart, to: Math.min(part.bodyEnd, part.bodyStart + MAX_PREVIEW_OCTETS), part });
  }
  return sources;
}

/** Preview of one source (RFC 8970 §4): at most MAX_PREVIEW_CHARACTERS characters on one line; empty if it holds no text. */
export function previewOf({ part }: PreviewSource, octets: Uint8Array): string {
  const transfer = transferDecoder(part.encoding);
  const charset = charsetDecoder(part.charset);
  const text = charset.write(transfer.push(octets));
  return shorten(part.subtype === 'html' ? htmlText(text) : withoutQuotes(text));
}

/** Preview of a message in memory, or of its first octets as far as they reach. */
export function preview(message: Uint8Array, root: MimePart): string {
  const octets = asBuffer(message);
  for (const source of previewSources(root)) {
    const text = previewOf(source, octets.subarray(source.from, source.to));
    if (text !== '') return text;
  }
  return '';
}

/** Leaves out quoted lines and the signature, unless nothing else is there. */
function withoutQuotes(text: string): string {
  let kept = '';
  for (let from = 0; from < text.length && kept.length < MAX_PREVIEW_CHARACTERS * 8; ) {
    const lf = text.indexOf('\n', from);
    const end = lf < 0 ? text.length : lf;
    const line = text.slice(from, Math.min(end, from + MAX_PREVIEW_CHARACTERS * 8));
    if (line.trimEnd() === '--') break;
    if (!line.startsWith('>')) kept += `${line} `;
    from = end + 1;
  }
  return kept.trim() === '' ? text.slice(0, MAX_PREVIEW_CHARACTERS * 8) : kept;
}

/** One line without control characters, cut between code points. */
function shorten(text: string): string {
  const line = text
    .slice(0, MAX_PREVIEW_CHARACTERS * 64)
    .replaceAll(/[\s\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060\ufeff\u00ad]+/g, ' ')
    .trim();
  let count = 0;
  let at = 0;
  while (at < line.length && count < MAX_PREVIEW_CHARACTERS) {
    at += (line.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
    count++;
  }
  return line.slice(0, at).trimEnd().toWellFormed();
}
