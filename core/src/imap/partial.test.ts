import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runsOf } from '../mail/journal/uid-runs.ts';
import { partOf, partOfRuns } from './partial.ts';

test('a part of a result is the same whether it is counted one by one or by runs', () => {
  const uids = [2, 3, 4, 9, 11, 12, 20];
  for (const [first, last] of [
    [1, 1],
    [1, 3],
    [3, 5],
    [7, 7],
    [7, 99],
    [8, 9],
    [-1, -1],
    [-1, -3],
    [-2, -5],
    [-7, -7],
    [-6, -99],
    [-8, -9],
  ] as const) {
    const listed =
      first > 0
        ? uids.slice(first - 1, last)
        : uids
            .toReversed()
            .slice(-first - 1, -last)
            .toReversed();
    assert.deepEqual([...partOf(Uint32Array.from(uids), { first, last })], listed, `${first}:${last}`);
    assert.deepEqual(partOfRuns(runsOf(uids), { first, last }), runsOf(listed), `${first}:${last}`);
  }
});
