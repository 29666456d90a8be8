import assert from 'node:assert/strict';
import { account, proposal, randomOctets } from './samples.ts';
import type { Case } from './store-contract.ts';

const ada = account('ada1');
const bob = account('bob2');

export const derivedCases: readonly Case[] = [
  [
    'derived pieces come back as they were, are replaced, and are listed by id',
    async ({ store, reopen }) => {
      await store.commit(proposal(ada, 1));
      const pieces = [randomOctets(70_000), randomOctets(0), randomOctets(300_000), randomOctets(5)];
      await store.derived.put(ada, 'b-1', 0, pieces);
      await store.derived.put(ada, 'a', 0, [randomOctets(3)]);
      await store.derived.put(ada, 'a', 0, [randomOctets(4), randomOctets(6)]);
      await store.derived.put(ada, 'a', 2, [randomOctets(7)]);
      const again = await reopen();
      for (const [n, piece] of pieces.entries()) assert.deepEqual(Uint8Array.from((await again.derived.get(ada, 'b-1', n)) ?? []), piece);
      assert.deepEqual([4, 6, 7], await Promise.all([0, 1, 2].map(async (n) => (await again.derived.get(ada, 'a', n))?.length)));
      assert.equal(await again.derived.get(ada, 'a', 3), undefined);
      assert.equal(await again.derived.get(bob, 'a', 0), undefined);
      assert.deepEqual(await again.derived.list(ada), [
        { id: 'a', pieces: 3 },
        { id: 'b-1', pieces: 4 },
      ]);
      await again.derived.drop(ada, 'b-1');
      await again.derived.drop(ada, 'unknown');
      assert.deepEqual(await again.derived.list(ada), [{ id: 'a', pieces: 3 }]);
    },
  ],
  [
    'derived pieces go with their account, many of them too, and an account without a journal keeps none',
    async ({ store, reopen }) => {
      await store.derived.put(ada, 'a', 0, [randomOctets(3)]);
      assert.deepEqual(await store.derived.list(ada), []);
      await store.commit(proposal(ada, 1));
      await store.commit(proposal(bob, 1));
      const pieces = Array.from({ length: 250 }, () => randomOctets(100));
      await store.derived.put(ada, 'a', 0, pieces);
      await store.derived.put(bob, 'a', 0, pieces);
      await store.erase(ada);
      assert.deepEqual(await store.derived.list(ada), []);
      await store.commit(proposal(ada, 1));
      const again = await reopen();
      assert.deepEqual(await again.derived.list(ada), []);
      assert.deepEqual(await again.derived.list(bob), [{ id: 'a', pieces: 250 }]);
      await again.derived.drop(bob, 'a');
      assert.deepEqual(await again.derived.list(bob), []);
    },
  ],
];
