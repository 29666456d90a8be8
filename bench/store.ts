/**
 * The embedded store alone: commits, list views, chunk loads. `npx node bench/store.ts [seconds per step] [in flight,...]`.
 * Figures of this machine in this minute: compare ratios, and CPU per operation.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { openSqliteStore, type SqliteStore } from '../core/src/store/sqlite/sqlite-store.ts';
import type { AccountId, ContentId, MailboxId, NewContent, Proposal, StoredChunk } from '../core/src/store/store.ts';

const SECONDS = Number(process.argv[2] ?? 3);
const BODY_OCTETS = 9_000;

const words = 'the quick brown mail goes over the lazy wire and comes back with its envelope and its structure unchanged '.split(' ');
function text(octets: number, seed: number): Uint8Array {
  const parts: string[] = [];
  let state = seed * 2_654_435_761;
  for (let length = 0; length < octets; ) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    const word = `${words[state % words.length]}${state % 7 === 0 ? state.toString(36) : ''} `;
    parts.push(word);
    length += word.length;
  }
  return Buffer.from(parts.join('').slice(0, octets), 'latin1');
}
const bodies = Array.from({ length: 64 }, (_, seed) => text(BODY_OCTETS, seed + 1));
const head = text(1_200, 99);
const parts = text(60, 98);
const data = text(60, 97);

function content(id: ContentId): NewContent {
  const body = bodies[id % bodies.length] ?? bodies[0] ?? new Uint8Array(0);
  const envelope = `("Mon, 7 Feb 1994 21:52:25 -0800" "a subject of the usual length ${id}" (("Ada" NIL "ada" "example.test")) `.padEnd(
    430,
    'x',
  );
  const structure = '("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 9000 140 NIL NIL NIL NIL)';
  return {
    id,
    sizeOctets: head.length + body.length,
    codecs: [],
    bodyOffset: head.length,
    meta: {
      envelope,
      structure,
      body: structure,
      preview: 'the quick brown mail goes over'.repeat(3),
      sentAt: 760_000_000_000,
      head,
      parts,
    },
    segments: [{ at: 'inline', sizeOctets: body.length, data: body }],
  };
}

async function commits(store: SqliteStore, inFlight: number, step: number): Promise<void> {
  const until = performance.now() + SECONDS * 1_000;
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const waits: number[] = [];
  async function client(n: number): Promise<void> {
    const account = `bench${step}x${n}` as AccountId;
    for (let seq = 1; performance.now() < until; seq++) {
      const at = performance.now();
      const proposal: Proposal = {
        account,
        entry: { seq, token: '0123456789abcdef', data },
        contents: [content(store.contents.newId(account))],
        dead: [],
        records: [],
      };
      const outcome = await store.commit(proposal);
      if (!outcome.done) throw new Error('conflict');
      waits.push(performance.now() - at);
    }
  }
  await Promise.all(Array.from({ length: inFlight }, (_, n) => client(n)));
  const seconds = (performance.now() - begun) / 1_000;
  const used = process.cpuUsage(cpu);
  waits.sort((a, b) => a - b);
  const at = (share: number): string => (waits[Math.floor(waits.length * share)] ?? 0).toFixed(2);
  console.log(
    `commit, ${String(inFlight).padStart(2)} in flight: ${Math.round(waits.length / seconds)}/s, p50 ${at(0.5)} p99 ${at(0.99)} max ${at(0.9999)} ms, ` +
      `CPU ${((used.user + used.system) / 1_000 / waits.length).toFixed(3)} ms each`,
  );
}

async function lists(store: SqliteStore): Promise<void> {
  const account = 'lister' as AccountId;
  const ids: ContentId[] = [];
  let seq = 0;
  while (ids.length < 10_000) {
    const batch = Array.from({ length: 250 }, () => store.contents.newId(account));
    ids.push(...batch);
    await store.commit({
      account,
      entry: { seq: ++seq, token: '0123456789abcdef', data },
      contents: batch.map(content),
      dead: [],
      records: [],
    });
  }
  const times: number[] = [];
  let longest = 0;
  for (let round = 0; round < 15; round++) {
    const begun = performance.now();
    for (let at = 0; at < ids.length; at += 500) {
      const sliceBegun = performance.now();
      const found = await store.contents.meta(account, ids.slice(at, at + 500), ['envelope', 'structure']);
      longest = Math.max(longest, performance.now() - sliceBegun);
      if (found.length !== 500 || found.includes(undefined)) throw new Error('not all found');
    }
    times.push(performance.now() - begun);
  }
  const first = times[0] ?? 0;
  times.sort((a, b) => a - b);
  console.log(
    `list of 10,000 (envelope, structure; slices of 500): first ${first.toFixed(1)} ms, median ${(times[7] ?? 0).toFixed(1)} ms, longest slice ${longest.toFixed(2)} ms`,
  );
}

async function chunks(store: SqliteStore): Promise<void> {
  const account = 'chunks' as AccountId;
  const box = 1 as MailboxId;
  const octets = new Uint8Array(512 * 32).map((_, at) => at * 7);
  const all: StoredChunk[] = Array.from({ length: 196 }, (_, n) => ({ box, n, seq: 1, crc: crc32(octets), data: octets }));
  const begun = performance.now();
  await store.saveState(account, { snapshot: { account, applied: 1, data }, chunks: all, unboxed: [] });
  const saved = performance.now() - begun;
  const times: number[] = [];
  for (let round = 0; round < 15; round++) {
    const at = performance.now();
    if ((await store.chunks(account, box, 0, 1_000)).length !== 196) throw new Error('not all found');
    times.push(performance.now() - at);
  }
  const first = times[0] ?? 0;
  times.sort((a, b) => a - b);
  console.log(
    `chunks of 100,000 messages: save ${saved.toFixed(1)} ms, first load ${first.toFixed(1)} ms, median ${(times[7] ?? 0).toFixed(1)} ms`,
  );
}

const folder = await mkdtemp(join(tmpdir(), 'pochard-bench-'));
const store = await openSqliteStore({ folder });
try {
  for (const [step, inFlight] of (process.argv[3] ?? '1,8,32').split(',').map(Number).entries()) await commits(store, inFlight, step);
  await lists(store);
  await chunks(store);
} finally {
  await store.close();
  await rm(folder, { recursive: true });
}
