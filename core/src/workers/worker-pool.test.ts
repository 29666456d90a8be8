import assert from 'node:assert/strict';
import cluster from 'node:cluster';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createLogger } from '../config/logger.ts';
import { WorkerPool } from './worker-pool.ts';

const lines: string[] = [];
const log = createLogger({ level: 'info', pretty: false, to: { write: (line) => lines.push(line) } });

test('a worker that cannot start fails the start', async () => {
  cluster.setupPrimary({ exec: join(import.meta.dirname, 'worker.fixture.ts'), args: ['fail'] });
  await assert.rejects(new WorkerPool({ count: 2, log, graceMs: 1_000 }).start(), /exit status 3/);
});

test('connections go to all workers; kill -9 of one leaves the others and is made good', async (t) => {
  const { port } = await startPool(t);
  const [a, b] = [await ask(port), await ask(port)];
  assert.notEqual(a.pid, b.pid);
  const gone = once(a.socket, 'close');
  process.kill(a.pid, 'SIGKILL');
  await gone;
  // Until the parent has seen it die it may still hand it connections.
  while (!/started anew/.test(lines.join(''))) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal((await ask(port)).pid, b.pid);
  assert.equal((await again(b.socket, 'still here')).pid, b.pid);
  await untilPids(port, (pids) => pids.size === 2);
});

test('metrics are those of all workers', async (t) => {
  const { port } = await startPool(t);
  for (let n = 0; n < 5; n++) await ask(port);
  const socket = connect(port, '127.0.0.1');
  socket.write('metrics\n');
  const [text] = await once(socket, 'data');
  assert.match(String(text), /^lines 6$/m);
  socket.destroy();
});

test('SIGHUP is for all; drain lets sessions end and then every process', async (t) => {
  const { pool, port } = await startPool(t);
  const sessions = [await ask(port), await ask(port)];
  const reloaded = sessions.map(({ socket }) => once(socket, 'data'));
  pool.reload();
  for (const [data] of await Promise.all(reloaded)) assert.equal(String(data), 'reloaded\n');
  const ends = sessions.map(({ socket }) => once(socket, 'data'));
  await pool.drain();
  for (const [data] of await Promise.all(ends)) assert.equal(String(data), 'bye\n');
  for (const { pid } of sessions) assert.throws(() => process.kill(pid, 0), /ESRCH/);
});

test('a worker whose event loop stands still is killed and started anew', async (t) => {
  const { port } = await startPool(t, 6_000);
  const { pid, socket } = await ask(port);
  const gone = once(socket, 'close');
  socket.write('block\n');
  await gone;
  while (!/does not answer[\s\S]*started anew/.test(lines.join(''))) await new Promise((resolve) => setTimeout(resolve, 10));
  await untilPids(port, (pids) => pids.size === 2 && !pids.has(pid));
});

async function startPool(t: TestContext, silenceMs = 60_000): Promise<{ readonly pool: WorkerPool; readonly port: number }> {
  cluster.setupPrimary({ exec: join(import.meta.dirname, 'worker.fixture.ts'), args: [] });
  const pool = new WorkerPool({ count: 2, log, graceMs: 1_000, silenceMs });
  t.after(() => pool.drain());
  const [listener] = await pool.start();
  assert.ok(listener);
  return { pool, port: listener.port };
}

interface Answer {
  readonly pid: number;
  readonly socket: Socket;
}
async function ask(port: number): Promise<Answer> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined); // its end is what tests wait for
  return again(socket, 'hello');
}
async function again(socket: Socket, line: string): Promise<Answer> {
  socket.write(`${line}\n`);
  const [data] = await once(socket, 'data');
  return { pid: Number.parseInt(String(data), 10), socket };
}

/** Asks until the processes that answer are as wanted. */
async function untilPids(port: number, isEnough: (pids: ReadonlySet<number>) => boolean): Promise<void> {
  for (;;) {
    const pids = new Set<number>();
    for (let n = 0; n < 4; n++) {
      const { pid, socket } = await ask(port);
      pids.add(pid);
      socket.destroy();
    }
    if (isEnough(pids)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
