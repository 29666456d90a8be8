/** The dialogue of submission, over the real services on a memory store. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { definePlugin } from '@pochard/plugin-sdk';
import { generate } from 'selfsigned';
import { startMail } from '../mail/mail-test-host.ts';
import { createSubmission, type SubmissionOptions } from './submission.ts';

const ADA = 'ada@example.test';

async function listener(
  t: TestContext,
  more: Partial<SubmissionOptions> = {},
  plugins: NonNullable<Parameters<typeof startMail>[1]>['plugins'] = [],
) {
  const mail = await startMail(t, { plugins, settings: { domains: ['example.test'] } });
  const ada = await mail.account(ADA);
  const logins: number[] = [];
  const submission = createSubmission({
    listener: 'submission',
    tls: 'none',
    hostname: 'mx.test',
    cleartextLogin: 'loopback',
    takesTokens: () => false,
    accounts: mail.accounts,
    submissions: mail.submissions,
    spool: mail.spool,
    limits: { messageOctets: 10_000, recipients: 100, commandLineOctets: 1024, authLineOctets: 2048, idleMs: 60_000, loginFailures: 3 },
    log: { info() {}, warn() {}, error() {} },
    ...more,
  });
  const server = createServer((socket) => submission.connect(socket, () => logins.push(1))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  t.after(async () => {
    await submission.close(100);
    server.close();
  });
  return { mail, ada, logins, submission, port, client: () => Client.open(t, connect(port, '127.0.0.1')) };
}

class Client {
  #text = '';
  #wake = () => {};
  closed = false;
  readonly socket: Socket;
  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1').on('data', (chunk) => {
      this.#text += chunk;
      this.#wake();
    });
    const end = () => {
      this.closed = true;
      this.#wake();
    };
    socket.on('close', end).on('error', end);
  }
  static async open(t: TestContext, socket: Socket): Promise<Client> {
    const client = new Client(socket);
    t.after(() => socket.destroy());
    await client.reply();
    await client.say('EHLO client.test\r\n');
    return client;
  }
  async reply(): Promise<string> {
    for (;;) {
      const lines = this.#text.split('\r\n');
      const end = lines.findIndex((line, i) => i < lines.length - 1 && /^\d{3} /.test(line));
      if (end !== -1) {
        this.#text = lines.slice(end + 1).join('\r\n');
        return lines.slice(0, end + 1).join('\n');
      }
      if (this.closed) return 'closed';
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
  say(text: string): Promise<string> {
    this.socket.write(text, 'latin1');
    return this.reply();
  }
}
const base64 = (text: string) => Buffer.from(text).toString('base64');

test('responses that make no sense leave the session usable', async (t) => {
  const { client } = await listener(t);
  const smtp = await client();
  for (const [line, reply] of [
    ['AUTH', /^504 5\.5\.4 /],
    ['AUTH PLAIN a b', /^501 5\.5\.4 /],
    [`AUTH PLAIN ${base64('no nul')}`, /^501 5\.5\.2 /],
    [`AUTH PLAIN ${base64('\0\0x')}`, /^501 5\.5\.2 /],
    [`AUTH PLAIN ${base64(`eve@example.test\0${ADA}\0secret`)}`, /^501 5\.5\.2 You may log in as yourself only/],
    ['AUTH PLAIN =', /^501 5\.5\.2 /],
    [`AUTH LOGIN ${base64('')}=`, /^501 5\.5\.2 /],
    ['AUTH LOGIN /w==', /^501 5\.5\.2 Text is not UTF-8/],
    ['AUTH __proto__ x', /^504 5\.5\.4 /],
    ['RCPT TO:<bob@example.org>', /^530 5\.7\.0 /],
  ] as const)
    assert.match(await smtp.say(`${line}\r\n`), reply, line);
});

test('PLAIN with and without an initial response, LOGIN; once only', async (t) => {
  const { client, logins, mail, ada } = await listener(t);
  const plain = await client();
  assert.equal(await plain.say('AUTH PLAIN\r\n'), '334 ');
  assert.match(await plain.say(`${base64(`${ADA}\0${ADA}\0secret`)}\r\n`), /^235 2\.7\.0 /);
  assert.match(await plain.say(`AUTH PLAIN ${base64(`\0${ADA}\0secret`)}\r\n`), /^503 5\.5\.1 /);
  const login = await client();
  assert.equal(await login.say('auth login\r\n'), `334 ${base64('Username:')}`);
  assert.equal(await login.say(`${base64(ADA)}\r\n`), `334 ${base64('Password:')}`);
  assert.match(await login.say(`${base64('secret')}\r\n`), /^235 /);
  assert.equal(logins.length, 2);
  // Not in EHLO any more, and gone when the account is switched off.
  assert.doesNotMatch(await login.say('EHLO again\r\n'), /AUTH/);
  await mail.accounts.update(ada.id, { allow: ['imap'] });
  assert.match(await login.reply(), /^421 4\.7\.0 /);
  assert.equal(await login.reply(), 'closed');
  const third = await client();
  assert.match(await third.say(`AUTH PLAIN ${base64(`\0${ADA}\0secret`)}\r\n`), /^535 5\.7\.13 /);
});

test('a token that a plugin knows logs in; another one is told why before it is refused', async (t) => {
  const plugin = definePlugin({
    name: 'tokens',
    permissions: ['credentials'],
    apply({ hooks }) {
      hooks.auth.verify.decide(({ mechanism, username, secret }) => {
        if (mechanism !== 'OAUTHBEARER' && mechanism !== 'XOAUTH2') return undefined;
        const isGood = Buffer.from(secret.bytes()).toString() === 'good.token';
        return isGood ? { result: 'accept', account: { username } } : { result: 'reject', reason: 'credentials' };
      });
    },
  });
  const { client } = await listener(t, { takesTokens: () => true }, [{ plugin }]);
  const oauth = (token: string) => base64(`n,a=${ADA},\x01auth=Bearer ${token}\x01\x01`);
  const xoauth = (token: string) => base64(`user=${ADA}\x01auth=Bearer ${token}\x01\x01`);
  const smtp = await client();
  assert.match(await smtp.say('EHLO x\r\n'), /AUTH PLAIN LOGIN OAUTHBEARER XOAUTH2/);
  assert.match(await smtp.say(`AUTH OAUTHBEARER ${base64('n,,')}\r\n`), /^501 5\.5\.2 Wrong OAUTHBEARER/);
  const challenge = await smtp.say(`AUTH OAUTHBEARER ${oauth('bad')}\r\n`);
  assert.equal(Buffer.from(challenge.slice(4), 'base64').toString(), '{"status":"invalid_token","schemes":"bearer","scope":""}');
  assert.match(await smtp.say('AQ==\r\n'), /^535 5\.7\.8 /);
  assert.match(await smtp.say(`AUTH XOAUTH2 ${xoauth('bad')}\r\n`), /^334 /);
  assert.match(await smtp.say('\r\n'), /^535 5\.7\.8 /);
  assert.equal(await smtp.say('AUTH XOAUTH2\r\n'), '334 ');
  assert.match(await smtp.say(`${xoauth('good.token')}\r\n`), /^235 /);
  const other = await client();
  assert.match(await other.say(`AUTH OAUTHBEARER ${oauth('good.token')}\r\n`), /^235 /);
});

test('a message over the limit, a header that is not yours, a good one: the session goes on', async (t) => {
  const { client, mail } = await listener(t);
  const smtp = await client();
  await smtp.say(`AUTH PLAIN ${base64(`\0${ADA}\0secret`)}\r\n`);
  assert.match(await smtp.say(`MAIL FROM:<${ADA}> SIZE=10001\r\n`), /^552 5\.3\.4 /);
  const send = async (raw: string) => {
    assert.match(await smtp.say(`MAIL FROM:<${ADA}>\r\n`), /^250 2\.1\.0 /);
    assert.match(await smtp.say('RCPT TO:<bob@example.org> NOTIFY=DELAY\r\n'), /^250 2\.1\.5 /);
    assert.match(await smtp.say('RCPT TO:<nobody@example.test>\r\n'), /^550 5\.1\.1 /);
    assert.match(await smtp.say('DATA\r\n'), /^354 /);
    return smtp.say(`${raw}.\r\n`);
  };
  assert.match(await send(`From: ${ADA}\r\n\r\n${'0123456789\r\n'.repeat(2000)}`), /^552 5\.3\.4 /);
  assert.match(await send('From: eve@example.org\r\n\r\nhi\r\n'), /^550 5\.7\.1 /);
  assert.match(await send(`From: ${ADA}\r\n\r\nhi\r\n`), /^250 2\.0\.0 Queued as [a-z0-9]+$/);
  assert.equal((await mail.submissionQueue.list({ limit: 10 })).length, 1);
});

test('what came before TLS is forgotten: commands behind STARTTLS, the login, the name', async (t) => {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'mx.test' }]);
  const { port } = await listener(t, { tls: 'starttls', certificate: { key, cert } });
  const plain = await Client.open(t, connect(port, '127.0.0.1'));
  assert.match(await plain.say(`AUTH PLAIN ${base64(`\0${ADA}\0secret`)}\r\n`), /^235 /);
  plain.socket.removeAllListeners('data');
  const ready = once(plain.socket, 'data');
  plain.socket.write(`STARTTLS\r\nMAIL FROM:<${ADA}>\r\nRCPT TO:<bob@example.org>\r\n`);
  assert.match(String((await ready)[0]), /^220 [^\n]*\r\n$/);
  const secure = new Client(connectTls({ socket: plain.socket, rejectUnauthorized: false }));
  assert.match(await secure.say(`MAIL FROM:<${ADA}>\r\n`), /^503 /);
  await secure.say('EHLO client.test\r\n');
  assert.match(await secure.say(`MAIL FROM:<${ADA}>\r\n`), /^530 5\.7\.0 /);
});

test('whoever accepted the socket hears of its end after STARTTLS: with a handshake, a failed one, or none', async (t) => {
  const pems = await generate([{ name: 'commonName', value: 'mx.test' }], { keyType: 'ec' });
  const { submission } = await listener(t, { tls: 'starttls', certificate: { key: pems.private, cert: pems.cert } });
  let open = 0;
  const server = createServer((socket) => {
    open += 1;
    socket.on('close', () => {
      open -= 1;
    });
    submission.connect(socket, () => {});
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  for (const after of ['handshake', 'garbage', 'nothing']) {
    const client = await Client.open(t, connect(port, '127.0.0.1'));
    const { socket } = client;
    assert.match(await client.say('STARTTLS\r\n'), /^220 /);
    assert.equal(open, 1, after);
    socket.removeAllListeners('data');
    if (after === 'handshake') {
      const secure = connectTls({ socket, rejectUnauthorized: false });
      await once(secure, 'secureConnect');
      secure.destroy();
    } else if (after === 'garbage') socket.write('no hello at all\r\n'.repeat(100));
    else socket.destroy();
    for (let n = 0; open > 0 && n < 200; n += 1) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(open, 0, after);
    socket.destroy();
  }
});
