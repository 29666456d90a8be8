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

/** Octets of a plain text that mostly hold all that its preview shows. */
const FIRST_LOOK_OCTETS = 2 * 1024;

/** Preview of one source (RFC 8970 §4): at most MAX_PREVIEW_CHARACTERS characters on one line; empty if it holds no text. */
export function previewOf(source: PreviewSource, octets: Uint8Array): string {
  if (source.part.subtype === 'html') return shorten(htmlText(decoded(source, octets)));
  if (octets.length > FIRST_LOOK_OCTETS) {
    const kept = withoutQuotes(decoded(source, octets.subarray(0, FIRST_LOOK_OCTETS)));
    const line = kept === undefined ? '' : shorten(kept);
    if (line.length >= MAX_PREVIEW_CHARACTERS) return line;
  }
  const text = decoded(source, octets);
  return shorten(withoutQuotes(text) ?? text.slice(0, MAX_PREVIEW_CHARACTERS * 8));
}

function decoded({ part }: PreviewSource, octets: Uint8Array): string {
  return charsetDecoder(part.charset).write(transferDecoder(part.encoding).push(octets));
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

/** Leaves out quoted lines and the signature; `undefined`: nothing else is there. */
function withoutQuotes(text: string): string | undefined {
  let kept = '';
  for (let from = 0; from < text.length && kept.length < MAX_PREVIEW_CHARACTERS * 8; ) {
    const lf = text.indexOf('\n', from);
    const end = lf < 0 ? text.length : lf;
    const line = text.slice(from, Math.min(end, from + MAX_PREVIEW_CHARACTERS * 8));
    if (line.startsWith('--') && line.trimEnd() === '--') break;
    if (!line.startsWith('>')) kept += `${line} `;
    from = end + 1;
  }
  return kept.trim() === '' ? undefined : kept;
}

/** One line without control characters, cut between code points. */
function shorten(text: string): string {
  const most = Math.min(text.length, MAX_PREVIEW_CHARACTERS * 64);
  let line = '';
  let count = 0;
  for (let at = 0; at < most && count < MAX_PREVIEW_CHARACTERS; ) {
    const start = at;
    while (at < most && !isSpacing(text.charCodeAt(at)) && count < MAX_PREVIEW_CHARACTERS) {
      at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
      count++;
    }
    line += text.slice(start, at);
    if (at === most || count === MAX_PREVIEW_CHARACTERS) break;
    while (at < most && isSpacing(text.charCodeAt(at))) at++;
    if (line === '') continue;
    line += ' ';
    count++;
  }
  return line.trimEnd().toWellFormed();
}

/** White space, controls, and what has no width. */
function isSpacing(unit: number): boolean {
  if (unit < 0x7f) return unit <= 0x20;
  if (unit <= 0xa0 || unit === 0xad) return true;
  if (unit < 0x1680) return false;
  return SPACING.has(unit) || (unit >= 0x2000 && unit <= 0x200f) || (unit >= 0x2028 && unit <= 0x202f);
}
const SPACING: ReadonlySet<number> = new Set([0x1680, 0x205f, 0x2060, 0x3000, 0xfeff]);
