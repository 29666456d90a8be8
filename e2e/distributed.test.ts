/** Two instances over one MongoDB and one Redis: any user on any instance, and what users see when a part dies. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type FaultProxy, startFaultProxy } from '../test-servers/fault-proxy.ts';
import { startMongoDb } from '../test-servers/mongodb-server.ts';
import { startRedis, type TestRedis } from '../test-servers/redis-server.ts';
import { DeliveryLoad, subjectsOf } from './support/delivery-load.ts';
import { startInstances } from './support/distributed.ts';
import { ImapScript } from './support/imap-script.ts';
import { mustRun } from './support/run-program.ts';
import { type ServerOptions, type TestServer, temporaryFolder } from './support/server.ts';

const USER = 'ada@example.test';
const PASSWORD = 'correct horse';
const MAIN = join(import.meta.dirname, '..', 'core/src/main.ts');
const OUTAGE_MS = 10_000;

interface House {
  readonly a: TestServer;
  readonly b: TestServer;
  readonly configFile: string;
  readonly redis: TestRedis;
  readonly redisProxy: FaultProxy;
  readonly mongoProxy: FaultProxy;
}

test('mail delivered on one instance reaches an IDLE session on the other within 250 ms (p95)', async (t) => {
  const house = await startHouse(t);
  if (house === undefined) return;
  const { a, b } = house;
  const idle = await idling(t, b);
  const [across, within]: [number[], number[]] = [[], []];
  for (let n = 1; n <= 200; n++) {
    const heard = idle.until(new RegExp(`^\\* ${n} EXISTS`)).then(() => performance.now());
    const isAcross = n % 2 === 0;
    const sent = performance.now();
    await (isAcross ? a : b).deliver(USER, `Subject: ${n}\r\n\r\nhello\r\n`);
    const stored = performance.now();
    if (isAcross) across.push(Math.max(0, (await heard) - stored));
    else within.push((await heard) - sent);
  }
  for (const latencies of [across, within]) latencies.sort((x, y) => x - y);
  const [p50, p95, usual] = [across[50] ?? 0, across[95] ?? 0, within[50] ?? 0];
  console.error(
    `delivery on one instance to EXISTS on the other: p50 ${p50.toFixed(1)} ms, p95 ${p95.toFixed(1)} ms; a whole delivery on the same one ${usual.toFixed(1)} ms`,
  );
  // On a machine where a delivery takes many times the usual 5 ms, others have its processors.
  assert.ok(p95 < Math.max(250, 10 * usual), `p95 ${p95} ms, a delivery takes ${usual} ms`);
});

test('what one instance has acknowledged the next command on the other sees; changes of the account too', async (t) => {
  const house = await startHouse(t);
  if (house === undefined) return;
  const { a, b } = house;
  const [one, two] = [await login(t, a), await login(t, b)];
  await one.command('SELECT INBOX');
  await two.command('SELECT INBOX');
  for (let n = 1; n <= 20; n++) {
    assert.match(await one.append('INBOX', Buffer.from(`Subject: ${n}\r\n\r\nhi\r\n`)), /^OK/);
    const { untagged } = await two.command('NOOP');
    assert.ok(untagged.includes(`* ${n} EXISTS`), `${n}: ${untagged.join(' | ')}`);
    await two.command(`STORE ${n} +FLAGS (\\Seen)`);
    assert.match((await one.command('NOOP')).untagged.join('\n'), new RegExp(`^\\* ${n} FETCH .*\\\\Seen`, 'm'));
    await one.command(`CREATE box${n}`);
    assert.match((await two.command(`STATUS box${n} (MESSAGES)`)).done, /^OK/);
  }
  // At once from both sides: each write lands once, UIDs rise.
  await Promise.all(
    [one, two].map(async (imap, side) => {
      for (let n = 0; n < 50; n++) assert.match(await imap.append('INBOX', Buffer.from(`Subject: ${side}-${n}\r\n\r\nhi\r\n`)), /^OK/);
    }),
  );
  for (const imap of [one, two]) {
    await imap.command('NOOP');
    const { untagged } = await imap.command('UID SEARCH ALL');
    const uids = /^\* SEARCH (.*)$/m.exec(untagged.join('\n'))?.[1]?.split(' ').map(Number) ?? [];
    assert.deepEqual(
      uids,
      Array.from({ length: 120 }, (_, n) => n + 1),
    );
  }
  const ended = two.until(/^\* BYE/);
  assert.equal((await a.api('PUT', `/v1/accounts/${USER}/password`, { password: 'a new one' })).status, 204);
  await ended;
  const again = await ImapScript.connect(t, b.port('imap'));
  assert.match((await again.command(`LOGIN ${USER} "${PASSWORD}"`)).done, /AUTHENTICATIONFAILED/);
  assert.match((await again.command(`LOGIN ${USER} "a new one"`)).done, /^OK/);
});

test('kill -9 of an instance under load: the other goes on within 10 s, nothing acknowledged is lost or doubled', async (t) => {
  const house = await startHouse(t);
  if (house === undefined) return;
  const { a, b } = house;
  const toBoth = alternating(a.port('lmtp'), b.port('lmtp'));
  const loads = ['x', 'y', 'z'].map((name) => new DeliveryLoad({ port: toBoth, user: USER, everyMs: 5, name }).start());
  t.after(() => {
    for (const load of loads) load.abandon();
  });
  const idle = await idling(t, b);
  await idle.until(/ EXISTS/);
  await delay(2_000); // under load
  const killedAt = performance.now();
  await a.kill();
  for (const load of loads) load.longestPauseMs = 0;
  await delay(OUTAGE_MS);
  const heard = idle.until(/ EXISTS/);
  await heard;
  await Promise.all(loads.map((load) => load.stop()));
  const acknowledged = loads.flatMap((load) => load.acknowledged);
  const after = acknowledged.filter(({ at }) => at > killedAt);
  const pause = Math.max(...loads.map((load) => load.longestPauseMs));
  console.error(`kill -9: ${acknowledged.length} acknowledged, ${after.length} of them afterwards, longest pause ${pause.toFixed(0)} ms`);
  assert.ok(after.length > 0 && pause < 10_000, `pause ${pause} ms`);
  await complete(b, acknowledged);
  for (const load of loads) assert.deepEqual(load.permanent, []);
  await fsck(house);
});

test('Redis stopped, emptied, and away for 10 s under load: no mail lost or doubled, IDLE hears within 30 s', async (t) => {
  const house = await startHouse(t);
  if (house === undefined) return;
  const { a, b, redis, redisProxy } = house;
  const load = new DeliveryLoad({ port: alternating(a.port('lmtp'), b.port('lmtp')), user: USER, everyMs: 20, name: 'r' }).start();
  t.after(() => load.abandon());
  const idle = await idling(t, b);
  const count = async (): Promise<number> => Number(/^\* (\d+) EXISTS/.exec(await idle.until(/ EXISTS/))?.[1]);
  await count();
  redisProxy.refuse();
  await delay(OUTAGE_MS);
  redisProxy.pass();
  await redis.command('FLUSHALL');
  await delay(2_000);
  redisProxy.blackhole();
  const before = load.acknowledged.length;
  await delay(OUTAGE_MS);
  assert.ok(load.acknowledged.length - before > 20, 'deliveries go on without Redis');
  assert.match((await (await login(t, a)).command('NOOP')).done, /^OK/, 'logins go on without Redis');
  redisProxy.pass();
  const recovered = performance.now();
  await load.stop();
  const total = load.acknowledged.length;
  while ((await count()) < total);
  const heardMs = performance.now() - recovered;
  console.error(
    `Redis away: ${total} acknowledged, longest pause ${load.longestPauseMs.toFixed(0)} ms, all heard ${heardMs.toFixed(0)} ms after`,
  );
  assert.ok(heardMs < 30_000);
  assert.deepEqual(load.refused, []);
  assert.equal(load.broken, 0);
  await complete(b, load.acknowledged);
  await fsck(house);
});

for (const kind of ['refuse', 'blackhole'] as const) {
  test(`MongoDB away for 10 s (${kind}): 4xx, NO [UNAVAILABLE] or a wait below 30 s, no process ends, nothing lost`, async (t) => {
    const house = await startHouse(t);
    if (house === undefined) return;
    const { a, b, mongoProxy } = house;
    const load = new DeliveryLoad({ port: alternating(a.port('lmtp'), b.port('lmtp')), user: USER, everyMs: 20, name: 'm' }).start();
    t.after(() => load.abandon());
    const imap = await login(t, a);
    await imap.command('SELECT INBOX');
    const other = await login(t, b);
    await delay(1_000);
    mongoProxy[kind]();
    const asked = performance.now();
    const replies = await Promise.all([
      imap.append('INBOX', Buffer.from('Subject: while away\r\n\r\nhi\r\n')),
      other.command('SELECT INBOX').then(({ done }) => done),
      imapLogin(b),
      delay(OUTAGE_MS).then(() => {
        mongoProxy.pass();
        return 'OK';
      }),
    ]);
    const waitedMs = performance.now() - asked;
    for (const reply of replies) assert.match(reply, /^(?:OK|NO \[UNAVAILABLE\])/);
    assert.ok(waitedMs < 30_000, `waited ${waitedMs} ms`);
    const back = performance.now();
    const before = load.acknowledged.length;
    while (load.acknowledged.length < before + 5) await delay(50);
    console.error(
      `MongoDB away (${kind}): replies ${replies
        .slice(0, 3)
        .map((reply) => reply.slice(0, 20))
        .join(', ')} after ${waitedMs.toFixed(0)} ms; ` +
        `${load.refused.length} refusals for now; deliveries again after ${(performance.now() - back).toFixed(0)} ms`,
    );
    await load.stop();
    for (const server of [a, b]) {
      assert.equal(server.child.exitCode, null);
      assert.doesNotMatch(await server.log(), /uncaught|unhandled/i);
    }
    assert.match((await imap.command('NOOP')).done, /^OK/);
    assert.deepEqual(load.permanent, [], 'all refusals are 4xx');
    assert.equal(load.broken, 0, 'no connection ends without an answer');
    // What is tried for retryMs, and waits for a server in the last of these tries, may be longer in coming than the outage lasts.
    const isWaiting = load.longestPauseMs > OUTAGE_MS / 2;
    assert.ok(load.refused.length > 0 || isWaiting, 'senders are told to come again, or wait until the database is back');
    await complete(b, load.acknowledged);
    await fsck(house);
  });
}

test('an event of the journal is heard by one instance, once', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'teller.ts');
  const sdk = join(import.meta.dirname, '../plugin-sdk/src/index.ts');
  await writeFile(
    file,
    `import { definePlugin } from ${JSON.stringify(sdk)};
export const plugin = definePlugin({
  name: 'teller',
  apply({ hooks, log }) {
    hooks.journal.follow(['message.stored'], (event) => log.info('told of ' + event.message.uid));
  },
});
`,
  );
  const house = await startHouse(t, { config: { plugins: [{ use: file }] } });
  if (house === undefined) return;
  const { a, b } = house;
  for (let n = 1; n <= 20; n++) await (n % 2 === 0 ? a : b).deliver(USER, `Subject: ${n}\r\n\r\nhello\r\n`);
  const told = async () =>
    [...(await a.log()).matchAll(/told of (\d+)/g), ...(await b.log()).matchAll(/told of (\d+)/g)].map(([, uid]) => uid);
  while ((await told()).length < 20) await delay(50);
  await delay(3_000); // the other instance looks every 2 s
  assert.deepEqual(
    (await told()).map(Number).sort((x, y) => x - y),
    Array.from({ length: 20 }, (_, n) => n + 1),
  );
});

test('workers: two processes behind one listener set; one dies, sessions of the other live on; signals go to all', async (t) => {
  const house = await startHouse(t, { config: { workers: 2 } }, 1);
  if (house === undefined) return;
  const { a } = house;
  assert.match(await (await a.api('GET', '/v1/metrics')).text(), /^pochard_processes 2$/m);
  const sessions = [await login(t, a), await login(t, a)];
  await a.deliver(USER, 'Subject: hello\r\n\r\nhello\r\n');
  for (const session of sessions) assert.ok((await session.command('SELECT INBOX')).untagged.includes('* 1 EXISTS'));
  const [worker] = await childrenOf(a.pid);
  assert.ok(worker);
  process.kill(worker, 'SIGKILL');
  const alive = await Promise.all(
    sessions.map((session) =>
      session.command('NOOP').then(
        () => true,
        () => false,
      ),
    ),
  );
  assert.deepEqual(alive.sort(), [false, true]);
  // Until the parent has seen it die, it may still hand it connections.
  while (!/started anew/.test(await a.log())) await delay(20);
  assert.match((await (await login(t, a)).command('SELECT INBOX')).done, /^OK/);
  while (!/^pochard_processes 2$/m.test(await (await a.api('GET', '/v1/metrics')).text())) await delay(100);
  a.signal('SIGHUP');
  while (((await a.log()).match(/read again/g)?.length ?? 0) < 2) await delay(50);
  const stopping = performance.now();
  assert.equal(await a.stop(), 0);
  console.error(`workers: stopped in ${(performance.now() - stopping).toFixed(0)} ms`);
});

/* ── How they are done ── */

async function startHouse(t: TestContext, options: ServerOptions = {}, instances = 2): Promise<House | undefined> {
  const redis = await startRedis(t);
  const mongodb = redis === undefined ? undefined : await startMongoDb(t);
  if (redis === undefined || mongodb === undefined) return undefined;
  const redisProxy = await startFaultProxy(t, redis);
  const mongoProxy = await startFaultProxy(t, mongodb);
  const data = await temporaryFolder(t);
  const backends = {
    mongodb: { url: mongodb.url.replace(`${mongodb.host}:${mongodb.port}`, `127.0.0.1:${mongoProxy.port}`), database: mongodb.database },
    redis: { url: `redis://127.0.0.1:${redisProxy.port}` },
  };
  const [a, b = a] = await startInstances(t, { ...options, data, backends, instances });
  assert.ok(a && b);
  await a.createAccount(USER, PASSWORD);
  return { a, b, configFile: join(data, 'pochard.yaml'), redis, redisProxy, mongoProxy };
}

function login(t: TestContext, server: TestServer): Promise<ImapScript> {
  return ImapScript.login(t, server.port('imap'), USER, PASSWORD);
}
async function imapLogin(server: TestServer): Promise<string> {
  const imap = await ImapScript.connect(undefined, server.port('imap'));
  const { done } = await imap.command(`LOGIN "${USER}" "${PASSWORD}"`);
  imap.close();
  return done;
}
/** In INBOX, told of what comes. */
async function idling(t: TestContext, server: TestServer): Promise<ImapScript> {
  const imap = await login(t, server);
  await imap.command('SELECT INBOX');
  await imap.command('IDLE');
  return imap;
}
function alternating(...ports: readonly number[]): () => number {
  let n = 0;
  return () => ports[n++ % ports.length] ?? 0;
}

/** Everything acknowledged is there once; nothing is there twice. */
async function complete(server: TestServer, acknowledged: readonly { readonly token: string }[]): Promise<void> {
  const found = await subjectsOf(server.port('imap'), USER, PASSWORD);
  const missing = acknowledged.filter(({ token }) => !found.has(token)).map(({ token }) => token);
  const twice = [...found].filter(([, times]) => times > 1).map(([token]) => token);
  assert.deepEqual({ missing, twice }, { missing: [], twice: [] });
}

/** May run beside instances. @throws Error with what it found */
async function fsck({ configFile, b }: House): Promise<void> {
  await mustRun(process.execPath, [MAIN, 'fsck', '--config', configFile, '--data', b.data]);
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.trim().split(' ').map(Number);
}
