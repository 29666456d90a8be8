import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import type { ContentId, MailboxId, StoredChunk } from '../../store/store.ts';
import { StoreDamaged } from '../../store/store.ts';
import { MailboxRecord } from './account-state.ts';
import type { Placed } from './entry.ts';
import { contentAtRow, modSeqAtRow } from './layout.ts';
import { PackedMailbox } from './mailbox-state.ts';
import { iterateUids, runOf, runsOf } from './uid-runs.ts';

const ALL = runOf(1, 0xffff_ffff);
const info = new MailboxRecord(1 as MailboxId);

function placed(uid: number, flags = 0): Placed {
  return { uid, content: (2 ** 47 + uid) as ContentId, size: 10, date: 1, saved: 2, flags };
}
function filled(uids: readonly number[], seq = 1): PackedMailbox {
  const packed = new PackedMailbox(info);
  packed.applyAdd(
    seq,
    uids.map((uid) => placed(uid)),
  );
  return packed;
}
function uidsOf(packed: PackedMailbox): number[] {
  return [...iterateUids(packed.existing(ALL))];
}

suite('stored chunks that are refused', () => {
  const [good] = filled([1, 2, 3]).dirtyChunks(0, 0, 9);
  assert(good);
  const changed = (data: Uint8Array, crc = crc32(data)): StoredChunk => ({ ...good, data, crc });
  const swapped = Uint8Array.from([...good.data.subarray(32, 64), ...good.data.subarray(0, 32)]);
  const farOff = good.data.slice();
  farOff[29] = 2; // offset 512
  const bad: [string, readonly StoredChunk[]][] = [
    ['a wrong checksum', [changed(good.data, good.crc ^ 1)]],
    ['a torn row', [changed(good.data.subarray(0, 40))]],
    ['rows out of order', [changed(swapped)]],
    ['an offset outside the chunk', [changed(farOff)]],
    ['more than 512 rows', [changed(new Uint8Array(513 * 32))]],
    ['chunks out of order', [{ ...good, n: 1 }, good]],
    ['a chunk twice', [good, good]],
  ];
  for (const [why, chunks] of bad) test(why, () => assert.throws(() => PackedMailbox.fromStored(info, chunks), StoreDamaged));
  test('UIDs that do not rise', () => assert.throws(() => filled([2, 1]), StoreDamaged));
});

test('questions about UIDs and numbers that do not exist', () => {
  for (const packed of [filled([]), filled([5, 600, 2_000])]) {
    for (const odd of [0, -1, 4_294_967_296, Number.NaN, 1.5]) assert.equal(packed.has(odd), false);
    for (const odd of [0, -1, 4, Number.NaN]) assert.equal(packed.uidAt(odd), 0);
    assert.equal(packed.countBelow(2 ** 40), packed.count);
    assert.equal(packed.countBelow(0), 0);
  }
});

test('the last UIDs and the largest numbers fit a row', () => {
  const seq = 2 ** 47 + 5;
  const packed = filled([0xffff_fffe, 0xffff_ffff], seq);
  packed.visit(ALL, (words, at, uid) => {
    assert.equal(modSeqAtRow(words, at), seq);
    assert.equal(contentAtRow(words, at), 2 ** 47 + uid);
  });
  assert.deepEqual(uidsOf(packed), [0xffff_fffe, 0xffff_ffff]);
  assert.equal(packed.countBelow(0xffff_ffff), 1);
  packed.applyFlags(seq + 1, ALL, 1, 0);
  assert.deepEqual([...packed.changedSince(seq)], [0xffff_fffe, 0xffff_ffff]);
  assert.equal(packed.applyGone(seq + 2, ALL, 'keep-rows').length, 16);
  assert.deepEqual([packed.count, packed.chunks.length], [0, 0]);
});

test('adding, flagging and removing agree with a plain list', () => {
  const action = fc.tuple(
    fc.constantFrom('add', 'flag', 'gone', 'reload'),
    fc.array(fc.integer({ min: 1, max: 2_600 }), { maxLength: 60 }),
    fc.nat(700),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 25 }), (actions) => {
      let packed = new PackedMailbox(info);
      const list = new Map<number, { flags: number; modSeq: number }>();
      const saved = new Map<number, StoredChunk>();
      let next = 1;
      let seq = 0;
      for (const [what, picks, count] of actions) {
        seq++;
        const runs = runsOf(picks.flatMap((uid) => Array.from({ length: count % 9 }, (_, n) => uid + n)));
        if (what === 'add') {
          packed.applyAdd(
            seq,
            Array.from({ length: count }, (_, n) => placed(next + n)),
          );
          for (let n = 0; n < count; n++) list.set(next++, { flags: 0, modSeq: seq });
          next += count % 3; // UIDs may be skipped
        } else if (what === 'flag') {
          const [set, clear] = count % 3 === 0 ? [2, 1] : [1, 2];
          const plan = packed.planFlags(runs, set, clear, seq - 3);
          const hit = [...iterateUids(runs)].filter((uid) => list.has(uid));
          const modified = hit.filter((uid) => (list.get(uid)?.modSeq ?? 0) > seq - 3);
          assert.deepEqual([...iterateUids(plan.modified)], modified);
          const changes = hit.filter((uid) => !modified.includes(uid) && list.get(uid)?.flags !== set);
          assert.deepEqual([...iterateUids(plan.changed)], changes);
          const seenBefore = changes.filter((uid) => list.get(uid)?.flags === 1).length;
          assert.equal(plan.unseen, (set === 1 ? -changes.length : seenBefore) || 0);
          packed.applyFlags(seq, plan.changed, set, clear);
          for (const uid of changes) list.set(uid, { flags: set, modSeq: seq });
        } else if (what === 'gone') {
          const plan = packed.planGone(runs, 0);
          const rows = packed.applyGone(seq, plan.uids, 'keep-rows');
          assert.equal(rows.length, plan.contents.length * 8);
          for (const [n, uid] of [...iterateUids(plan.uids)].entries()) {
            assert(list.delete(uid));
            assert.equal(contentAtRow(rows, n * 8), plan.contents[n]);
          }
        } else {
          for (const chunk of [...packed.dirtyChunks(0, 0, 99), ...packed.emptyChunks(0)]) saved.set(chunk.n, chunk);
          packed = PackedMailbox.fromStored(
            info,
            [...saved.values()].sort((a, b) => a.n - b.n),
          );
        }
        assert.deepEqual(uidsOf(packed), [...list.keys()]);
        assert.equal(packed.count, list.size);
        for (const [sequence, uid] of [...list.keys()].entries()) {
          if (sequence % 37 !== 0) continue;
          assert.deepEqual([packed.uidAt(sequence + 1), packed.countBelow(uid), packed.has(uid)], [uid, sequence, true]);
        }
        for (const uid of picks) assert.equal(packed.has(uid), list.has(uid));
        for (const mask of [1, 2, 3])
          assert.deepEqual(
            [...iterateUids(packed.planGone(ALL, mask).uids)],
            [...list].filter(([, { flags }]) => (flags & mask) === mask).map(([uid]) => uid),
          );
        for (const { count, words, someFlags, everyFlags } of packed.chunks) {
          const flags = Array.from({ length: count }, (_, row) => words[row * 8] as number);
          assert.equal(
            someFlags,
            flags.reduce((some, one) => some | one, 0),
          );
          assert.equal(
            everyFlags,
            flags.reduce((every, one) => every & one, -1),
          );
        }
        const since = seq >> 1;
        assert.deepEqual(
          [...iterateUids(packed.changedSince(since))],
          [...list].filter(([, { modSeq }]) => modSeq > since).map(([uid]) => uid),
        );
      }
    }),
    { numRuns: 60 },
  );
});

test('an entry touches a chunk once, however often it is redone', () => {
  const packed = filled([1, 2, 600], 5);
  packed.applyAdd(5, [placed(3), placed(601)]); // a second op of the same entry
  assert.deepEqual(uidsOf(packed), [1, 2, 3, 600, 601]);
  const [chunk] = packed.dirtyChunks(0, 0, 1);
  assert(chunk);
  const again = PackedMailbox.fromStored(info, [chunk]);
  again.applyAdd(4, [placed(9)]);
  again.applyFlags(5, ALL, 1, 0);
  again.applyGone(5, ALL, 'drop-rows');
  assert.deepEqual(again.dirtyChunks(0, 0, 1), [chunk]);
});
