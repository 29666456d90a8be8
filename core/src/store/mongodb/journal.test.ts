import assert from 'node:assert/strict';
import { test } from 'node:test';
import { account, all, content, fill, proposal, randomOctets, saveState } from '../contract/samples.ts';
import type { ContentId } from '../store.ts';
import { JournalPruned } from '../store.ts';
import { packContents, unpackContents } from './journal.ts';
import { decodeText, encodeText } from './keys.ts';
import { ModelDocuments, ModelServer } from './model-documents.fixture.ts';
import { type MongoStore, openStoreOver } from './mongo-store.ts';
import { SCHEMA_LEVEL } from './schema.ts';

const ada = account('ada1');
const HOUR = 3_600_000;

function house() {
  const server = new ModelServer();
  const clock = { at: 1_790_000_000_000 };
  const open = (): Promise<MongoStore> => openStoreOver(new ModelDocuments(server), { tidyEveryMs: 0, now: () => clock.at });
  return { server, clock, open };
}

/** Of entries 1 to 6 nothing is left but the last number. */
async function pruneAndFree(store: MongoStore, clock: { at: number }): Promise<void> {
  await store.prune(ada, 6);
  clock.at += 2 * HOUR;
  await store.prune(ada, 6);
}

test('a writer that stood still while its number was given out, pruned and freed does not win it', async () => {
  const { clock, open } = house();
  const [slow, busy] = [await open(), await open()];
  await fill(slow, ada, 1, 2);
  await busy.tail(ada, 0, 10);
  await fill(busy, ada, 3, 6);
  await saveState(busy, ada, 6);
  await pruneAndFree(busy, clock);
  assert.equal((await busy.collections.journal.find({}, { limit: 10 })).length, 1, 'only the newest number is still there');
  assert.deepEqual(await slow.commit(proposal(ada, 3)), { done: false, head: 6 });
  // Even when it asked for the head before and the answer is hours old by the time it inserts.
  slow.journal.headFor = async () => 2;
  assert.deepEqual(await slow.commit(proposal(ada, 3)), { done: false, head: 6 });
  await assert.rejects(busy.tail(ada, 2, 10), (error) => error instanceof JournalPruned && error.floor === 6);
  await fill(busy, ada, 7, 7);
  assert.deepEqual(await all(busy.check()), []);
});

test('a number is not freed early by a clock that is weeks ahead, nor proposed again by one that was set back', async () => {
  const { server, clock, open } = house();
  const late = { at: clock.at };
  const slow = await open();
  const ahead = await openStoreOver(new ModelDocuments(server), { tidyEveryMs: 0, now: () => late.at });
  await fill(slow, ada, 1, 2);
  await ahead.tail(ada, 0, 10);
  await fill(ahead, ada, 3, 6);
  await saveState(ahead, ada, 6);
  late.at += 500 * HOUR;
  await ahead.prune(ada, 6);
  assert.deepEqual(await slow.commit(proposal(ada, 3)), { done: false, head: 6 });
  const set = await open();
  assert.deepEqual(await set.journal.headFor(ada, 7), 6);
  await pruneAndFree(ahead, late);
  clock.at -= HOUR; // as its clock says, it has asked an hour from now
  await fill(ahead, ada, 7, 12);
  await saveState(ahead, ada, 12);
  await ahead.prune(ada, 12);
  late.at += 2 * HOUR;
  await ahead.prune(ada, 12);
  assert.deepEqual(await set.commit(proposal(ada, 7)), { done: false, head: 12 });
  assert.deepEqual(await all(set.check()), []);
});

test('after hours without a poll an account is known as moved although its next number is gone', async () => {
  const { clock, open } = house();
  const [slow, busy] = [await open(), await open()];
  await fill(slow, ada, 1, 2);
  await busy.tail(ada, 0, 10);
  await fill(busy, ada, 3, 6);
  await saveState(busy, ada, 6);
  await pruneAndFree(busy, clock);
  const heads = new Map([
    [ada, 2],
    [account('idle'), 0],
  ]);
  assert.deepEqual(await slow.moved(heads), [ada]);
  assert.deepEqual(await slow.moved(heads), [ada], 'the next page of the same poll too');
});

test('an entry with millions of octets and a hundred thousand dead contents is whole, and its contents are swept', async () => {
  const { open } = house();
  const store = await open();
  const ids = Array.from({ length: 3 }, () => store.contents.newId(ada));
  await store.commit(proposal(ada, 1, { contents: ids.map((id) => content(id)) }));
  const big = randomOctets(5_000_000);
  const dead = [...ids, ...Array.from({ length: 200_000 }, (_, n) => (n + 1) as ContentId)];
  assert.deepEqual(await store.commit(proposal(ada, 2, { data: big, dead })), { done: true });
  const again = await open();
  assert.deepEqual(Uint8Array.from((await again.tail(ada, 1, 1))[0]?.data ?? []), big);
  assert.equal(await again.contents.sweep(ada, new Set([ids[0] as number]), 10_000_000_000_000), 2);
  assert.equal(await again.contents.sweep(ada, new Set(), 10_000_000_000_000), 0, 'looked at once');
  assert.deepEqual(await all(again.check()), []);
});

test('pieces of an entry that was never made are swept', async () => {
  const { clock, open, server } = house();
  const store = await open();
  await store.collections.sides.put([{ _id: `${ada}/00000000000001/0123456789abcdef/000000`, t: clock.at, d: randomOctets(9) }]);
  clock.at += 30 * HOUR;
  await store.tidy();
  assert.equal(server.collection('sides').size, 0);
});

test('a database of a newer version is refused', async () => {
  const { open } = house();
  const store = await open();
  await store.collections.counters.put([{ _id: 'schema', n: SCHEMA_LEVEL + 1 }]);
  await assert.rejects(open(), { name: 'StoreUnavailable', message: /use the newer version/ });
});

test('ids of contents and keys of records keep value and order', () => {
  const ids = [1, 255, 2 ** 32, 2 ** 48 - 1] as ContentId[];
  assert.deepEqual(unpackContents(packContents(ids)), ids);
  const texts = ['', '\0', ' ', '!', '/', '0', 'a', 'a ', 'a/', 'a~', 'ab', '}', '~', '\x7f', 'é', '\ud7ff', '\ud800', '\udfff', '\uffff'];
  const sorted = [...texts].sort((one, two) => (one < two ? -1 : 1));
  assert.deepEqual(texts.map(encodeText).sort().map(decodeText), sorted);
});
