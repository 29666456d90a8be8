/**
 * What no run against a server can show (design/store-mongodb.md §4): every kind of interleaving, a death after every single operation,
 * and answers that are lost. The documents in memory are linearizable, as one primary is; the last tests put the same faults before a server.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startMongoDb } from '../../../../test-servers/mongodb-server.ts';
import {
  account,
  all,
  box,
  chunk,
  collect,
  content,
  inline,
  never,
  octets,
  randomOctets,
  range,
  saveState,
  streamOf,
  textOctets,
} from '../contract/samples.ts';
import type { AccountId, BlobId, ContentId, Proposal, RecordWrite, Segment, StoredEntry } from '../store.ts';
import { OutcomeUnknown, RecordConflict, StoreUnavailable } from '../store.ts';
import { type Documents, InDoubt, Unreached } from './documents.ts';
import { HookedDocuments, type Hooks, Scheduler, seeded } from './hooked-documents.fixture.ts';
import { ModelDocuments, ModelServer } from './model-documents.fixture.ts';
import { openMongoDocuments } from './mongo-documents.ts';
import { type MongoStore, openStoreOver } from './mongo-store.ts';

const ada = account('ada1');
const bob = account('bob2');
const FUTURE = 10_000_000_000_000;
const seed = Number(process.env['POCHARD_MODEL_SEED'] ?? 0) || Date.now() & 0xffff_ffff;

function blobSegment(store: MongoStore, data: Uint8Array): Segment {
  return {
    at: 'blob',
    sizeOctets: data.length,
    blob: store.blobs.idOf('', data),
    blobOctets: data.length,
    recipe: new Uint8Array(0),
    data,
  };
}
interface Written {
  readonly contents: readonly ContentId[];
  readonly dead: readonly ContentId[];
}
/** An entry whose octets say what it carries, so that the end can be compared. */
function proposed(store: MongoStore, of: AccountId, seq: number, parts: Partial<Proposal>, token: string): Proposal {
  const contents = parts.contents ?? [];
  const dead = parts.dead ?? [];
  const data = octets(JSON.stringify({ contents: contents.map(({ id }) => id), dead } satisfies Written));
  void store;
  return { account: of, entry: { seq, token, data }, contents, dead, records: parts.records ?? [] };
}
function readWritten({ data }: StoredEntry): Written {
  return JSON.parse(Buffer.from(data).toString('latin1')) as Written;
}

/** All that must hold when everybody is gone and the house has been tidied. */
async function requireSound(store: MongoStore, accounts: readonly AccountId[], acknowledged: ReadonlyMap<string, string>): Promise<void> {
  await store.tidy();
  const seen = new Map<string, string>();
  const live = new Set<string>();
  for (const of of accounts) {
    const entries = await store.tail(of, 0, 10_000);
    assert.deepEqual(
      entries.map(({ seq }) => seq),
      range(1, entries.length),
      'no gaps',
    );
    const dead = new Set<number>();
    for (const entry of entries) {
      assert.equal(seen.get(entry.token), undefined, 'an entry is there once');
      seen.set(entry.token, `${of}:${entry.seq}`);
      const written = readWritten(entry);
      for (const id of written.dead) dead.add(id);
      for (const id of written.contents) live.add(`${of}/${id}`);
    }
    for (const id of dead) live.delete(`${of}/${id}`);
    const kept = [...live].filter((key) => key.startsWith(`${of}/`)).map((key) => Number(key.slice(of.length + 1)) as ContentId);
    for (const found of await store.contents.load(of, kept)) assert.ok(found !== undefined, 'content of an entry is there');
    await store.contents.sweep(of, new Set(kept), FUTURE);
    const left = (await store.contents.list(of, 0, 10_000)).map(({ id }) => id);
    assert.deepEqual([...left].sort(), [...kept].sort(), 'nothing is left but what entries name');
  }
  for (const [token, where] of acknowledged) assert.equal(seen.get(token), where, 'what was acknowledged is there');
  await store.blobs.sweep(FUTURE);
  assert.deepEqual(await all(store.check()), []);
  const { uploads, transactions, erasures, sides, records } = store.collections;
  for (const leftover of [uploads, transactions, erasures, sides]) assert.deepEqual(await leftover.find({}, { limit: 10 }), []);
  assert.deepEqual(await records.find({ lt: { $exists: true } }, { limit: 10 }), [], 'no record is held');
}

interface House {
  readonly open: (hooks?: Hooks) => Promise<MongoStore>;
  /** ms since 1970, for all instances opened from now on. */
  at: number;
}
function modelHouse(): House {
  const server = new ModelServer();
  return houseOver(() => new ModelDocuments(server));
}
function houseOver(documents: () => Documents): House {
  let tokens = 0;
  const house: House = {
    at: Date.now() - 10 * 86_400_000,
    async open(hooks = {}) {
      // Opening is not what is tested: hooks count from here on.
      let isOpen = false;
      const guarded: Hooks = {
        before: async (name) => (isOpen ? hooks.before?.(name) : undefined),
        after: async (name) => (isOpen ? hooks.after?.(name) : undefined),
      };
      const store = await openStoreOver(new HookedDocuments(documents(), guarded), {
        tidyEveryMs: 0,
        now: () => house.at,
        newToken: () => (++tokens).toString(16).padStart(16, '0'),
        retryMs: 60,
        sleep: () => new Promise((resolve) => setImmediate(resolve)),
      });
      isOpen = true;
      return store;
    },
  };
  return house;
}

/* ── Interleavings ── */

test(`writers of one account in every order: what is acknowledged is there once, readers never see a gap or a change (seed ${seed})`, async () => {
  let conflicts = 0;
  let steps = 0;
  for (let round = 0; round < 25; round++) {
    const random = seeded(seed + round);
    const scheduler = new Scheduler(random);
    const house = modelHouse();
    const stores = await Promise.all([1, 2, 3].map(() => house.open(scheduler.hooks)));
    const acknowledged = new Map<string, string>();
    const history = new Map<number, string>();
    let token = round * 1_000_000;
    let counter = 0;
    const shared = randomOctets(300);
    const write = async (store: MongoStore): Promise<void> => {
      let head = 0;
      for (let n = 0; n < 6; n++) {
        const id = store.contents.newId(ada);
        const segments = random() < 0.4 ? [blobSegment(store, shared)] : [inline(octets(`body ${id}`))];
        const records: RecordWrite[] =
          random() < 0.4
            ? [
                { table: 't', key: 'n', value: n },
                { table: 't', key: `own${id}`, value: 1, ifVersion: 0 },
              ]
            : [];
        for (;;) {
          const mine = proposed(
            store,
            ada,
            head + 1,
            { contents: [content(id, segments)], records },
            `a${(++token).toString(16).padStart(15, '0')}`,
          );
          let outcome: Awaited<ReturnType<MongoStore['commit']>>;
          try {
            outcome = await store.commit(mine);
          } catch (error) {
            assert.ok(error instanceof StoreUnavailable, String(error)); // others held the records all the time
            continue;
          }
          if (outcome.done) {
            acknowledged.set(mine.entry.token, `${ada}:${head + 1}`);
            if (records.length > 0) counter++;
            head++;
            break;
          }
          conflicts++;
          for (const entry of await store.tail(ada, head, 100)) head = entry.seq;
        }
      }
    };
    const read = async (store: MongoStore): Promise<void> => {
      for (let n = 0; n < 12; n++) {
        for (const { seq, token: of } of await store.tail(ada, 0, 1_000)) {
          assert.equal(history.get(seq) ?? of, of, 'an entry never changes');
          history.set(seq, of);
        }
        await store.records.get('t', 'n');
      }
    };
    const [one, two, three] = stores as [MongoStore, MongoStore, MongoStore];
    await scheduler.run(Promise.all([write(one), write(two), write(three), read(one), read(three)]));
    steps += scheduler.steps;
    const last = await house.open();
    house.at += 3 * 86_400_000;
    await requireSound(last, [ada], acknowledged);
    assert.equal(acknowledged.size, 18);
    assert.equal((await last.records.get('t', 'n'))?.version ?? 0, counter, 'each entry with records wrote them once');
    for (const [seq, of] of history) assert.equal((await last.tail(ada, seq - 1, 1))[0]?.token, of);
  }
  assert.ok(conflicts > 50, `${conflicts} conflicts`);
  assert.ok(steps > 5_000, `${steps} steps`);
});

test(`records of many writers in every order: all or nothing, each version once (seed ${seed})`, async () => {
  for (let round = 0; round < 30; round++) {
    const random = seeded(seed + round);
    const scheduler = new Scheduler(random);
    const house = modelHouse();
    const stores = await Promise.all([1, 2, 3].map(() => house.open(scheduler.hooks)));
    const keys = ['a', 'b', 'c'];
    let written = 0;
    const work = async (store: MongoStore): Promise<void> => {
      for (let n = 0; n < 5; n++) {
        // A transfer: the sum over all keys stays what it was.
        const from = keys[Math.floor(random() * 3)] ?? 'a';
        const to = keys[Math.floor(random() * 3)] ?? 'b';
        const [one, two] = [await store.records.get('t', from), await store.records.get('t', to)];
        const writes = [
          { table: 't', key: from, value: Number(one?.value ?? 0) - 1, ifVersion: one?.version ?? 0 },
          { table: 't', key: to, value: Number(two?.value ?? 0) + 1, ifVersion: two?.version ?? 0 },
        ];
        try {
          await store.records.write(from === to ? [{ table: 'other', key: from, value: n }] : writes);
          if (from !== to) written++;
        } catch (error) {
          assert.ok(error instanceof RecordConflict || error instanceof StoreUnavailable, String(error));
        }
      }
    };
    await scheduler.run(Promise.all(stores.map(work)));
    const last = await house.open();
    const rows = await last.records.list('t', { limit: 10 });
    assert.equal(
      rows.reduce((sum, { value }) => sum + Number(value), 0),
      0,
      'no transfer is half done',
    );
    assert.equal(
      rows.reduce((sum, { version }) => sum + version, 0),
      2 * written,
    );
    assert.deepEqual(await last.collections.transactions.find({}, { limit: 1 }), []);
  }
});

test(`observers on two instances see every entry, in order within an account (seed ${seed})`, async () => {
  for (let round = 0; round < 15; round++) {
    const random = seeded(seed + round);
    const scheduler = new Scheduler(random);
    const house = modelHouse();
    const stores = (await Promise.all([1, 2].map(() => house.open(scheduler.hooks)))) as [MongoStore, MongoStore];
    const heard = new Map<string, number[]>();
    let token = 0;
    const write = async (store: MongoStore, of: AccountId): Promise<void> => {
      for (let seq = 1; seq <= 12; seq++) {
        const done = await store.commit(proposed(store, of, seq, {}, `f${(++token).toString(16).padStart(15, '0')}`));
        assert.ok(done.done);
      }
    };
    const observe = async (store: MongoStore, name: string, from: 'now' | 'start'): Promise<void> => {
      await store.feed.register(name, from);
      while ((heard.get(`${name} ${ada}`)?.length ?? 0) + (heard.get(`${name} ${bob}`)?.length ?? 0) < 24) {
        for (const { account: of, entry, position } of await store.feed.next(name, 1 + Math.floor(random() * 5))) {
          const list = heard.get(`${name} ${of}`) ?? [];
          heard.set(`${name} ${of}`, list);
          list.push(entry.seq);
          await store.feed.done(name, position);
        }
      }
    };
    const [one, two] = stores;
    await scheduler.run(
      (async () => {
        await Promise.all([one.feed.register('early', 'now'), two.feed.register('whole', 'start')]);
        await Promise.all([write(one, ada), write(two, bob), observe(one, 'early', 'now'), observe(two, 'whole', 'start')]);
      })(),
    );
    for (const [who, seqs] of heard) assert.deepEqual(seqs, range(1, 12), who);
  }
});

/* ── Death after every single operation ── */

class Crashed extends Error {
  override name = 'Crashed';
}
/** The process dies before or after its operation number `at`; nothing of it happens any more. */
function dyingAt(at: number, when: 'before' | 'after'): Hooks & { readonly count: number; readonly isDead: boolean } {
  let count = 0;
  let isDead = false;
  const die = (): never => {
    isDead = true;
    throw new Crashed(`at operation ${at}`);
  };
  return {
    get count() {
      return count;
    },
    get isDead() {
      return isDead;
    },
    async before() {
      if (isDead || (++count === at && when === 'before')) die();
    },
    async after() {
      if (isDead || (count >= at && when === 'after')) die();
    },
  };
}

/** All that a store does in its life, once. Returns what was acknowledged. */
async function life(store: MongoStore, acknowledged: Map<string, string>, big: Uint8Array): Promise<void> {
  const commit = async (seq: number, parts: Partial<Proposal>): Promise<void> => {
    const mine = proposed(store, ada, seq, parts, `e${seq.toString(16).padStart(15, '0')}`);
    const outcome = await store.commit(mine);
    assert.ok(outcome.done);
    acknowledged.set(mine.entry.token, `${ada}:${seq}`);
  };
  const [first, second, third] = [0, 1, 2].map(() => store.contents.newId(ada)) as [ContentId, ContentId, ContentId];
  await store.feed.register('observer', 'now');
  await commit(1, {
    contents: [content(first)],
    records: [
      { table: 'accounts', key: 'ada', value: 1, ifVersion: 0 },
      { table: 'names', key: 'ada@example', value: 1, ifVersion: 0 },
    ],
  });
  const put = await store.blobs.put('', streamOf(big), never());
  const bigSegment: Segment = { at: 'blob', sizeOctets: big.length, blob: put.id, blobOctets: big.length, recipe: new Uint8Array(0) };
  await commit(2, { contents: [content(second, [bigSegment, blobSegment(store, textOctets(60_000)), inline(textOctets(20_000))])] });
  await saveState(store, ada, 2, [chunk(box(1), 0, 2, octets('c'))]);
  await commit(3, {
    contents: [content(third)],
    dead: [first],
    records: [{ table: 'names', key: 'ada@example', value: undefined, ifVersion: 1 }],
  });
  for (const { position } of await store.feed.next('observer', 10)) await store.feed.done('observer', position);
  await store.contents.sweep(ada, new Set([second, third]), FUTURE);
  await store.blobs.sweep(1);
  await store.records.write([
    { table: 'names', key: 'x', value: 1 },
    { table: 'names', key: 'y', value: 1 },
  ]);
  await store.records.write([{ table: 'names', key: 'x', value: undefined, ifVersion: 1 }]);
}

test('a process that dies before or after any single operation leaves nothing that the next one cannot put right', async () => {
  const big = randomOctets(600_000);
  let operations = 0;
  for (const when of ['before', 'after'] as const) {
    for (let at = 1; ; at++) {
      const house = modelHouse();
      const hooks = dyingAt(at, when);
      const store = await house.open(hooks);
      const acknowledged = new Map<string, string>();
      const failed = await life(store, acknowledged, big).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (!hooks.isDead) {
        assert.equal(failed, undefined);
        operations = Math.max(operations, hooks.count);
        break;
      }
      // Somebody else goes on at once, and commits after whatever was made.
      house.at += 10_000;
      const next = await house.open();
      const head = (await next.tail(ada, 0, 100)).length;
      assert.ok(head >= acknowledged.size, `operation ${at}, ${when}`);
      const more = proposed(next, ada, head + 1, { contents: [content(next.contents.newId(ada))] }, 'ffffffffffffffff');
      assert.deepEqual(await next.commit(more), { done: true }, `operation ${at}, ${when}`);
      const [accounts, names] = [await next.records.get('accounts', 'ada'), await next.records.get('names', 'ada@example')];
      assert.equal(accounts !== undefined, head >= 1, 'the account is there with its first entry, or not at all');
      assert.equal(names !== undefined, head === 1 || head === 2, 'the name goes with the third entry');
      const [x, y] = [await next.records.get('names', 'x'), await next.records.get('names', 'y')];
      assert.ok(x === undefined || y !== undefined, 'both or none');
      // Days later, the sweeps have gone round.
      house.at += 4 * 86_400_000;
      const late = await house.open();
      await requireSound(late, [ada], acknowledged);
      const blobs = await late.collections.blobs.find({}, { limit: 10, fields: ['n'] });
      assert.equal(blobs.length, head >= 2 ? 2 : 0, 'blobs are there as long as a content names them');
      const sids = new Set((await late.collections.pieces.find({}, { limit: 100, fields: ['files_id'] })).map(({ files_id }) => files_id));
      assert.equal(sids.size, head >= 2 ? 1 : 0, 'no file is left that no blob names');
      if (head >= 2) assert.deepEqual(await collect(late.blobs.read(late.blobs.idOf('', big) as BlobId, 0, big.length, never())), big);
    }
  }
  assert.ok(operations > 60, `${operations} operations`);
});

/* ── Answers that are lost ── */

/** Elections and cut connections: an operation is refused, or carried out and not answered, by chance, a few in a row. */
function flaky(random: () => number, share: number): Hooks {
  let left = 0;
  const fails = (): boolean => {
    if (left > 0) {
      left--;
      return random() < 0.7;
    }
    if (random() >= share) return false;
    left = Math.floor(random() * 6);
    return true;
  };
  return {
    async before() {
      if (fails()) throw random() < 0.5 ? new Unreached('no primary') : new InDoubt('connection cut before the server had it');
    },
    async after() {
      if (fails()) throw new InDoubt('connection cut before the answer');
    },
  };
}

async function failover(house: House, rounds: number, offset: number): Promise<{ readonly unknown: number; readonly refused: number }> {
  let unknown = 0;
  let refused = 0;
  const random = seeded(seed + offset);
  const stores = await Promise.all([1, 2].map(() => house.open(flaky(random, 0.08))));
  const acknowledged = new Map<string, string>();
  let token = 0;
  let counted = 0;
  const work = async (store: MongoStore): Promise<void> => {
    for (let n = 0; n < rounds; n++) {
      const id = store.contents.newId(ada);
      const withRecords = random() < 0.3;
      const records: RecordWrite[] = withRecords
        ? [
            { table: 't', key: 'n', value: n },
            { table: 't', key: 'm', value: n },
          ]
        : [];
      for (let isDone = false; !isDone; ) {
        // What AccountQueue does: read the head, propose, and after an unknown outcome look for the token.
        house.at += 200; // what hangs is taken for dead some day
        const head = await store.tail(ada, 0, 10_000).catch(() => undefined);
        if (head === undefined) continue;
        const mine = proposed(
          store,
          ada,
          head.length + 1,
          { contents: [content(id, [blobSegment(store, octets('shared'))])], records },
          `c${(++token).toString(16).padStart(15, '0')}`,
        );
        const where = `${ada}:${head.length + 1}`;
        try {
          if ((await store.commit(mine)).done) {
            acknowledged.set(mine.entry.token, where);
            isDone = true;
          }
        } catch (error) {
          if (!(error instanceof OutcomeUnknown)) {
            assert.ok(error instanceof StoreUnavailable, String(error));
            refused++;
            continue;
          }
          unknown++;
          let found: readonly StoredEntry[] | undefined;
          while (found === undefined) found = await store.tail(ada, mine.entry.seq - 1, 1).catch(() => undefined);
          if (found[0]?.token === mine.entry.token) {
            acknowledged.set(mine.entry.token, where);
            isDone = true;
          }
        }
        if (isDone && withRecords) counted++;
      }
    }
  };
  await Promise.all(stores.map(work));
  house.at += 10_000;
  const last = await house.open();
  house.at += 3 * 86_400_000;
  await requireSound(last, [ada], acknowledged);
  assert.equal(acknowledged.size, 2 * rounds);
  assert.equal((await last.tail(ada, 0, 10_000)).length, 2 * rounds, 'nothing was done twice, nothing that was refused is there');
  assert.equal((await last.records.get('t', 'n'))?.version ?? 0, counted);
  assert.equal((await last.records.get('t', 'm'))?.version ?? 0, counted);
  for (const store of stores) await store.close();
  await last.close();
  return { unknown, refused };
}

test(`elections with lost answers: nothing acknowledged is lost, nothing is done twice (seed ${seed})`, async () => {
  let unknown = 0;
  for (let round = 0; round < 15; round++) unknown += (await failover(modelHouse(), 12, round)).unknown;
  assert.ok(unknown > 2, `${unknown} unknown outcomes`);
});

test(`the same before a real server (seed ${seed})`, async (t: TestContext) => {
  const server = await startMongoDb(t);
  if (server === undefined) return;
  const { documents } = await openMongoDocuments({ url: server.url, database: server.database });
  t.after(() => documents.close());
  const kept: Documents = {
    collection: (name) => documents.collection(name),
    createIndex: (collection, index) => documents.createIndex(collection, index),
    close: async () => undefined,
  };
  await failover(
    houseOver(() => kept),
    15,
    7,
  );
});
