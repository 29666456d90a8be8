/** Two to four sessions of one account in every interleaving, against a model. Long by hand: see SECONDS below. */
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type ModelTransport, runModel } from './model/model-run.ts';
import { ImapScript } from './support/imap-script.ts';
import { isDistributed, startServer } from './support/server.ts';

const PASSWORD = 'correct horse';
/** What a beacon takes from one instance to the other on a machine that is busy. */
const BEACON_MS = 30;
const FIXED_SEED = 20_260_105;

/** Each run has an account of its own on one server. */
async function transport(t: TestContext): Promise<() => Promise<ModelTransport>> {
  const server = await startServer(t);
  let accounts = 0;
  return async () => {
    accounts += 1;
    const name = `model${accounts}@example.test`;
    await server.createAccount(name, PASSWORD);
    const connect = () => ImapScript.login(t, server.port('imap'), name, PASSWORD);
    // Behind the balancer every other session is on the other instance, and the auditor on one of them.
    return isDistributed ? { connect, convergenceMs: 2_000, settle: () => delay(BEACON_MS) } : { connect, convergenceMs: 0 };
  };
}

/** Seconds for each of the runs, and the seed that is not fixed: `POCHARD_MODEL_SECONDS=600 POCHARD_MODEL_SEED=7 node --test e2e/imap-model.test.ts`. */
const SECONDS = Number(process.env['POCHARD_MODEL_SECONDS'] ?? 5);
const FRESH_SEED = Number(process.env['POCHARD_MODEL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

test('sessions are told what happens, when they may be told', { timeout: 60_000 + 8_000 * SECONDS }, async (t) => {
  const account = await transport(t);
  for (const [seed, sessions] of [
    [FIXED_SEED, 2],
    [FIXED_SEED + 1, 4],
    [FRESH_SEED, 3],
    [FRESH_SEED + 1, 4],
  ] as const) {
    const { steps, commands, byName, slowestMs } = await runModel(await account(), { seed, sessions, forMs: SECONDS * 1_000 });
    console.error(
      `model: seed ${seed}, ${sessions} sessions: ${steps} steps, ${commands} commands, slowest step ${Math.round(slowestMs)} ms`,
    );
    if (SECONDS > 10) console.error([...byName].map(([name, count]) => `${name} ${count}`).join(', '));
  }
});
