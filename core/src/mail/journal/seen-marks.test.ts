import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AccountId, MailboxId } from '../../store/store.ts';
import { carriedOver, SeenMarks } from './seen-marks.ts';
import { containsUid, countUids, iterateUids, runsOf } from './uid-runs.ts';

const BOX = 1 as MailboxId;
const BOB = 'bob' as AccountId;
const uidSet = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 12 });

test('marks agree with a plain map, and no change is ever forgotten', () => {
  const step = fc.record({ uids: uidSet, what: fc.constantFrom('see', 'unsee', 'drop'), skip: fc.integer({ min: 0, max: 3 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const marks = new SeenMarks(BOX, BOB);
      const seen = new Set<number>();
      const changedBy = new Map<number, number>();
      let seq = 1;
      for (const { uids, what, skip } of steps) {
        seq += skip; // 0: two commands of one entry
        if (what === 'drop') marks.drop(runsOf(uids));
        else marks.apply(seq, runsOf(uids), what === 'see');
        for (const uid of uids) {
          if (what === 'see') seen.add(uid);
          else seen.delete(uid);
          if (what !== 'drop') changedBy.set(uid, seq);
        }
      }
      assert.deepEqual(
        [...iterateUids(marks.uids)],
        [...seen].sort((a, b) => a - b),
      );
      const { runs, seqs } = marks.changed();
      assert.equal(seqs.length * 2, runs.length);
      for (const [uid, by] of changedBy) {
        const run = [...seqs.keys()].filter((n) => uid >= (runs[2 * n] ?? 0) && uid <= (runs[2 * n + 1] ?? 0));
        assert.equal(run.length, 1); // disjoint
        const told = seqs[run[0] ?? -1] ?? 0;
        assert.ok(told >= by && told <= marks.seq, 'larger than need be, never smaller');
        assert.ok(containsUid(marks.changedSince(by - 1), uid));
      }
      assert.equal(countUids(marks.changedSince(marks.seq)), 0);
      assert.ok(marks.changes.length <= 64);
    }),
  );
});

test('marks go along with messages that are placed elsewhere', () => {
  fc.assert(
    fc.property(uidSet, uidSet, fc.integer({ min: 1, max: 1000 }), (marked, moved, first) => {
      const order = moved.toSorted((a, b) => a - b);
      const expected = order.flatMap((uid, n) => (marked.includes(uid) ? [first + n] : []));
      assert.deepEqual([...iterateUids(carriedOver(runsOf(marked), runsOf(moved), first))], expected);
    }),
  );
});

test('every other message marked again and again does not cost the square', () => {
  const marks = new SeenMarks(BOX, BOB);
  const odd = runsOf(Array.from({ length: 40_000 }, (_, n) => 2 * n + 1));
  for (let seq = 1; seq <= 100; seq++) marks.apply(seq, odd, seq % 2 === 1);
  assert.ok(marks.changes.reduce((runs, { uids }) => runs + uids.length / 2, 0) <= 80_000);
  assert.equal(marks.changes.at(-1)?.seq, 100);
  assert.equal(countUids(marks.changedSince(99)), 40_000);
});
