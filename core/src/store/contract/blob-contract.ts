import assert from 'node:assert/strict';
import type { BlobId, Segment } from '../store.ts';
import { account, all, collect, content, never, octets, proposal, randomOctets, streamOf, textOctets } from './samples.ts';
import type { Case } from './store-contract.ts';

const ada = account('ada1');
const FUTURE = 10_000_000_000_000;
const SIZES = [0, 1, 70_000, 262_143, 262_144, 1_000_000];

export const blobCases: readonly Case[] = [
  [
    'the same octets in the same scope give the same id and one copy; another scope gives another id',
    async ({ store, reopen }) => {
      for (const size of SIZES) {
        const data = randomOctets(size);
        const pieces = [data.subarray(0, size >> 1), data.subarray(size >> 1)];
        const first = await store.blobs.put('', streamOf(...pieces), never());
        const second = await store.blobs.put('', streamOf(data), never());
        const scoped = await store.blobs.put('ada1', streamOf(data), never());
        assert.deepEqual(first, { id: store.blobs.idOf('', data), sizeOctets: size, fresh: true });
        assert.deepEqual(second, { ...first, fresh: false });
        assert.deepEqual(scoped, { id: store.blobs.idOf('ada1', data), sizeOctets: size, fresh: true });
        assert.notEqual(scoped.id, first.id);
        assert.match(first.id, /^[0-9a-f]{64}$/);
        assert.deepEqual(await collect(store.blobs.read(first.id, 0, size, never())), data);
      }
      const again = await reopen();
      assert.deepEqual(await all(again.check()), []);
    },
  ],
  [
    'put at the same time by many gives one blob',
    async ({ store }) => {
      const data = randomOctets(300_000);
      const results = await Promise.all(Array.from({ length: 6 }, () => store.blobs.put('', streamOf(data), never())));
      assert.equal(results.filter(({ fresh }) => fresh).length, 1);
      assert.deepEqual(await collect(store.blobs.read(store.blobs.idOf('', data), 0, 300_000, never())), data);
    },
  ],
  [
    'ranges are cut to the blob; an unknown or absurd id is an error',
    async ({ store, reopen }) => {
      for (const size of [100_000, 500_000]) {
        const data = textOctets(size);
        const { id } = await store.blobs.put('', streamOf(data), never());
        const again = await reopen();
        assert.deepEqual(await collect(again.blobs.read(id, 10, 20, never())), data.slice(10, 20));
        assert.deepEqual(await collect(again.blobs.read(id, size - 5, size + 100, never())), data.slice(size - 5));
        assert.equal((await collect(again.blobs.read(id, size, size + 1, never()))).length, 0);
        assert.equal((await collect(again.blobs.read(id, 7, 7, never()))).length, 0);
        store = again;
      }
      for (const id of [store.blobs.idOf('', octets('unknown')), '../../etc/passwd' as BlobId]) {
        await assert.rejects(collect(store.blobs.read(id, 0, 1, never())), { name: 'StoreDamaged' });
      }
    },
  ],
  [
    'a put that is aborted or whose source fails leaves nothing',
    async ({ store }) => {
      const data = randomOctets(400_000);
      const controller = new AbortController();
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield data;
        throw new Error('connection lost');
      }
      async function* aborted(): AsyncGenerator<Uint8Array> {
        yield data;
        controller.abort();
        yield data;
      }
      await assert.rejects(store.blobs.put('', broken(), never()), /connection lost/);
      await assert.rejects(store.blobs.put('', aborted(), controller.signal));
      await assert.rejects(collect(store.blobs.read(store.blobs.idOf('', data), 0, 1, never())), { name: 'StoreDamaged' });
    },
  ],
  [
    'the source may use one buffer again and again',
    async ({ store }) => {
      async function* reusing(): AsyncGenerator<Uint8Array> {
        const buffer = new Uint8Array(4);
        for (const fill of [1, 2, 3]) {
          buffer.fill(fill);
          yield buffer;
        }
      }
      const { id } = await store.blobs.put('', reusing(), never());
      assert.deepEqual(await collect(store.blobs.read(id, 0, 12, never())), Uint8Array.from([1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]));
    },
  ],
  [
    'sweep takes blobs that nothing names, after their grace, and no others',
    async ({ store }) => {
      const [named, loose, inCommit] = [randomOctets(300_000), randomOctets(300_001), randomOctets(60_000)];
      const small = textOctets(5_000);
      for (const data of [named, loose, small]) await store.blobs.put('', streamOf(data), never());
      const segment = (data: Uint8Array): Segment => ({
        at: 'blob',
        sizeOctets: data.length,
        blob: store.blobs.idOf('', data),
        blobOctets: data.length,
        recipe: new Uint8Array(0),
        data,
      });
      const id = store.contents.newId(ada);
      await store.commit(proposal(ada, 1, { contents: [content(id, [segment(named), segment(inCommit)])] }));
      assert.equal(await store.blobs.sweep(1), 0, 'touched later than that');
      assert.equal(await store.blobs.sweep(FUTURE), 2);
      for (const data of [loose, small]) {
        await assert.rejects(collect(store.blobs.read(store.blobs.idOf('', data), 0, 1, never())), { name: 'StoreDamaged' });
      }
      assert.deepEqual(await collect(store.blobs.read(store.blobs.idOf('', named), 0, 300_000, never())), named);
      await store.commit(proposal(ada, 2, { dead: [id] }));
      assert.equal(await store.contents.sweep(ada, new Set(), FUTURE), 1);
      assert.equal(await store.blobs.sweep(FUTURE), 2, 'nothing names them any more');
      assert.equal((await store.blobs.put('', streamOf(named), never())).fresh, true);
      assert.deepEqual(await all(store.check()), []);
    },
  ],
  [
    'a put beside a sweep keeps its blob',
    async ({ store }) => {
      for (const size of [1_000, 300_000]) {
        const data = randomOctets(size);
        const before = Date.now() - 60_000;
        for (let round = 0; round < 10; round++) {
          const [put] = await Promise.all([store.blobs.put('', streamOf(data), never()), store.blobs.sweep(before)]);
          assert.deepEqual(await collect(store.blobs.read(put.id, 0, size, never())), data);
        }
      }
    },
  ],
];
