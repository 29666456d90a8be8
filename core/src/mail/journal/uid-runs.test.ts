import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  areRuns,
  compactRuns,
  containsUid,
  countUids,
  haveCommonUid,
  intersectUids,
  iterateUids,
  runOf,
  runsOf,
  subtractUids,
  unionUids,
} from './uid-runs.ts';

const uids = fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 40 });

test('values that are no UID are left out; ends above 32 bits and swapped ends are put right', () => {
  assert.deepEqual([...runsOf([0, -1, 2 ** 32, Number.NaN, 5])], [5, 5]);
  assert.deepEqual([...compactRuns([9, 3, 0, 1, 2 ** 40, 100, 4, 4])], [1, 1, 3, 9, 100, 0xffff_ffff]);
  assert.deepEqual([...runOf(5, 4)], []);
  for (const bad of [[1], [2, 1], [0, 1], [1, 2, 3, 4], [5, 6, 1, 2]]) assert.equal(areRuns(Uint32Array.from(bad)), false, String(bad));
});

test('runs behave like sets', () => {
  fc.assert(
    fc.property(uids, uids, (a, b) => {
      const [x, y] = [new Set(a), new Set(b)];
      const [p, q] = [runsOf(a), runsOf(b)];
      const sorted = (set: Set<number>) => [...set].sort((m, n) => m - n);
      for (const [runs, set] of [
        [p, x],
        [unionUids(p, q), x.union(y)],
        [intersectUids(p, q), x.intersection(y)],
        [subtractUids(p, q), x.difference(y)],
      ] as const) {
        assert(areRuns(runs));
        assert.deepEqual([...iterateUids(runs)], sorted(set));
        assert.equal(countUids(runs), set.size);
      }
      assert.equal(haveCommonUid(p, q), !x.isDisjointFrom(y));
      for (let uid = 0; uid < 62; uid++) assert.equal(containsUid(p, uid), x.has(uid));
    }),
  );
});

test('the ends of the UID space', () => {
  const all = runOf(1, 0xffff_ffff);
  assert.deepEqual([...subtractUids(all, runOf(2, 0xffff_fffe))], [1, 1, 0xffff_ffff, 0xffff_ffff]);
  assert.deepEqual([...unionUids(runOf(0xffff_ffff, 0xffff_ffff), runOf(0xffff_fffe, 0xffff_fffe))], [0xffff_fffe, 0xffff_ffff]);
  assert.equal(countUids(all), 0xffff_ffff);
});
