import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';

import { AddressSet } from './address.ts';
import type { Connection, ListenerAddress, Session } from './connection.ts';
import { ConnectionGate } from './connection-gate.ts';
import { FakeClock } from './fake-clock.ts';
import { ListenerGroup } from './listener.ts';
import type { NetLog } from './log.ts';
import { OutputPool, SocketOutput } from './output.ts';
import { TimerWheel } from './timer-wheel.ts';
import { Tls } from './tls.ts';

function recordingLog() {
  const lines: { message: string; details: Readonly<Record<string, unknown>> }[] = [];
  const say = (details: Readonly<Record<string, unknown>>, message: string) => void lines.push({ message, details });
  return { lines, log: { info: say, warn: say, error: say } satisfies NetLog };
}

async function openTls(t: TestContext, log: NetLog, hostname = 'mail.example.test'): Promise<Tls> {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'pochard-tls-'));
  t.after(() => rm(dataDirectory, { recursive: true }));
  return Tls.open({ files: undefined, dataDirectory, hostname, minVersion: 'TLSv1.2', handshakeTimeMs: 60_000, log, now: Date.now });
}

interface Setting {
  readonly listeners?: readonly ListenerAddress[];
  readonly perAddress?: number;
  readonly serve?: (connection: Connection) => Session;
}

async function startGroup(t: TestContext, { listeners, perAddress = 50, serve = greet }: Setting = {}) {
  const { log, lines } = recordingLog();
  const clock = new FakeClock();
  const wheel = new TimerWheel({ now: clock.now, every: clock.every });
  const tls = await openTls(t, log);
  const limits = { connectionsTotal: 100, connectionsPerAddress: perAddress, connectionsPerAddressMinute: 300 };
  const gate = new ConnectionGate({ limits, trusted: new AddressSet([]), now: clock.now });
  let id = 0;
  const group = new ListenerGroup({
    protocol: 'imap',
    listeners: listeners ?? [{ address: '127.0.0.1', port: 0, tls: 'none' }],
    gate,
    wheel,
    terminator: tls.terminator,
    loginTimeMs: 60_000,
    refusalLine: (reason) => `* BYE ${reason}\r\n`,
    serve,
    log,
    nextId: () => (id += 1),
  });
  const addresses = await group.open();
  const clients: Socket[] = [];
  t.after(async () => {
    for (const client of clients) client.destroy();
    await group.drain(1000);
  });
  const plain = (index = 0): Socket => {
    const client = connect(addresses[index]?.port ?? 0, '127.0.0.1');
    client.on('error', () => undefined);
    clients.push(client);
    return client;
  };
  return { addresses, clock, gate, group, lines, plain, tls, wheel };
}

function greet(connection: Connection): Session {
  connection.socket.write('* OK\r\n');
  return {
    drain: () => connection.socket.end('* BYE down\r\n'),
    loginTimedOut: () => connection.socket.end('* BYE late\r\n'),
  };
}

async function textOf(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks).toString('latin1');
}

async function firstText(socket: Socket): Promise<string> {
  const [octets] = (await once(socket, 'data')) as [Buffer];
  return octets.toString('latin1');
}

test('an address that cannot be had is named, and nothing listens then', async (t) => {
  const { addresses, group } = await startGroup(t);
  const port = addresses[0]?.port ?? 0;
  const listeners = [
    { address: '127.0.0.1', port: 0, tls: 'none' },
    { address: '127.0.0.1', port, tls: 'none' },
  ] as const;
  await assert.rejects(startGroup(t, { listeners }), new RegExp(`imap: cannot listen on 127\\.0\\.0\\.1 port ${port}: .*EADDRINUSE`));
  assert.equal(group.openConnections, 0);
});

test('a client beyond the limit reads why and is cut; a place is free again when another leaves', async (t) => {
  const { gate, lines, plain } = await startGroup(t, { perAddress: 2 });
  const [first, second] = [plain(), plain()];
  await Promise.all([firstText(first), firstText(second)]);
  assert.equal(await textOf(plain()), '* BYE too many connections from this address\r\n');
  assert.ok(lines.some(({ message }) => message === 'connection refused'));
  first.end();
  await once(first, 'close');
  while (gate.openConnections > 1) await new Promise(setImmediate);
  assert.equal(await firstText(plain()), '* OK\r\n');
});

test('running out of descriptors is said once a second', async (t) => {
  const { clock, lines, group } = await startGroup(t);
  const fail = () => group.acceptFailed(Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }));
  for (let turn = 0; turn < 100; turn += 1) fail();
  clock.advance(1000);
  fail();
  const said = lines.filter(({ message }) => message === 'cannot accept connections');
  assert.deepEqual(
    said.map(({ details: { omitted } }) => omitted),
    [undefined, 99],
  );
});

test('who does not log in in time hears it and is cut; who has logged in stays', async (t) => {
  const connections: Connection[] = [];
  const { clock, plain } = await startGroup(t, {
    serve: (connection) => {
      connections.push(connection);
      return greet(connection);
    },
  });
  const [slow, quick] = [plain(), plain()];
  await Promise.all([firstText(slow), firstText(quick)]);
  const isQuick = (connection: Connection) => connection.socket.remotePort === quick.localPort;
  connections.find(isQuick)?.loggedIn();
  clock.advance(61_000);
  assert.equal(await textOf(slow), '* BYE late\r\n');
  clock.advance(600_000);
  assert.equal(quick.readyState, 'open');
});

test('a session that does not end after the login time is destroyed', async (t) => {
  const { clock, plain } = await startGroup(t, {
    serve: (connection) => {
      connection.socket.write('* OK\r\n');
      return { drain: () => connection.socket.destroy(), loginTimedOut: () => undefined };
    },
  });
  const client = plain();
  await firstText(client);
  clock.advance(61_000);
  clock.advance(4000);
  await once(client, 'close');
});

test('a session that cannot be started is logged and cut, the server lives', async (t) => {
  let isBroken = true;
  const { lines, plain } = await startGroup(t, {
    serve: (connection) => {
      if (isBroken) throw new Error('broken');
      return greet(connection);
    },
  });
  assert.equal(await textOf(plain()), '');
  assert.ok(lines.some(({ message }) => message === 'session could not be started'));
  isBroken = false;
  assert.equal(await firstText(plain()), '* OK\r\n');
});

test('shutdown: idle sessions say goodbye, stubborn ones are cut when the time is up, new clients are refused', async (t) => {
  const { addresses, clock, group, plain } = await startGroup(t, {
    serve: (connection) => {
      const session = greet(connection);
      return connection.id === 1 ? session : { ...session, drain: () => undefined };
    },
  });
  const idle = plain();
  await firstText(idle);
  const stubborn = plain();
  await firstText(stubborn);
  const drained = group.drain(30_000);
  assert.equal(await textOf(idle), '* BYE down\r\n');
  const late = connect(addresses[0]?.port ?? 0, '127.0.0.1');
  const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNREFUSED');
  while (group.openConnections > 1) await new Promise(setImmediate);
  clock.advance(31_000);
  assert.equal(await drained, 1);
  assert.equal(group.openConnections, 0);
});

test('what is no TLS on an implicit listener is cut, and the server lives', async (t) => {
  const { addresses, lines, plain } = await startGroup(t, { listeners: [{ address: '127.0.0.1', port: 0, tls: 'implicit' }] });
  const client = plain();
  client.write('a1 LOGIN ada secret\r\n');
  await once(client.resume(), 'close');
  const quitter = plain();
  await once(quitter, 'connect');
  quitter.destroy();
  const secure = connectTls({ port: addresses[0]?.port ?? 0, host: '127.0.0.1', rejectUnauthorized: false });
  assert.equal(await firstText(secure), '* OK\r\n');
  assert.ok(lines.some(({ message }) => message === 'no TLS'));
  secure.destroy();
});

test('a body of many megabytes goes through TLS whole and in order, and the connection is idle again behind it', async (t) => {
  const outputs: SocketOutput[] = [];
  const wheel = new TimerWheel({ every: () => ({ stop: () => undefined }) });
  const pool = new OutputPool({ wheel, blockedWriteTimeMs: 120_000, queuedOutputOctets: 1024 * 1024 });
  const { addresses } = await startGroup(t, {
    listeners: [{ address: '127.0.0.1', port: 0, tls: 'implicit' }],
    serve: (connection) => {
      outputs.push(new SocketOutput(connection.socket, pool));
      return { drain: () => connection.socket.destroy(), loginTimedOut: () => connection.socket.destroy() };
    },
  });
  const client = connectTls({ port: addresses[0]?.port ?? 0, host: '127.0.0.1', rejectUnauthorized: false });
  await once(client, 'secureConnect');
  while (outputs.length === 0) await new Promise(setImmediate);
  const output = outputs[0];
  assert.ok(output);
  const chunk = Buffer.from(Array.from({ length: 77_777 }, (_, index) => (index * 7) & 255));
  const reading = (async () => {
    const chunks: Buffer[] = [];
    for await (const octets of client) chunks.push(octets);
    return Buffer.concat(chunks);
  })();
  output.write('* 1 FETCH (BODY[] {7777700}\r\n');
  await output.writeAll(Array.from({ length: 100 }, () => chunk));
  output.write(')\r\n');
  await output.drained();
  while (output.queuedOctets > 0) await new Promise(setImmediate);
  output.end();
  const text = await reading;
  assert.equal(text.length, 29 + 7_777_700 + 3);
  assert.ok(text.subarray(29, -3).equals(Buffer.concat(Array.from({ length: 100 }, () => chunk))));
});

test('TLS older than 1.2 is refused', async (t) => {
  const { addresses } = await startGroup(t, { listeners: [{ address: '127.0.0.1', port: 0, tls: 'implicit' }] });
  const old = connectTls({
    port: addresses[0]?.port ?? 0,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    minVersion: 'TLSv1.1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  });
  await assert.rejects(once(old, 'secureConnect'));
});

/** A STARTTLS server in three lines: any data is the command. */
function startTlsSession(results: Promise<number>[], texts: string[]) {
  return (connection: Connection): Session => {
    const session = greet(connection);
    connection.socket.once('readable', () => {
      connection.socket.read(10);
      connection.socket.write('a OK\r\n');
      const upgrade = connection.upgrade();
      results.push(upgrade);
      upgrade.then(
        () => connection.socket.on('data', (octets) => texts.push(octets.toString('latin1'))).write(`* secure ${connection.isSecure}\r\n`),
        () => undefined,
      );
    });
    return session;
  };
}

test('STARTTLS: what came in clear behind the command is discarded, the TLS session never sees it', async (t) => {
  const results: Promise<number>[] = [];
  const texts: string[] = [];
  const { group, plain } = await startGroup(t, {
    listeners: [{ address: '127.0.0.1', port: 0, tls: 'starttls' }],
    serve: startTlsSession(results, texts),
  });
  const client = plain();
  await firstText(client);
  client.write('a STARTTLSb LOGIN injected x\r\n'); // the first ten octets are the command
  assert.equal(await firstText(client), 'a OK\r\n');
  const secure: TLSSocket = connectTls({ socket: client, rejectUnauthorized: false });
  assert.equal(await firstText(secure), '* secure true\r\n');
  assert.equal(await results[0], 20);
  secure.write('c NOOP\r\n');
  while (texts.length === 0) await new Promise(setImmediate);
  assert.deepEqual(texts, ['c NOOP\r\n']);
  const drained = group.drain(30_000);
  assert.equal(await textOf(secure), '* BYE down\r\n');
  assert.equal(await drained, 0);
});

test('STARTTLS with no handshake after it: the upgrade fails and the socket is gone', async (t) => {
  const results: Promise<number>[] = [];
  const { group, plain } = await startGroup(t, {
    listeners: [{ address: '127.0.0.1', port: 0, tls: 'starttls' }],
    serve: startTlsSession(results, []),
  });
  const client = plain();
  await firstText(client);
  client.write('a STARTTLS');
  await firstText(client);
  client.write('b LOGIN in clear\r\n');
  await once(client, 'close');
  await assert.rejects(results[0] ?? Promise.resolve(), { name: 'HandshakeFailed' });
  while (group.openConnections > 0) await new Promise(setImmediate);
});

test('STARTTLS is not to be had on plain and implicit listeners', async (t) => {
  const connections: Connection[] = [];
  const { plain } = await startGroup(t, {
    serve: (connection) => {
      connections.push(connection);
      return greet(connection);
    },
  });
  await firstText(plain());
  assert.equal(connections[0]?.canUpgrade, false);
  await assert.rejects(connections[0]?.upgrade() ?? Promise.resolve());
});

test('the self-signed certificate is made once, private, with the name of the server', async (t) => {
  const { log, lines } = recordingLog();
  const tls = await openTls(t, log);
  const { keyFile, certificateFile } = tls.files;
  assert.equal((await stat(keyFile)).mode & 0o777, 0o600);
  assert.equal((await stat(join(keyFile, '..'))).mode & 0o777, 0o700);
  assert.equal(lines.filter(({ message }) => message === 'made a self-signed certificate').length, 1);
  const before = await readFile(certificateFile, 'utf8');
  const options = {
    files: undefined,
    dataDirectory: join(keyFile, '..', '..'),
    hostname: 'x',
    minVersion: 'TLSv1.2',
    handshakeTimeMs: 1,
    log,
  } as const;
  await Tls.open({ ...options, now: Date.now });
  assert.equal(await readFile(certificateFile, 'utf8'), before);
  await unlink(certificateFile); // as after a crash between the two files
  await Tls.open({ ...options, now: Date.now });
  const again = await readFile(certificateFile, 'utf8');
  assert.notEqual(again, before);
  await Tls.open({ ...options, now: () => Date.now() + 11 * 365 * 86_400_000 });
  assert.notEqual(await readFile(certificateFile, 'utf8'), again);
});

test('changed certificate files are taken without a restart, half a renewal is not', async (t) => {
  const { addresses, lines, tls } = await startGroup(t, { listeners: [{ address: '127.0.0.1', port: 0, tls: 'implicit' }] });
  const other = await openTls(t, recordingLog().log, 'other.example.test');
  const subject = async () => {
    const client = connectTls({ port: addresses[0]?.port ?? 0, host: '127.0.0.1', rejectUnauthorized: false });
    await once(client, 'secureConnect');
    const { CN } = client.getPeerCertificate().subject;
    client.destroy();
    return CN;
  };
  assert.equal(await subject(), 'mail.example.test');
  assert.equal(await tls.reloadIfChanged(), 'same');
  let replaced = 0;
  tls.onReplace(() => (replaced += 1));

  await writeFile(tls.files.certificateFile, await readFile(other.files.certificateFile));
  assert.equal(await tls.reloadIfChanged(), 'kept');
  assert.equal(await subject(), 'mail.example.test');
  assert.ok(lines.some(({ message }) => message === 'certificate cannot be loaded, the old one stays'));

  await writeFile(tls.files.keyFile, await readFile(other.files.keyFile));
  assert.equal(await tls.reloadIfChanged(), 'replaced');
  assert.equal(await subject(), 'other.example.test');
  assert.equal(replaced, 1);
  await unlink(tls.files.keyFile);
  assert.equal(await tls.reloadIfChanged(), 'kept');
});

test('files that do not belong together stop the start', async (t) => {
  const { log } = recordingLog();
  const [a, b] = [await openTls(t, log), await openTls(t, log)];
  const files = { certificateFile: a.files.certificateFile, keyFile: b.files.keyFile };
  const options = { dataDirectory: '/nowhere', hostname: 'x', minVersion: 'TLSv1.2', handshakeTimeMs: 1, log, now: Date.now } as const;
  await assert.rejects(Tls.open({ ...options, files }), /mismatch/);
  await assert.rejects(Tls.open({ ...options, files: { ...files, keyFile: '/nowhere/key' } }), /ENOENT/);
});
