import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import { type ByteRange, type CodecCall, type CompressCodec, Damaged, type Segment, type Stream } from '@pochard/plugin-sdk';

/**
 * The format, which the codec's name stands for: blocks, each a length (4 octets, little endian) and a zstd frame of so many octets.
 * Every block but the last holds 128 KiB of plain octets. The note `blocks` has the lengths again, so that a range is found without reading the rest.
 */
const name = 'zstd-128k';
const blockOctets = 128 * 1024;
const lengthOctets = 4;
const maxFrameOctets = blockOctets + 1024; // zstd grows what does not compress by far less
const note = 'blocks';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

export function createZstdCodec(level: number): CompressCodec {
  const options = { params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 } };

  async function* encode(plain: Segment, { notes }: CodecCall): Stream {
    const lengths: number[] = [];
    for await (const block of blocksOf(plain.open())) {
      const frame = await compress(block, options);
      lengths.push(frame.length);
      yield Buffer.concat([uint32s([frame.length]), frame]);
    }
    if (lengths.length > 1) notes.set(note, uint32s(lengths));
  }

  async function* decode(encoded: Segment): Stream {
    const reader = new OctetReader(encoded.open());
    try {
      for (;;) {
        const length = await reader.take(lengthOctets);
        if (length === undefined) return;
        yield await decompressed(await reader.take(frameLength(length)));
      }
    } finally {
      await reader.close(); // also when a range needs no more
    }
  }

  async function* decodeRange(encoded: Segment, { start, end }: ByteRange, { notes }: CodecCall): Stream {
    const table = notes.get(note);
    const lengths = table === undefined ? undefined : readUint32s(table);
    const first = lengths === undefined ? 0 : Math.floor(start / blockOctets);
    let from = 0;
    for (const length of lengths?.slice(0, first) ?? []) from += lengthOctets + length;
    let to = from;
    for (const length of lengths?.slice(first, Math.ceil(end / blockOctets)) ?? []) to += lengthOctets + length;
    const part: Segment = { ...encoded, open: () => (lengths === undefined ? encoded.open() : encoded.open({ start: from, end: to })) };
    let at = first * blockOctets;
    for await (const block of decode(part)) {
      const cut = block.subarray(Math.max(0, start - at), Math.max(0, end - at));
      if (cut.length > 0) yield cut;
      at += block.length;
      if (at >= end) return;
    }
  }
  return { name, stage: 'compress', appliesTo: () => true, encode, decode, decodeRange };
}

async function decompressed(frame: Buffer | undefined): Promise<Buffer> {
  if (frame === undefined) throw new Damaged('a block is missing');
  try {
    return await decompress(frame, { maxOutputLength: blockOctets });
  } catch (cause) {
    throw new Damaged('a block does not decompress', { cause });
  }
}
function frameLength(octets: Buffer): number {
  const length = octets.readUInt32LE(0);
  if (length === 0 || length > maxFrameOctets) throw new Damaged('a block has an impossible length');
  return length;
}

/** Regroups a stream into blocks. */
async function* blocksOf(stream: Stream): AsyncGenerator<Buffer> {
  const reader = new OctetReader(stream);
  for (;;) {
    const block = await reader.takeUpTo(blockOctets);
    if (block.length === 0) return;
    yield block;
  }
}

/** Reads a stream in pieces of chosen size; holds one piece and one chunk. */
class OctetReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = Buffer.alloc(0);
  constructor(stream: Stream) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }
  /** Undefined at the end; @throws Damaged when it comes in the middle. */
  async take(octets: number): Promise<Buffer | undefined> {
    const piece = await this.takeUpTo(octets);
    if (piece.length === 0) return undefined;
    if (piece.length < octets) throw new Damaged('the stored octets end too early');
    return piece;
  }
  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
  async takeUpTo(octets: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    let gathered = 0;
    for (;;) {
      const part = this.#rest.subarray(0, octets - gathered);
      this.#rest = this.#rest.subarray(part.length);
      parts.push(part);
      gathered += part.length;
      if (gathered === octets) return Buffer.concat(parts);
      const { done, value } = await this.#chunks.next();
      if (done === true) return Buffer.concat(parts);
      this.#rest = value;
    }
  }
}

function uint32s(values: readonly number[]): Buffer {
  const octets = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) octets.writeUInt32LE(value, index * 4);
  return octets;
}
function readUint32s(octets: Uint8Array): readonly number[] {
  const view = Buffer.from(octets.buffer, octets.byteOffset, octets.length);
  return Array.from({ length: Math.floor(view.length / 4) }, (_, index) => view.readUInt32LE(index * 4));
}
