/** `pochard store move` from SQLite to MongoDB and back, killed again and again on the way: the same mail at the end, and nothing taken from the source. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { startMongoDb } from '../test-servers/mongodb-server.ts';
import { startRedis } from '../test-servers/redis-server.ts';
import { type Step, type StepProxy, startStepProxy } from '../test-servers/step-proxy.ts';
import { startInstances } from './support/distributed.ts';
import { ImapScript } from './support/imap-script.ts';
import { startInstance, type TestServer, temporaryFolder } from './support/instance.ts';
import { mustRun, runProgram } from './support/run-program.ts';
import { base64Lines } from './support/sample-mail.ts';

const MAIN = join(import.meta.dirname, '..', 'core/src/main.ts');
const PASSWORD = 'correct horse';
const USERS = ['ada@example.test', 'bob@example.test', 'eve@example.test'];
const MESSAGES = 25;

test('a move that is killed on the way goes on, in both directions, and ends with the same mail', async (t) => {
  const redis = await startRedis(t);
  const mongodb = redis === undefined ? undefined : await startMongoDb(t);
  if (redis === undefined || mongodb === undefined) return;
  const proxy = await startStepProxy(t, mongodb);
  const database = `mongodb://127.0.0.1:${proxy.port}/${mongodb.database.slice(0, 38)}`;
  const [first, second] = [await temporaryFolder(t), await temporaryFolder(t)];
  const before = await filled(t, first);

  const there = await movedWithKills(proxy, `sqlite:${first}`, database, 'writes');
  const onMongoDb = await startInstances(t, {
    data: await temporaryFolder(t),
    backends: { mongodb: { url: mongodb.url, database: mongodb.database.slice(0, 38) }, redis: { url: redis.url } },
    instances: 1,
  });
  const [server] = onMongoDb;
  assert.ok(server);
  assert.deepEqual(await digests(server), before);
  assert.equal(await server.stop(), 0);

  const back = await movedWithKills(proxy, database, `sqlite:${second}`, 'reads');
  await mustRun(process.execPath, [MAIN, 'fsck', '--data', second]);
  for (const data of [second, first]) {
    const single = await startInstance(t, { data });
    assert.deepEqual(await digests(single), before);
    assert.equal(await single.stop(), 0);
  }
  console.error(`store move: killed ${there} times on the way to MongoDB, ${back} times on the way back`);
  assert.ok(there >= 4 && back >= 4, `${there} and ${back} kills`);
});

/** Killed at request 2, 4, 8 ... of each run, before and after it in turn, until one run reaches its end. Returns how often. */
async function movedWithKills(proxy: StepProxy, from: string, to: string, of: Step['of']): Promise<number> {
  for (let kills = 0; ; kills += 1) {
    proxy.pass();
    const child = spawn(process.execPath, [MAIN, 'store', 'move', '--from', from, '--to', to], { stdio: ['ignore', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (octets: Buffer) => output.push(octets));
    const exited = once(child, 'close');
    proxy.stopAt({ at: 2 ** (kills + 1), side: kills % 2 === 0 ? 'before' : 'after', of }, () => child.kill('SIGKILL'));
    const [code] = await exited;
    proxy.disarm();
    if (child.signalCode === 'SIGKILL') {
      await refusesToStart(proxy, to);
      continue;
    }
    const said = Buffer.concat(output).toString();
    assert.equal(code, 0, said);
    assert.match(said, /3 accounts moved; both stores hold the same octets, fsck finds no problems/);
    return kills;
  }
}

/** A half-filled store is no store: nobody may read mail from it, or deliver into it. */
async function refusesToStart(proxy: StepProxy, to: string): Promise<void> {
  if (!to.startsWith('sqlite:')) return; // the same look at the same record; a start on MongoDB would want a configuration
  proxy.pass();
  const { code, stderr } = await runProgram(process.execPath, [MAIN, 'fsck', '--data', to.slice('sqlite:'.length)]);
  // Killed before its first record, the target is empty, and an empty one is as good as new.
  if (code !== 0) assert.match(stderr, /move/);
}

/** A folder with mail of three accounts; what IMAP shows of it. */
async function filled(t: TestContext, data: string): Promise<ReadonlyMap<string, string>> {
  const server = await startInstance(t, { data });
  for (const user of USERS) await server.createAccount(user, PASSWORD);
  const attachment = `MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64Lines(randomBytes(400_000))}--b--\r\n`;
  for (const user of USERS) {
    for (let n = 1; n <= MESSAGES; n += 1) await server.deliver(user, `Subject: ${n}\r\n\r\n${'text '.repeat(n * 50)}\r\n`);
    await server.deliver(user, `Subject: big\r\n${attachment}`);
    const imap = await ImapScript.login(undefined, server.port('imap'), user, PASSWORD);
    await imap.command('SELECT INBOX');
    for (const command of [
      'STORE 1:9 +FLAGS (\\Seen keyword)',
      'CREATE a/b',
      'COPY 3:7 a/b',
      'MOVE 8 a/b',
      'STORE 2 +FLAGS (\\Deleted)',
      'EXPUNGE',
    ])
      assert.match((await imap.command(command)).done, /^OK/, command);
    imap.close();
  }
  const before = await digests(server);
  assert.equal(await server.stop(), 0);
  return before;
}

/** By user and mailbox: UIDs, flags, MODSEQs and every octet. */
async function digests(server: TestServer): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const user of USERS) {
    const imap = await ImapScript.login(undefined, server.port('imap'), user, PASSWORD);
    for (const line of (await imap.command('LIST "" *')).untagged) {
      const name = /"\/" "?([^"]+)"?$/.exec(line)?.[1] ?? '';
      const examined = (await imap.command(`EXAMINE "${name}"`)).untagged.filter((one) =>
        /EXISTS|UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ|FLAGS/.test(one),
      );
      const { untagged } = await imap.command('UID FETCH 1:* (FLAGS MODSEQ INTERNALDATE ENVELOPE BODYSTRUCTURE BODY.PEEK[])');
      // \Recent is the session's, not the message's.
      const text = [...examined, ...untagged].join('\n').replaceAll(/ ?\\Recent ?/g, '');
      found.set(`${user} ${name} ${untagged.length}`, createHash('sha256').update(text).digest('hex'));
    }
    imap.close();
  }
  assert.ok(found.size >= 2 * USERS.length);
  return found;
}
