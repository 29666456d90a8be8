import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { Tls } from '../net/tls.ts';
import { maildropHouse } from './maildrop-house.fixture.ts';

test('LMTP answers every accepted RCPT, also when one recipient is named again, and delivers to it once', async (t) => {
  const { client, stored } = await maildropHouse(t, 'lmtp');
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
  const { client, stored } = await maildropHouse(t, 'lmtp');
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

test('everything pipelined in one packet: two transactions, both stored', async (t) => {
  const { client, stored } = await maildropHouse(t, 'lmtp');
  const lmtp = await client();
  const one = (n: number) => `MAIL FROM:<>\r\nRCPT TO:<ada@example.test>\r\nDATA\r\nn: ${n}\r\n\r\nbody\r\n.\r\n`;
  lmtp.socket.write(`LHLO c\r\n${one(1)}${one(2)}QUIT\r\n`);
  const codes: string[] = [];
  for (let reply = await lmtp.reply(); reply !== 'closed'; reply = await lmtp.reply()) codes.push(reply.slice(0, 3));
  assert.deepEqual(codes, ['250', '250', '250', '354', '250', '250', '250', '354', '250', '221']);
  assert.equal(stored.length, 2);
});

test('a delivery counts as settled when the client goes on in its session, not when the connection just ends', async (t) => {
  const { client, settled, connections } = await maildropHouse(t, 'lmtp');
  const lost = await client();
  await lost.begin('LHLO', 'lost@example.test');
  assert.match(await lost.say('x\r\n.\r\n'), /^250 /);
  lost.socket.destroy();
  const went = await client();
  await went.begin('LHLO', 'ada@example.test');
  assert.match(await went.say('x\r\n.\r\n'), /^250 /);
  assert.match(await went.say('QUIT\r\n'), /^221 /);
  while (connections() > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(settled, ['ada@example.test']);
});

test('what is no LMTP, what is out of order and what was not offered has a reply of its own', async (t) => {
  const lmtp = await (await maildropHouse(t, 'lmtp', { recipients: 2 })).client();
  for (const [line, expected] of [
    ['EHLO c', /^500 5\.5\.1 /],
    ['MAIL FROM:<a@b.test>', /^503 5\.5\.1 /],
    ['LHLO', /^501 5\.5\.4 /],
    ['LHLO c', /^250 LIMITS RCPTMAX=2$/],
    ['STARTTLS', /^502 5\.5\.1 /],
    ['RCPT TO:<ada@example.test>', /^503 5\.5\.1 /],
    ['MAIL FROM:bob', /^501 5\.5\.4 /],
    ['MAIL FROM:<bob@example.org> SIZE=99999999', /^552 5\.3\.4 /],
    ['MAIL FROM:<bob@example.org> SIZE=x', /^501 5\.5\.4 /],
    ['MAIL FROM:<bob@example.org> BODY=BINARYMIME', /^501 5\.5\.4 /],
    ['MAIL FROM:<bob@example.org> RET=FULL', /^555 5\.5\.4 /],
    ['MAIL FROM:<b\u00f6b@example.org>', /^553 5\.6\.7 /],
    ['MAIL FROM:<bob@example.org> size=100 Body=8bitMIME SMTPUTF8', /^250 2\.1\.0 /],
    ['MAIL FROM:<bob@example.org>', /^503 5\.5\.1 /],
    ['DATA', /^503 5\.5\.1 /],
    ['RCPT TO:<>', /^501 5\.1\.3 /],
    ['RCPT TO:<ada@example.test> NOTIFY=NEVER', /^555 5\.5\.4 /],
    ['RCPT TO:<unknown@example.test>', /^550 5\.1\.1 /],
    ['RCPT TO:<ada@example.test>', /^250 2\.1\.5 /],
    ['RCPT TO:<\u00e4da@example.test>', /^250 2\.1\.5 /],
    ['RCPT TO:<third@example.test>', /^452 4\.5\.3 /],
    ['DATA now', /^501 5\.5\.4 /],
    ['VRFY ada', /^252 /],
    ['HELP', /^214 /],
    ['RSET', /^250 2\.0\.0 /],
    ['DATA', /^503 5\.5\.1 /],
  ] as const) {
    lmtp.socket.write(`${line}\r\n`, 'utf8');
    assert.match(await lmtp.reply(), expected, line);
  }
});

test('an address in some other charset than UTF-8 is refused', async (t) => {
  const lmtp = await (await maildropHouse(t, 'lmtp')).client();
  await lmtp.say('LHLO c\r\n');
  assert.match(await lmtp.say('MAIL FROM:<b\xf6b@example.org> SMTPUTF8\r\n'), /^553 5\.6\.7 /);
});

test('each recipient hears that a dot beside a bare line end is refused', async (t) => {
  const { client, stored } = await maildropHouse(t, 'lmtp');
  const lmtp = await client();
  await lmtp.begin('LHLO', 'ada@example.test', 'bob@example.test');
  assert.match(await lmtp.say('x\n.\nQUIT\r\n'), /^554 5\.5\.2 /);
  assert.match(await lmtp.reply(), /^554 5\.5\.2 /);
  assert.equal(await lmtp.reply(), 'closed');
  assert.equal(stored.length, 0);
});

test('a message of a megabyte in odd pieces arrives whole; one above the limit is read to its end and refused for each', async (t) => {
  const { client, stored } = await maildropHouse(t, 'lmtp', { messageOctets: 1_200_000 });
  const lmtp = await client();
  const line = `${'x'.repeat(70)}\r\n..\r\n`;
  const text = line.repeat(1_000_000 / line.length);
  await lmtp.begin('LHLO', 'ada@example.test');
  for (let at = 0; at < text.length; at += 9_973) lmtp.socket.write(text.slice(at, at + 9_973));
  assert.match(await lmtp.say('.\r\n'), /^250 /);
  assert.equal(stored[0]?.message, text.replaceAll('\r\n..\r\n', '\r\n.\r\n'));
  await lmtp.begin('LHLO', 'ada@example.test', 'bob@example.test');
  lmtp.socket.write(text);
  assert.match(await lmtp.say(`${text}.\r\nNOOP\r\n`), /^552 5\.3\.4 /);
  assert.match(await lmtp.reply(), /^552 5\.3\.4 /);
  assert.match(await lmtp.reply(), /^250 2\.0\.0 /);
  assert.equal(stored.length, 1);
});

test('a client that closes its side at once still has its answers; one in the middle of a message leaves nothing', async (t) => {
  const { client, stored, connections } = await maildropHouse(t, 'lmtp');
  const script = await client();
  script.socket.end('LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<ada@example.test>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n');
  const codes: string[] = [];
  for (let reply = await script.reply(); reply !== 'closed'; reply = await script.reply()) codes.push(reply.slice(0, 3));
  assert.deepEqual(codes, ['250', '250', '250', '354', '250', '250']);
  const half = await client();
  await half.begin('LHLO', 'ada@example.test');
  half.socket.end('half a mess');
  assert.equal(await half.reply(), 'closed');
  while (connections() > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(stored.length, 1);
});

test('silence, endless lines and a flood of bad commands end the connection with a word', async (t) => {
  const silent = await (await maildropHouse(t, 'lmtp', { idleMs: 50 })).client();
  assert.match(await silent.reply(), /^421 4\.4\.2 /);
  assert.equal(await silent.reply(), 'closed');
  const { client } = await maildropHouse(t, 'lmtp');
  const long = await client();
  assert.match(await long.say('x'.repeat(5_000)), /^500 5\.5\.2 /);
  assert.equal(await long.reply(), 'closed');
  const flood = await client();
  flood.socket.write('BLA\r\n'.repeat(200));
  let last = '';
  for (let reply = await flood.reply(); reply !== 'closed'; reply = await flood.reply()) last = reply;
  assert.match(last, /^421 4\.7\.0 /);
});

test('a server that goes down takes the message that has begun, and tells the others', async (t) => {
  const { client, stored, drain } = await maildropHouse(t, 'lmtp');
  const [busy, idle] = [await client(), await client()];
  await busy.begin('LHLO', 'ada@example.test');
  busy.socket.write('Subject: x\r\n');
  await idle.say('LHLO c\r\n');
  drain();
  assert.match(await idle.reply(), /^421 4\.3\.2 /);
  assert.match(await busy.say('\r\nlate\r\n.\r\n'), /^250 2\.0\.0 Stored/);
  assert.match(await busy.reply(), /^421 4\.3\.2 /);
  assert.equal(stored.length, 1);
});

test('STARTTLS: what came in clear before and behind it is forgotten', async (t) => {
  const { client, stored } = await maildropHouse(t, 'lmtp', { terminator: (await openTls(t)).terminator });
  const plain = await client();
  await plain.say('LHLO c\r\n');
  await plain.say('MAIL FROM:<injected@example.org>\r\n');
  assert.match(await plain.say('STARTTLS\r\nRCPT TO:<ada@example.test>\r\n'), /^220 2\.0\.0 /);
  plain.socket.removeAllListeners('data');
  plain.socket.setEncoding();
  const secure = connectTls({ socket: plain.socket, rejectUnauthorized: false });
  t.after(() => secure.destroy());
  await once(secure, 'secureConnect');
  let text = '';
  secure.setEncoding('latin1').on('data', (chunk) => {
    text += chunk;
  });
  secure.write(
    'RCPT TO:<ada@example.test>\r\nLHLO again\r\nSTARTTLS\r\nMAIL FROM:<>\r\nRCPT TO:<ada@example.test>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n',
  );
  await once(secure, 'close');
  assert.deepEqual(
    text.match(/^\d{3} /gm)?.map((code) => code.trim()),
    ['503', '250', '502', '250', '250', '354', '250', '221'],
  );
  assert.deepEqual(
    stored.map(({ reversePath }) => reversePath),
    [''],
  );
});

test('a client that sends recipients faster than they are looked up waits: what it sends is not gathered here', async (t) => {
  const { client } = await maildropHouse(t, 'lmtp');
  const { socket } = await client();
  const octets = 64 * 1024 * 1024;
  const line = 'RCPT TO:<slow@example.test>\r\n';
  socket.removeAllListeners('data');
  let answered = 0;
  const enough = new Promise<void>((resolve) =>
    socket.on('data', (chunk: string) => {
      answered += chunk.split('550 ').length - 1;
      if (answered >= 2_000) resolve();
    }),
  );
  socket.write('LHLO c\r\nMAIL FROM:<>\r\n');
  socket.write(Buffer.from(line.repeat(octets / line.length)));
  await enough;
  // What the system holds between the two is far less.
  assert.ok(socket.writableLength > octets / 2, `${socket.writableLength} octets not taken yet`);
});

test('a thousand recipients in one packet leave the loop to others in between', async (t) => {
  const { client } = await maildropHouse(t, 'lmtp', { recipients: 1_000 });
  const { socket } = await client();
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    turns += 1;
    if (!isDone) setImmediate(count);
  };
  socket.removeAllListeners('data');
  let text = '';
  const answered = new Promise<void>((resolve) =>
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (/^354 /m.test(text)) resolve();
    }),
  );
  socket.write(`LHLO c\r\nMAIL FROM:<>\r\n${'RCPT TO:<a@b.test>\r\n'.repeat(1_000)}DATA\r\n`);
  setImmediate(count);
  await answered;
  isDone = true;
  assert.equal(text.match(/^250 2\.1\.5 /gm)?.length, 1_000);
  assert.ok(turns >= 15, `${turns} turns`);
});

test('STARTTLS: what came in clear while a recipient was looked up is forgotten too', async (t) => {
  const { client, stored } = await maildropHouse(t, 'lmtp', { terminator: (await openTls(t)).terminator });
  const plain = await client();
  await plain.say('LHLO c\r\n');
  await plain.say('MAIL FROM:<a@example.org>\r\n');
  plain.socket.setNoDelay(true);
  plain.socket.write('RCPT TO:<slow@example.test>\r\nSTARTTLS\r\n');
  plain.socket.write(`LHLO injected\r\nMAIL FROM:<injected@example.org>\r\n${'NOOP\r\n'.repeat(20_000)}`);
  assert.match(await plain.reply(), /^550 /);
  assert.match(await plain.reply(), /^220 /);
  plain.socket.removeAllListeners('data');
  plain.socket.setEncoding();
  const secure = connectTls({ socket: plain.socket, rejectUnauthorized: false });
  secure.on('error', () => undefined); // octets that were on their way are no handshake: the end is as good an answer
  t.after(() => secure.destroy());
  let text = '';
  secure.setEncoding('latin1').on('data', (chunk) => {
    text += chunk;
  });
  secure.on('secureConnect', () => secure.write('RCPT TO:<ada@example.test>\r\nQUIT\r\n'));
  await once(secure, 'close');
  assert.doesNotMatch(text, /^250/m);
  assert.equal(stored.length, 0);
});

async function openTls(t: TestContext): Promise<Tls> {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'pochard-tls-'));
  t.after(() => rm(dataDirectory, { recursive: true }));
  const log = { info() {}, warn() {}, error() {} };
  return Tls.open({
    files: undefined,
    dataDirectory,
    hostname: 'mx.example.test',
    minVersion: 'TLSv1.2',
    handshakeTimeMs: 60_000,
    log,
    now: Date.now,
  });
}
