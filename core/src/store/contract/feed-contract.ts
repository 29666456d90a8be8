import assert from 'node:assert/strict';
import type { AccountId, Feed, Store } from '../store.ts';
import { account, fill, proposal, range, saveState, seqs } from './samples.ts';
import type { Case } from './store-contract.ts';

const ada = account('ada1');
const bob = account('bob2');

async function take(feed: Feed, observer: string, limit: number): Promise<readonly string[]> {
  const found = await feed.next(observer, limit);
  for (const { position } of found) await feed.done(observer, position);
  return found.map(({ account: of, entry }) => `${of}:${entry.seq}`);
}
/** Takes all there is; the numbers of one account. */
async function drain(feed: Feed, observer: string, of: AccountId): Promise<readonly number[]> {
  const numbers: number[] = [];
  for (let page = await take(feed, observer, 3); page.length > 0; page = await take(feed, observer, 3)) {
    for (const item of page) if (item.startsWith(`${of}:`)) numbers.push(Number(item.split(':')[1]));
  }
  return numbers;
}
async function interleave(store: Store, from: number, to: number): Promise<void> {
  for (const seq of range(from, to)) await Promise.all([store.commit(proposal(ada, seq)), store.commit(proposal(bob, seq))]);
}

export const feedCases: readonly Case[] = [
  [
    'an observer gets what came after it registered, or everything; each has its own cursor',
    async ({ store, reopen }) => {
      await interleave(store, 1, 3);
      await store.feed.register('late', 'now');
      await store.feed.register('early', 'start');
      await interleave(store, 4, 6);
      assert.deepEqual(await drain(store.feed, 'late', ada), [4, 5, 6]);
      assert.deepEqual(await take(store.feed, 'late', 9), []);
      assert.deepEqual(await drain(store.feed, 'early', bob), [1, 2, 3, 4, 5, 6]);
      const again = await reopen();
      await again.feed.register('late', 'start');
      assert.deepEqual(await take(again.feed, 'late', 9), [], 'registering again changes nothing');
      await again.feed.unregister('early');
      await again.feed.register('early', 'start');
      assert.equal((await again.feed.next('early', 100)).length, 12);
      assert.deepEqual(await again.feed.next('nobody', 10), []);
    },
  ],
  [
    'what was not done comes again',
    async ({ store }) => {
      await store.feed.register('index', 'now');
      await fill(store, ada, 1, 4);
      const first = await store.feed.next('index', 2);
      const second = await store.feed.next('index', 2);
      assert.deepEqual(first, second);
      await store.feed.done('index', first[0]?.position ?? '');
      assert.deepEqual(
        (await store.feed.next('index', 2)).map(({ entry }) => entry.seq),
        [2, 3],
      );
      assert.equal(Buffer.from(first[0]?.entry.data ?? []).toString(), 'entry 1');
    },
  ],
  [
    'a parked entry is set aside, the cursor goes on',
    async ({ store, reopen }) => {
      await store.feed.register('hook', 'now');
      await fill(store, ada, 1, 3);
      const [poison] = await store.feed.next('hook', 1);
      assert.ok(poison !== undefined);
      await store.feed.park('hook', ada, 1, 'HTTP 500', 12_345);
      await store.feed.done('hook', poison.position);
      assert.deepEqual(await drain(store.feed, 'hook', ada), [2, 3]);
      const again = await reopen();
      assert.deepEqual(await again.feed.parked('hook'), [{ account: ada, seq: 1, error: 'HTTP 500', retryAt: 12_345 }]);
      await again.feed.park('hook', ada, 1, 'HTTP 501', undefined);
      assert.deepEqual(await again.feed.parked('hook'), [{ account: ada, seq: 1, error: 'HTTP 501', retryAt: undefined }]);
      assert.deepEqual(await again.feed.parked('other'), []);
      await again.feed.unpark('hook', ada, 1);
      assert.deepEqual(await again.feed.parked('hook'), []);
      assert.deepEqual(await take(again.feed, 'hook', 9), []);
    },
  ],
  [
    'an entry parked by an ordered observer holds up its account; unparked, the rest comes in order before anything newer',
    async ({ store, reopen }) => {
      await store.feed.register('ordered', 'now');
      await interleave(store, 1, 5);
      const [first] = (await store.feed.next('ordered', 10)).filter(({ account: of }) => of === ada);
      assert.ok(first !== undefined);
      await store.feed.park('ordered', ada, 1, 'down', 1, 'account');
      assert.deepEqual(await drain(store.feed, 'ordered', bob), [1, 2, 3, 4, 5]);
      await interleave(store, 6, 7);
      assert.deepEqual(await drain(store.feed, 'ordered', bob), [6, 7]);
      const again = await reopen();
      await again.feed.unpark('ordered', ada, 1);
      await again.commit(proposal(ada, 8));
      assert.deepEqual(await take(again.feed, 'ordered', 1), ['ada1:2']);
      await again.feed.park('ordered', ada, 3, 'down again', 1, 'account');
      const held = await again.feed.next('ordered', 9);
      assert.ok(held.every(({ account: of }) => of !== ada));
      await again.feed.unpark('ordered', ada, 3);
      assert.deepEqual(
        (await drain(again.feed, 'ordered', ada)).filter((seq) => seq > 3),
        [4, 5, 6, 7, 8],
      );
    },
  ],
  [
    'prune leaves what an observer has not passed or must try again',
    async ({ store }) => {
      await store.feed.register('slow', 'now');
      await fill(store, ada, 1, 10);
      await saveState(store, ada, 10);
      await store.prune(ada, 10);
      assert.deepEqual(seqs(await store.tail(ada, 0, 20)), range(1, 10));
      assert.equal((await take(store.feed, 'slow', 6)).length, 6);
      await store.feed.park('slow', ada, 4, 'later', 5);
      await store.prune(ada, 10);
      assert.deepEqual(seqs(await store.tail(ada, 3, 20)), range(4, 10));
      await store.feed.unpark('slow', ada, 4);
      await store.prune(ada, 10);
      assert.deepEqual(seqs(await store.tail(ada, 6, 20)), range(7, 10));
      assert.deepEqual(await drain(store.feed, 'slow', ada), range(7, 10));
      await store.prune(ada, 10);
      assert.deepEqual(await store.tail(ada, 10, 20), []);
    },
  ],
  [
    'positions are never given out again after the newest entries were pruned',
    async ({ store, reopen }) => {
      await store.feed.register('index', 'now');
      await fill(store, ada, 1, 5);
      assert.deepEqual(await drain(store.feed, 'index', ada), range(1, 5));
      await saveState(store, ada, 5);
      await store.prune(ada, 5);
      const again = await reopen();
      await fill(again, bob, 1, 3);
      assert.deepEqual(await drain(again.feed, 'index', bob), range(1, 3));
    },
  ],
];
