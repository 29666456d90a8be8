/** BINARY[...] and BINARY.SIZE[...]: parts without their content-transfer-encoding (RFC 3516, RFC 9051 §6.4.5.2). */
import type { OpenContent } from '../../mail/services.ts';
import { partAt } from '../../mime/section.ts';
import { isKnownEncoding, transferDecoder } from '../../mime/transfer-encoding.ts';
import { ImapNo } from '../errors.ts';
import type { OctetRange } from '../grammar/syntax-tree.ts';
import type { Responder } from '../responder.ts';
import { BrokenReply, cut, exactly } from './section-writer.ts';

/** A decoded part up to this size is kept between counting and sending; larger ones are decoded twice. */
const KEPT_OCTETS = 1024 * 1024;

const SLICE_OCTETS = 64 * 1024;
/** Lines of 76 letters, four for three octets. */
const BASE64_GROWTH = (4 / 3) * (78 / 76);

interface Decoded {
  readonly sizeOctets: number;
  /** `~{n}` is needed. */
  readonly hasNul: boolean;
  readonly octets: Buffer | undefined;
}

interface EncodedPart {
  readonly from: number;
  readonly to: number;
  readonly encoding: string;
}

/** Undefined when there is no such part. @throws ImapNo UNKNOWN-CTE */
function encodedPart(content: OpenContent, path: readonly number[]): EncodedPart | undefined {
  if (path.length === 0) return { from: 0, to: content.sizeOctets, encoding: '8bit' };
  const part = partAt(content.parts, path);
  if (part === undefined) return undefined;
  if (!isKnownEncoding(part.encoding)) throw new ImapNo('UNKNOWN-CTE', 'Content-Transfer-Encoding is not known');
  return { from: part.bodyStart, to: part.bodyEnd, encoding: part.encoding };
}

async function* decoded(content: OpenContent, { from, to, encoding }: EncodedPart, signal: AbortSignal): AsyncGenerator<Buffer> {
  const decoder = transferDecoder(encoding);
  for await (const chunk of content.read(from, to, signal)) {
    const octets = decoder.push(chunk);
    if (octets.length > 0) yield octets;
  }
  const rest = decoder.finish();
  if (rest.length > 0) yield rest;
}

async function decode(content: OpenContent, part: EncodedPart, signal: AbortSignal): Promise<Decoded> {
  let sizeOctets = 0;
  let hasNul = false;
  let kept: Buffer[] | undefined = [];
  for await (const octets of decoded(content, part, signal)) {
    sizeOctets += octets.length;
    hasNul ||= octets.includes(0);
    if (sizeOctets > KEPT_OCTETS) kept = undefined;
    else kept?.push(octets);
  }
  return { sizeOctets, hasNul, octets: kept === undefined ? undefined : Buffer.concat(kept) };
}

/** The octets `[from, to)` of a stream. */
async function* between(source: AsyncIterable<Buffer>, from: number, to: number): AsyncGenerator<Buffer> {
  let at = 0;
  for await (const octets of source) {
    const piece = octets.subarray(Math.max(0, from - at), Math.max(0, to - at));
    at += octets.length;
    if (piece.length > 0) yield piece;
    if (at >= to) return;
  }
}

/** Reads hardly further than the piece: as much as base64 takes for it, then slice by slice, which quoted-printable may need. */
async function decodedPiece(content: OpenContent, part: EncodedPart, { offset, length }: OctetRange, signal: AbortSignal): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const octets of between(decodedInSlices(content, part, offset + length, signal), offset, offset + length)) {
    pieces.push(Buffer.from(octets));
  }
  return Buffer.concat(pieces);
}

async function* decodedInSlices(
  content: OpenContent,
  { from, to, encoding }: EncodedPart,
  octets: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const decoder = transferDecoder(encoding);
  let end = Math.min(to, from + Math.ceil(octets * BASE64_GROWTH) + SLICE_OCTETS);
  for (let at = from; at < to; at = end, end = Math.min(to, at + SLICE_OCTETS)) {
    for await (const chunk of content.read(at, end, signal)) {
      const some = decoder.push(chunk);
      if (some.length > 0) yield some;
    }
  }
  const rest = decoder.finish();
  if (rest.length > 0) yield rest;
}

/** @throws ImapNo UNKNOWN-CTE before anything is written, BrokenReply */
export async function writeBinary(
  respond: Responder,
  label: string,
  path: readonly number[],
  range: OctetRange | undefined,
  content: OpenContent,
  signal: AbortSignal,
): Promise<void> {
  const part = encodedPart(content, path);
  if (part === undefined) {
    respond.lines(`${label} NIL`);
    return;
  }
  if (range !== undefined && range.length <= KEPT_OCTETS) {
    const piece = await decodedPiece(content, part, range, signal);
    respond.lines(piece.length === 0 ? `${label} ""` : `${label} ${piece.includes(0) ? '~' : ''}{${piece.length}}\r\n`);
    if (piece.length > 0) respond.bytes(piece);
    return;
  }
  const { sizeOctets, hasNul, octets } = await decode(content, part, signal);
  const { from, to } = cut(sizeOctets, range);
  if (from === to) {
    respond.lines(`${label} ""`);
    return;
  }
  respond.lines(`${label} ${hasNul ? '~' : ''}{${to - from}}\r\n`);
  if (octets !== undefined) {
    respond.bytes(octets.subarray(from, to));
    return;
  }
  try {
    await respond.body(exactly(between(decoded(content, part, signal), from, to), to - from));
  } catch (error) {
    throw new BrokenReply('a decoded part could not be sent whole', { cause: error });
  }
}

/** @throws ImapNo UNKNOWN-CTE */
export async function binarySize(path: readonly number[], content: OpenContent, signal: AbortSignal): Promise<number> {
  const part = encodedPart(content, path);
  return part === undefined ? 0 : (await decode(content, part, signal)).sizeOctets;
}

/** Checks all parts of a reply before its first octet. @throws ImapNo UNKNOWN-CTE */
export function requireDecodable(path: readonly number[], content: OpenContent): void {
  encodedPart(content, path);
}
