import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AccountId, MailboxId, Snapshot } from '../../store/store.ts';
import { StoreDamaged } from '../../store/store.ts';
import { AccountState } from './account-state.ts';
import type { Op } from './entry.ts';
import { EntryLevelTooHigh } from './entry-codec.ts';
import { reduce } from './reducer.ts';
import { decodeSnapshot, encodeSnapshot } from './snapshot-codec.ts';
import { runsOf } from './uid-runs.ts';

const ADA = 'ada' as AccountId;

function sample(): AccountState {
  const state = new AccountState();
  const ops: Op[] = [
    { op: 'box', box: 1 as MailboxId, parent: 0, name: 'INBOX', uidValidity: 7, selectable: true, specialUse: [] },
    { op: 'box', box: 2 as MailboxId, parent: 1 as MailboxId, name: 'Gelöscht', uidValidity: 8, selectable: true, specialUse: ['\\Trash'] },
    { op: 'keyword', box: 1 as MailboxId, bit: 5, name: '$Junk' },
    { op: 'note', name: 'sub/INBOX', value: '' },
    { op: 'seen', box: 1 as MailboxId, who: 'bob' as AccountId, uids: runsOf([1, 3]), seen: true },
  ];
  reduce(state, { seq: 1, token: '', at: 5, origin: '', ops }, () => false);
  reduce(state, { seq: 2, token: '', at: 6, origin: '', ops: [{ op: 'unbox', box: 2 as MailboxId }] }, () => false);
  return state;
}

test('a snapshot with any octet changed, cut or of another entry is refused', () => {
  const good = encodeSnapshot(ADA, sample());
  const refuses = (snapshot: Snapshot) => assert.throws(() => decodeSnapshot(snapshot), StoreDamaged);
  refuses({ ...good, applied: 1 });
  refuses({ ...good, data: new Uint8Array(0) });
  for (let length = 0; length < good.data.length; length++) refuses({ ...good, data: good.data.subarray(0, length) });
  for (let at = 1; at < good.data.length; at++) {
    const data = good.data.slice();
    data[at] = (data[at] as number) ^ 0x41;
    refuses({ ...good, data });
  }
  const newer = good.data.slice();
  newer[0] = 2;
  assert.throws(() => decodeSnapshot({ ...good, data: newer }), EntryLevelTooHigh);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 5, maxLength: 64 }), (data) => refuses({ ...good, data: Uint8Array.from([1, ...data]) })),
  );
});

test('a snapshot comes back as it was, and encodes to the same octets', () => {
  const state = sample();
  const snapshot = encodeSnapshot(ADA, state);
  const back = decodeSnapshot(snapshot);
  assert.deepEqual(encodeSnapshot(ADA, back), snapshot);
  assert.deepEqual(back.boxes, state.boxes);
  assert.deepEqual([back.formerNames, back.notes, back.seenBy], [state.formerNames, state.notes, state.seenBy]);
});

test('an entry that is not the next, or names what does not exist, stops the account', () => {
  const box = 9 as MailboxId;
  const counts = { octets: 0, unseen: 0, deleted: 0, deletedOctets: 0 };
  const bad: Op[] = [
    { op: 'unbox', box },
    { op: 'gone', box, uids: runsOf([1]), contents: [], cause: 'expunge', ...counts },
    { op: 'box', box: 2 as MailboxId, parent: 0, name: 'again', uidValidity: 1, selectable: true, specialUse: [] },
    { op: 'box', box, parent: 8 as MailboxId, name: 'x', uidValidity: 1, selectable: true, specialUse: [] },
    { op: 'keyword', box: 1 as MailboxId, bit: 9, name: 'gap' },
  ];
  for (const op of bad)
    assert.throws(() => reduce(sample(), { seq: 3, token: '', at: 7, origin: '', ops: [op] }, () => false), StoreDamaged, op.op);
  assert.throws(() => reduce(sample(), { seq: 4, token: '', at: 7, origin: '', ops: [] }, () => false), StoreDamaged);
});
