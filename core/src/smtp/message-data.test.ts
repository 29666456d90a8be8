import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageData } from './message-data.ts';

test('a hundred thousand pieces of an octet that wait are read as one', async () => {
  const data = new MessageData();
  for (let n = 0; n < 100_000; n += 1) data.push(Buffer.from('x'));
  data.finish();
  let reads = 0;
  let octets = 0;
  for await (const piece of data) {
    reads += 1;
    octets += piece.length;
  }
  assert.deepEqual([reads, octets], [1, 100_000]);
});

test('a few pieces are handed on as they came', async () => {
  const data = new MessageData();
  const pieces = [Buffer.from('a'), Buffer.from('b')];
  for (const piece of pieces) data.push(piece);
  data.finish();
  const got: Buffer[] = [];
  for await (const piece of data) got.push(piece);
  assert.ok(got.every((piece, n) => piece === pieces[n]));
  assert.equal(got.length, 2);
});
