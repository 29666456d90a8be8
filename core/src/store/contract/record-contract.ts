import assert from 'node:assert/strict';
import type { Case } from './store-contract.ts';

export const recordCases: readonly Case[] = [
  [
    'versions count writes, removal starts anew, values come back as they were',
    async ({ store, reopen }) => {
      const { records } = store;
      assert.equal(await records.get('t', 'k'), undefined);
      await records.write([{ table: 't', key: 'k', value: null }]);
      assert.deepEqual(await records.get('t', 'k'), { key: 'k', version: 1, value: null });
      await records.write([{ table: 't', key: 'k', value: { deep: [{ __proto__: 1 }, 'x'], n: 1.5 }, ifVersion: 1 }]);
      assert.equal((await records.get('t', 'k'))?.version, 2);
      await records.write([{ table: 't', key: 'k', value: undefined, ifVersion: 2 }]);
      assert.equal(await records.get('t', 'k'), undefined);
      await records.write([{ table: 't', key: 'k', value: 'again', ifVersion: 0 }]);
      assert.deepEqual(await (await reopen()).records.get('t', 'k'), { key: 'k', version: 1, value: 'again' });
    },
  ],
  [
    'of many writers with one expected version one wins',
    async ({ store }) => {
      const results = await Promise.allSettled(
        Array.from({ length: 10 }, (_, n) => store.records.write([{ table: 't', key: 'k', value: n, ifVersion: 0 }])),
      );
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    },
  ],
  [
    'two writes of one key in one call see each other',
    async ({ store }) => {
      await store.records.write([
        { table: 't', key: 'k', value: 1, ifVersion: 0 },
        { table: 't', key: 'k', value: 2, ifVersion: 1 },
      ]);
      assert.deepEqual(await store.records.get('t', 'k'), { key: 'k', version: 2, value: 2 });
    },
  ],
  [
    'lists are by code unit, by prefix and after a key, for any Unicode',
    async ({ store }) => {
      const keys = [
        '',
        'a',
        'a/1',
        'a/2',
        'a/é',
        'a/\u{1f986}',
        'a/\uffff',
        'a/\ud800',
        'ab',
        'b',
        'é',
        '\u{1f986}',
        '\ufffd',
        '\uffff\uffff',
        '__proto__',
        "x'; --",
        'a\0b',
      ];
      await store.records.write(keys.map((key) => ({ table: 'names', key, value: key.length })));
      await store.records.write([{ table: 'names2', key: 'a/1', value: 0 }]);
      const byUnit = (prefix: string, after = ''): readonly string[] =>
        keys.filter((key) => key.startsWith(prefix) && (after === '' || key > after)).sort((one, two) => (one < two ? -1 : 1));
      const list = async (prefix: string, after?: string, limit = 100): Promise<readonly string[]> =>
        (await store.records.list('names', { prefix, ...(after === undefined ? {} : { after }), limit })).map(({ key }) => key);
      for (const prefix of ['', 'a', 'a/', 'a/\ud83e', '\ud83e', '\uffff', 'zz', "x'"])
        assert.deepEqual(await list(prefix), byUnit(prefix), JSON.stringify(prefix));
      assert.deepEqual(await list('a/', 'a/1'), byUnit('a/', 'a/1'));
      assert.deepEqual(await list('a/', 'a/1', 2), byUnit('a/', 'a/1').slice(0, 2));
      assert.deepEqual(await list('', '\uffff\uffff'), []);
      assert.deepEqual(await list('', ''), byUnit('').slice(1), 'greater than the empty key');
      for (const key of keys) assert.equal((await store.records.get('names', key))?.value, key.length);
      assert.deepEqual((await store.records.list('names', { limit: 3 })).length, 3);
    },
  ],
  [
    'an expired row is absent to get, list and preconditions',
    async ({ store }) => {
      const past = Date.now() - 10_000;
      const future = Date.now() + 1_000_000;
      await store.records.write([
        { table: 't', key: 'gone', value: 1, expiresAt: past },
        { table: 't', key: 'kept', value: 1, expiresAt: future },
      ]);
      assert.equal(await store.records.get('t', 'gone'), undefined);
      assert.deepEqual(
        (await store.records.list('t', { limit: 9 })).map(({ key }) => key),
        ['kept'],
      );
      await store.records.write([{ table: 't', key: 'gone', value: 2, ifVersion: 0 }]);
      assert.deepEqual(await store.records.get('t', 'gone'), { key: 'gone', version: 1, value: 2 });
    },
  ],
];
