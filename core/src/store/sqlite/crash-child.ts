/** Runs until it is killed: eight accounts commit at once, and every acknowledgement is written to standard output, a line each. */
import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { account, chunk, content, inline, octets, proposal } from '../contract/samples.ts';
import type { ContentId, MailboxId, Segment } from '../store.ts';
import { openSqliteStore } from './sqlite-store.ts';

const folder = process.argv[2];
if (folder === undefined) throw new Error('usage: crash-child.ts FOLDER');
// A short idle time and log, so that the kill also meets the idle pass and checkpoints.
const store = await openSqliteStore({ folder, walOctets: 2 * 1024 * 1024, idleMs: 1 });

async function client(n: number): Promise<void> {
  const id = account(`crash${n}`);
  let head = (await store.load(id))?.applied ?? 0;
  for (let page = await store.tail(id, head, 500); page.length > 0; page = await store.tail(id, head, 500)) head = page.at(-1)?.seq ?? head;
  let last: ContentId | undefined;
  for (let seq = head + 1; ; seq++) {
    const body = randomBytes(200 + ((seq * 7_919) % 12_000));
    const segments: Segment[] = [inline(body)];
    if (seq % 9 === 0) {
      const data = randomBytes(n === 0 ? 300_000 : 60_000);
      segments.push({
        at: 'blob',
        sizeOctets: data.length,
        blob: store.blobs.idOf('', data),
        blobOctets: data.length,
        recipe: new Uint8Array(0),
        data,
      });
    }
    const mine = content(store.contents.newId(id), segments);
    const dead = seq % 5 === 0 && last !== undefined ? [last] : [];
    const data = `${mine.id} ${store.blobs.idOf('', body)}`;
    const records = [{ table: 'crash', key: id, value: seq }];
    const outcome = await store.commit({ ...proposal(id, seq, { contents: [mine], dead, data }), records });
    if (!outcome.done) throw new Error(`entry ${seq} of ${id} was refused: ${JSON.stringify(outcome)}`);
    // Synchronous: the line is in the pipe before anything else happens.
    writeSync(1, `${id} ${seq}\n`);
    last = mine.id;
    if (seq % 20 === 0) {
      await store.saveState(id, {
        snapshot: { account: id, applied: seq - 5, data: octets(`state at ${seq - 5}`) },
        chunks: [chunk(1 as MailboxId, 0, seq - 5, octets(String(seq - 5)))],
        unboxed: [],
      });
      await store.prune(id, seq - 10);
    }
  }
}
writeSync(1, 'ready\n');
await Promise.all(Array.from({ length: 8 }, (_, n) => client(n)));
