import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { MailError } from '../mail/errors.ts';
import type { Delivery, MessageSource, Spool } from '../mail/services.ts';
import { createMaildrop } from './maildrop.ts';

interface Stored {
  readonly recipients: readonly string[];
  readonly message: string;
  readonly reversePath: string;
}

/** Recipients: `unknown*` are refused at RCPT, `full*` after DATA, `down*` temporarily; the rest is kept in `stored`. */
async function maildrop(t: TestContext, protocol: 'smtp' | 'lmtp', messageOctets = 100_000) {
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
  const drop = createMaildrop({
    protocol,
    listener: 'test',
    tls: 'none',
    hostname: 'mx.example.test',
    delivery,
    spool,
    limits: { messageOctets, recipients: 100, commandLineOctets: 1024, idleMs: 60_000 },
    log: quiet,
  });
  const server = createServer((socket) => drop.connect(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert(address !== null && typeof address === 'object');
  const { port } = address;
  t.after(async () => {
    await drop.close(100);
    server.close();
  });
  return { stored, settled, drop, client: () => Client.open(t, port) };
}

class Client {
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
  static async open(t: TestContext, port: number): Promise<Client> {
    const client = new Client(connect(port, '127.0.0.1'));
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

test('a dot between bare line ends is refused with 554 and the connection closes, on SMTP and LMTP', async (t) => {
  for (const [protocol, hello] of [
    ['smtp', 'EHLO'],
    ['lmtp', 'LHLO'],
  ] as const) {
    const { client, stored } = await maildrop(t, protocol);
    for (const end of ['\n.\n', '\n.\r\n', '\r\n.\n', '\r.\r\n', '\r\n.\r']) {
      const smtp = await client();
      await smtp.begin(hello, 'ada@example.test');
      assert.match(
        await smtp.say(`Subject: x\r\n\r\nhi${end}MAIL FROM:<evil@example.org>\r\nRCPT TO:<ada@example.test>\r\n`),
        /^554 5\.5\.2 /,
      );
      assert.equal(await smtp.reply(), 'closed');
    }
    assert.equal(stored.length, 0);
  }
});

test('a fault inside is 451 and tells no detail', async (t) => {
  const smtp = await (await maildrop(t, 'smtp')).client();
  await smtp.say('EHLO c\r\n');
  await smtp.say('MAIL FROM:<>\r\n');
  assert.equal(await smtp.say('RCPT TO:<crash@example.test>\r\n'), '451 4.3.0 Local error in processing');
});

test('bad syntax and wrong order leave the session usable', async (t) => {
  const smtp = await (await maildrop(t, 'smtp')).client();
  assert.match(await smtp.say('MAIL FROM:<a@b.c>\r\n'), /^503 /);
  assert.match(await smtp.say('EHLO\r\n'), /^501 /);
  await smtp.say('EHLO c\r\n');
  assert.match(await smtp.say('DATA\r\n'), /^503 5\.5\.1 /);
  assert.match(await smtp.say('MAIL FROM:bob\r\n'), /^501 5\.5\.4|^501 5\.1\./);
  assert.match(await smtp.say('MAIL FROM:<bob@example.org> SIZE=99999999\r\n'), /^552 5\.3\.4 /);
  assert.match(await smtp.say('NOOP\r\n'), /^250 /);
});

test('LMTP answers every accepted RCPT, also when one recipient is named again, and delivers to it once', async (t) => {
  const { client, stored } = await maildrop(t, 'lmtp');
  const lmtp = await client();
  await lmtp.begin('LHLO', 'ada@example.test', 'full@example.test', 'ada@example.test', 'ADA@example.test');
  const first = await lmtp.say('Subject: x\r\n\r\nhi\r\n.\r\n');
  const replies = [first, await lmtp.reply(), await lmtp.reply(), await lmtp.reply()];
  assert.deepEqual(
    replies.map((reply) => reply.slice(0, 3)),
    ['250', '452', '250', '250'],
  );
  assert.match(await lmtp.say('NOOP\r\n'), /^250 2\.0\.0 OK/);
  assert.deepEqual(
    stored.map(({ recipients }) => recipients),
    [['ada@example.test', 'full@example.test']],
  );
});

test('LMTP answers each recipient: stored, full, refused with the words of the policy', async (t) => {
  const { client, stored } = await maildrop(t, 'lmtp');
  const lmtp = await client();
  assert.match(await lmtp.say('EHLO c\r\n'), /^500 /);
  await lmtp.begin('LHLO', 'ada@example.test', 'full@example.test', 'policy@example.test', 'u1');
  const first = await lmtp.say('Subject: x\r\n\r\n..dot\r\n.\r\n');
  assert.deepEqual(
    [first, await lmtp.reply(), await lmtp.reply(), await lmtp.reply()],
    ['250 2.0.0 Stored', '452 4.2.2 Mailbox full', '550 5.7.1 Not on Sundays', '250 2.0.0 Stored'],
  );
  assert.deepEqual(stored, [
    {
      recipients: ['ada@example.test', 'full@example.test', 'policy@example.test', 'u1'],
      message: 'Subject: x\r\n\r\n.dot\r\n',
      reversePath: 'bob@example.org',
    },
  ]);
});

test('an unknown recipient is 550 5.1.1; others go on', async (t) => {
  const smtp = await (await maildrop(t, 'smtp')).client();
  await smtp.say('EHLO c\r\n');
  await smtp.say('MAIL FROM:<>\r\n');
  assert.equal(await smtp.say('RCPT TO:<unknown@example.test>\r\n'), '550 5.1.1 No such recipient here');
  assert.match(await smtp.say('RCPT TO:<ada@example.test>\r\n'), /^250 /);
});

test('a message over the limit is read to its end, answered 552, and the session goes on', async (t) => {
  const { client, stored } = await maildrop(t, 'smtp', 1000);
  const smtp = await client();
  await smtp.begin('EHLO', 'ada@example.test');
  assert.match(await smtp.say(`${'0123456789\r\n'.repeat(500)}.\r\n`), /^552 5\.3\.4 /);
  assert.equal(stored.length, 0);
  await smtp.begin('EHLO', 'ada@example.test');
  assert.match(await smtp.say('small\r\n.\r\n'), /^250 /);
});

test('everything pipelined in one packet: two transactions, both stored', async (t) => {
  const { client, stored } = await maildrop(t, 'lmtp');
  const lmtp = await client();
  const one = (n: number) => `MAIL FROM:<>\r\nRCPT TO:<ada@example.test>\r\nDATA\r\nn: ${n}\r\n\r\nbody\r\n.\r\n`;
  lmtp.socket.write(`LHLO c\r\n${one(1)}${one(2)}QUIT\r\n`);
  const codes: string[] = [];
  for (let reply = await lmtp.reply(); reply !== 'closed'; reply = await lmtp.reply()) codes.push(reply.slice(0, 3));
  assert.deepEqual(codes, ['250', '250', '250', '354', '250', '250', '250', '354', '250', '221']);
  assert.equal(stored.length, 2);
});

test('a client that goes away in the middle of a message leaves nothing', async (t) => {
  const { client, stored, drop } = await maildrop(t, 'smtp');
  const smtp = await client();
  await smtp.begin('EHLO', 'ada@example.test');
  smtp.socket.write('Subject: half\r\n\r\nhal');
  smtp.socket.destroy();
  while (drop.connections > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(stored.length, 0);
});

test('random octets end in 5xx or a closed connection, and the next client is served', async (t) => {
  const { client } = await maildrop(t, 'smtp');
  const noise = await client();
  noise.socket.write(Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 7919 + 13) & 0xff)));
  noise.socket.end();
  const smtp = await client();
  await smtp.begin('EHLO', 'ada@example.test');
  assert.match(await smtp.say('x\r\n.\r\n'), /^250 /);
});

test('a delivery counts as settled when the client goes on in its session, not when the connection just ends', async (t) => {
  const { client, settled, drop } = await maildrop(t, 'lmtp');
  const lost = await client();
  await lost.begin('LHLO', 'lost@example.test');
  assert.match(await lost.say('x\r\n.\r\n'), /^250 /);
  lost.socket.destroy();
  const went = await client();
  await went.begin('LHLO', 'ada@example.test');
  assert.match(await went.say('x\r\n.\r\n'), /^250 /);
  assert.match(await went.say('QUIT\r\n'), /^221 /);
  while (drop.connections > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(settled, ['ada@example.test']);
});
