/**
 * kill -9 at random moments under concurrent delivery and IMAP writers, on one data folder. Nothing acknowledged is lost or altered, no
 * message is there twice for one acknowledgement, UIDs rise and are never reused, a change of several messages happened to all or to none.
 *
 * POCHARD_CRASH_ROUNDS (default 6) and POCHARD_CRASH_SEED (default: random, printed) choose how often and how; POCHARD_CRASH_DATA names an
 * empty data folder that is kept, to look at after a fault.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { DeliveringClient, ImapWriter, PASSWORD, RuleBroken, readAccount } from './support/crash-clients.ts';
import { CrashLedger } from './support/crash-ledger.ts';
import { ImapScript } from './support/imap-script.ts';
import { Dice, sha256 } from './support/sample-mail.ts';
import { isDistributed, startServer, type TestServer, temporaryFolder } from './support/server.ts';

const ROUNDS = Number(process.env['POCHARD_CRASH_ROUNDS'] ?? 6);
const SEED = Number(process.env['POCHARD_CRASH_SEED'] ?? Math.floor(Math.random() * 1e9));
const MAIN = join(import.meta.dirname, '..', 'core/src/main.ts');
const ACCOUNTS = ['ada@example.test', 'bob@example.test'];
/** Bodies of messages that were compared in an earlier round are compared again with this chance; all of them in the last round. */
const AGAIN = 0.02;
const RESTART_MS = 5_000;

test(`kill -9 under load loses nothing acknowledged (${ROUNDS} rounds)`, async (t) => {
  const dice = new Dice(SEED);
  const data = process.env['POCHARD_CRASH_DATA'] ?? (await temporaryFolder(t));
  const ledgers = new Map(ACCOUNTS.map((name) => [name, new CrashLedger()]));
  const ada = ledgers.get('ada@example.test') ?? new CrashLedger();
  const deliverers = [0, 1, 2, 3].map((i) => new DeliveringClient(`d${i}`, i % 2 === 0 ? 'lmtp' : 'smtp', ledgers, SEED + i));
  const names = { moving: { name: 'Here' } };
  const writers = [0, 1, 2, 3].map((i) => {
    let claimed = 0;
    return new ImapWriter({
      name: `w${i}`,
      ledger: ada,
      seed: SEED + 10 + i,
      names,
      claims: () => deliverers[i]?.delivered[claimed++],
      isRenamer: i === 0,
    });
  });
  t.diagnostic(`seed ${SEED}`);

  let server = await startServer(t, { data, accounts: Object.fromEntries(ACCOUNTS.map((name) => [name, PASSWORD])) });
  await makeMailboxes(server, ada);
  const restarts: number[] = [];
  let bodies = 0;
  let fsckRuns = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    const loads = [
      ...deliverers.map((client) => client.run(server.port(client.protocol))),
      ...writers.map((writer) => writer.run(server.port('imap'))),
    ];
    const ended = Promise.allSettled(loads);
    const broken = Promise.all(
      loads.map((load) => load.catch((error: unknown) => (error instanceof RuleBroken ? Promise.reject(error) : undefined))),
    );
    broken.catch(() => undefined); // awaited below
    await new Promise((resolve) => setTimeout(resolve, dice.between(150, 2_000)));
    await server.kill();
    await ended;
    await broken;
    // Sometimes on what the kill has left, sometimes after a restart and an ordinary stop.
    if (round % 2 === 0) {
      await fsck(data);
      fsckRuns += 1;
    }

    const started = performance.now();
    server = await startServer(t, { data });
    const first = await ImapScript.login(t, server.port('imap'), 'ada@example.test', PASSWORD);
    restarts.push(performance.now() - started);
    first.close();
    for (const [name, ledger] of ledgers) {
      const isLast = round === ROUNDS;
      const faults: string[] = [];
      const imap = await ImapScript.login(t, server.port('imap'), name, PASSWORD);
      const found = await readAccount(
        imap,
        (token, raw) => {
          const message = ledger.messages.get(token);
          if (message === undefined) return;
          if (sha256(raw) === message.digest) message.isVerified = true;
          else faults.push(`${token}: altered`);
        },
        (token) => isLast || ledger.messages.get(token)?.isVerified !== true || dice.next() < AGAIN,
      );
      imap.close();
      bodies += found.bodies;
      faults.push(...ledger.reconcile(found.mailboxes, found.messages));
      assert.deepEqual(faults, [], `round ${round}, ${name}, seed ${SEED}`);
    }
    const movingName = ada.mailboxes.find(({ names: [one] }) => one === 'Here' || one === 'Shared/There')?.names[0];
    names.moving.name = movingName ?? assert.fail('the renamed mailbox is gone');
    if (round % 2 === 1) {
      assert.equal(await server.stop(), 0);
      await fsck(data);
      fsckRuns += 1;
      if (round < ROUNDS) server = await startServer(t, { data });
    }
    assert.doesNotMatch(await server.log(), /uncaught|unhandled/i);
    for (const writer of writers) assert.deepEqual(writer.refused, [], `round ${round}`);
  }
  const commands = new Map<string, number>();
  for (const { done } of writers) for (const [command, count] of done) commands.set(command, (commands.get(command) ?? 0) + count);
  restarts.sort((a, b) => a - b);
  const sum = (of: readonly number[]): number => of.reduce((a, b) => a + b, 0);
  t.diagnostic(
    `${ROUNDS} kills: acknowledged ${sum([...ledgers.values()].map(({ acknowledged }) => acknowledged))} changes of messages, lost 0, altered 0, twice 0; ` +
      `delivered ${sum(deliverers.map(({ delivered }) => delivered.length))}, retried ${sum(deliverers.map(({ retried }) => retried))}; ` +
      `${[...commands].map(([command, count]) => `${command} ${count}`).join(', ')}; bodies compared ${bodies}; fsck clean ${fsckRuns} of ${fsckRuns}`,
  );
  t.diagnostic(
    `start of the process to first login: median ${Math.round(restarts[restarts.length >> 1] ?? 0)} ms, longest ${Math.round(restarts.at(-1) ?? 0)} ms`,
  );
  // The median: on a busy machine single starts say more about the others.
  if (!isDistributed) assert.ok((restarts[restarts.length >> 1] ?? 0) <= RESTART_MS, 'restart to first login');
});

async function makeMailboxes(server: TestServer, ledger: CrashLedger): Promise<void> {
  const imap = await ImapScript.login(undefined, server.port('imap'), 'ada@example.test', PASSWORD);
  for (const name of ['Shared', 'Shared/Deep', 'Here', 'w0', 'w1', 'w2', 'w3']) {
    assert.match((await imap.command(`CREATE "${name}"`)).done, /^OK/);
    const { untagged } = await imap.command(`STATUS "${name}" (UIDVALIDITY)`);
    ledger.mailboxes.push({ names: [name], uidValidity: Number(/UIDVALIDITY (\d+)/.exec(untagged.join('\n'))?.[1]) });
  }
  imap.close();
}

function fsck(data: string): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [MAIN, 'fsck', '--config', join(data, 'pochard.yaml'), '--data', data],
      { maxBuffer: 1 << 26 },
      (error, out, err) => {
        if (error === null) resolve();
        else reject(new Error(`fsck: ${out}${err}`));
      },
    );
  });
}
