import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { type Collection, type Document, MongoClient } from 'mongodb';
import { startFaultProxy } from './fault-proxy.ts';
import { startMongoDb } from './mongodb-server.ts';
import { startRedis } from './redis-server.ts';

interface Thing extends Document {
  _id: string;
}

test('the MongoDB test server keeps unique keys, gives one winner of a race and pages big sorted results', async (t) => {
  const server = await startMongoDb(t);
  if (server === undefined) return;
  const client = new MongoClient(server.url);
  t.after(() => client.close());
  const things: Collection<Thing> = client.db(server.database).collection<Thing>('things');
  await things.createIndex({ u: 1, n: 1 }, { unique: true });
  await things.insertOne({ _id: 'a', u: 1, n: 1 });
  await assert.rejects(things.insertOne({ _id: 'b', u: 1, n: 1 }), { code: 11000 });
  await assert.rejects(things.insertOne({ _id: 'a', u: 1, n: 2 }), { code: 11000 });
  const race = await Promise.allSettled(Array.from({ length: 40 }, (_, n) => things.insertOne({ _id: 'slot', u: 2, n })));
  assert.equal(race.filter(({ status }) => status === 'fulfilled').length, 1);
  await things.insertMany(Array.from({ length: 2_000 }, (_, n) => ({ _id: `x${n}`, u: 3, n, pad: 'x'.repeat(300) })));
  // A sort without an index holds a connection of the engine while the driver fetches pages.
  const sorted = await things.find({ u: 3 }).sort({ pad: 1, n: -1 }).batchSize(100).toArray();
  assert.deepEqual([sorted.length, sorted[0]?.['n'], sorted[1_999]?.['n']], [2_000, 1_999, 0]);
});

test('the fault proxy holds octets back, and cuts', async (t) => {
  const redis = await startRedis(t);
  if (redis === undefined) return;
  const proxy = await startFaultProxy(t, { port: redis.port });
  const socket = connect(proxy.port, '127.0.0.1');
  const ask = async (): Promise<string> => {
    const reply = once(socket, 'data');
    socket.write('PING\r\n');
    return String((await reply)[0]);
  };
  assert.equal(await ask(), '+PONG\r\n');
  proxy.blackhole();
  const late = ask();
  assert.equal(await Promise.race([late, redis.command('PING').then(() => 'the other way is quicker')]), 'the other way is quicker');
  proxy.pass();
  assert.equal(await late, '+PONG\r\n');
  const ended = once(socket, 'error');
  proxy.cut();
  assert.equal((await ended)[0].code, 'ECONNRESET');
  assert.equal(proxy.connections, 0);
});
