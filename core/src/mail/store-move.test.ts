import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startMongoDb } from '../../../test-servers/mongodb-server.ts';
import { MemoryStore } from '../store/memory/memory-store.ts';
import { openMongoStore } from '../store/mongodb/mongo-store.ts';
import { openSqliteStore } from '../store/sqlite/sqlite-store.ts';
import type { AccountId, Store } from '../store/store.ts';
import { runOf } from './journal/uid-runs.ts';
import { startMail } from './mail-test-host.ts';
import { isHalfMoved, MoveRefused, type MoveReport, moveStore } from './store-move.ts';

const NEVER = new AbortController().signal;
const ORIGIN = { by: 'imap', actor: 'ada@example.test' } as const;

function withAttachment(octets: number): string {
  const base64 = randomBytes(octets).toString('base64').replaceAll(/.{76}/g, '$&\r\n');
  return `Subject: big\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64}\r\n--b--\r\n`;
}

/** Three accounts with all that a store can hold. */
async function filled(t: TestContext): Promise<{ readonly store: MemoryStore; readonly ada: AccountId; readonly bob: AccountId }> {
  const host = await startMail(t);
  const { store } = host;
  await host.account('idle@example.test');
  const { id: ada } = await host.account('ada@example.test', { addresses: ['lovelace@example.test'] });
  const { id: bob } = await host.account('bob@example.test');
  await store.feed.register('early', 'now');
  for (let n = 0; n < 40; n++)
    await host.send(`Subject: ${n}\r\n\r\n${'text '.repeat(n * 20)}\r\n`, ['ada@example.test', 'bob@example.test']);
  await host.send(withAttachment(60_000), ['ada@example.test']);
  await host.send(withAttachment(400_000), ['ada@example.test', 'bob@example.test']);
  await host.send(`Subject: medium\r\n\r\n${'x'.repeat(30_000)}\r\n`, ['bob@example.test']);
  const access = await host.admin(ada);
  const inbox = host.box(access, 'INBOX');
  await access.mail.store(inbox, runOf(3, 9), { mode: 'add', flags: ['\\Seen', '$Label'] }, ORIGIN);
  await access.mail.copy(inbox, runOf(1, 5), host.box(access, 'Archive'), ORIGIN, {});
  await access.mail.expunge(inbox, runOf(10, 12), 'expunge', ORIGIN);
  await access.mail.createMailbox('Ümlaut/deep', ORIGIN);
  await host.parts.mails.drain();
  await store.prune(bob, 20);
  for (const { position } of await store.feed.next('early', 30)) await store.feed.done('early', position);
  await store.feed.park('early', ada, 4, 'HTTP 500', 77, 'account');
  await store.feed.register('late', 'now');
  await store.derived.put(ada, 'seg-1', 0, [randomBytes(1_000), randomBytes(2_000)]);
  await store.records.write([{ table: 'plugin/x', key: 'a\0é', value: { n: [1, null] }, expiresAt: Date.now() + 1e9 }]);
  return { store, ada, bob };
}

async function move(from: Store, to: Store, signal = NEVER, show: () => void = () => undefined): Promise<MoveReport> {
  const report = await moveStore({ from, to, signal, show });
  assert.deepEqual(report.problems, []);
  return report;
}
/** What is not in the digests of the move itself. */
async function rest(store: Store, ada: AccountId): Promise<unknown> {
  const records = (await store.records.all(undefined, 1_000)).map(({ table, key, value, expiresAt }) =>
    JSON.stringify([table, key, value, expiresAt ?? 0]),
  );
  const derived = await Promise.all(
    [0, 1, 2].map(async (n) => Buffer.from((await store.derived.get(ada, 'seg-1', n)) ?? []).toString('hex', 0, 16)),
  );
  const behind = (await store.feed.next('early', 1_000)).map(({ account, entry }) => `${account}:${entry.seq}`).sort();
  return { records: records.sort(), derived, behind, late: await store.feed.next('late', 10), parked: await store.feed.parked('early') };
}
async function sqlite(t: TestContext): Promise<Store> {
  const folder = await mkdtemp(join(tmpdir(), 'pochard-move-'));
  const store = await openSqliteStore({ folder, walOctets: 0, repack: 'off' });
  t.after(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });
  return store;
}

test('a store moves to SQLite, to MongoDB and back, octet for octet, with what observers have not passed', async (t) => {
  const server = await startMongoDb(t);
  if (server === undefined) return;
  const { store: source, ada, bob } = await filled(t);
  const before = await rest(source, ada);
  const mongo = await openMongoStore({ url: server.url, database: server.database, tidyEveryMs: 0 });
  t.after(() => mongo.close());
  const [one, two] = [await sqlite(t), await sqlite(t)];
  const report = await move(source, one);
  assert.equal(report.accounts, 3);
  assert.ok(report.contents > 80 && report.octets > 1_200_000);
  await move(one, mongo);
  await move(mongo, two);
  for (const store of [one, mongo, two]) {
    assert.deepEqual(await rest(store, ada), before);
    assert.equal(await isHalfMoved(store), false);
    assert.ok(store.contents.newId(bob) > Math.max(...(await store.contents.list(bob, 0, 1_000)).map(({ id }) => id)));
  }
  await assert.rejects(moveStore({ from: source, to: two, signal: NEVER, show: () => undefined }), MoveRefused);
});

test('an empty source is refused, and nothing is written to the target', async () => {
  const to = new MemoryStore();
  await assert.rejects(moveStore({ from: new MemoryStore(), to, signal: NEVER, show: () => undefined }), MoveRefused);
  assert.deepEqual(await to.records.all(undefined, 1), []);
});

test('a move that is cut off anywhere goes on where it was; a half-filled target is known as one', async (t) => {
  const { store: source, ada } = await filled(t);
  const before = await rest(source, ada);
  for (const to of [new MemoryStore(), await sqlite(t)]) {
    let cuts = 0;
    for (let steps = 1; ; steps++) {
      const cut = new AbortController();
      let left = steps;
      try {
        await move(source, to, cut.signal, () => {
          if (--left === 0) cut.abort(new Error('cut'));
        });
        break;
      } catch (error) {
        assert.match(String(error), /cut/);
        assert.equal(await isHalfMoved(to), true);
        cuts++;
      }
    }
    assert.ok(cuts >= 4, `${cuts} cuts`);
    assert.deepEqual(await rest(to, ada), before);
  }
});

test('a target that differs afterwards is told, and stays half-filled', async (t) => {
  const { store: source } = await filled(t);
  class Forgetful extends MemoryStore {
    override async saveState(account: AccountId, delta: Parameters<Store['saveState']>[1]): Promise<void> {
      await super.saveState(account, { ...delta, chunks: delta.chunks.slice(1) });
    }
  }
  const to = new Forgetful();
  const { problems } = await moveStore({ from: source, to, signal: NEVER, show: () => undefined });
  assert.ok(problems.some((problem) => problem.includes('saved state differ')));
  assert.equal(await isHalfMoved(to), true);
});
