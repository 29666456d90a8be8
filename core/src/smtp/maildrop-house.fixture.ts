/** A maildrop before a spool in memory and a delivery that keeps what it gets, and a client that speaks to it by hand. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { MailError } from '../mail/errors.ts';
import type { Delivery, MessageSource, Spool } from '../mail/services.ts';
import { Connection, ignoreSocketError } from '../net/connection.ts';
import { TimerWheel } from '../net/timer-wheel.ts';
import type { TlsTerminator } from '../net/tls-terminator.ts';
import { LmtpConnection } from './lmtp-connection.ts';
import { createMaildrop } from './maildrop.ts';

interface Stored {
  readonly recipients: readonly string[];
  readonly message: string;
  readonly reversePath: string;
}

/** Recipients: `unknown*` are refused at RCPT, `slow*` after a turn of the loop, `full*` after DATA, `down*` temporarily; the rest is kept in `stored`. */
export interface HouseOptions {
  readonly messageOctets?: number;
  readonly recipients?: number;
  readonly idleMs?: number;
  /** LMTP offers STARTTLS. */
  readonly terminator?: TlsTerminator;
}

export async function maildropHouse(t: TestContext, protocol: 'smtp' | 'lmtp', options: HouseOptions = {}) {
  const { messageOctets = 100_000, recipients = 100, idleMs = 60_000, terminator } = options;
  const stored: Stored[] = [];
  const settled: string[] = [];
  const spool: Spool = {
    async receive(stream, { limitOctets }) {
      const pieces: Uint8Array[] = [];
      let size = 0;
      for await (const piece of stream) {
        size += piece.length;
        if (size > limitOctets) throw new MailError('too-big', 'message too big');
        pieces.push(Uint8Array.from(piece));
      }
      return spool.fromBytes(Buffer.concat(pieces));
    },
    hold: (pieces, octets) => (octets > 4_000 ? undefined : spool.fromBytes(Buffer.concat(pieces))),
    fromBytes: (bytes): MessageSource => ({
      sizeOctets: bytes.length,
      bytes,
      async *open() {
        yield bytes;
      },
      async dispose() {},
    }),
  };
  const delivery: Delivery = {
    async resolve(address) {
      if (address.startsWith('slow')) {
        await new Promise((resolve) => setImmediate(resolve));
        throw new MailError('no-such-recipient', 'no');
      }
      if (address.startsWith('unknown')) throw new MailError('no-such-recipient', 'no');
      if (address.startsWith('crash')) throw new Error('secret detail');
      return { address, targets: [] };
    },
    async deliver({ source, recipients, reversePath }) {
      stored.push({
        recipients: recipients.map(({ address }) => address),
        message: Buffer.from(source.bytes ?? []).toString('latin1'),
        reversePath,
      });
      return recipients.map(({ address }) => {
        if (address.startsWith('full')) return { address, stored: false, error: new MailError('over-quota', 'full') };
        if (address.startsWith('policy')) return { address, stored: false, error: new MailError('policy', 'Not on Sundays') };
        return { address, stored: true, duplicate: false, settle: () => settled.push(address) };
      });
    },
  };
  const quiet = { info() {}, warn() {}, error() {} };
  const common = { hostname: 'mx.example.test', delivery, spool, log: quiet };
  const limits = { messageOctets, recipients, commandLineOctets: 1024, idleMs };
  const drop = createMaildrop({ ...common, limits, listener: 'test', tls: 'none' });
  const wheel = new TimerWheel({ tickMs: 10 });
  const sessions = new Set<LmtpConnection>();
  const server = createServer({ allowHalfOpen: protocol === 'lmtp' }, (socket) => {
    if (protocol === 'smtp') drop.connect(socket);
    else {
      socket.on('error', ignoreSocketError);
      const listener = { address: '127.0.0.1', port: 0, tls: terminator === undefined ? 'none' : 'starttls' } as const;
      const from = { id: 1, protocol, listener, remoteAddress: '127.0.0.1', wheel, loginTimeMs: 60_000, terminator };
      const session = new LmtpConnection({ ...common, limits, wheel }, new Connection(socket, from));
      sessions.add(session);
      socket.on('close', () => sessions.delete(session));
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert(address !== null && typeof address === 'object');
  const { port } = address;
  t.after(async () => {
    await drop.close(100);
    server.close();
  });
  return {
    stored,
    settled,
    drain: () => {
      for (const session of sessions) session.drain();
    },
    connections: () => drop.connections + sessions.size,
    client: () => MailClient.open(t, port),
  };
}

export class MailClient {
  readonly socket: Socket;
  #text = '';
  #wake = () => {};
  closed = false;
  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1').on('data', (chunk) => {
      this.#text += chunk;
      this.#wake();
    });
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
    socket.on('error', () => undefined);
  }
  static async open(t: TestContext, port: number): Promise<MailClient> {
    const client = new MailClient(connect(port, '127.0.0.1'));
    t.after(() => client.socket.destroy());
    await client.reply();
    return client;
  }
  /** The next complete reply, its last line. */
  async reply(): Promise<string> {
    for (;;) {
      const lines = this.#text.split('\r\n');
      const end = lines.findIndex((line, i) => i < lines.length - 1 && /^\d{3} /.test(line));
      if (end !== -1) {
        this.#text = lines.slice(end + 1).join('\r\n');
        return lines[end] ?? '';
      }
      if (this.closed) return 'closed';
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
  async say(text: string): Promise<string> {
    this.socket.write(text, 'latin1');
    return this.reply();
  }
  async begin(hello: string, ...recipients: readonly string[]): Promise<void> {
    assert.match(await this.say(`${hello} client.example.test\r\n`), /^250 /);
    assert.match(await this.say('MAIL FROM:<bob@example.org>\r\n'), /^250 2\.1\.0 /);
    for (const recipient of recipients) assert.match(await this.say(`RCPT TO:<${recipient}>\r\n`), /^250 2\.1\.5 /);
    assert.match(await this.say('DATA\r\n'), /^354 /);
  }
}
