import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CodecCall, Damaged, type Segment, type Stream } from '@pochard/plugin-sdk';
import { createZstdCodec } from './zstd-codec.ts';

const codec = createZstdCodec(3);
function call(): CodecCall & { readonly kept: Map<string, Uint8Array> } {
  const kept = new Map<string, Uint8Array>();
  // This codec looks at the notes alone.
  return {
    kept,
    notes: { get: (name: string) => kept.get(name), set: (name: string, octets: Uint8Array) => void kept.set(name, octets) },
  } as never;
}
function segment(octets: Uint8Array, chunkOctets = 10_000, opened: { octets: number } = { octets: 0 }): Segment {
  return {
    role: 'message',
    plainOctets: octets.length,
    open: async function* ({ start, end } = { start: 0, end: octets.length }) {
      for (let at = start; at < end; at += chunkOctets) {
        const chunk = octets.subarray(at, Math.min(end, at + chunkOctets));
        opened.octets += chunk.length;
        yield chunk;
      }
    },
  };
}
async function read(stream: Stream | Promise<Stream>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of await stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
/** Mail-like: compresses, but not to nothing. */
function sample(sizeOctets: number): Buffer {
  const octets = Buffer.alloc(sizeOctets);
  for (let at = 0; at < sizeOctets; at += 1) octets[at] = 97 + ((at * at * 31 + at) % 17);
  return octets;
}

test('stored octets that were cut, changed or made up are damaged, not shown', async () => {
  const encoded = await read(await codec.encode(segment(sample(300_000)), call()));
  const changed = Buffer.from(encoded);
  changed.fill(0, 20, 36);
  for (const broken of [
    encoded.subarray(0, -1),
    encoded.subarray(0, 2),
    encoded.subarray(3),
    changed,
    Buffer.from('ffffffff00', 'hex'),
    Buffer.alloc(8),
  ]) {
    await assert.rejects(async () => read(await codec.decode(segment(broken), call())), Damaged);
  }
});

test('what was encoded is decoded to the same octets, whatever the sizes of content and chunks', async () => {
  for (const sizeOctets of [0, 1, 131_071, 131_072, 131_073, 1_000_000]) {
    for (const chunkOctets of [7_001, 65_536, 2_000_000]) {
      const plain = sample(sizeOctets);
      const encoded = await read(await codec.encode(segment(plain, chunkOctets), call()));
      assert(encoded.length <= Math.max(100, sizeOctets / 2));
      assert.deepEqual(await read(await codec.decode(segment(encoded, chunkOctets), call())), plain);
    }
  }
});

test('a range is cut out of the blocks that hold it, and only those are read', async () => {
  const plain = sample(1_000_000);
  const notes = call();
  const encoded = await read(await codec.encode(segment(plain), notes));
  assert(codec.decodeRange);
  for (const [start, end] of [
    [0, 10],
    [131_070, 131_080],
    [999_990, 1_000_000],
    [131_072, 262_144],
    [0, 1_000_000],
    [5, 5],
  ] as const) {
    assert.deepEqual(await read(await codec.decodeRange(segment(encoded), { start, end }, notes)), plain.subarray(start, end));
    assert.deepEqual(await read(await codec.decodeRange(segment(encoded), { start, end }, call())), plain.subarray(start, end));
  }
  const opened = { octets: 0 };
  await read(await codec.decodeRange(segment(encoded, 10_000, opened), { start: 900_000, end: 900_010 }, notes));
  assert(opened.octets < encoded.length / 4);
});
