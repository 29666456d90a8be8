import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { startFaultProxy } from '../../../../test-servers/fault-proxy.ts';
import { startRedis, type TestRedis } from '../../../../test-servers/redis-server.ts';
import { busContract } from '../contract/bus-contract.ts';
import { account } from '../contract/samples.ts';
import { RedisBus, type RedisBusOptions } from './redis-bus.ts';

const ada = account('ada1');
const redisIsHere = await hasRedis();

if (redisIsHere) {
  busContract('redis', async (t) => {
    const redis = await startRedis(t);
    assert.ok(redis);
    const open = () => openBus(t, redis.url, { onListenerError: () => undefined });
    return [await open(), await open()];
  });
}

test('beacons of many accounts reach another instance, each with its newest head', async (t) => {
  const redis = await startRedis(t);
  if (redis === undefined) return;
  const [one, two] = [await openBus(t, redis.url), await openBus(t, redis.url)];
  const heard = new Map<string, number>();
  const { promise, resolve } = Promise.withResolvers<void>();
  for (let n = 0; n < 1_200; n++) {
    two.listen(account(`a${n}`), (head) => {
      heard.set(`a${n}`, head);
      if (heard.size === 1_200) resolve();
    });
  }
  for (let n = 0; n < 1_200; n++) for (const head of [n + 1, n + 3, n + 2]) one.beacon(account(`a${n}`), head);
  await promise;
  assert.deepEqual([heard.get('a0'), heard.get('a1199')], [3, 1_202]);
});

test('news reach the other instances, not the one that tells them, also those of a time without Redis', async (t) => {
  const redis = await startRedis(t);
  if (redis === undefined) return;
  const [lost, back] = [signals(), signals()];
  const one = await openBus(t, redis.url, { onLost: lost.hear });
  const two = await openBus(t, redis.url, { onConnected: back.hear });
  await back.next();
  const heard: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  one.hear('accounts', (about) => heard.push(`own ${about}`));
  two.hear('accounts', () => {
    throw new Error('a hearer that fails');
  });
  two.hear('accounts', (about) => {
    heard.push(about);
    if (about === 'later') resolve();
  });
  await one.tell('accounts', 'ada a b');
  assert.deepEqual(heard, ['ada a b'], 'who was told has acted');
  await one.tell('others', 'x');
  await one.tell('accounts', 'x'.repeat(5_000));
  await redis.stop();
  await lost.next();
  await one.tell('accounts', 'later');
  await redis.start();
  await back.next();
  await one.tell('accounts', 'later');
  await promise;
  assert.deepEqual(heard.slice(0, 2), ['ada a b', 'later']);
});

test('news wait for all who are there, not for one who hangs', async (t) => {
  const redis = await startRedis(t);
  if (redis === undefined) return;
  const buses = await Promise.all(Array.from({ length: 4 }, () => openBus(t, redis.url)));
  const [teller, ...others] = buses;
  assert.ok(teller);
  let heard = 0;
  for (const bus of others) bus.hear('accounts', () => heard++);
  await Promise.all(Array.from({ length: 50 }, (_, n) => teller.tell('accounts', `a${n}`)));
  assert.equal(heard, 150);
  // Subscribed, and deaf.
  const deaf = connect(Number(new URL(redis.url).port), '127.0.0.1').on('error', () => undefined);
  t.after(() => deaf.destroy());
  deaf.write('SUBSCRIBE pochard:beacons\r\n');
  await once(deaf, 'data');
  await teller.tell('accounts', 'late');
  assert.equal(heard, 153);
});

test('what is no message of ours on the channel is left aside', async (t) => {
  const redis = await startRedis(t);
  if (redis === undefined) return;
  const bus = await openBus(t, redis.url);
  const heads: number[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  bus.listen(ada, (head) => {
    heads.push(head);
    if (head === 4) resolve();
  });
  for (const message of [
    '',
    'x',
    'x_ada1=',
    'x_ada1=-5',
    'x_=3',
    'x_ada1=zzzzzzzzzzzzzzzz',
    'x_!9',
    'x_~',
    'x_~1',
    'x_^',
    'x_^y.1',
    `x_${'ada1=1,'.repeat(20_000)}`,
    'x_ada1=4',
  ])
    await publish(redis, 'pochard:beacons', message.replace('_', ' '));
  await promise;
  assert.deepEqual(heads, [4]);
  assert.equal(bus.isConnected, true);
});

test('without Redis at the start the bus opens, counts by itself and gives no lease; it finds Redis when it comes', async (t) => {
  const redis = await startRedis(t);
  if (redis === undefined) return;
  await redis.stop();
  const connected = Promise.withResolvers<void>();
  const bus = await openBus(t, redis.url, { onConnected: connected.resolve });
  assert.equal(bus.isConnected, false);
  assert.equal(await bus.lease('job', 1_000), undefined);
  assert.equal(await bus.count('k', 2, 60_000), 2);
  await redis.start();
  await connected.promise;
  assert.ok(await bus.lease('job', 1_000));
  assert.equal(await bus.count('k', 1, 60_000), 3, 'its own count goes on');
});

test('Redis stopped and started empty: beacons of the time between are heard afterwards, leases stay with their holders', async (t) => {
  const redis = await startRedis(t);
  if (redis === undefined) return;
  const lost = signals();
  const back = [signals(), signals()] as const;
  const one = await openBus(t, redis.url, { onLost: lost.hear, onConnected: back[0].hear });
  const two = await openBus(t, redis.url, { onConnected: back[1].hear });
  await Promise.all(back.map((signal) => signal.next()));
  const lease = await one.lease('job', 900);
  await redis.stop();
  await lost.next();
  const heard = signals();
  two.listen(ada, heard.hear);
  one.beacon(ada, 41);
  one.beacon(ada, 42);
  await redis.start();
  await Promise.all(back.map((signal) => signal.next()));
  // When the holder is back before the other: it is told again, as a third beacon would be.
  one.beacon(ada, 43);
  await heard.next();
  await until(async () => (await redis.command('EXISTS', 'pochard:lease:{job}')).startsWith(':1'));
  assert.equal(lease?.held, true);
  assert.equal(await two.lease('job', 900), undefined);
});

test('FLUSHALL: the holder of a lease keeps it, counts do not start anew', async (t) => {
  const redis = await startRedis(t);
  if (redis === undefined) return;
  const [one, two] = [await openBus(t, redis.url), await openBus(t, redis.url)];
  const lease = await one.lease('job', 600);
  for (let n = 0; n < 5; n++) await one.count('login', 1, 60_000);
  await redis.command('FLUSHALL');
  assert.equal(await one.count('login', 1, 60_000), 6);
  await until(async () => (await redis.command('EXISTS', 'pochard:lease:{job}')).startsWith(':1'));
  assert.equal(lease?.held, true);
  assert.equal(await two.lease('job', 600), undefined);
  const heard = signals();
  two.listen(ada, heard.hear);
  one.beacon(ada, 1);
  await heard.next();
});

test('a partition: the lease of the lost side ends by its own clock, another takes it with a higher fence, and all find together again', async (t) => {
  const redis = await startRedis(t);
  if (redis === undefined) return;
  const proxy = await startFaultProxy(t, { port: redis.port });
  const [lost, back] = [signals(), signals()];
  const fast = { heartbeatMs: 150, commandTimeoutMs: 400 };
  const one = await openBus(t, `redis://127.0.0.1:${proxy.port}`, { ...fast, onLost: lost.hear, onConnected: back.hear });
  const two = await openBus(t, redis.url, fast);
  await back.next();
  const first = await one.lease('job', 1_000);
  assert.equal(first?.held, true);
  proxy.blackhole();
  await lost.next();
  const started = performance.now();
  assert.equal(await one.count('k', 1, 1_000), 1);
  assert.ok(performance.now() - started < 50, 'a bus that knows that Redis is away does not wait for it');
  let second = await two.lease('job', 1_000);
  await until(async () => (second ??= await two.lease('job', 1_000)) !== undefined);
  assert.equal(first.held, false, 'never two holders at a time');
  assert.ok(second !== undefined && second.fence > first.fence);
  proxy.pass();
  await back.next();
  await first.release();
  assert.equal(second.held, true);
  const heard = signals();
  one.listen(ada, heard.hear);
  two.beacon(ada, 9);
  await heard.next();
});

test('a server that stops answering (SIGSTOP) is noticed within three heartbeats', async (t) => {
  const redis = await startRedis(t);
  if (redis === undefined) return;
  const lost = signals();
  const back = signals();
  const bus = await openBus(t, redis.url, { heartbeatMs: 100, commandTimeoutMs: 5_000, onLost: lost.hear, onConnected: back.hear });
  await back.next();
  redis.freeze();
  const frozen = performance.now();
  await lost.next();
  assert.ok(performance.now() - frozen < 1_000);
  assert.equal(bus.isConnected, false);
  redis.thaw();
  await back.next();
});

test('a counter starts anew when its window is over; looking begins none', async (t) => {
  const redis = await startRedis(t);
  if (redis === undefined) return;
  let now = 1_000_000;
  const bus = await openBus(t, redis.url, { now: () => now });
  assert.equal(await bus.count('a', 0, 60_000), 0);
  assert.match(await redis.command('EXISTS', 'pochard:count:a'), /^:0/);
  assert.equal(await bus.count('b', 3, 200), 3);
  now += 200;
  await until(async () => (await redis.command('EXISTS', 'pochard:count:b')).startsWith(':0'));
  assert.equal(await bus.count('b', 1, 200), 1);
});

test('errors of Redis are told, and the bus goes on: a wrong password, no memory left', async (t) => {
  const redis = await startRedis(t, { args: ['--requirepass', 'right'] });
  if (redis === undefined) return;
  const lost: string[] = [];
  await openBus(t, `redis://:wrong@127.0.0.1:${redis.port}`, { onLost: (error) => lost.push(error.message) });
  assert.match(lost.join(), /WRONGPASS/);
  const full = await startRedis(t);
  assert.ok(full);
  await full.command('CONFIG', 'SET', 'maxmemory', '1');
  const refused: string[] = [];
  const bus = await openBus(t, full.url, { onRefused: (error) => refused.push(error.message) });
  assert.equal(await bus.count('k', 1, 1_000), 1);
  assert.equal(await bus.lease('job', 1_000), undefined);
  assert.match(refused.join('\n'), /OOM/);
  assert.equal(refused.length, 1);
  assert.equal(bus.isConnected, true);
});

test('no error that is told has the password in it, or what a command was about', async (t) => {
  const redis = await startRedis(t, { args: ['--requirepass', 'right'] });
  if (redis === undefined) return;
  const told: Error[] = [];
  const tell = (error: Error): void => void told.push(error);
  for (const scheme of ['redis', 'redis+cluster']) await openBus(t, `${scheme}://:sesame@127.0.0.1:${redis.port}`, { onLost: tell });
  assert.equal(told.length, 2);
  for (const error of told) assert.match(error.message, /WRONGPASS/);
  const full = await startRedis(t);
  assert.ok(full);
  await full.command('CONFIG', 'SET', 'maxmemory', '1');
  const bus = await openBus(t, full.url, { onRefused: tell });
  await bus.count('login/sesame@example.org', 1, 1_000);
  assert.equal(told.length, 3);
  assert.doesNotMatch(inspect(told, { depth: 9, showHidden: true }), /sesame/);
});

test('Cluster: beacons cross its nodes, leases and counters find their slots', async (t) => {
  const nodes = await startCluster(t);
  if (nodes === undefined) return;
  const [a, b] = nodes;
  const one = await openBus(t, `redis+cluster://127.0.0.1:${a.port}`);
  const two = await openBus(t, `redis+cluster://127.0.0.1:${b.port},127.0.0.1:${a.port}`);
  assert.ok(one.isConnected && two.isConnected);
  const heard = signals();
  two.listen(ada, heard.hear);
  one.beacon(ada, 3);
  await heard.next();
  for (let n = 0; n < 20; n++) {
    assert.equal(await one.count(`key${n}`, 1, 10_000), 1);
    assert.equal(await two.count(`key${n}`, 1, 10_000), 2);
    const lease = await one.lease(`job${n}`, 10_000);
    assert.ok(lease);
    assert.equal(await two.lease(`job${n}`, 10_000), undefined);
    await lease.release();
  }
});

test('Sentinel: when the master dies the bus goes on with the one that takes over', async (t) => {
  const master = await startRedis(t);
  if (master === undefined) return;
  const replica = await startRedis(t, { args: ['--replicaof', '127.0.0.1', String(master.port)] });
  assert.ok(replica);
  await until(async () => (await replica.command('INFO', 'replication')).includes('master_link_status:up'));
  const sentinel = await startRedis(t, {
    config: [
      `sentinel monitor mail 127.0.0.1 ${master.port} 1`,
      'sentinel down-after-milliseconds mail 300',
      'sentinel failover-timeout mail 2000',
      '',
    ].join('\n'),
    args: ['--sentinel'],
  });
  assert.ok(sentinel);
  await until(async () => (await sentinel.command('SENTINEL', 'REPLICAS', 'mail')).includes(String(replica.port)));
  const back = [signals(), signals()] as const;
  const url = `redis+sentinel://127.0.0.1:${sentinel.port}/mail`;
  const one = await openBus(t, url, { onConnected: back[0].hear });
  const two = await openBus(t, url, { onConnected: back[1].hear });
  await Promise.all(back.map((signal) => signal.next()));
  await master.kill();
  await Promise.all(back.map((signal) => signal.next()));
  const heard = signals();
  two.listen(ada, heard.hear);
  one.beacon(ada, 8);
  await heard.next();
  assert.ok(await one.lease('job', 1_000));
});

/* ── How they are done ── */

async function openBus(t: TestContext, url: string, options: Partial<RedisBusOptions> = {}): Promise<RedisBus> {
  const bus = await RedisBus.open({ heartbeatMs: 300, ...options, url });
  t.after(() => bus.close());
  return bus;
}

async function hasRedis(): Promise<boolean> {
  let found = false;
  await test('redis-server is installed', async (t) => {
    found = (await startRedis(t)) !== undefined;
  });
  return found;
}

/** Counts calls of `hear`; `next` resolves for each of them in turn. */
function signals(): { readonly hear: () => void; readonly next: () => Promise<void> } {
  let heard = 0;
  const waiting: (() => void)[] = [];
  return {
    hear: () => {
      const next = waiting.shift();
      if (next === undefined) heard++;
      else next();
    },
    next: async () => {
      if (heard > 0) {
        heard--;
        return;
      }
      await new Promise<void>((resolve) => waiting.push(resolve));
    },
  };
}

/** For states that no event tells of. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}

async function publish(redis: TestRedis, channel: string, message: string): Promise<void> {
  const socket = connect(redis.port, '127.0.0.1');
  const reply = once(socket, 'data');
  socket.write(`*3\r\n$7\r\nPUBLISH\r\n$${channel.length}\r\n${channel}\r\n$${message.length}\r\n${message}\r\n`);
  assert.match(String((await reply)[0]), /^:/);
  socket.destroy();
}

async function startCluster(t: TestContext): Promise<readonly [TestRedis, TestRedis] | undefined> {
  const options = { args: ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'] };
  const a = await startRedis(t, options);
  const b = a === undefined ? undefined : await startRedis(t, options);
  if (a === undefined || b === undefined) return undefined;
  await a.command('CLUSTER', 'ADDSLOTSRANGE', '0', '8191');
  await b.command('CLUSTER', 'ADDSLOTSRANGE', '8192', '16383');
  await a.command('CLUSTER', 'MEET', '127.0.0.1', String(b.port));
  for (const node of [a, b]) await until(async () => (await node.command('CLUSTER', 'INFO')).includes('cluster_state:ok'));
  return [a, b];
}
