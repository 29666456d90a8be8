/** Two to four sessions of one account in every interleaving, against a model. Long by hand: `npm run model -- --minutes 10`. */
import { type TestContext, test } from 'node:test';
import { type ModelTransport, runModel } from './model/model-run.ts';
import { ImapScript } from './support/imap-script.ts';
import { startServer } from './support/server.ts';

const PASSWORD = 'correct horse';
const FIXED_SEED = 20_260_105;

/** Each run has an account of its own on one server. */
async function transport(t: TestContext): Promise<() => Promise<ModelTransport>> {
  const server = await startServer(t);
  let accounts = 0;
  return async () => {
    accounts += 1;
    const name = `model${accounts}@example.test`;
    await server.createAccount(name, PASSWORD);
    return { convergenceMs: 0, connect: () => ImapScript.login(t, server.port('imap'), name, PASSWORD) };
  };
}

test('sessions are told what happens, when they may be told', { timeout: 120_000 }, async (t) => {
  const account = await transport(t);
  const freshSeed = Math.floor(Math.random() * 2 ** 31);
  for (const [seed, sessions] of [
    [FIXED_SEED, 2],
    [FIXED_SEED + 1, 4],
    [freshSeed, 3],
    [freshSeed + 1, 4],
  ] as const) {
    const { steps, commands } = await runModel(await account(), { seed, sessions, forMs: 5_000 });
    console.error(`model: seed ${seed}, ${sessions} sessions: ${steps} steps, ${commands} commands`);
  }
});
