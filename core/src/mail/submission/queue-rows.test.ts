import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../store/memory/memory-store.ts';
import type { AccountId, ContentId } from '../../store/store.ts';
import { RecordConflict } from '../../store/store.ts';
import { dueAt, type QueuedMessage, type QueuedRecipient, QueueRows } from './queue-rows.ts';

const recipient = (due: number, more: Partial<QueuedRecipient> = {}): QueuedRecipient => ({
  address: 'bob@example.org',
  goes: 'out',
  state: 'waiting',
  attempts: 0,
  dueAt: due,
  ...more,
});
const message = (id: string, ...recipients: QueuedRecipient[]): QueuedMessage => ({
  id,
  account: 'ada' as AccountId,
  username: 'ada@example.test',
  content: 7 as ContentId,
  sizeOctets: 100,
  reversePath: 'ada@example.test',
  submittedAt: 5,
  isUtf8: false,
  reportMadeAt: 0,
  reportDueAt: 0,
  reportAttempts: 0,
  reports: 0,
  recipients,
});

test('a record that somebody has edited is damaged, never half believed', async () => {
  const { records } = new MemoryStore({});
  const rows = new QueueRows(records);
  for (const [n, value] of [
    null,
    7,
    {},
    { ...message('x'), recipients: [{}] },
    { ...message('y', recipient(1)) },
    { ...message('5'), content: 'x' },
  ].entries()) {
    await records.write([{ table: 'submission/queue', key: String(n), value }]);
    await assert.rejects(rows.get(String(n)), { code: 'damaged' }, String(n));
  }
});

test('due first is first, across digits; a change moves the row, an end removes it, a former version writes nothing', async () => {
  const rows = new QueueRows(new MemoryStore({}).records);
  for (const [id, at] of [
    ['late', 1_000_000],
    ['soon', 999],
    ['now', 10],
  ] as const)
    await rows.write(rows.added(message(id, recipient(at), recipient(2_000_000))));
  const idsDue = async (until: number) => (await rows.due(until, undefined, 10)).rows.map(({ id }) => id);
  assert.deepEqual(await idsDue(999), ['now', 'soon']);
  assert.equal((await rows.due(999, undefined, 10)).later, 1_000_000);
  const page = await rows.due(2_000_000, undefined, 2);
  assert.deepEqual(
    (await rows.due(2_000_000, page.next, 2)).rows.map(({ id }) => id),
    ['late'],
  );

  const now = await rows.get('now');
  assert(now);
  await rows.write(rows.changed(now, message('now', recipient(5000))));
  assert.deepEqual(await idsDue(10_000), ['soon', 'now']);
  await assert.rejects(rows.write(rows.removed(now)), RecordConflict);
  const again = await rows.get('now');
  assert(again);
  await rows.write(rows.removed(again));
  assert.deepEqual([await idsDue(10_000), await rows.get('now')], [['soon'], undefined]);
  assert.deepEqual(
    (await rows.list({ limit: 10 })).map(({ id }) => id),
    ['late', 'soon'],
  );
});

test('a message is due when a recipient is, or a report; finished when neither waits', () => {
  assert.equal(dueAt(message('m', recipient(7), recipient(3), recipient(1, { state: 'settled' }))), 3);
  assert.equal(dueAt({ ...message('m', recipient(7), recipient(1, { state: 'settled', report: 'failed' })), reportDueAt: 5 }), 5);
  assert.equal(dueAt(message('m', recipient(1, { state: 'settled' }))), undefined);
});

test('a key is known for its submission', async () => {
  const rows = new QueueRows(new MemoryStore({}).records);
  assert.equal(await rows.known('ada/k'), undefined);
  await rows.write([rows.keyed('ada/k', 'm1', Date.now())]);
  assert.equal(await rows.known('ada/k'), 'm1');
  await assert.rejects(rows.write([rows.keyed('ada/k', 'm2', Date.now())]), RecordConflict);
});
