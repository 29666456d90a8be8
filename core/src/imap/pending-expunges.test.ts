import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WORDS } from '../mail/journal/layout.ts';
import { PendingExpunges } from './pending-expunges.ts';

/** Rows whose first word is the UID. */
function rows(...uids: number[]): Uint32Array {
  const words = new Uint32Array(uids.length * WORDS);
  uids.forEach((uid, at) => {
    words[at * WORDS] = uid;
  });
  return words;
}
function uidsInRows(pending: PendingExpunges): number[] {
  return Array.from({ length: pending.count }, (_, at) => pending.rows[at * WORDS] ?? 0);
}

test('what the session was never told of is not kept', () => {
  const pending = new PendingExpunges();
  pending.add(Uint32Array.of(10, 12), rows(10, 11, 12), 10, 5);
  assert.equal(pending.count, 0);
  assert.equal(pending.firstSeq, 0);
  pending.add(Uint32Array.of(8, 12), rows(8, 9, 10, 11, 12), 10, 6);
  assert.deepEqual([...pending.uids], [8, 9]);
  assert.equal(pending.firstSeq, 6);
});

test('later expunges are merged in order, rows along with them', () => {
  const pending = new PendingExpunges();
  pending.add(Uint32Array.of(4, 5, 9, 9), rows(4, 5, 9), 100, 3);
  pending.add(Uint32Array.of(1, 1, 7, 7, 20, 20), rows(1, 7, 20), 100, 4);
  assert.deepEqual([...pending.uids], [1, 4, 5, 7, 9, 20]);
  assert.deepEqual(uidsInRows(pending), [1, 4, 5, 7, 9, 20]);
  assert.equal(pending.firstSeq, 3);
  assert.equal(pending.countBelow(7), 3);
  assert(pending.has(7) && !pending.has(8));
  pending.truncate(2);
  assert.deepEqual(uidsInRows(pending), [1, 4]);
  pending.truncate(0);
  assert.equal(pending.firstSeq, 0);
});
