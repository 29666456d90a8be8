/**
 * A message that came as octets of any kind (literal8 of RFC 3516, RFC 9051 §6.3.12) as one that every reader can be shown: parts whose
 * Content-Transfer-Encoding is binary become base64, which RFC 3516 §4.4 leaves to the server, so that BINARY gives back what they held. Line
 * ends are normalised elsewhere only.
 */
import { headerFieldRanges } from '../../mime/header-fields.ts';
import { asBuffer } from '../../mime/octets.ts';
import { type MimePart, walkParts } from '../../mime/part.ts';
import { MailError } from '../errors.ts';
import type { MessageSource } from '../services.ts';
import { parseSource } from './parsed-source.ts';

/** Octets of a line of base64, 76 letters; a step encodes many. */
const LINE_OCTETS = 57;
const CRLF = Buffer.from('\r\n');
/** A longer header block is no message's. */
const HEADER_OCTETS = 1024 * 1024;

interface Change {
  readonly from: number;
  readonly to: number;
  octets(): AsyncIterable<Uint8Array>;
}

/**
 * The octets to be stored. Reads the message once to know its parts and once more to give it out.
 * @throws MailError unsupported when NUL stands where it cannot be sent back (outside of binary parts); the signal's reason
 */
export async function* withoutBinaryParts(source: MessageSource, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const { parsed } = await parseSource(source, 'parse', signal);
  let at = 0;
  for (const change of changesOf(parsed.parts, source)) {
    yield* asTheyAre(source, at, change.from);
    yield* change.octets();
    at = change.to;
  }
  yield* asTheyAre(source, at, source.sizeOctets);
}

/** In the order of the message, never overlapping. */
function changesOf(root: MimePart, source: MessageSource): readonly Change[] {
  const changes: Change[] = [];
  for (const part of walkParts(root)) {
    if (part.encoding !== 'binary') continue;
    const { headerStart, bodyStart, bodyEnd } = part;
    const isLeaf = part.type !== 'multipart' && part.message === undefined;
    const encoding = isLeaf ? 'base64' : '8bit';
    changes.push({ from: headerStart, to: bodyStart, octets: () => headerWith(source, headerStart, bodyStart, encoding) });
    if (isLeaf) changes.push({ from: bodyStart, to: bodyEnd, octets: () => base64(source, bodyStart, bodyEnd) });
  }
  return changes;
}

async function* asTheyAre(source: MessageSource, start: number, end: number): AsyncGenerator<Uint8Array> {
  if (start >= end) return;
  for await (const octets of source.open({ start, end })) {
    if (octets.includes(0)) throw new MailError('unsupported', 'NUL outside of a binary part');
    yield octets;
  }
}

async function* headerWith(source: MessageSource, start: number, end: number, encoding: string): AsyncGenerator<Uint8Array> {
  if (end - start > HEADER_OCTETS) throw new MailError('too-big', 'Header of a part is too large');
  const chunks: Uint8Array[] = [];
  for await (const octets of asTheyAre(source, start, end)) chunks.push(octets);
  const head = asBuffer(Buffer.concat(chunks));
  let at = 0;
  for (const field of headerFieldRanges(head)) {
    if (head.toString('latin1', field.start, field.nameEnd).toLowerCase() !== 'content-transfer-encoding') continue;
    yield head.subarray(at, field.start);
    yield Buffer.from(`Content-Transfer-Encoding: ${encoding}\r\n`);
    at = field.end;
  }
  yield head.subarray(at);
}

async function* base64(source: MessageSource, start: number, end: number): AsyncGenerator<Uint8Array> {
  if (start >= end) return;
  let rest: Buffer = Buffer.alloc(0);
  let isFirst = true;
  for await (const octets of source.open({ start, end })) {
    const all = rest.length === 0 ? asBuffer(octets) : Buffer.concat([rest, octets]);
    const whole = all.length - (all.length % LINE_OCTETS);
    if (whole > 0) yield lines(all.subarray(0, whole), isFirst);
    if (whole > 0) isFirst = false;
    rest = Buffer.from(all.subarray(whole));
  }
  if (rest.length > 0) yield lines(rest, isFirst);
  // Elsewhere the line end before the delimiter follows.
  if (end === source.sizeOctets) yield CRLF;
}

/** Line ends stand between the lines. */
function lines(octets: Buffer, isFirst: boolean): Buffer {
  let text = '';
  for (let at = 0; at < octets.length; at += LINE_OCTETS) {
    text += `${isFirst && at === 0 ? '' : '\r\n'}${octets.toString('base64', at, at + LINE_OCTETS)}`;
  }
  return Buffer.from(text, 'latin1');
}
