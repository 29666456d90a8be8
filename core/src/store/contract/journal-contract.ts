import assert from 'node:assert/strict';
import { type AccountId, JournalPruned, RecordConflict, type Seq } from '../store.ts';
import {
  account,
  all,
  box,
  chunk,
  content,
  entry,
  fill,
  octets,
  proposal,
  randomOctets,
  range,
  saveState,
  seqs,
  textOctets,
} from './samples.ts';
import type { Case } from './store-contract.ts';

const ada = account('ada1');
const bob = account('bob2');

export const journalCases: readonly Case[] = [
  [
    'an entry that does not follow the head is refused and leaves nothing',
    async ({ store }) => {
      const early = store.contents.newId(ada);
      const ahead = await store.commit(proposal(ada, 2, { contents: [content(early)], records: [{ table: 't', key: 'k', value: 1 }] }));
      assert.deepEqual(ahead, { done: false, head: 0 });
      await fill(store, ada, 1, 2);
      assert.deepEqual(await store.commit(proposal(ada, 2)), { done: false, head: 2 });
      assert.deepEqual(await store.commit(proposal(ada, 4)), { done: false, head: 2 });
      assert.deepEqual(seqs(await store.tail(ada, 0, 10)), [1, 2]);
      assert.deepEqual(await store.contents.meta(ada, [early], ['envelope']), [undefined]);
      assert.equal(await store.records.get('t', 'k'), undefined);
    },
  ],
  [
    'of two writers of one sequence number one wins, the other learns the head',
    async ({ store }) => {
      const outcomes = await Promise.all(range(1, 8).map((n) => store.commit(proposal(ada, 1, { data: `writer ${n}` }))));
      assert.equal(outcomes.filter(({ done }) => done).length, 1);
      for (const outcome of outcomes) if (!outcome.done) assert.equal(outcome.head, 1);
      assert.equal((await store.tail(ada, 0, 10)).length, 1);
    },
  ],
  [
    'a failed record precondition refuses the whole entry and names the record',
    async ({ store }) => {
      await store.records.write([{ table: 'credentials', key: 'ada', value: 'old' }]);
      const id = store.contents.newId(ada);
      const records = [
        { table: 'slots', key: 'ada', value: 'slot' },
        { table: 'credentials', key: 'ada', value: 'new', ifVersion: 7 },
      ];
      const outcome = await store.commit(proposal(ada, 1, { contents: [content(id)], records }));
      assert.deepEqual(outcome, { done: false, head: 0, conflict: 'credentials/ada' });
      assert.equal(await store.records.get('slots', 'ada'), undefined);
      assert.deepEqual(await store.contents.load(ada, [id]), [undefined]);
      assert.deepEqual(await store.tail(ada, 0, 10), []);
      // The same octets may be proposed again.
      const again = records.map((record) => ({ ...record, ...(record.ifVersion === undefined ? {} : { ifVersion: 1 }) }));
      assert.deepEqual(await store.commit(proposal(ada, 1, { contents: [content(id)], records: again })), { done: true });
      assert.deepEqual(await store.records.get('credentials', 'ada'), { key: 'ada', version: 2, value: 'new' });
    },
  ],
  [
    'contents, records and entry land together and are all there after a restart',
    async ({ store, reopen }) => {
      const id = store.contents.newId(ada);
      const mine = proposal(ada, 1, { contents: [content(id)], records: [{ table: 't', key: 'k', value: { a: [1, null, 'é'] } }] });
      assert.deepEqual(await store.commit(mine), { done: true });
      const again = await reopen();
      const [found] = await again.tail(ada, 0, 10);
      assert.deepEqual(found && { ...found, data: Uint8Array.from(found.data) }, { ...mine.entry });
      assert.deepEqual(await again.contents.meta(ada, [id], ['preview']), [{ preview: `preview ${id}` }]);
      assert.deepEqual((await again.records.get('t', 'k'))?.value, { a: [1, null, 'é'] });
      assert.ok(again.contents.newId(ada) > id, 'ids go on rising');
    },
  ],
  [
    'the octets proposed are those at the moment of the call; buffers stay the caller’s',
    async ({ store }) => {
      const pool = randomOctets(64 * 1024);
      const id = store.contents.newId(ada);
      const body = pool.subarray(100, 20_100);
      const wanted = Uint8Array.from(body);
      const data = pool.subarray(3, 50);
      await store.commit(proposal(ada, 1, { data, contents: [content(id, [{ at: 'inline', sizeOctets: body.length, data: body }])] }));
      assert.equal(body.length, 20_000, 'not detached');
      pool.fill(0);
      const [loaded] = await store.contents.load(ada, [id]);
      const segment = loaded?.segments[0];
      assert.ok(segment?.at === 'inline' && segment.data !== undefined);
      assert.deepEqual(Uint8Array.from(segment.data), wanted);
    },
  ],
  [
    'tail gives entries above `after` in order, at most `limit`, and nothing for an account it does not know',
    async ({ store }) => {
      await fill(store, ada, 1, 20);
      await fill(store, bob, 1, 3);
      assert.deepEqual(seqs(await store.tail(ada, 0, 5)), range(1, 5));
      assert.deepEqual(seqs(await store.tail(ada, 17, 50)), range(18, 20));
      assert.deepEqual(await store.tail(ada, 20, 5), []);
      assert.deepEqual(await store.tail(ada, 25, 5), []);
      assert.deepEqual(await store.tail(account('nobody'), 0, 5), []);
      assert.deepEqual(await store.tail(ada, 0, 0), []);
    },
  ],
  [
    'moved names the accounts whose head is above the one given, for more than 500 too',
    async ({ store }) => {
      await fill(store, ada, 1, 2);
      await fill(store, bob, 1, 3);
      assert.deepEqual(
        await store.moved(
          new Map([
            [ada, 2],
            [bob, 3],
          ]),
        ),
        [],
      );
      assert.deepEqual(
        await store.moved(
          new Map([
            [ada, 1],
            [bob, 3],
            [account('nobody'), 0],
          ]),
        ),
        [ada],
      );
      const many = new Map<AccountId, Seq>(range(1, 1_200).map((n) => [account(`x${n}`), 5]));
      many.set(bob, 0);
      assert.deepEqual(await store.moved(many), [bob]);
    },
  ],
  [
    'prune stops at the saved state, tail below the floor says so, numbering goes on',
    async ({ store, reopen }) => {
      await fill(store, ada, 1, 10);
      await store.prune(ada, 10);
      assert.deepEqual(seqs(await store.tail(ada, 0, 20)), range(1, 10), 'no state, nothing to forget');
      await saveState(store, ada, 6);
      await store.prune(ada, 10);
      await assert.rejects(store.tail(ada, 0, 20), (error) => error instanceof JournalPruned && error.floor === 6);
      await assert.rejects(store.tail(ada, 5, 20), JournalPruned);
      assert.deepEqual(seqs(await store.tail(ada, 6, 20)), range(7, 10));
      await saveState(store, ada, 10);
      await store.prune(ada, 10);
      assert.deepEqual(await store.tail(ada, 10, 20), []);
      const again = await reopen();
      assert.deepEqual(await again.commit(proposal(ada, 1)), { done: false, head: 10 });
      assert.deepEqual(await again.commit(proposal(ada, 11)), { done: true });
      assert.deepEqual(await again.moved(new Map([[ada, 9]])), [ada]);
      assert.deepEqual(await again.moved(new Map([[ada, 11]])), []);
    },
  ],
  [
    'an older save never replaces a newer one, neither snapshot nor chunk',
    async ({ store }) => {
      await fill(store, ada, 1, 9);
      await saveState(store, ada, 8, [chunk(box(1), 0, 8, octets('new'))]);
      await saveState(store, ada, 5, [chunk(box(1), 0, 5, octets('old')), chunk(box(1), 1, 5, octets('other'))]);
      assert.equal((await store.load(ada))?.applied, 8);
      const chunks = await store.chunks(ada, box(1), 0, 10);
      assert.deepEqual(
        chunks.map(({ n, seq, data }) => [n, seq, Buffer.from(data).toString()]),
        [
          [0, 8, 'new'],
          [1, 5, 'other'],
        ],
      );
      await saveState(store, ada, 8, [chunk(box(1), 0, 8, octets('new'))]);
      assert.equal((await store.load(ada))?.applied, 8, 'saving twice is harmless');
    },
  ],
  [
    'chunks come ascending within bounds, without empty ones and those of deleted mailboxes',
    async ({ store, reopen }) => {
      const made = range(0, 149).map((n) => chunk(box(1), n, 1, randomOctets(512)));
      await saveState(store, ada, 1, [...made, chunk(box(2), 3, 1, octets('two'))]);
      await saveState(store, ada, 2, [chunk(box(1), 5, 2, new Uint8Array(0))], [box(2)]);
      await store.flush();
      const again = await reopen();
      const found = await again.chunks(ada, box(1), 0, 1_000);
      assert.deepEqual(
        found.map(({ n }) => n),
        range(0, 149).filter((n) => n !== 5),
      );
      assert.deepEqual(Uint8Array.from(found.at(-1)?.data ?? []), made.at(-1)?.data);
      assert.equal(found[0]?.crc, made[0]?.crc);
      for (const { data } of found) assert.equal(data.byteOffset % 4, 0, 'can be read as 32-bit words where it lies');
      assert.deepEqual(
        (await again.chunks(ada, box(1), 4, 7)).map(({ n }) => n),
        [4, 6, 7],
      );
      assert.deepEqual(await again.chunks(ada, box(2), 0, 10), []);
      assert.deepEqual(await again.chunks(bob, box(1), 0, 10), []);
      assert.deepEqual(await again.load(bob), undefined);
      assert.deepEqual(Buffer.from((await again.load(ada))?.data ?? []).toString(), 'state at 2');
    },
  ],
  [
    'erase removes journal, state, contents and the records of the account, and nothing of others',
    async ({ store }) => {
      const ids = range(1, 30).map(() => store.contents.newId(ada));
      await store.commit(proposal(ada, 1, { contents: ids.map((id) => content(id)), dead: ids.slice(0, 3) }));
      const other = store.contents.newId(bob);
      await store.commit(proposal(bob, 1, { contents: [content(other)] }));
      await saveState(store, ada, 1, [chunk(box(1), 0, 1, octets('c'))]);
      await store.records.write([
        { table: 'account/ada1/tokens', key: 'k', value: 1 },
        { table: 'account/ada11/tokens', key: 'k', value: 2 },
        { table: 'account/bob2/tokens', key: 'k', value: 3 },
      ]);
      await store.erase(ada);
      assert.deepEqual(await store.tail(ada, 0, 10), []);
      assert.equal(await store.load(ada), undefined);
      assert.deepEqual(await store.chunks(ada, box(1), 0, 9), []);
      assert.deepEqual(await store.contents.list(ada, 0, 10), []);
      assert.ok((await store.contents.load(ada, ids)).every((found) => found === undefined));
      assert.equal(await store.records.get('account/ada1/tokens', 'k'), undefined);
      assert.equal((await store.records.get('account/ada11/tokens', 'k'))?.value, 2);
      assert.equal((await store.records.get('account/bob2/tokens', 'k'))?.value, 3);
      assert.equal((await store.contents.load(bob, [other]))[0]?.id, other);
      assert.equal((await store.tail(bob, 0, 10)).length, 1);
      await store.erase(ada);
      assert.deepEqual(await all(store.check()), []);
    },
  ],
  [
    'many accounts at once: no gaps, no reader sees N without all below, nothing before its commit',
    async ({ store, reopen }) => {
      const accounts = range(1, 24).map((n) => account(`user${n}`));
      const entriesEach = 25;
      let writing = true;
      let looks = 0;
      const committed = new Map(accounts.map((id) => [id, 0]));
      const begun = new Map(accounts.map((id) => [id, 0]));
      async function write(id: (typeof accounts)[number]): Promise<void> {
        for (let seq = 1; seq <= entriesEach; seq++) {
          const contents =
            seq % 3 === 0 ? [content(store.contents.newId(id), [{ at: 'inline', sizeOctets: 3_000, data: textOctets(3_000) }])] : [];
          begun.set(id, seq);
          assert.deepEqual(await store.commit(proposal(id, seq, { contents, data: `${id}:${seq}` })), { done: true });
          committed.set(id, seq);
          if (seq % 10 === 0) await saveState(store, id, seq - 2, [chunk(box(1), 0, seq - 2, octets(`${seq}`))]);
        }
      }
      async function read(): Promise<void> {
        while (writing) {
          for (const id of accounts) {
            const least = committed.get(id) ?? 0;
            const found = await store.tail(id, 0, 1_000);
            assert.deepEqual(seqs(found), range(1, found.length));
            assert.ok(found.length >= least, 'what was acknowledged is visible');
            assert.ok(found.length <= (begun.get(id) ?? 0), 'nothing is visible that was not proposed');
            for (const { seq, data } of found) assert.equal(Buffer.from(data).toString(), `${id}:${seq}`);
            looks++;
          }
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      const reader = read();
      await Promise.all(accounts.map(write));
      writing = false;
      await reader;
      assert.ok(looks > 0);
      const again = await reopen();
      for (const id of accounts) assert.deepEqual(seqs(await again.tail(id, 0, 1_000)), range(1, entriesEach));
      assert.deepEqual(await all(again.check()), []);
    },
  ],
  [
    'close lets what was taken finish, then the store takes nothing more',
    async ({ store }) => {
      const last = store.commit(proposal(ada, 1));
      const closing = store.close();
      assert.deepEqual(await last, { done: true });
      await closing;
      await store.close();
      await assert.rejects(store.commit(proposal(ada, 2)), { name: 'StoreUnavailable' });
    },
  ],
  [
    'flush returns after saves that nobody waited for',
    async ({ store, reopen }) => {
      await fill(store, ada, 1, 3);
      const saved = saveState(store, ada, 3, [chunk(box(1), 0, 3, octets('c'))]);
      await store.flush();
      assert.equal((await store.load(ada))?.applied, 3);
      await saved;
      assert.equal((await (await reopen()).load(ada))?.applied, 3);
    },
  ],
  [
    'an empty entry and an entry of a megabyte are kept as they are',
    async ({ store }) => {
      const big = randomOctets(1024 * 1024);
      await store.commit({ ...proposal(ada, 1), entry: entry(1, new Uint8Array(0)) });
      await store.commit({ ...proposal(ada, 2), entry: entry(2, big) });
      const [first, second] = await store.tail(ada, 0, 2);
      assert.equal(first?.data.length, 0);
      assert.deepEqual(Uint8Array.from(second?.data ?? []), big);
    },
  ],
  [
    'a record conflict outside a commit is an error that names table and key',
    async ({ store }) => {
      await store.records.write([{ table: 'a', key: 'k', value: 1, ifVersion: 0 }]);
      await assert.rejects(
        store.records.write([
          { table: 'a', key: 'other', value: 1 },
          { table: 'a', key: 'k', value: 2, ifVersion: 0 },
        ]),
        (error) => error instanceof RecordConflict && error.table === 'a' && error.key === 'k',
      );
      assert.equal(await store.records.get('a', 'other'), undefined);
    },
  ],
];
