import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fewWithin, withFew, withoutFew } from './few-uids.ts';
import { areRuns, intersectUids, NO_UIDS, runOf, runsOf, subtractUids, unionUids } from './uid-runs.ts';

const many = fc.uniqueArray(fc.integer({ min: 1, max: 400 }), { minLength: 150, maxLength: 250 }).map(runsOf);
const few = fc.uniqueArray(fc.integer({ min: 1, max: 402 }), { maxLength: 4 }).map(runsOf);
const wide = fc.tuple(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 0, max: 60 })).map(([lo, more]) => runOf(lo, lo + more));

test('a few runs against many give what the plain ways give', () => {
  fc.assert(
    fc.property(many, fc.oneof(few, wide), (all, some) => {
      const union = withFew(all, some);
      assert.deepEqual([...union], [...unionUids(all, some)]);
      assert.ok(areRuns(union));
      assert.deepEqual([...withoutFew(all, some)], [...subtractUids(all, some)]);
      assert.deepEqual([...fewWithin(some, all)], [...intersectUids(some, all)]);
    }),
    { numRuns: 2_000 },
  );
});

test('nothing, and the ends of the UID space', () => {
  const all = runsOf(Array.from({ length: 100 }, (_, n) => 2 * n + 1));
  for (const some of [NO_UIDS, runOf(1, 1), runOf(1, 0xffff_ffff), runOf(0xffff_ffff, 0xffff_ffff), runOf(500, 600)]) {
    assert.deepEqual([...withFew(all, some)], [...unionUids(all, some)]);
    assert.deepEqual([...withoutFew(all, some)], [...subtractUids(all, some)]);
    assert.deepEqual([...fewWithin(some, all)], [...intersectUids(some, all)]);
  }
});
