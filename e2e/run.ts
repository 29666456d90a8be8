/**
 * Runs the end-to-end tests in one profile.
 *   npm run test:e2e [-- FILE...]               single: one instance on the embedded store
 *   npm run test:e2e:distributed [-- FILE...]   two instances over one MongoDB and one Redis, each connection to the next
 * In the distributed profile every file that starts a server the profile's way runs, but those below; what is left out is printed with its reason.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { compileCacheEnv } from './support/compile-cache.ts';

const ROOT = join(import.meta.dirname, '..');
/** Two use both cores of a small machine: most files wait for somebody half of the time. More would make clients wait for the machine. */
const FILES_AT_ONCE = Math.min(2, availableParallelism());
/** Files that measure memory or times: one after the other, when nothing else runs. */
const ALONE: ReadonlySet<string> = new Set([
  'e2e/auth-mysql.test.ts',
  'e2e/clients-swaks.test.ts',
  'e2e/crash-steps.test.ts',
  'e2e/distributed.test.ts',
  'e2e/memory.test.ts',
]);
/** What has no meaning in the distributed profile. */
const LEFT_OUT: ReadonlyMap<string, string> = new Map([
  ['e2e/hostile-disk.test.ts', 'the mail is not on the disk of an instance; a full disk of MongoDB is its own matter'],
  ['e2e/memory.test.ts', 'its figures are of one process that has all connections'],
]);
/** By this a file can be told that does the same in each profile. */
const STARTS_BY_PROFILE = /\b(?:startServer|hostileHouse|runConformance|isDistributed)\b/;

const [profile, ...asked] = process.argv.slice(2);
if (profile !== 'single' && profile !== 'distributed') throw new Error('usage: node e2e/run.ts single|distributed [FILE...]');
const files = asked.length > 0 ? asked : filesOf(profile);
const shared = files.filter((file) => !ALONE.has(file));
const results = [
  await run(shared, FILES_AT_ONCE),
  await run(
    files.filter((file) => ALONE.has(file)),
    1,
  ),
];
process.exitCode = results.every(Boolean) ? 0 : 1;

function filesOf(which: 'single' | 'distributed'): readonly string[] {
  const all = globSync('e2e/**/*.test.ts', { cwd: ROOT }).sort();
  const unknown = [...ALONE, ...LEFT_OUT.keys()].filter((file) => !all.includes(file));
  if (unknown.length > 0) throw new Error(`named here, but not there: ${unknown.join(', ')}`);
  if (which === 'single') return all;
  const same = all.filter((file) => !STARTS_BY_PROFILE.test(readFileSync(join(ROOT, file), 'utf8')));
  for (const [file, why] of LEFT_OUT) console.error(`left out of the distributed profile: ${file}: ${why}`);
  console.error(`the same in each profile, run by npm run test:e2e alone: ${same.join(', ')}`);
  return all.filter((file) => !LEFT_OUT.has(file) && !same.includes(file));
}

async function run(paths: readonly string[], atOnce: number): Promise<boolean> {
  if (paths.length === 0) return true;
  const child = spawn(process.execPath, ['--test', `--test-concurrency=${atOnce}`, ...paths], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, ...compileCacheEnv, ...(profile === 'distributed' ? { POCHARD_E2E_PROFILE: 'distributed' } : {}) },
  });
  const [code] = await once(child, 'exit');
  return code === 0;
}
