import assert from 'node:assert/strict';
import { JournalPruned } from '../store.ts';
import { account, all, box, chunk, content, fill, octets, proposal, saveState, seqs } from './samples.ts';
import type { Case } from './store-contract.ts';

const ada = account('ada1');

export const adoptionCases: readonly Case[] = [
  [
    'an adopted account begins above its floor, with the ids of its contents; adopting again changes nothing',
    async ({ store, reopen }) => {
      const old = 123_456 as Parameters<typeof content>[0];
      for (let round = 0; round < 2; round++) {
        await saveState(store, ada, 40, [chunk(box(1), 0, 40, octets('c'))]);
        await store.adopt(ada, { floor: 40, contents: [content(old)], dead: [{ id: old, at: 7 }] });
      }
      await assert.rejects(store.tail(ada, 0, 10), (error) => error instanceof JournalPruned && error.floor === 40);
      assert.deepEqual(await store.tail(ada, 40, 10), []);
      assert.deepEqual(await store.commit(proposal(ada, 1)), { done: false, head: 40 });
      await fill(store, ada, 41, 43);
      await store.adopt(ada, { floor: 40, contents: [content(old)], dead: [{ id: old, at: 7 }] });
      assert.deepEqual(seqs(await store.tail(ada, 40, 10)), [41, 42, 43]);
      const again = await reopen();
      assert.deepEqual(await again.contents.meta(ada, [old], ['preview']), [{ preview: `preview ${old}` }]);
      assert.ok(again.contents.newId(ada) > old, 'ids that were taken over are not given out');
      assert.deepEqual(await again.contents.dead(ada, 0, 10), [{ id: old, at: 7 }]);
      const later = again.contents.newId(ada);
      const before = Date.now();
      assert.deepEqual(await again.commit(proposal(ada, 44, { contents: [content(later)], dead: [later] })), { done: true });
      const dead = await again.contents.dead(ada, old, 10);
      assert.ok(dead.length === 1 && dead[0]?.id === later && dead[0].at >= before);
      assert.equal(await again.contents.sweep(ada, new Set(), 8), 1);
      assert.deepEqual(await again.contents.dead(ada, 0, 10), dead);
      assert.deepEqual(await all(again.check()), []);
    },
  ],
  [
    'all records come in pages, with table and expiry, without those that have expired',
    async ({ store }) => {
      const future = Date.now() + 1_000_000;
      await store.records.write([
        { table: 'a', key: '', value: 1 },
        { table: 'a', key: 'é\ud800 \0', value: { x: [1] }, expiresAt: future },
        { table: 'a/b', key: 'k', value: null },
        { table: 'a', key: 'gone', value: 1, expiresAt: 5 },
        { table: 'b', key: '__proto__', value: 'x' },
      ]);
      const found: string[] = [];
      for (let after: string | undefined; ; ) {
        const page = await store.records.all(after, 2);
        for (const { table, key, value, expiresAt } of page) found.push(JSON.stringify([table, key, value, expiresAt ?? null]));
        const last = page.at(-1);
        if (last === undefined) break;
        after = last.mark;
      }
      const wanted = [
        ['a', '', 1, null],
        ['a', 'é\ud800 \0', { x: [1] }, future],
        ['a/b', 'k', null, null],
        ['b', '__proto__', 'x', null],
      ];
      assert.deepEqual(found.sort(), wanted.map((row) => JSON.stringify(row)).sort());
    },
  ],
  [
    'observers are listed until they are unregistered',
    async ({ store }) => {
      await store.feed.register('plugin:x/y', 'now');
      await store.feed.register('index', 'start');
      assert.deepEqual([...(await store.feed.observers())].sort(), ['index', 'plugin:x/y']);
      await store.feed.unregister('index');
      assert.deepEqual(await store.feed.observers(), ['plugin:x/y']);
    },
  ],
];
