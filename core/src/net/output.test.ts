import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type TestContext, test } from 'node:test';

import { FakeClock } from './fake-clock.ts';
import { OutputClosed, OutputPool, SocketOutput } from './output.ts';
import { TimerWheel } from './timer-wheel.ts';

const MIB = 1024 * 1024;

function poolWith(clock: FakeClock) {
  const wheel = new TimerWheel({ now: clock.now, every: clock.every });
  return { wheel, pool: new OutputPool({ wheel, blockedWriteTimeMs: 120_000, queuedOutputOctets: MIB }) };
}

/** A socket whose writes are recorded, and finished only when `release` is called if `isStuck`. */
function fakeSocket() {
  const writes: Buffer[] = [];
  const waiting: (() => void)[] = [];
  const state = { isStuck: false };
  const socket = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _encoding, done) {
      writes.push(Buffer.from(chunk)); // a copy: the buffer is used again
      if (state.isStuck) waiting.push(done);
      else done();
    },
  });
  socket.on('error', () => undefined);
  return { socket: socket as unknown as Socket, writes, state, release: () => waiting.shift()?.() };
}

async function tcpPair(t: TestContext): Promise<{ client: Socket; server: Socket }> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  assert.ok(typeof address === 'object' && address !== null);
  const client = connect(address.port, '127.0.0.1');
  const [server] = (await once(listener, 'connection')) as [Socket];
  t.after(() => {
    client.destroy();
    server.destroy();
    listener.close();
  });
  return { client, server };
}

test('text beyond latin1 is never sent: U+010A would arrive as a line feed', () => {
  const { pool } = poolWith(new FakeClock());
  const { socket, writes } = fakeSocket();
  const output = new SocketOutput(socket, pool);
  assert.throws(() => output.write('* OK x\u010Ainjected\r\n'), RangeError);
  assert.deepEqual(writes, []);
  assert.ok(output.isClosed);
});

test('writes after the socket has closed are dropped, and drained says so', async () => {
  const { pool } = poolWith(new FakeClock());
  const { socket, writes } = fakeSocket();
  const output = new SocketOutput(socket, pool);
  socket.destroy();
  output.write('lost');
  output.write(Buffer.alloc(100_000));
  await assert.rejects(output.drained(), OutputClosed);
  await assert.rejects(output.writeAll([Buffer.from('x')]), OutputClosed);
  assert.deepEqual(writes, []);
  assert.equal(output.queuedOctets, 0);
});

test('a client that reads nothing for two minutes is cut; one that reads slowly is not', () => {
  const clock = new FakeClock();
  const { pool } = poolWith(clock);
  const { socket, state, release } = fakeSocket();
  state.isStuck = true;
  const output = new SocketOutput(socket, pool);
  output.write('a');
  output.write('b');
  output.write('c');
  for (let turn = 0; turn < 2; turn += 1) {
    clock.advance(100_000);
    release();
  }
  assert.equal(socket.destroyed, false);
  clock.advance(118_000);
  assert.equal(socket.destroyed, false);
  clock.advance(4000);
  assert.ok(socket.destroyed);
});

test('more than the limit of waiting output cuts the session', () => {
  const { pool } = poolWith(new FakeClock());
  const { socket, state } = fakeSocket();
  state.isStuck = true;
  const output = new SocketOutput(socket, pool);
  const line = 'x'.repeat(10_000);
  let turns = 0;
  for (; !socket.destroyed && turns < 1000; turns += 1) output.write(line);
  assert.ok(turns > 100 && turns < 120, `${turns}`);
  assert.equal(output.isClosed, true);
});

test('corked lines go out as one write, octets and text in order, buffers at most 64 KiB', () => {
  const { pool } = poolWith(new FakeClock());
  const { socket, writes } = fakeSocket();
  const output = new SocketOutput(socket, pool);
  output.cork();
  output.cork();
  output.write('* 1 FETCH (\xe9 ');
  output.write(Buffer.from([0, 255]));
  output.write(')\r\n');
  output.uncork();
  assert.equal(writes.length, 0);
  output.uncork();
  assert.deepEqual(writes, [Buffer.from('* 1 FETCH (\xe9 \x00\xff)\r\n', 'latin1')]);

  writes.length = 0;
  const expected: Buffer[] = [];
  output.cork();
  for (let index = 0; index < 3000; index += 1) {
    const text = `* ${index} FETCH ${'y'.repeat(index % 90)}\r\n`;
    output.write(text);
    const octets = Buffer.alloc(index % 700 === 0 ? 20_000 + index : index % 7, index & 255);
    output.write(octets);
    expected.push(Buffer.from(text, 'latin1'), octets);
  }
  output.uncork();
  assert.ok(Buffer.concat(writes).equals(Buffer.concat(expected)));
  assert.ok(writes.every(({ length }) => length <= 65_536));
  assert.ok(writes.length < 20, `${writes.length} writes`);
});

test('one long text is sent whole', () => {
  const { pool } = poolWith(new FakeClock());
  const { socket, writes } = fakeSocket();
  const text = 'z'.repeat(200_001);
  new SocketOutput(socket, pool).write(text);
  assert.equal(Buffer.concat(writes).toString('latin1'), text);
});

test('a body larger than all buffers reaches a real client octet by octet, memory stays bounded', async (t) => {
  const { client, server } = await tcpPair(t);
  const { pool } = poolWith(new FakeClock());
  const output = new SocketOutput(server, pool);
  const chunk = Buffer.from(Array.from({ length: 100_003 }, (_, index) => index & 255));
  let most = 0;
  const body = function* () {
    for (let turn = 0; turn < 200; turn += 1) {
      most = Math.max(most, output.queuedOctets);
      yield chunk;
    }
  };
  const received: Buffer[] = [];
  const sending = (async () => {
    output.write('before');
    await output.writeAll(body());
    output.write('after');
    output.end();
  })();
  for await (const octets of client) received.push(octets);
  await sending;
  const all = Buffer.concat(received);
  assert.equal(all.length, 6 + 200 * chunk.length + 5);
  assert.equal(all.subarray(0, 6).toString(), 'before');
  assert.ok(all.subarray(6 + 7 * chunk.length, 6 + 8 * chunk.length).equals(chunk));
  assert.equal(all.subarray(-5).toString(), 'after');
  assert.ok(most < MIB / 2, `${most}`);
});

test('drained ends with OutputClosed when the client goes away while output waits', async (t) => {
  const { client, server } = await tcpPair(t);
  server.on('error', () => undefined);
  client.pause();
  const { pool } = poolWith(new FakeClock());
  const output = new SocketOutput(server, pool);
  while (!output.isFull) output.write(Buffer.alloc(60_000));
  const waiting = assert.rejects(output.drained(), OutputClosed);
  client.destroy();
  await waiting;
});

test('an idle output holds no timer and no listener', async (t) => {
  const { client, server } = await tcpPair(t);
  const clock = new FakeClock();
  const { pool, wheel } = poolWith(clock);
  const listeners = () => server.eventNames().map((name) => server.listenerCount(name));
  const before = listeners();
  const output = new SocketOutput(server, pool);
  output.write('* OK\r\n');
  const [octets] = (await once(client, 'data')) as [Buffer];
  assert.equal(octets.toString(), '* OK\r\n');
  assert.deepEqual(listeners(), before);
  clock.advance(300_000);
  assert.equal(wheel.size, 0);
});
