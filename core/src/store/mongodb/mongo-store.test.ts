import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startFaultProxy } from '../../../../test-servers/fault-proxy.ts';
import { startMongoDb, type TestMongoDb } from '../../../../test-servers/mongodb-server.ts';
import { storeContract } from '../contract/store-contract.ts';
import type { Contents, Records, Store } from '../store.ts';
import { type MongoStore, openMongoStore } from './mongo-store.ts';

function open({ url, database }: TestMongoDb): Promise<MongoStore> {
  return openMongoStore({ url, database, tidyEveryMs: 0 });
}

storeContract('mongodb', async (t) => {
  const server = await startMongoDb(t);
  if (server === undefined) return undefined;
  let store = await open(server);
  t.after(() => store.close());
  return {
    store,
    async reopen() {
      await store.tidy();
      await store.close();
      store = await open(server);
      return store;
    },
  };
});

storeContract('mongodb, two instances in turn', async (t) => {
  const server = await startMongoDb(t);
  if (server === undefined) return undefined;
  let stores = [await open(server), await open(server)] as const;
  t.after(() => Promise.all(stores.map((store) => store.close())));
  return {
    store: inTurn(...stores),
    async reopen() {
      await Promise.all(stores.map((store) => store.close()));
      stores = [await open(server), await open(server)];
      return inTurn(...stores);
    },
  };
});

test('a connection that ends in the middle of a long write costs a retry, nothing else', async (t) => {
  const server = await startMongoDb(t);
  if (server === undefined) return;
  const proxy = await startFaultProxy(t, server);
  const url = server.url.replace(`${server.host}:${server.port}`, `127.0.0.1:${proxy.port}`);
  const store = await openMongoStore({ url, database: server.database, tidyEveryMs: 0, retryMs: 60_000 });
  t.after(() => store.close());
  const data = Buffer.alloc(8_000_000, 'x'); // more than all buffers on the way hold
  for (let n = 0; n < 3; n++) {
    proxy.blackhole();
    const written = store.collections.pieces.put([{ _id: `f/${n}`, files_id: 'f', n, data }]);
    written.catch(() => undefined); // awaited below
    await delay(50 * n); // whenever it is cut, it must go on
    proxy.cut();
    proxy.pass();
    await written;
    assert.equal((await store.collections.pieces.get(`f/${n}`))?.data.length, data.length);
  }
});

/** One call goes to the one, the next to the other. Positions of the feed are written with the next look of the same instance. */
function inTurn(one: MongoStore, two: MongoStore): Store {
  let turn = 0;
  const pick = (): MongoStore => (turn++ % 2 === 0 ? one : two);
  const proxy = <T extends object>(of: (store: MongoStore) => T): T =>
    new Proxy({} as T, {
      get: (_, name) => {
        const value: unknown = Reflect.get(of(one), name);
        if (typeof value !== 'function') return value;
        return (...args: readonly unknown[]) => {
          const target = of(pick());
          return Reflect.apply(Reflect.get(target, name) as (...given: readonly unknown[]) => unknown, target, args);
        };
      },
    });
  const parts = {
    records: proxy<Records>((store) => store.records),
    contents: proxy<Contents>((store) => store.contents),
    blobs: proxy<Store['blobs']>((store) => store.blobs),
    derived: proxy<Store['derived']>((store) => store.derived),
    feed: one.feed,
    prune: async (...args: Parameters<Store['prune']>) => {
      await one.feed.flush();
      await pick().prune(...args);
    },
    flush: async () => void (await Promise.all([one.flush(), two.flush()])),
    close: async () => void (await Promise.all([one.close(), two.close()])),
  };
  const whole = proxy<Store>((store) => store);
  return new Proxy(whole, { get: (target, name) => Reflect.get(parts, name) ?? Reflect.get(target, name) });
}
