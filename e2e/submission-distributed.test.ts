/** Two instances over one database: mail submitted to either goes out once; when the one that sends is killed, the other goes on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startMongoDb } from '../test-servers/mongodb-server.ts';
import { startRedis } from '../test-servers/redis-server.ts';
import { startInstances } from './support/distributed.ts';
import { openSink } from './support/relay-sink.ts';
import { temporaryFolder } from './support/server.ts';
import { SmtpScript } from './support/smtp-script.ts';

const ADA = 'ada@example.test';
const BEA = 'bea@example.test';
const PASSWORD = 'correct horse';
const PLAIN = Buffer.from(`\0${ADA}\0${PASSWORD}`).toString('base64');
const EACH = 15;

test('two instances send what was given to either, once; the death of one holds nothing up', async (t) => {
  const redis = await startRedis(t);
  const mongodb = redis === undefined ? undefined : await startMongoDb(t);
  if (redis === undefined || mongodb === undefined) return;
  const sink = await openSink(t);
  const instances = await startInstances(t, {
    data: await temporaryFolder(t),
    backends: { mongodb: { url: mongodb.url, database: mongodb.database }, redis: { url: redis.url } },
    config: {
      submission: {
        listeners: [{ address: '127.0.0.1', port: 0, tls: 'none' }],
        relay: { host: '127.0.0.1', port: sink.port, tls: 'none' },
        queue: { retryFirstMs: 500, retryMaxMs: 1000 },
      },
      mail: { domains: ['example.test'] },
    },
  });
  const [first] = instances;
  assert(first);
  await first.createAccount(ADA, PASSWORD);
  await first.createAccount(BEA, PASSWORD);
  const acknowledged: string[] = [];
  const submit = async (server: (typeof instances)[number], name: string): Promise<void> => {
    const smtp = await SmtpScript.open(t, server.port('submission'), 'EHLO');
    await smtp.command(`AUTH PLAIN ${PLAIN}`, 235);
    for (let n = 0; n < EACH; n += 1) {
      const id = `${name}${n}@example.test`;
      const [reply] = await smtp.deliver(
        ADA,
        ['bob@example.org', BEA],
        Buffer.from(`From: ${ADA}\r\nMessage-ID: <${id}>\r\nSubject: x\r\n\r\nhi\r\n`),
      );
      if (reply?.code === 250) acknowledged.push(id);
    }
    smtp.close();
  };
  const taken = (): string[] => sink.taken.map(({ raw }) => /Message-ID: <([^>]+)>/.exec(raw)?.[1] ?? '').sort();

  await Promise.all(instances.map((server, n) => submit(server, `i${n}-`)));
  await sink.until(2 * EACH, 60_000);
  assert.equal(acknowledged.length, 2 * EACH);
  assert.deepEqual(taken(), [...acknowledged].sort(), 'each went out once');

  // Whoever sends is in the middle of a message now; its process dies.
  const { promise: inTheMiddle, resolve } = Promise.withResolvers<void>();
  sink.behaviour = {
    data: async () => {
      resolve();
      await new Promise((later) => setTimeout(later, 200));
      return 'ok' as const;
    },
  };
  const sent = Promise.allSettled(instances.map((server, n) => submit(server, `k${n}-`)));
  await inTheMiddle;
  const busy = await Promise.all(instances.map((server) => server.metric('pochard_submissions_in_flight')));
  assert.equal(busy.filter((count) => count > 0).length, 1, `one instance sends: ${busy.join(', ')}`);
  const [dead, alive] = (busy[0] ?? 0) > 0 ? instances : [...instances].reverse();
  assert(dead && alive);
  await dead.kill();
  await sent;
  sink.behaviour = {};
  for (const end = Date.now() + 90_000; ; ) {
    const { messages } = (await (await alive.api('GET', '/v1/queue')).json()) as { messages: unknown[] };
    if (messages.length === 0) break;
    assert(Date.now() < end, `${messages.length} messages are still in the queue`);
    await new Promise((later) => setTimeout(later, 200));
  }
  const all = new Set(taken());
  for (const id of acknowledged) assert(all.has(id), `${id} is lost`);
  const again = taken().length - all.size;
  console.error(`${acknowledged.length} acknowledged, ${all.size} out, ${again} of them twice after the kill`);
});
