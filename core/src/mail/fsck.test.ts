import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import type { AccountId, StoredChunk } from '../store/store.ts';
import { fsckAccount } from './fsck.ts';
import { contentOf, FaultyStore, HandClock, instance, LocalBus, RecordingLog } from './journal/faulty-store.fixture.ts';
import { decodeSnapshot, encodeSnapshot } from './journal/snapshot-codec.ts';
import { runOf } from './journal/uid-runs.ts';

const ADA = 'ada' as AccountId;
const ORIGIN = { by: 'imap', actor: 'ada' };

/** Damages what reads give, not what lies in the store. */
class DamagedStore extends FaultyStore {
  chunk: (chunk: StoredChunk) => StoredChunk | undefined = (chunk) => chunk;
  snapshot: (data: Uint8Array) => Uint8Array = (data) => data;

  override async chunks(...args: Parameters<FaultyStore['chunks']>) {
    return (await super.chunks(...args)).map((chunk) => this.chunk(chunk)).filter((chunk) => chunk !== undefined);
  }
  override async load(account: AccountId) {
    const snapshot = await super.load(account);
    return snapshot && { ...snapshot, data: this.snapshot(snapshot.data) };
  }
}

async function saved(): Promise<DamagedStore> {
  const store = new DamagedStore();
  const mails = instance(store, new LocalBus().asBus(), new HandClock(), new RecordingLog());
  const mail = await mails.get(ADA);
  const inbox = await mail.createMailbox('INBOX', ORIGIN);
  const items = Array.from({ length: 600 }, () => ({ content: contentOf(store.contents.newId(ADA), 10), flags: ['\\Seen', 'k'], date: 1 }));
  await mail.append(inbox, items, ORIGIN, {});
  await mail.expunge(inbox, runOf(5, 9), 'expunge', ORIGIN);
  await mails.drain();
  return store;
}
async function problems(store: FaultyStore): Promise<string[]> {
  const found: string[] = [];
  for await (const { what, problem } of fsckAccount(store, ADA)) found.push(`${what}: ${problem}`);
  return found;
}
function rewritten(chunk: StoredChunk, change: (words: Uint32Array) => void): StoredChunk {
  const data = chunk.data.slice();
  change(new Uint32Array(data.buffer));
  return { ...chunk, data, crc: crc32(data) };
}

test('a chunk that does not match its checksum', async () => {
  const store = await saved();
  store.chunk = (chunk) => ({ ...chunk, crc: chunk.crc ^ 1 });
  assert.match((await problems(store)).join('\n'), /INBOX.*checksum/);
});

test('a chunk that is missing: counters, contents and the replay all show it', async () => {
  const store = await saved();
  store.chunk = (chunk) => (chunk.n === 1 ? undefined : chunk);
  const text = (await problems(store)).join('\n');
  assert.match(text, /counter messages says 595, there are 507/);
  assert.match(text, /chunks differ/);
});

test('flags that were changed behind the checksum', async () => {
  const store = await saved();
  store.chunk = (chunk) =>
    rewritten(chunk, (words) => {
      words[0] = 0x80;
    });
  const text = (await problems(store)).join('\n');
  assert.match(text, /counter unseen says 0, there are 2/);
  assert.match(text, /2 messages have keywords/);
});

test('a message that points at a content which is not there', async () => {
  const store = await saved();
  store.chunk = (chunk) =>
    rewritten(chunk, (words) => {
      words[5] = 99_999;
    });
  assert.match((await problems(store)).join('\n'), /contents are missing: 99999/);
});

test('usage and counters of the snapshot that are wrong, and a snapshot that does not read', async () => {
  const store = await saved();
  store.snapshot = (data) => {
    const state = decodeSnapshot({ account: ADA, applied: 3, data });
    state.octets += 1;
    return encodeSnapshot(ADA, state).data;
  };
  const text = (await problems(store)).join('\n');
  assert.match(text, /usage says 595 messages, 5951 octets/);
  assert.match(text, /account state differs/);
  store.snapshot = (data) => data.subarray(1);
  assert.match((await problems(store)).join('\n'), /snapshot: /);
});

test('nothing to say about an account in order, also when its journal is pruned, or about one that does not exist', async () => {
  const store = await saved();
  assert.deepEqual(await problems(store), []);
  await store.prune(ADA, 2);
  assert.deepEqual(await problems(store), []);
  assert.deepEqual(await problems(new FaultyStore()), []);
});
