/** Round trips and times of single operations of the MongoDB store: `POCHARD_TEST_MONGODB=mongodb://HOST npx node bench/mongodb.ts`. */
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import {
  account,
  box,
  chunk,
  collect,
  content,
  inline,
  never,
  proposal,
  saveState,
  textOctets,
} from '../core/src/store/contract/samples.ts';
import { openMongoStore } from '../core/src/store/mongodb/mongo-store.ts';
import type { ContentId, Segment, Store } from '../core/src/store/store.ts';

const url = process.env['POCHARD_TEST_MONGODB'];
if (url === undefined) throw new Error('POCHARD_TEST_MONGODB is not set');

const commands: string[] = [];
const store = await openMongoStore({
  url,
  database: `pochard-bench-${randomBytes(4).toString('hex')}`,
  tidyEveryMs: 0,
  monitor(given) {
    given.on('commandStarted', ({ commandName, command }) => commands.push(`${commandName} ${String(command[commandName])}`));
  },
});
const ada = account('bench1');
let head = 0;

async function measure(name: string, times: number, work: (n: number) => Promise<unknown>): Promise<void> {
  await work(-1);
  commands.length = 0;
  const start = performance.now();
  for (let n = 0; n < times; n++) await work(n);
  const ms = (performance.now() - start) / times;
  const each = new Map<string, number>();
  for (const command of commands) each.set(command, (each.get(command) ?? 0) + 1);
  const list = [...each].map(([command, count]) => `${count / times}x ${command}`).join(', ');
  console.log(`${name}: ${commands.length / times} commands, ${ms.toFixed(2)} ms (${list})`);
}
async function commit(of: Store, parts: Parameters<typeof proposal>[2]): Promise<void> {
  const outcome = await of.commit(proposal(ada, ++head, parts));
  if (!outcome.done) throw new Error('refused');
}
function blob(data: Uint8Array): Segment {
  return {
    at: 'blob',
    sizeOctets: data.length,
    blob: store.blobs.idOf('', data),
    blobOctets: data.length,
    recipe: new Uint8Array(0),
    data,
  };
}

const ids: ContentId[] = [];
const deliver = (octets: number) => async (): Promise<void> => {
  const id = store.contents.newId(ada);
  ids.push(id);
  await commit(store, { contents: [content(id, [inline(textOctets(octets))])] });
};
await measure('delivery or APPEND of 5 kB', 100, deliver(5_000));
await measure('delivery or APPEND of 30 kB', 50, deliver(30_000));
await measure('delivery with a new attachment of 100 kB', 20, async () => {
  await commit(store, { contents: [content(store.contents.newId(ada), [inline(textOctets(2_000)), blob(randomBytes(100_000))])] });
});
await measure('delivery with a new attachment of 2 MB', 5, async () => {
  await commit(store, { contents: [content(store.contents.newId(ada), [inline(textOctets(2_000)), blob(randomBytes(2_000_000))])] });
});
const shared = randomBytes(100_000);
await measure('delivery with an attachment that is there', 20, async () => {
  await commit(store, { contents: [content(store.contents.newId(ada), [inline(textOctets(2_000)), blob(shared)])] });
});
await measure('STORE 1:* (one entry, whatever it changes)', 50, () => commit(store, { data: randomBytes(64) }));
const records = (n: number) => [0, 1, 2].map((k) => ({ table: 't', key: `k${k}`, value: n }));
await measure('commit with three records', 20, (n) => commit(store, { records: records(n) }));
await measure('one record', 50, (n) => store.records.write([{ table: 't', key: 'one', value: n }]));
const chunks = Array.from({ length: 196 }, (_, n) => chunk(box(1), n, head, randomBytes(16_384)));
await measure('saving state after STORE 1:* of 100,000 (196 chunks)', 3, () => saveState(store, ada, head, chunks));
await measure('SELECT cold: snapshot, tail, 20 chunks', 20, async () => {
  await store.load(ada);
  await store.tail(ada, head, 256);
  await store.chunks(ada, box(1), 0, 19);
});
await measure('FETCH 500 ENVELOPE BODYSTRUCTURE (of 100 contents here)', 5, () =>
  store.contents.meta(ada, ids.slice(0, 500), ['envelope', 'structure']),
);
await measure('FETCH body of 5 kB', 100, (n) => store.contents.load(ada, [ids[Math.max(0, n)] as ContentId]));
await measure('FETCH body of 30 kB', 40, (n) => store.contents.load(ada, [ids[Math.max(0, n) + 102] as ContentId]));
const big = await store.blobs.put(
  '',
  (async function* () {
    yield randomBytes(2_000_000);
  })(),
  never(),
);
await measure('FETCH of an attachment of 2 MB', 5, () => collect(store.blobs.read(big.id, 0, 2_000_000, never())));
await measure('poll of 500 heads', 20, () => store.moved(new Map(Array.from({ length: 500 }, (_, n) => [account(`idle${n}`), 7]))));
await store.feed.register('bench', 'now');
await measure('look at an empty feed', 20, () => store.feed.next('bench', 100));

for (const writers of [1, 8, 32]) {
  const each = 200 / writers;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: writers }, async (_, w) => {
      const of = account(`w${writers}x${w}`);
      for (let seq = 1; seq <= each; seq++) {
        const id = store.contents.newId(of);
        await store.commit(proposal(of, seq, { contents: [content(id, [inline(textOctets(5_000))])] }));
      }
    }),
  );
  console.log(`deliveries of 5 kB, ${writers} accounts at once: ${Math.round(200 / ((performance.now() - start) / 1000))} a second`);
}
await store.close();
