/**
 * A message as plugins with `plaintext` see it: the SDK's `Message` over a source. Each change gives a new message; octets that nobody
 * touched are read from the source, however big it is.
 */
import type { ByteRange, HeaderView, Message } from '@pochard/plugin-sdk';
import iconv from 'iconv-lite';
import { charsetDecoder, decodeCharset } from '../../mime/charset.ts';
import { headerFieldRanges } from '../../mime/header-fields.ts';
import { decodeHeaderText } from '../../mime/header-text.ts';
import { MAX_SEARCH_TEXT_UNITS } from '../../mime/limits.ts';
import { type MimePart, walkParts } from '../../mime/part.ts';
import { decodeTransfer, transferDecoder } from '../../mime/transfer-encoding.ts';
import type { MessageSource } from '../services.ts';
import { cut } from './codecs.ts';
import type { ParsedSource } from './parsed-source.ts';

/** Text parts up to this size can be rewritten: a rewritten part is held in memory. */
export const MAX_MAPPED_OCTETS = 1024 * 1024;

/** Where the octets of the view come from. */
interface Origin {
  readonly source: Pick<MessageSource, 'sizeOctets' | 'open'>;
  readonly parts: MimePart;
  /** Text parts by the offset of their body, for messages that do not lie in memory. */
  readonly texts: ReadonlyMap<number, Uint8Array>;
  readonly bytes: Uint8Array | undefined;
}
/** A text part that was rewritten, in its transfer encoding. */
interface Replacement {
  readonly from: number;
  readonly to: number;
  readonly octets: Uint8Array;
}

/** The message as received, parsed already. Text parts of a big one are read now, as `mapText` cannot wait. */
export async function messageView(message: ParsedSource, head: Uint8Array = message.parsed.head): Promise<Message> {
  const { source, parsed } = message;
  const texts = new Map<number, Uint8Array>();
  if (source.bytes === undefined) {
    let left = MAX_MAPPED_OCTETS;
    for (const part of mappableParts(parsed.parts)) {
      const octets = part.bodyEnd - part.bodyStart;
      if (octets > left) continue;
      left -= octets;
      texts.set(part.bodyStart, await collect(source.open({ start: part.bodyStart, end: part.bodyEnd })));
    }
  }
  return new SourceMessage(head, parsed.head.length, { source, parts: parsed.parts, texts, bytes: source.bytes }, []);
}

/** The same of a stored message: `read` gives octets [from, to). `mapText` leaves it as it is: its text is not read beforehand. */
export async function storedMessageView(stored: {
  readonly sizeOctets: number;
  readonly head: Uint8Array;
  readonly parts: MimePart;
  read(from: number, to: number): AsyncIterable<Uint8Array>;
}): Promise<Message> {
  const open = (range?: ByteRange) => stored.read(range?.start ?? 0, range?.end ?? stored.sizeOctets);
  const source = { sizeOctets: stored.sizeOctets, open };
  return new SourceMessage(stored.head, stored.head.length, { source, parts: stored.parts, texts: new Map(), bytes: undefined }, []);
}

class SourceMessage implements Message {
  readonly sizeOctets: number;
  readonly header: HeaderView;
  readonly #head: Uint8Array;
  /** Octets of the source that `#head` stands for: the header block, or as much of it as is parsed. */
  readonly #headOctets: number;
  readonly #origin: Origin;
  readonly #replaced: readonly Replacement[];

  constructor(head: Uint8Array, headOctets: number, origin: Origin, replaced: readonly Replacement[]) {
    this.#head = head;
    this.#headOctets = headOctets;
    this.#origin = origin;
    this.#replaced = replaced;
    this.header = new Header(head);
    let size = head.length + origin.source.sizeOctets - this.#headOctets;
    for (const { from, to, octets } of replaced) size += octets.length - (to - from);
    this.sizeOctets = size;
  }

  open(range?: ByteRange): AsyncIterable<Uint8Array> {
    return range === undefined ? this.#all() : this.#isUntouched() ? this.#origin.source.open(range) : cut(this.#all(), range);
  }

  async text(): Promise<string> {
    let text = '';
    for (const part of walkParts(this.#origin.parts)) {
      if (part.type !== 'text' || text.length >= MAX_SEARCH_TEXT_UNITS) continue;
      const transfer = transferDecoder(part.encoding);
      const charset = charsetDecoder(part.charset);
      for await (const chunk of this.#partOctets(part)) {
        text += charset.write(transfer.push(chunk));
        if (text.length >= MAX_SEARCH_TEXT_UNITS) break;
      }
      text += `${charset.write(transfer.finish())}${charset.end()}\n`;
    }
    return text.slice(0, MAX_SEARCH_TEXT_UNITS);
  }

  prepend(name: string, value: string): Message {
    return this.#withHead(Buffer.concat([Buffer.from(headerField(name, value), 'utf8'), this.#head]));
  }

  without(name: string): Message {
    const wanted = name.toLowerCase();
    const kept: Uint8Array[] = [];
    const octets = Buffer.from(this.#head.buffer, this.#head.byteOffset, this.#head.byteLength);
    let at = 0;
    for (const { start, end, nameEnd } of headerFieldRanges(octets)) {
      if (octets.toString('latin1', start, nameEnd).toLowerCase() !== wanted) continue;
      kept.push(octets.subarray(at, start));
      at = end;
    }
    if (at === 0) return this;
    kept.push(octets.subarray(at));
    return this.#withHead(Buffer.concat(kept));
  }

  mapText(rewrite: (text: string, part: { readonly type: 'text/plain' | 'text/html' }) => string): Message {
    const replaced: Replacement[] = [];
    for (const part of mappableParts(this.#origin.parts)) {
      const before = this.#replaced.find(({ from }) => from === part.bodyStart);
      const octets = before?.octets ?? this.#textOctets(part);
      const changed = octets === undefined ? undefined : rewritten(part, octets, rewrite);
      if (changed !== undefined) replaced.push({ from: part.bodyStart, to: part.bodyEnd, octets: changed });
      else if (before !== undefined) replaced.push(before);
    }
    return new SourceMessage(this.#head, this.#headOctets, this.#origin, replaced);
  }

  #withHead(head: Uint8Array): Message {
    return new SourceMessage(head, this.#headOctets, this.#origin, this.#replaced);
  }

  #isUntouched(): boolean {
    return this.#replaced.length === 0 && this.sizeOctets === this.#origin.source.sizeOctets && this.#head.length === this.#headOctets;
  }

  async *#all(): AsyncGenerator<Uint8Array> {
    const { source } = this.#origin;
    if (this.#head.length > 0) yield this.#head;
    let at = this.#headOctets;
    for (const { from, to, octets } of this.#replaced) {
      if (from > at) yield* source.open({ start: at, end: from });
      if (octets.length > 0) yield octets;
      at = to;
    }
    if (at < source.sizeOctets) yield* source.open({ start: at, end: source.sizeOctets });
  }

  #textOctets(part: MimePart): Uint8Array | undefined {
    const { bytes, texts } = this.#origin;
    if (part.bodyEnd - part.bodyStart > MAX_MAPPED_OCTETS) return undefined;
    return bytes?.subarray(part.bodyStart, part.bodyEnd) ?? texts.get(part.bodyStart);
  }

  async *#partOctets(part: MimePart): AsyncGenerator<Uint8Array> {
    const changed = this.#replaced.find(({ from }) => from === part.bodyStart);
    if (changed === undefined) yield* this.#origin.source.open({ start: part.bodyStart, end: part.bodyEnd });
    else yield changed.octets;
  }
}

class Header implements HeaderView {
  readonly raw: Uint8Array;

  constructor(raw: Uint8Array) {
    this.raw = raw;
  }
  get(name: string): string | undefined {
    return this.#values(name, 1)[0];
  }
  all(name: string): readonly string[] {
    return this.#values(name, Number.MAX_SAFE_INTEGER);
  }
  #values(name: string, limit: number): readonly string[] {
    const wanted = name.toLowerCase();
    const octets = Buffer.from(this.raw.buffer, this.raw.byteOffset, this.raw.byteLength);
    const values: string[] = [];
    for (const { start, end, nameEnd, valueStart } of headerFieldRanges(octets)) {
      if (nameEnd - start !== wanted.length || octets.toString('latin1', start, nameEnd).toLowerCase() !== wanted) continue;
      values.push(decodeHeaderText(octets.toString('latin1', valueStart, end)).trim());
      if (values.length === limit) break;
    }
    return values;
  }
}

/** Inline text; what is signed, encrypted or an embedded message stays as its author made it. */
function* mappableParts(root: MimePart): Generator<MimePart> {
  if (root.message !== undefined) return;
  if (root.type === 'multipart') {
    if (root.subtype === 'signed' || root.subtype === 'encrypted') return;
    for (const child of root.children) yield* mappableParts(child);
    return;
  }
  const isShown = root.type === 'text' && (root.subtype === 'plain' || root.subtype === 'html') && root.disposition !== 'attachment';
  if (isShown && root.bodyEnd > root.bodyStart) yield root;
}

/** The part's octets with its text rewritten, or `undefined` when nothing changed or its charset and encoding cannot carry the result. */
function rewritten(
  part: MimePart,
  octets: Uint8Array,
  rewrite: (text: string, part: { readonly type: 'text/plain' | 'text/html' }) => string,
): Uint8Array | undefined {
  const before = decodeCharset(decodeTransfer(octets, part.encoding), part.charset);
  const after = rewrite(before, { type: part.subtype === 'html' ? 'text/html' : 'text/plain' });
  if (typeof after !== 'string' || after === before) return undefined;
  const charset = part.charset ?? 'us-ascii';
  const text = after.replaceAll(/\r?\n/g, '\r\n');
  if (!iconv.encodingExists(charset)) return undefined;
  const encoded = iconv.encode(text, charset);
  if (iconv.decode(encoded, charset) !== text) return undefined;
  switch (part.encoding) {
    case 'base64':
      return Buffer.from(encoded.toString('base64').replaceAll(/.{76}/g, '$&\r\n'), 'latin1');
    case 'quoted-printable':
      return Buffer.from(quotedPrintable(encoded), 'latin1');
    case '7bit':
      return encoded.every((octet) => octet < 0x80 && octet !== 0) ? encoded : undefined;
    default:
      return encoded;
  }
}

/** RFC 2045 §6.7; lines end in CRLF already. */
function quotedPrintable(octets: Uint8Array): string {
  let out = '';
  let line = 0;
  for (let at = 0; at < octets.length; at += 1) {
    const octet = octets[at] ?? 0;
    if (octet === 0x0d && octets[at + 1] === 0x0a) {
      out += '\r\n';
      line = 0;
      at += 1;
      continue;
    }
    const endsLine = at + 1 === octets.length || (octets[at + 1] === 0x0d && octets[at + 2] === 0x0a);
    const isPlain = (octet > 0x20 && octet < 0x7f && octet !== 0x3d) || ((octet === 0x20 || octet === 0x09) && !endsLine);
    const piece = isPlain ? String.fromCharCode(octet) : `=${octet.toString(16).toUpperCase().padStart(2, '0')}`;
    if (line + piece.length > 75) {
      out += '=\r\n';
      line = 0;
    }
    out += piece;
    line += piece.length;
  }
  return out;
}

/** @throws TypeError for a name that is none, and for CR, LF or NUL in the value */
function headerField(name: string, value: string): string {
  if (!/^[\x21-\x39\x3b-\x7e]{1,76}$/.test(name)) throw new TypeError('not a header field name');
  if (/[\0\r\n]/.test(value)) throw new TypeError('a header field cannot hold CR, LF or NUL');
  const text = /^[\t\x20-\x7e]*$/.test(value) ? value : encodedWords(value);
  // Folded at spaces, for the limit of 998 octets a line (RFC 5322 §2.1.1).
  let out = `${name}:`;
  let line = out.length;
  for (const word of text.split(' ')) {
    if (line + 1 + word.length > 76 && line > name.length + 1 && word !== '') {
      out += '\r\n';
      line = 0;
    }
    out += ` ${word}`;
    line += 1 + word.length;
  }
  return `${out}\r\n`;
}

/** RFC 2047 §4.1: words of at most 75 characters, whole characters in each. */
function encodedWords(value: string): string {
  const words: string[] = [];
  let piece = '';
  for (const character of value.toWellFormed()) {
    if (Buffer.byteLength(piece + character) > 42) {
      words.push(piece);
      piece = '';
    }
    piece += character;
  }
  words.push(piece);
  return words.map((word) => `=?utf-8?B?${Buffer.from(word).toString('base64')}?=`).join(' ');
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
