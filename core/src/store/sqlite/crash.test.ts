import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { all, collect, never } from '../contract/samples.ts';
import type { AccountId, ContentId, Seq } from '../store.ts';
import { openSqliteStore, type SqliteStore } from './sqlite-store.ts';

/** Kills in a run: more for a long one. */
const ROUNDS = Number(process.env['POCHARD_CRASH_ROUNDS'] ?? 8);
const CHILD = fileURLToPath(new URL('./crash-child.ts', import.meta.url));

/** Lets the child commit for a random time after it is ready, kills it, and notes what it acknowledged. */
async function crash(folder: string, ledger: Map<AccountId, Seq>): Promise<number> {
  const child = spawn(process.execPath, [CHILD, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  let acknowledged = 0;
  let timer: NodeJS.Timeout | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'ready') {
      timer = setTimeout(() => child.kill('SIGKILL'), randomInt(50, 800));
      continue;
    }
    const [account, seq] = line.split(' ');
    if (account === undefined || seq === undefined) continue; // cut off by the kill
    ledger.set(account as AccountId, Math.max(ledger.get(account as AccountId) ?? 0, Number(seq)));
    acknowledged++;
  }
  clearTimeout(timer);
  const [, signal] = await exited;
  assert.equal(signal, 'SIGKILL', 'the child died of nothing else');
  return acknowledged;
}

/** Everything acknowledged is there; what is there is whole. Returns the entries seen. */
async function inspect(store: SqliteStore, ledger: ReadonlyMap<AccountId, Seq>): Promise<number> {
  let entries = 0;
  for (const [account, acknowledged] of ledger) {
    const floor = Math.max(0, acknowledged - 200);
    let after = (await store.load(account))?.applied ?? 0;
    assert.ok(after <= acknowledged);
    after = Math.max(after, floor);
    let last: ContentId | undefined;
    for (let page = await store.tail(account, after, 100); page.length > 0; page = await store.tail(account, after, 100)) {
      for (const { seq, data } of page) {
        assert.equal(seq, after + 1, 'no gap');
        after = seq;
        entries++;
        const [id, hash] = Buffer.from(data).toString().split(' ');
        last = Number(id) as ContentId;
        const [found] = await store.contents.load(account, [last]);
        assert.ok(found !== undefined, `content ${id} of entry ${seq} of ${account}`);
        const [body, blob] = found.segments;
        assert.ok(body?.at === 'inline' && body.data !== undefined);
        assert.equal(store.blobs.idOf('', body.data), hash, 'the body is the one that was proposed');
        if (blob?.at !== 'blob') continue;
        const octets = await collect(store.blobs.read(blob.blob, 0, blob.blobOctets, never()));
        assert.equal(store.blobs.idOf('', octets), blob.blob, 'the blob is whole');
      }
    }
    assert.ok(after >= acknowledged, `${account}: ${acknowledged} was acknowledged, the store ends at ${after}`);
    // Each entry brought one content and none was swept: those of pruned entries are there too.
    let contents = 0;
    for (let page = await store.contents.list(account, 0, 500); page.length > 0; ) {
      contents += page.length;
      page = await store.contents.list(account, page.at(-1)?.id ?? (0 as ContentId), 500);
    }
    assert.equal(contents, after);
    const record = await store.records.get('crash', account);
    assert.equal(record?.value, after, 'the record landed with its entry');
    const [chunk] = await store.chunks(account, 1 as never, 0, 0);
    const applied = (await store.load(account))?.applied ?? 0;
    if (applied > 0) assert.ok(chunk !== undefined && chunk.seq >= applied, 'applied is never ahead of the chunks');
  }
  return entries;
}

test(`killed ${ROUNDS} times while eight accounts commit: nothing acknowledged is lost, nothing is torn`, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'pochard-crash-'));
  t.after(() => rm(folder, { recursive: true }));
  const ledger = new Map<AccountId, Seq>();
  let acknowledged = 0;
  let entries = 0;
  for (let round = 0; round < ROUNDS; round++) {
    acknowledged += await crash(folder, ledger);
    const store = await openSqliteStore({ folder, walOctets: 0 });
    try {
      entries += await inspect(store, ledger);
      assert.deepEqual(await all(store.check()), []);
    } finally {
      await store.close();
    }
  }
  assert.ok(acknowledged > 0);
  t.diagnostic(`${acknowledged} acknowledged, ${entries} entries read back`);
});
