/** Two to four sessions of one account in every interleaving, against a model. Long by hand: see SECONDS and COMMANDS below. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startMongoDb } from '../test-servers/mongodb-server.ts';
import { startRedis } from '../test-servers/redis-server.ts';
import { type ModelResult, type ModelTransport, runModel } from './model/model-run.ts';
import { startInstances } from './support/distributed.ts';
import { ImapScript } from './support/imap-script.ts';
import { isDistributed, startServer, type TestServer, temporaryFolder } from './support/server.ts';

const PASSWORD = 'correct horse';
const FIXED_SEED = 20_260_105;
/** Within which IDLE on one instance hears what happened on the other, on a machine that is busy. */
const CONVERGENCE_MS = 20_000;

/** Each run has an account of its own on one server; in the distributed profile its sessions are on the one instance and the other in turn. */
async function transport(t: TestContext): Promise<(() => Promise<ModelTransport>) | undefined> {
  const servers = isDistributed ? await twoInstances(t) : [await startServer(t)];
  const [first] = servers;
  if (first === undefined) return undefined;
  let accounts = 0;
  return async () => {
    accounts += 1;
    const [owner, guest] = [`model${accounts}@example.test`, `guest${accounts}@example.test`];
    for (const name of [owner, guest]) await first.createAccount(name, PASSWORD);
    await share(t, first, owner, guest);
    return {
      owner,
      guest,
      instances: servers.length,
      connect: (instance, as) => ImapScript.login(t, (servers[instance] ?? first).port('imap'), as === 'owner' ? owner : guest, PASSWORD),
      convergenceMs: servers.length > 1 ? CONVERGENCE_MS : 0,
    };
  };
}
/** The guest may do all in INBOX until the model takes rights away, and sees the owner's \Seen: what is true for the one is true for the other. */
async function share(t: TestContext, server: TestServer, owner: string, guest: string): Promise<void> {
  const imap = await ImapScript.login(t, server.port('imap'), owner, PASSWORD);
  for (const command of [`SETACL INBOX ${guest} lrswitex`, 'SETMETADATA INBOX (/shared/vendor/pochard/sharedseen "true")'])
    assert.match((await imap.command(command)).done, /^OK/);
  imap.close();
}
async function twoInstances(t: TestContext): Promise<readonly TestServer[]> {
  const redis = await startRedis(t);
  const mongodb = redis === undefined ? undefined : await startMongoDb(t);
  if (redis === undefined || mongodb === undefined) return [];
  const backends = { mongodb: { url: mongodb.url, database: mongodb.database }, redis: { url: redis.url } };
  return startInstances(t, { data: await temporaryFolder(t), backends, instances: 2 });
}

/**
 * Seconds for each of the runs, and the seed that is not fixed: `POCHARD_MODEL_SECONDS=600 POCHARD_MODEL_SEED=7 node --test e2e/imap-model.test.ts`.
 * Or one run of so many commands by five sessions: `POCHARD_MODEL_COMMANDS=20000`.
 */
const SECONDS = Number(process.env['POCHARD_MODEL_SECONDS'] ?? 5);
const COMMANDS = Number(process.env['POCHARD_MODEL_COMMANDS'] ?? 0);
const FRESH_SEED = Number(process.env['POCHARD_MODEL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** A command with all that is looked at after it, on the slowest machine. */
const COMMAND_MS = 1_000;

test('sessions are told what happens, when they may be told', { timeout: 60_000 + 8_000 * SECONDS + COMMAND_MS * COMMANDS }, async (t) => {
  const account = await transport(t);
  if (account === undefined) return;
  const runs = [
    [FIXED_SEED, 2, 0],
    [FIXED_SEED + 1, 4, 1],
    [FRESH_SEED, 3, 1],
    [FRESH_SEED + 1, 4, 2],
  ] as const;
  for (const [seed, sessions, guests] of COMMANDS > 0 ? ([[FRESH_SEED, 5, 1]] as const) : runs) {
    const tell = (result: ModelResult): void =>
      console.error(`model: seed ${seed}, ${sessions} sessions, ${guests} of them a guest's: ${inWords(result)}`);
    const limit = COMMANDS > 0 ? { forMs: COMMAND_MS * COMMANDS, commands: COMMANDS, onProgress: tell } : { forMs: SECONDS * 1_000 };
    const result = await runModel(await account(), { seed, sessions, guests, ...limit });
    tell(result);
    if (SECONDS > 10 || COMMANDS > 0) console.error([...result.byName].map(([name, count]) => `${name} ${count}`).join(', '));
  }
});

function inWords({ steps, commands, contended, slowestMs }: ModelResult): string {
  const beside = isDistributed ? `, ${contended} beside others of the other instance in the same mailbox` : '';
  return `${steps} steps, ${commands} commands${beside}, slowest step ${Math.round(slowestMs)} ms`;
}
