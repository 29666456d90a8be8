/**
 * The end-to-end tests once more in the distributed profile: two instances over one MongoDB and one Redis, each connection to the next.
 *   npm run test:e2e:distributed [-- FILE...]
 * Every file that starts a server the profile's way runs, but those below. What is left out is printed with its reason.
 */
import { spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
/** Of the profile's two cores the servers' start takes one; two files at once use both. */
const FILES_AT_ONCE = Math.min(2, availableParallelism());
/** What has no meaning there. */
const LEFT_OUT: ReadonlyMap<string, string> = new Map([
  ['e2e/hostile-disk.test.ts', 'the mail is not on the disk of an instance; a full disk of MongoDB is its own matter'],
  ['e2e/memory.test.ts', 'its figures are of one process that has all connections'],
]);
/** By this a file can be told that does the same in each profile. */
const STARTS_BY_PROFILE = /\b(?:startServer|hostileHouse|runConformance|isDistributed)\b/;

const all = globSync('e2e/**/*.test.ts', { cwd: ROOT }).sort();
const unknown = [...LEFT_OUT.keys()].filter((file) => !all.includes(file));
if (unknown.length > 0) throw new Error(`left out, but not there: ${unknown.join(', ')}`);
const same = all.filter((file) => !STARTS_BY_PROFILE.test(readFileSync(join(ROOT, file), 'utf8')));
const files = all.filter((file) => !LEFT_OUT.has(file) && !same.includes(file));
for (const [file, why] of LEFT_OUT) console.error(`left out of the distributed profile: ${file}: ${why}`);
console.error(`the same in each profile, run by npm run test:e2e alone: ${same.join(', ')}`);

const asked = process.argv.slice(2);
const child = spawn(process.execPath, ['--test', `--test-concurrency=${FILES_AT_ONCE}`, ...(asked.length > 0 ? asked : files)], {
  cwd: ROOT,
  stdio: 'inherit',
  env: { ...process.env, POCHARD_E2E_PROFILE: 'distributed' },
});
child.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
