import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  account,
  all,
  collect,
  content,
  fill,
  inline,
  never,
  proposal,
  randomOctets,
  range,
  seqs,
  streamOf,
  textOctets,
} from '../contract/samples.ts';
import type { ContentId, NewContent } from '../store.ts';
import { SCHEMA_LEVEL } from './schema.ts';
import { openDatabase, prepare, requireSafeVersion } from './sqlite.ts';
import { openSqliteStore, type SqliteOptions, type SqliteStore } from './sqlite-store.ts';

const ada = account('ada1');

const stores = new WeakMap<TestContext, SqliteStore[]>();

/** A folder that goes after the test, when the stores opened in it are closed. */
async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pochard-store-'));
  const open: SqliteStore[] = [];
  stores.set(t, open);
  t.after(async () => {
    await Promise.all(open.map((store) => store.close()));
    await rm(folder, { recursive: true });
  });
  return folder;
}
async function opened(t: TestContext, options: SqliteOptions): Promise<SqliteStore> {
  const store = await openSqliteStore({ walOctets: 0, ...options });
  stores.get(t)?.push(store);
  return store;
}

test('a SQLite with the WAL-reset bug is refused', () => {
  for (const version of ['3.45.1', '3.51.2', '2.99.99', '', 'x.y.z'])
    assert.throws(() => requireSafeVersion(version), { name: 'StoreUnavailable' });
  for (const version of ['3.51.3', '3.52.0', '3.53.4', '4.0.0']) requireSafeVersion(version);
});

test('a data folder in use is refused, by this process and by another, and free again after close', async (t) => {
  const folder = await folderOf(t);
  await writeFile(join(folder, 'in-use'), '4194999\n'); // of a process that died
  const store = await opened(t, { folder });
  await assert.rejects(openSqliteStore({ folder }), /in use/);
  const module = fileURLToPath(new URL('./sqlite-store.ts', import.meta.url));
  const script = `import { openSqliteStore } from ${JSON.stringify(module)}; await openSqliteStore({ folder: ${JSON.stringify(folder)} });`;
  const other = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.match(other.stderr, new RegExp(`in use by another process \\(${process.pid}\\)`));
  await fill(store, ada, 1, 1);
  await store.close();
  await fill(await opened(t, { folder }), ada, 2, 2);
});

test('a data folder that cannot be written is named', async (t) => {
  const folder = await folderOf(t);
  await mkdir(join(folder, 'lock.db'));
  await assert.rejects(openSqliteStore({ folder }), {
    name: 'StoreUnavailable',
    message: /^the data folder .*pochard-store-.* cannot be written: unable to open/,
  });
});

test('a store of a newer Pochard, and a database that is no store, are refused', async (t) => {
  const folder = await folderOf(t);
  await (await openSqliteStore({ folder, walOctets: 0 })).close();
  const database = openDatabase(join(folder, 'store.db'), { access: 'write', timeoutMs: 0, cacheOctets: 65_536 });
  database.exec(`PRAGMA user_version = ${SCHEMA_LEVEL + 1}`);
  database.close();
  await assert.rejects(openSqliteStore({ folder, walOctets: 0 }), { name: 'StoreUnavailable', message: /newer version/ });
  const strange = openDatabase(join(folder, 'store.db'), { access: 'write', timeoutMs: 0, cacheOctets: 65_536 });
  strange.exec('PRAGMA user_version = 0');
  strange.close();
  await assert.rejects(openSqliteStore({ folder, walOctets: 0 }), { name: 'StoreDamaged' });
});

test('damage is found at the start after an unclean end', async (t) => {
  const folder = await folderOf(t);
  const store = await openSqliteStore({ folder, walOctets: 0, repack: 'off' });
  for (let seq = 1; seq <= 40; seq++) {
    await store.commit(proposal(ada, seq, { contents: [content(store.contents.newId(ada), [inline(randomOctets(9_000))])] }));
  }
  await store.close();
  const file = await open(join(folder, 'store.db'), 'r+');
  const { size } = await file.stat();
  for (let at = 8_192 * 4; at < size; at += 8_192 * 3) await file.write(randomOctets(400), 0, 400, at);
  await file.close();
  await writeFile(join(folder, 'in-use'), '1\n');
  await assert.rejects(openSqliteStore({ folder, walOctets: 0 }), { name: 'StoreDamaged' });
});

test('a full disk refuses the commit, keeps what was there, and goes on when there is room', async (t) => {
  const folder = await folderOf(t);
  const store = await opened(t, { folder, maxOctets: 1024 * 1024, repack: 'off' });
  let seq = 0;
  const grow = (octets: number) =>
    store.commit(proposal(ada, seq + 1, { contents: [content(store.contents.newId(ada), [inline(randomOctets(octets))])] }));
  await assert.rejects(
    async () => {
      for (; seq < 500; seq++) await grow(30_000);
    },
    { name: 'StoreUnavailable' },
  );
  assert.ok(seq > 5);
  assert.deepEqual(seqs(await store.tail(ada, 0, 500)), range(1, seq));
  await store.close();
  const roomy = await opened(t, { folder });
  assert.deepEqual(await roomy.commit(proposal(ada, seq + 1)), { done: true });
  assert.deepEqual(await all(roomy.check()), []);
});

test('an I/O error ends the store: outcome unknown, then nothing more is taken, and what was acknowledged is there', async (t) => {
  const folder = await folderOf(t);
  // A limit on file size gives EFBIG, which SQLite reports as an I/O error of the write.
  const script = fileURLToPath(new URL('./io-error-child.ts', import.meta.url));
  const child = spawn('sh', ['-c', 'trap "" XFSZ; ulimit -f 4096; exec "$0" "$1" "$2"', process.execPath, script, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.on('data', (data) => (out += data));
  await once(child, 'close');
  const { seq, failed, next, failures } = JSON.parse(out);
  assert.equal(failed, 'OutcomeUnknown');
  assert.equal(next, 'StoreUnavailable');
  assert.deepEqual(failures, ['OutcomeUnknown']);
  assert.ok(seq > 5);
  assert.ok((await readdir(folder)).includes('in-use'), 'the end was not a clean one');
  const store = await opened(t, { folder });
  assert.ok((await store.tail(ada, 0, 10_000)).length >= seq);
  assert.deepEqual(await all(store.check()), []);
});

test('the idle pass compresses bodies and blobs; what is read stays the same, what gains nothing stays raw', async (t) => {
  const folder = await folderOf(t);
  let store = await opened(t, { folder, idleMs: 60_000 });
  const bodies = [textOctets(9_000), randomOctets(9_000), textOctets(200_000), textOctets(300), new Uint8Array(0)];
  const ids: ContentId[] = [];
  for (const [at, body] of bodies.entries()) {
    const id = store.contents.newId(ada);
    ids.push(id);
    const segments = at === 2 ? [inline(body), inline(textOctets(5_000))] : [inline(body)];
    await store.commit(proposal(ada, at + 1, { contents: [{ ...content(id, segments), codecs: at === 3 ? ['pgp@1'] : [] }] }));
  }
  const blob = textOctets(100_000);
  const { id: blobId } = await store.blobs.put('', streamOf(blob), never());
  await store.tidy();
  for (let round = 0; round < 2; round++) {
    const loaded = await store.contents.load(ada, ids);
    for (const [at, body] of bodies.entries()) {
      const segment = loaded[at]?.segments[0];
      assert.ok(segment?.at === 'inline' && segment.data !== undefined);
      assert.deepEqual(Uint8Array.from(segment.data), body);
      const part = await store.contents.segment(ada, ids[at] ?? (0 as ContentId), 0, 100, 120);
      assert.deepEqual(Uint8Array.from(part), body.slice(100, 120));
    }
    assert.deepEqual(await collect(store.blobs.read(blobId, 99_000, 100_000, never())), blob.slice(99_000));
    await store.close();
    store = await opened(t, { folder, idleMs: 60_000 });
  }
  await store.close();
  const database = openDatabase(join(folder, 'store.db'), { access: 'read', timeoutMs: 0, cacheOctets: 65_536 });
  const codecs = prepare<[number]>(database, 'SELECT codec FROM content ORDER BY id')
    .all()
    .map(([codec]) => codec);
  const blobs = prepare<[number, number]>(database, 'SELECT codec, length(data) < size FROM blob').all();
  database.close();
  assert.deepEqual(codecs, [1, 2, 0, 0, 0]);
  assert.deepEqual(blobs, [[1, 1]]);
});

test('header blocks beside their bodies, as earlier versions kept them, are read as before and move when nothing else is to be done', async (t) => {
  const folder = await folderOf(t);
  let store = await opened(t, { folder, idleMs: 60_000 });
  const heads = range(1, 200).map((n) => (n % 3 === 0 ? `Subject: \xe9 ${n}\r\n\r\n` : `Subject: ${n}\r\n\r\n`));
  const contents = heads.map((head): NewContent => {
    const base = content(store.contents.newId(ada));
    assert.ok(!('sealed' in base.meta));
    return { ...base, meta: { ...base.meta, head: Buffer.from(head, 'latin1') } };
  });
  const sealed: NewContent = { ...content(store.contents.newId(ada)), meta: { sealed: textOctets(20) } };
  const ids = [...contents.map(({ id }) => id), sealed.id];
  await store.commit(proposal(ada, 1, { contents: [...contents, sealed] }));
  await store.close();
  let database = openDatabase(join(folder, 'store.db'), { access: 'write', timeoutMs: 0, cacheOctets: 65_536 });
  database.exec(`UPDATE content SET head = (SELECT CAST(data AS BLOB) FROM head h WHERE h.id = content.id); DROP TABLE head;
    PRAGMA user_version = 2`);
  database.close();

  store = await opened(t, { folder, idleMs: 60_000 });
  const [expunged, ...left] = ids as [ContentId, ...ContentId[]];
  await store.commit(proposal(ada, 2, { dead: [expunged], contents: [content(store.contents.newId(ada))] }));
  assert.equal(await store.contents.sweep(ada, new Set(left), Date.now() + 60_000), 1);
  for (const when of ['before', 'after']) {
    for (const columns of [['headText'], ['headText', 'head', 'preview', 'parts']] as const) {
      const rows = await store.contents.meta(ada, ids, columns);
      assert.equal(rows[0], undefined);
      const texts = rows.slice(1, -1).map((row) => (row !== undefined && 'headText' in row ? row.headText : undefined));
      assert.deepEqual(texts, heads.slice(1), when);
      const last = rows.at(-1);
      assert.ok(last !== undefined && 'sealed' in last);
    }
    const loaded = await store.contents.load(ada, left.slice(0, -1));
    assert.deepEqual(
      loaded.map((row) => (row !== undefined && 'head' in row.meta ? Buffer.from(row.meta.head).toString('latin1') : undefined)),
      heads.slice(1),
    );
    assert.deepEqual(await all(store.check()), []);
    await store.tidy();
  }
  await store.close();
  database = openDatabase(join(folder, 'store.db'), { access: 'write', timeoutMs: 0, cacheOctets: 65_536 });
  assert.deepEqual(prepare(database, 'SELECT count(*) FROM content WHERE head IS NOT NULL').all(), [[0]]);
  assert.deepEqual(prepare(database, `SELECT typeof(data), count(*) FROM head GROUP BY 1 ORDER BY 1`).all(), [
    ['blob', 66],
    ['text', 134],
  ]);
  database.exec('DELETE FROM head WHERE id = (SELECT max(id) FROM head); DELETE FROM content WHERE id = (SELECT min(id) FROM head)');
  database.close();
  store = await opened(t, { folder, idleMs: 60_000 });
  const problems = (await all(store.check())).map(({ problem }) => problem);
  assert.ok(problems.includes('header block of a content that is gone') && problems.includes('content without a header block'));
});

test('the log is made long once, is used again and again, and is gone after close', async (t) => {
  const folder = await folderOf(t);
  const octets = 2 * 1024 * 1024;
  const store = await opened(t, { folder, walOctets: octets, repack: 'off' });
  const wal = join(folder, 'store.db-wal');
  const atStart = (await stat(wal)).size;
  assert.ok(atStart >= octets);
  assert.ok((await stat(join(folder, 'store.db'))).size < octets / 2, 'the database did not grow with it');
  await Promise.all(
    range(1, 8).map(async (n) => {
      for (let seq = 1; seq <= 120; seq++) {
        const id = account(`a${n}`);
        await store.commit(proposal(id, seq, { contents: [content(store.contents.newId(id), [inline(randomOctets(9_000))])] }));
      }
    }),
  );
  assert.ok((await stat(wal)).size < octets * 4, `20 MB were written through a log of ${(await stat(wal)).size} octets`);
  await store.close();
  assert.deepEqual((await readdir(folder)).sort(), ['blobs', 'lock.db', 'store.db']);
});

test('a crash while an account is erased: the rest goes at the next idle pass', async (t) => {
  const folder = await folderOf(t);
  const store = await opened(t, { folder });
  const ids = range(1, 300).map(() => store.contents.newId(ada));
  await store.commit(proposal(ada, 1, { contents: ids.map((id) => content(id)) }));
  await store.close();
  const database = openDatabase(join(folder, 'store.db'), { access: 'write', timeoutMs: 0, cacheOctets: 65_536 });
  database.exec("UPDATE account SET name = NULL, gone = 1 WHERE name = 'ada1'");
  database.close();
  const again = await opened(t, { folder });
  await again.tidy();
  assert.deepEqual(await again.contents.list(ada, 0, 10), []);
  assert.ok((await again.contents.load(ada, ids)).every((found) => found === undefined));
  assert.deepEqual(await all(again.check()), []);
  assert.ok(again.contents.newId(ada) > Math.max(...ids));
});

test('check names what is missing and what is torn', async (t) => {
  const folder = await folderOf(t);
  const store = await opened(t, { folder });
  await fill(store, ada, 1, 5);
  const big = randomOctets(300_000);
  const { id } = await store.blobs.put('', streamOf(big), never());
  await store.commit(
    proposal(ada, 6, {
      contents: [
        content(store.contents.newId(ada), [{ at: 'blob', sizeOctets: 300_000, blob: id, blobOctets: 300_000, recipe: new Uint8Array(0) }]),
      ],
    }),
  );
  await store.close();
  const database = openDatabase(join(folder, 'store.db'), { access: 'write', timeoutMs: 0, cacheOctets: 65_536 });
  database.exec("DELETE FROM journal WHERE seq = 3; INSERT INTO chunk VALUES (NULL, 1, 1, 0, 1, 7, x'00')");
  database.close();
  await rm(join(folder, 'blobs', id.slice(0, 2), id.slice(2, 4), id));
  const again = await opened(t, { folder });
  const problems = (await all(again.check())).map(({ what, problem }) => `${what}: ${problem}`);
  assert.deepEqual(problems, [
    'account ada1: gap in the journal',
    'chunk 0 of mailbox 1 of account number 1: checksum is wrong',
    `blob ${id}: its file is gone`,
  ]);
});

test('files of blobs whose commit never came are swept', async (t) => {
  const folder = await folderOf(t);
  const store = await opened(t, { folder });
  const data = randomOctets(300_000);
  const { id } = await store.blobs.put('', streamOf(data), never());
  await store.close();
  const database = openDatabase(join(folder, 'store.db'), { access: 'write', timeoutMs: 0, cacheOctets: 65_536 });
  database.exec('DELETE FROM blob');
  database.close();
  const again = await opened(t, { folder });
  const path = join(folder, 'blobs', id.slice(0, 2), id.slice(2, 4), id);
  await again.blobs.sweep(1);
  await stat(path);
  await again.blobs.sweep(Date.now() + 1_000);
  await assert.rejects(stat(path), { code: 'ENOENT' });
});
