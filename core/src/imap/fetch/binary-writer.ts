/** BINARY[...] and BINARY.SIZE[...]: parts without their content-transfer-encoding (RFC 3516, RFC 9051 §6.4.5.2). */
import type { OpenContent } from '../../mail/services.ts';
import { partAt } from '../../mime/section.ts';
import { isKnownEncoding, transferDecoder } from '../../mime/transfer-encoding.ts';
import { ImapNo } from '../errors.ts';
import type { OctetRange } from '../grammar/syntax-tree.ts';
import type { Responder } from '../responder.ts';
import type { DecodePlace, DecodePlaces, PartPlaces } from './decode-places.ts';
import { BrokenReply, exactly } from './section-writer.ts';

/** Decoded octets up to this many are kept between counting and sending; more are decoded twice. */
const KEPT_OCTETS = 1024 * 1024;

const SLICE_OCTETS = 64 * 1024;
/** Beyond what base64 takes for the octets that are wanted. */
const SPARE_OCTETS = 4 * 1024;
/** Lines of 76 letters, four for three octets. */
const BASE64_GROWTH = (4 / 3) * (78 / 76);
const EVERYTHING: OctetRange = { offset: 0, length: Number.POSITIVE_INFINITY };

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
  return { from: part.bodyStart, to: part.bodyEnd, encoding: part.encoding.toLowerCase() };
}

/** One part of one message, decoded as far as somebody wants it. */
class PartReader {
  readonly #content: OpenContent;
  readonly #part: EncodedPart;
  readonly #places: PartPlaces;
  readonly #signal: AbortSignal;

  constructor(content: OpenContent, part: EncodedPart, places: DecodePlaces, signal: AbortSignal) {
    this.#content = content;
    this.#part = part;
    this.#places = places.of(content.id, part.from);
    this.#signal = signal;
  }

  get #isEncoded(): boolean {
    return this.#part.encoding === 'base64' || this.#part.encoding === 'quoted-printable';
  }

  /** From where the octet `offset` is reached soonest. */
  start(offset: number): DecodePlace {
    const { from, to } = this.#part;
    if (this.#isEncoded) return this.#places.before(offset);
    const at = Math.min(offset, to - from);
    return { encodedAt: at, decodedAt: at, held: '' };
  }

  /** The decoded octets of the range; reads hardly further. `notes`: remembers places on the way. */
  async *octets(start: DecodePlace, { offset, length }: OctetRange, notes: 'notes' | 'notes-nothing'): AsyncGenerator<Buffer> {
    const end = offset + length;
    let at = start.decodedAt;
    for await (const octets of this.#decoded(start, end, notes)) {
      const piece = octets.subarray(Math.max(0, offset - at), Math.max(0, end - at));
      at += octets.length;
      if (piece.length > 0) yield piece;
      if (at >= end) return;
    }
  }

  async *#decoded(start: DecodePlace, end: number, notes: 'notes' | 'notes-nothing'): AsyncGenerator<Buffer> {
    const { from, to, encoding } = this.#part;
    const decoder = transferDecoder(encoding, start.held);
    const isNoting = notes === 'notes' && this.#isEncoded;
    let { encodedAt, decodedAt } = start;
    // As much as base64 takes for it, then slice by slice, which quoted-printable may need.
    let until = Math.min(to - from, encodedAt + Math.ceil((end - decodedAt) * BASE64_GROWTH) + SPARE_OCTETS);
    while (encodedAt < to - from) {
      for await (const chunk of this.#content.read(from + encodedAt, from + until, this.#signal)) {
        for (let of = 0; of < chunk.length; of += SLICE_OCTETS) {
          if (isNoting && decodedAt <= end) this.#places.note({ encodedAt, decodedAt, held: decoder.held });
          const slice = chunk.subarray(of, of + SLICE_OCTETS);
          const octets = decoder.push(slice);
          encodedAt += slice.length;
          decodedAt += octets.length;
          if (octets.length > 0) yield octets;
        }
      }
      until = Math.min(to - from, until + SLICE_OCTETS);
    }
    const rest = decoder.finish();
    if (rest.length > 0) yield rest;
  }

  /** Counts what there is of the range, and keeps it when it is little. */
  async decode(start: DecodePlace, range: OctetRange): Promise<Decoded> {
    let sizeOctets = 0;
    let hasNul = false;
    let kept: Buffer[] | undefined = [];
    for await (const octets of this.octets(start, range, 'notes')) {
      sizeOctets += octets.length;
      hasNul ||= octets.includes(0);
      if (sizeOctets > KEPT_OCTETS) kept = undefined;
      else kept?.push(octets);
    }
    return { sizeOctets, hasNul, octets: kept === undefined ? undefined : Buffer.concat(kept) };
  }
}

/** `places`: of the mailbox that the content was opened in. @throws ImapNo UNKNOWN-CTE before anything is written, BrokenReply */
export async function writeBinary(
  respond: Responder,
  label: string,
  path: readonly number[],
  range: OctetRange | undefined,
  content: OpenContent,
  places: DecodePlaces,
  signal: AbortSignal,
): Promise<void> {
  const part = encodedPart(content, path);
  if (part === undefined) {
    respond.lines(`${label} NIL`);
    return;
  }
  const reader = new PartReader(content, part, places, signal);
  const wanted = range ?? EVERYTHING;
  const start = reader.start(wanted.offset);
  const { sizeOctets, hasNul, octets } = await reader.decode(start, wanted);
  if (sizeOctets === 0) {
    respond.lines(`${label} ""`);
    return;
  }
  respond.lines(`${label} ${hasNul ? '~' : ''}{${sizeOctets}}\r\n`);
  if (octets !== undefined) {
    respond.bytes(octets);
    return;
  }
  try {
    await respond.body(exactly(reader.octets(start, wanted, 'notes-nothing'), sizeOctets));
  } catch (error) {
    throw new BrokenReply('a decoded part could not be sent whole', { cause: error });
  }
}

/** @throws ImapNo UNKNOWN-CTE */
export async function binarySize(
  path: readonly number[],
  content: OpenContent,
  places: DecodePlaces,
  signal: AbortSignal,
): Promise<number> {
  const part = encodedPart(content, path);
  if (part === undefined) return 0;
  const reader = new PartReader(content, part, places, signal);
  return (await reader.decode(reader.start(0), EVERYTHING)).sizeOctets;
}

/** Checks all parts of a reply before its first octet. @throws ImapNo UNKNOWN-CTE */
export function requireDecodable(path: readonly number[], content: OpenContent): void {
  encodedPart(content, path);
}
