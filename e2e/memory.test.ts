/**
 * Bounded memory: many large deliveries at once, and many idle sessions. The figures of the acceptance list need more time than a test run
 * has; these variables choose them:
 * POCHARD_LARGE_DELIVERIES (default 10, acceptance 50), POCHARD_IDLE_SESSIONS (default 2000, acceptance 10000; `ulimit -n` must allow them).
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { ImapScript } from './support/imap-script.ts';
import { kibi, mebi, memoryOf, openDescriptors, settledMemoryOf } from './support/process-memory.ts';
import { base64Lines } from './support/sample-mail.ts';
import { startServer } from './support/server.ts';
import { skipLoudly } from './support/skip.ts';
import { SmtpScript } from './support/smtp-script.ts';

const LARGE = Number(process.env['POCHARD_LARGE_DELIVERIES'] ?? 10);
const IDLE = Number(process.env['POCHARD_IDLE_SESSIONS'] ?? 2_000);
const FAN = Math.min(1_000, IDLE);
const PER_ACCOUNT = 100;
const MESSAGE_OCTETS = 50_000_000;
const PEAK_OCTETS = 400 * 1_048_576;
const SESSION_OCTETS = 40 * 1_024;
const WAKE_MS = 5_000;
const CLOSED_MS = 5_000;
const PASSWORD = 'correct horse';

test(`${LARGE} concurrent deliveries of 50 MB stay under 400 MiB`, async (t) => {
  const server = await startServer(t, { accounts: { 'ada@example.test': PASSWORD, 'bob@example.test': PASSWORD } });
  const started = await memoryOf(server.pid);
  // The same first attachment in every message, another second one in each; 57-octet lines, so that blocks can be repeated.
  const block = base64Lines(randomBytes(57 * 1_000));
  const shared = Buffer.from(block.repeat(250), 'latin1');
  const own = Buffer.from(base64Lines(randomBytes(57 * 1_000)).repeat(25), 'latin1');
  const began = performance.now();
  await Promise.all(
    Array.from({ length: LARGE }, async (_, i) => {
      const hello = i % 2 === 0 ? 'LHLO' : 'EHLO';
      const script = await SmtpScript.open(t, server.port(hello === 'LHLO' ? 'lmtp' : 'smtp'), hello);
      await script.begin('bob@example.org', [i % 3 === 0 ? 'bob@example.test' : 'ada@example.test']);
      const part = `Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n`;
      const pieces = [
        Buffer.from(
          `From: bob@example.org\r\nMessage-ID: <large-${i}@example.org>\r\nSubject: large ${i}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n${part}`,
        ),
        shared,
      ];
      pieces.push(Buffer.from(`--b\r\n${part}${base64Lines(randomBytes(57))}`));
      let octets = pieces.reduce((sum, { length }) => sum + length, 0);
      for (; octets + own.length < MESSAGE_OCTETS; octets += own.length) pieces.push(own);
      pieces.push(Buffer.from('--b--\r\n.\r\n'));
      for (const piece of pieces) if (!script.socket.write(piece)) await once(script.socket, 'drain');
      await script.expect(250);
      script.close();
    }),
  );
  const took = performance.now() - began;
  const { peak } = await memoryOf(server.pid);
  t.diagnostic(
    `${LARGE} messages of 50 MB at once: peak RSS ${mebi(peak)}, ${mebi(started.rss)} before; ${((LARGE * MESSAGE_OCTETS) / 1e6 / (took / 1_000)).toFixed(0)} MB/s`,
  );
  assert.ok(peak < PEAK_OCTETS, `peak RSS ${mebi(peak)}`);

  // And read again: a whole message, octets counted, no more memory than taking it.
  const imap = await ImapScript.login(t, server.port('imap'), 'ada@example.test', PASSWORD);
  await imap.command('SELECT INBOX');
  const { untagged } = await imap.command('FETCH 1 (RFC822.SIZE BODY.PEEK[])');
  const size = Number(/RFC822\.SIZE (\d+)/.exec(untagged[0]?.slice(0, 200) ?? '')?.[1]);
  assert.ok(size > MESSAGE_OCTETS * 0.9);
  assert.ok(untagged[0]?.slice(0, 200).includes(`BODY[] {${size}}`));
  const afterRead = await memoryOf(server.pid);
  t.diagnostic(`one of them read by FETCH BODY[]: peak RSS ${mebi(afterRead.peak)}`);
  assert.ok(afterRead.peak < PEAK_OCTETS);
});

/** A session in IDLE; keeps nothing of what it reads. */
class IdleClient {
  readonly socket: Socket;
  #wanted = '';
  #tail = '';
  #found: (() => void) | undefined;
  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => undefined); // a lost session shows as an answer that does not come
    socket.on('data', (chunk: Buffer) => {
      if (this.#found === undefined) return;
      this.#tail += chunk.toString('latin1');
      if (!this.#tail.includes(this.#wanted)) return;
      this.#tail = '';
      this.#found();
      this.#found = undefined;
    });
  }
  until(wanted: string): Promise<void> {
    this.#wanted = wanted;
    return new Promise((resolve, reject) => {
      this.#found = resolve;
      this.socket.once('close', () => reject(new Error(`closed before "${wanted}": ${this.#tail}`)));
    });
  }
  async say(line: string, wanted: string): Promise<void> {
    const answered = this.until(wanted);
    this.socket.write(line);
    await answered;
    this.socket.removeAllListeners('close');
  }
  static async idle(port: number, user: string): Promise<IdleClient> {
    const client = new IdleClient(connect(port, '127.0.0.1'));
    await client.until(' ready\r\n');
    await client.say(`a LOGIN ${user} "${PASSWORD}"\r\n`, 'a OK');
    await client.say('b SELECT INBOX\r\n', 'b OK');
    await client.say('c IDLE\r\n', '+ ');
    return client;
  }
}

test(`${IDLE} idle sessions cost less than 40 KiB each, wake together and go without trace`, async (t) => {
  const limit = Number((await import('node:child_process')).execSync('ulimit -Hn', { shell: '/bin/sh' }).toString().trim());
  if (limit < IDLE + 500) {
    skipLoudly(t, `ulimit -Hn is ${limit}, too little for ${IDLE} connections`);
    return;
  }
  const users = ['fan@example.test', ...Array.from({ length: Math.ceil((IDLE - FAN) / PER_ACCOUNT) }, (_, i) => `u${i}@example.test`)];
  const server = await startServer(t, {
    accounts: Object.fromEntries(users.map((user) => [user, PASSWORD])),
    config: { limits: { imapConnectionsPerUserAndAddress: IDLE, connectionsTotal: IDLE * 2 }, log: { level: 'warn' } },
  });
  const port = server.port('imap');
  const open = async (count: number, user: (i: number) => string): Promise<IdleClient[]> => {
    const clients: IdleClient[] = [];
    for (let at = 0; at < count; at += 50) {
      const batch = Array.from({ length: Math.min(50, count - at) }, (_, i) => IdleClient.idle(port, user(at + i)));
      clients.push(...(await Promise.all(batch)));
    }
    return clients;
  };
  const close = async (clients: readonly IdleClient[]): Promise<void> => {
    for (const { socket } of clients) socket.destroy();
    const deadline = performance.now() + CLOSED_MS;
    while (performance.now() < deadline && (await openDescriptors(server.pid)) > baseline + 10)
      await new Promise((resolve) => setTimeout(resolve, 50));
  };
  let baseline = Number.POSITIVE_INFINITY;
  // Once each before the baseline is taken, so that accounts and code are loaded.
  const warm = await open(users.length + 100, (i) => users[i % users.length] ?? '');
  for (const { socket } of warm) socket.destroy();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  baseline = await openDescriptors(server.pid);
  const before = await settledMemoryOf(server.pid);

  const began = performance.now();
  const fan = await open(FAN, () => 'fan@example.test');
  const others = await open(IDLE - FAN, (i) => users[1 + Math.floor(i / PER_ACCOUNT)] ?? '');
  const took = performance.now() - began;
  const after = await settledMemoryOf(server.pid);
  const rss = (after.rss - before.rss) / IDLE;
  const pss = (after.pss - before.pss) / IDLE;
  t.diagnostic(
    `${IDLE} idle sessions: RSS ${kibi(rss)} each, PSS ${kibi(pss)} each (${mebi(before.rss)} before, ${mebi(after.rss)} with them, peak ${mebi(after.peak)}); ` +
      `${(IDLE / (took / 1_000)).toFixed(0)} connect+LOGIN+SELECT+IDLE/s`,
  );
  assert.ok(rss < SESSION_OCTETS, `RSS ${kibi(rss)} a session`);
  assert.ok(pss < SESSION_OCTETS, `PSS ${kibi(pss)} a session`);

  const woken = Promise.all(fan.map((client) => client.until('* 1 EXISTS\r\n')));
  const sent = performance.now();
  await server.deliver('fan@example.test', 'Subject: wake\r\n\r\nup\r\n');
  await woken;
  const wakeMs = performance.now() - sent;
  t.diagnostic(`one delivery has woken ${FAN} sessions after ${wakeMs.toFixed(0)} ms`);
  assert.ok(wakeMs < WAKE_MS);

  for (const { socket } of fan) socket.removeAllListeners('close');
  await close([...fan, ...others]);
  const left = await openDescriptors(server.pid);
  t.diagnostic(`descriptors: ${baseline} before, ${left} after all have gone`);
  assert.ok(left <= baseline + 10, `${left - baseline} descriptors are left`);
  assert.equal(await server.stop(), 0);
});
