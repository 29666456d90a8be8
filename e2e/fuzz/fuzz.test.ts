/**
 * What strangers may send, broken at random: no exception but the declared ones, and time that grows with the input and no faster.
 * Each find is kept in `finds/`. Long by hand: `POCHARD_FUZZ_SECONDS=600 POCHARD_FUZZ_SEED=7 node --test e2e/fuzz/fuzz.test.ts`.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Dice } from '../support/sample-mail.ts';
import { imapTargets } from './imap-targets.ts';
import { mailTargets } from './mail-targets.ts';
import { Mutator } from './mutator.ts';
import type { Target } from './target.ts';

const FINDS = join(import.meta.dirname, 'finds');
const FIXED_SEED = 20_260_105;
/** For each target and seed. */
const SECONDS = Number(process.env['POCHARD_FUZZ_SECONDS'] ?? 0.7);
const FRESH_SEED = Number(process.env['POCHARD_FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** CPU of one input of at most 20 kB; a few ms as a rule. */
const ONE_MS = 1_000;
/** Below this nothing is said of how time grows. */
const MEASURABLE_MS = 60;

const targets: readonly Target[] = [...imapTargets, ...mailTargets];

async function tried(target: Target, octets: Buffer, seed: number): Promise<void> {
  const began = process.cpuUsage();
  try {
    await target.run(octets, new Dice(seed));
  } catch (error) {
    throw new Error(`${target.name}, seed ${seed}: ${JSON.stringify(octets.toString('latin1'))}`, { cause: error });
  }
  const tookMs = cpuMs(began);
  assert.ok(
    tookMs < ONE_MS,
    `${target.name}, seed ${seed}: ${tookMs} ms for ${octets.length} octets: ${JSON.stringify(octets.toString('latin1').slice(0, 2_000))}`,
  );
}

for (const target of targets) {
  test(`${target.name}: earlier finds`, async () => {
    if (!existsSync(FINDS)) return;
    for (const file of readdirSync(FINDS)) {
      if (file.startsWith(`${target.name}-`)) await tried(target, readFileSync(join(FINDS, file)), FIXED_SEED);
    }
  });

  test(`${target.name}: no error but the declared ones`, { timeout: 60_000 + 3_000 * SECONDS }, async (t) => {
    for (const seed of [FIXED_SEED, FRESH_SEED]) {
      const mutator = new Mutator(target.seeds, target.words, new Dice(seed));
      const end = performance.now() + SECONDS * 1_000;
      let inputs = 0;
      for (; performance.now() < end; inputs += 1) await tried(target, mutator.next(), seed);
      t.diagnostic(`${target.name}: seed ${seed}: ${inputs} inputs`);
    }
  });

  test(`${target.name}: time grows with the input and no faster`, { timeout: 120_000 }, async () => {
    for (const seed of ['', ...target.seeds]) {
      for (const word of target.words) {
        const factors: number[] = [];
        // A busy machine makes anything slow once, but not three times.
        do factors.push(await growth(target, seed, word));
        while (Math.min(...factors) > 10 && factors.length < 3);
        assert.ok(
          Math.min(...factors) <= 10,
          `${JSON.stringify(word)} repeated behind ${JSON.stringify(seed)}: four times the octets take ${factors.map(Math.round).join(', ')} times the time`,
        );
      }
      if (SECONDS < 10 && seed !== '') break; // by hand behind every seed
    }
  });
}

function repeated(seed: string, word: string, octets: number): Buffer {
  const times = Math.max(1, Math.floor((octets - seed.length) / word.length));
  return Buffer.from((seed + word.repeat(times)).slice(0, octets), 'latin1');
}

/** How much longer four times the octets take; 1 where it cannot be measured. */
async function growth(target: Target, seed: string, word: string): Promise<number> {
  const all = await timeOf(target, repeated(seed, word, target.mostOctets));
  if (all < MEASURABLE_MS) return 1;
  // A word more or less decides whether there is anything to do at all.
  const quarter = target.mostOctets / 4;
  let most = MEASURABLE_MS / 10;
  for (let more = 0; more < 3; more += 1) most = Math.max(most, await timeOf(target, repeated(seed, word, quarter + more * word.length)));
  return all / most;
}

async function timeOf(target: Target, octets: Buffer): Promise<number> {
  const began = process.cpuUsage();
  await target.run(octets, new Dice(FIXED_SEED));
  return cpuMs(began);
}

/** Of this process: what others do on the machine does not count. */
function cpuMs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1_000;
}
