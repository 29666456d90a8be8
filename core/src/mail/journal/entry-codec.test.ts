import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import type { AccountId, ContentId, MailboxId } from '../../store/store.ts';
import { StoreDamaged } from '../../store/store.ts';
import type { Entry, Op } from './entry.ts';
import { decodeEntry, ENTRY_LEVEL, EntryLevelTooHigh, encodeEntry } from './entry-codec.ts';
import { runOf, runsOf } from './uid-runs.ts';

const AT = 1_790_000_000_123;
function entry(...ops: Op[]): Entry {
  return { seq: 7, token: '0123456789abcdef', at: AT, origin: 'lmtp ada@example.test', ops };
}
function read(octets: readonly number[]): Entry {
  return decodeEntry({ seq: 1, token: '', data: Uint8Array.from(octets) });
}

suite('octets that are no entry', () => {
  const bad: [string, number[]][] = [
    ['nothing', []],
    ['level 0', [0, 1, 0, 0]],
    ['no end to a number', [1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]],
    ['a text longer than the entry', [1, 0, 200, 1, 65]],
    ['more ops than octets', [1, 0, 0, 100, 6, 1]],
    ['an unknown op', [1, 0, 0, 1, 99, 1]],
    ['mailbox 0', [1, 0, 0, 1, 6, 0]],
    ['octets behind it', [1, 0, 0, 1, 6, 1, 0]],
    ['a count of messages that cannot fit', [1, 0, 0, 1, 1, 1, 0, 255, 255, 255, 15, 0, 0, 0]],
    ['a bitmap that reaches above 32 bits', [1, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 15, 1, 255]],
  ];
  for (const [why, octets] of bad) test(why, () => assert.throws(() => read(octets), StoreDamaged));

  test('a higher format level is told apart from damage', () => {
    assert.throws(() => read([ENTRY_LEVEL + 1, 0, 0, 0]), EntryLevelTooHigh);
  });

  test('random octets, and entries with one octet changed, never do anything but throw StoreDamaged', () => {
    const sample = encodeEntry(
      entry(add(3), {
        op: 'flag',
        box: 2 as MailboxId,
        uids: runsOf([1, 3, 9]),
        set: 1,
        clear: 2,
        unseen: -3,
        deleted: 1,
        deletedOctets: 5,
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(sample.data.length - 1), fc.nat(255), (random, at, octet) => {
        const changed = sample.data.slice();
        changed[at] = octet;
        for (const data of [random, Uint8Array.from([1, ...random]), changed]) {
          try {
            decodeEntry({ seq: 1, token: '', data });
          } catch (error) {
            assert(error instanceof StoreDamaged || error instanceof EntryLevelTooHigh, String(error));
          }
        }
      }),
      { numRuns: 3_000 },
    );
  });
});

function add(count: number): Op {
  const messages = Array.from({ length: count }, (_, n) => ({
    uid: 100_000 + n,
    content: (2 ** 40 + n) as ContentId,
    size: 8_800,
    date: Math.floor(AT / 1000) - 5,
    saved: Math.floor(AT / 1000),
    flags: 0,
  }));
  return { op: 'add', box: 12 as MailboxId, messages };
}

test('every op comes back as it was', () => {
  const box = 5 as MailboxId;
  const ops: Op[] = [
    { ...add(3), op: 'add', messages: [], box },
    { ...(add(2) as Op & { op: 'add' }), keys: ['k', ''], from: 3 as MailboxId, fromUids: runsOf([1, 9]), moved: true },
    { op: 'flag', box, uids: runOf(1, 0xffff_ffff), set: 0xffff_ffff, clear: 0, unseen: -5, deleted: 3, deletedOctets: -(2 ** 40) },
    { op: 'seen', box, who: 'bob' as AccountId, uids: runsOf([1, 2, 5]), seen: true },
    {
      op: 'gone',
      box,
      uids: runsOf([4, 8]),
      contents: [9 as ContentId, 3 as ContentId],
      octets: 77,
      unseen: 1,
      deleted: 1,
      deletedOctets: 7,
      cause: 'retention',
    },
    { op: 'box', box, parent: 0, name: 'Entwürfe ✉', uidValidity: 1_790_000_000, selectable: false, specialUse: ['\\Drafts'] },
    { op: 'unbox', box },
    { op: 'keyword', box, bit: 31, name: '$Junk' },
    { op: 'note', name: 'sub/__proto__', value: '' },
    { op: 'note', name: 'x', value: null },
    { op: 'outcome', submission: 'm1', recipient: 'пётр@пример.test', outcome: 'failed', reply: '550 5.1.1' },
    { op: 'outcome', submission: 'm1', recipient: '', outcome: 'queued', reply: '' },
  ];
  assert.deepEqual(decodeEntry(encodeEntry(entry(...ops))), entry(...ops));
});

test('sets of UIDs come back as they were, dense or sparse', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 3_000 }), { maxLength: 800 }),
      fc.constantFrom(0, 70_000, 0xffff_ffff - 3_000),
      (uids, base) => {
        const op: Op = {
          op: 'seen',
          box: 1 as MailboxId,
          who: 'bob' as AccountId,
          uids: runsOf(uids.map((uid) => uid + base)),
          seen: false,
        };
        assert.deepEqual(decodeEntry(encodeEntry(entry(op))).ops[0], op);
      },
    ),
    { numRuns: 200 },
  );
});

test('a delivered message takes less than 60 octets, every other UID of a million at most a bit each', () => {
  assert(encodeEntry(entry(add(1))).data.length < 60, String(encodeEntry(entry(add(1))).data.length));
  const uids = runsOf(Array.from({ length: 500_000 }, (_, n) => n * 2 + 1));
  const flag: Op = { op: 'flag', box: 1 as MailboxId, uids, set: 1, clear: 0, unseen: -500_000, deleted: 0, deletedOctets: 0 };
  const { data } = encodeEntry(entry(flag));
  assert(data.length <= 125_060, String(data.length));
  assert.deepEqual(decodeEntry({ seq: 7, token: '0123456789abcdef', data }).ops[0], flag);
});
