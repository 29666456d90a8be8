/** Commits until a write fails, then says what became of it. Run under a limit on file size. */
import { account, content, inline, proposal, randomOctets } from '../contract/samples.ts';
import { openSqliteStore } from './sqlite-store.ts';

const folder = process.argv[2];
if (folder === undefined) throw new Error('usage: io-error-child.ts FOLDER');
const failures: string[] = [];
// No checkpoint before the log itself meets the limit: the failing write is to be that of a commit.
const store = await openSqliteStore({
  folder,
  walOctets: 0,
  repack: 'off',
  idleMs: 60_000,
  onFailure: (error) => failures.push(error.name),
});
const id = account('ada1');
const nameOf = (error: unknown): string => (error instanceof Error ? error.name : String(error));

let seq = 0;
let failed = '';
while (failed === '') {
  const mine = proposal(id, seq + 1, { contents: [content(store.contents.newId(id), [inline(randomOctets(200_000))])] });
  try {
    await store.commit(mine);
    seq++;
  } catch (error) {
    failed = nameOf(error);
  }
}
const next = await store.commit(proposal(id, seq + 1)).then(() => 'taken', nameOf);
await store.close();
console.log(JSON.stringify({ seq, failed, next, failures }));
