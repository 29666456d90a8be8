import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants, zstdCompressSync } from 'node:zlib';
import { StoreDamaged } from '../store.ts';
import { RowUnpacker } from './row-unpacker.ts';
import { CODEC_ZSTD } from './write-contents.ts';

function packed(octets: Uint8Array): Buffer {
  return zstdCompressSync(octets, { params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 } });
}
function text(octets: number, seed: number): Buffer {
  const out = Buffer.alloc(octets);
  for (let at = 0, state = seed + 1; at < octets; at++) {
    state = (state * 48_271) % 2_147_483_647;
    out[at] = 0x61 + (state % 7);
  }
  return out;
}

test('a damaged row is refused, whatever is wrong with it, and the rows after it are whole', async () => {
  const unpacker = new RowUnpacker();
  const octets = text(5_000, 1);
  const good = packed(octets);
  const inTheMiddle = Buffer.from(good);
  inTheMiddle[good.length >> 1] = (inTheMiddle[good.length >> 1] ?? 0) ^ 0x55;
  const checksum = Buffer.from(good);
  checksum[good.length - 1] = (checksum[good.length - 1] ?? 0) ^ 1;
  const damaged: readonly (readonly [string, Uint8Array, number])[] = [
    ['no frame', Buffer.from('not a frame at all'), 5_000],
    ['empty', new Uint8Array(0), 5_000],
    ['cut short', good.subarray(0, -10), 5_000],
    ['another octet in the middle', inTheMiddle, 5_000],
    ['another checksum', checksum, 5_000],
    ['longer than its record says', good, 4_999],
    ['shorter than its record says', good, 5_001],
    ['of a record that says nothing', good, 0],
  ];
  for (const [what, data, size] of damaged) {
    assert.throws(() => unpacker.unpack(CODEC_ZSTD, data, size), StoreDamaged, what);
    assert.deepEqual(unpacker.unpack(CODEC_ZSTD, good, octets.length), octets, `after ${what}`);
  }
  await new Promise((resolve) => setImmediate(resolve)); // errors of streams come later
});

test('rows of all sizes come back as they were stored, each in a buffer of its own', () => {
  const unpacker = new RowUnpacker();
  const sizes = [1, 2, 63, 64, 65, 1_000, 16_383, 65_536, 131_072, 131_073, 262_144, 262_145, 700_000];
  const rows = sizes.map((size, at) => text(size, at));
  const found = rows.map((row) => unpacker.unpack(CODEC_ZSTD, packed(row), row.length));
  assert.deepEqual(found, rows);
  for (const row of found) assert.equal(row.buffer.byteLength === row.byteLength || row.length > 262_144, true);
  const raw = text(100, 9);
  assert.equal(unpacker.unpack(0, raw, 100), raw);
});

test('a row cut short in its checksum does not spoil the row after it', () => {
  const unpacker = new RowUnpacker();
  const octets = text(5_000, 1);
  const good = packed(octets);
  assert.deepEqual(unpacker.unpack(CODEC_ZSTD, good.subarray(0, -2), octets.length), octets); // zstd has all octets by then
  const other = text(5_000, 2);
  assert.deepEqual(unpacker.unpack(CODEC_ZSTD, packed(other), other.length), other);
});
