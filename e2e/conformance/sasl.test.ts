/** SASL mechanisms that the tables cannot speak, as their client computes: RFC 5802, 7677, 5929, 9266 (SCRAM), 7628 (OAUTHBEARER). Malformed forms first. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { TLSSocket } from 'node:tls';
import { ImapScript } from '../support/imap-script.ts';
import { type ScramOptions, scramLogin } from '../support/scram-client.ts';
import { startServer, type TestServer, temporaryFolder } from '../support/server.ts';

const USER = 'ada@example.test';
const PASSWORD = 'correct horse';
const LIMITS = { imapBadCommandsBeforeLogin: 1_000, loginFailuresPerSession: 100, loginDelayMaxMs: 0 };
const PLUS = 'SCRAM-SHA-256-PLUS';
const EXPORTER = 'EXPORTER-Channel-Binding';

const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');

function binding(socket: TLSSocket, type: string): Buffer {
  if (type === 'tls-exporter') return socket.exportKeyingMaterial(32, EXPORTER, Buffer.alloc(0));
  return createHash('sha256').update(socket.getPeerCertificate(true).raw).digest();
}

async function capabilities(imap: ImapScript): Promise<string> {
  return `${(await imap.command('CAPABILITY')).untagged.join()} `;
}

async function overTls(t: TestContext, server: TestServer): Promise<{ readonly imap: ImapScript; readonly socket: TLSSocket }> {
  const imap = await ImapScript.connectTls(t, server.port('imap', 'implicit'));
  const { socket } = imap;
  assert(socket instanceof TLSSocket);
  return { imap, socket };
}

test('RFC 5802, RFC 7677: SCRAM-SHA-256', async (t) => {
  const server = await startServer(t, { accounts: { [USER]: PASSWORD }, config: { limits: LIMITS, auth: { scram: 'on' } } });
  const connect = () => ImapScript.connect(t, server.port('imap'));

  await t.test('first messages that are none', async () => {
    const imap = await connect();
    assert.match(await capabilities(imap), / AUTH=SCRAM-SHA-256 /);
    for (const first of [
      'n',
      'n,,',
      'n,,n=ada',
      'n,,r=x',
      'n,,r=x,n=ada',
      'n,,n=ada,r=',
      'n,,n=,r=x',
      'n,,n=a=2,r=x',
      'n,,m=ext,n=ada,r=x',
      'q,,n=ada,r=x',
      'p=,,n=ada,r=x',
      'p=tls-exporter,,n=ada,r=x',
      '\0\0',
      '\xff\xfe',
    ])
      assert.match((await imap.command(`AUTHENTICATE SCRAM-SHA-256 ${base64(first)}`)).done, /^BAD /, JSON.stringify(first));
    for (const first of ['%%%', 'bg', '====', 'biw=s']) {
      assert.match((await imap.command(`AUTHENTICATE SCRAM-SHA-256 ${first}`)).done, /^BAD /, first);
    }
    assert.match((await imap.command(`AUTHENTICATE SCRAM-SHA-256 ${base64(`n,,n=${USER},r=x`)}`)).done, /^\+ /);
    imap.socket.write('*\r\n');
    assert.match(await imap.response(), /^t\d+ BAD /, 'cancelled');
    assert.match((await imap.command(`AUTHENTICATE ${PLUS} ${base64('p=tls-exporter,,n=ada,r=x')}`)).done, /^NO \[CANNOT\]/);
    assert.match((await imap.command('NOOP')).done, /^OK /);
  });

  const refused: readonly (readonly [string, RegExp, ScramOptions])[] = [
    ['another nonce', /^BAD /, { change: (final) => `${final}x` }],
    ['no nonce', /^BAD /, { change: (final) => final.slice(0, final.indexOf(',')) }],
    ['another header', /^BAD /, { change: (final) => final.replace('c=biws', 'c=eSws') }],
    ['data of a channel that is not bound', /^BAD /, { binding: Buffer.from('x') }],
    ['a proof that is too short', /^(?:BAD|NO \[AUTHENTICATIONFAILED\]) /, { spoil: (proof) => proof.subarray(1) }],
    ['no proof', /^(?:BAD|NO \[AUTHENTICATIONFAILED\]) /, { spoil: () => Buffer.alloc(0) }],
    ['a wrong proof', /^NO \[AUTHENTICATIONFAILED\] /, { spoil: (proof) => Buffer.from(proof.map((octet) => octet ^ 1)) }],
    ['somebody else as authorization identity', /^NO /, { header: 'n,a=eve@example.test,' }],
  ];
  for (const [name, wanted, options] of refused) {
    await t.test(`refused: ${name}`, async () => {
      const imap = await connect();
      assert.match(await scramLogin(imap, USER, PASSWORD, options), wanted);
      assert.match((await imap.command('SELECT INBOX')).done, /^BAD /, 'not logged in');
    });
  }

  await t.test('a wrong password and an unknown user read the same', async () => {
    const imap = await connect();
    const wrong = await scramLogin(imap, USER, 'wrong');
    assert.match(wrong, /^NO \[AUTHENTICATIONFAILED\] /);
    assert.equal(await scramLogin(imap, 'eve@example.test', PASSWORD), wrong);
  });

  await t.test('logs in, with an initial response and without one, by each header that binds nothing', async () => {
    for (const options of [{}, { initialResponse: 'none' }, { header: 'y,,' }, { header: `n,a=${USER},` }] as const) {
      const imap = await connect();
      assert.match(await scramLogin(imap, USER, PASSWORD, options), /^OK \[CAPABILITY /, JSON.stringify(options));
      assert.match((await imap.command('SELECT INBOX')).done, /^OK /);
      assert.match((await imap.command(`AUTHENTICATE SCRAM-SHA-256 ${base64('n,,n=ada,r=x')}`)).done, /^BAD /, 'twice');
    }
  });

  await t.test('RFC 5802 §6: -PLUS over TLS, malformed and of another channel', async () => {
    const { imap, socket } = await overTls(t, server);
    assert.match(await capabilities(imap), / AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS /);
    for (const header of ['n,,', 'y,,', 'p=,,']) {
      assert.match((await imap.command(`AUTHENTICATE ${PLUS} ${base64(`${header}n=ada,r=x`)}`)).done, /^BAD /, header);
    }
    assert.match((await imap.command(`AUTHENTICATE ${PLUS} ${base64('p=tls-unique,,n=ada,r=x')}`)).done, /^NO \[CANNOT\] /);
    // §6: `y` says that the client saw no -PLUS; somebody took it away.
    assert.match(await scramLogin(imap, USER, PASSWORD, { header: 'y,,' }), /^NO \[AUTHENTICATIONFAILED\] /);
    for (const type of ['tls-exporter', 'tls-server-end-point']) {
      const right = binding(socket, type);
      const header = `p=${type},,`;
      for (const data of [Buffer.alloc(right.length), right.subarray(1), Buffer.alloc(0)]) {
        const answer = await scramLogin(imap, USER, PASSWORD, { mechanism: PLUS, header, binding: data });
        assert.match(answer, /^(?:BAD|NO \[AUTHENTICATIONFAILED\]) /);
      }
      assert.match(await scramLogin(imap, USER, 'wrong', { mechanism: PLUS, header, binding: right }), /^NO \[AUTHENTICATIONFAILED\] /);
    }
    assert.match((await imap.command('SELECT INBOX')).done, /^BAD /);
  });

  await t.test('RFC 5929, RFC 9266: bound to this connection, and to no other', async () => {
    for (const type of ['tls-exporter', 'tls-server-end-point']) {
      const { imap, socket } = await overTls(t, server);
      const other = await overTls(t, server);
      const options = { mechanism: PLUS, header: `p=${type},,` };
      if (type === 'tls-exporter') {
        const elsewhere = await scramLogin(imap, USER, PASSWORD, { ...options, binding: binding(other.socket, type) });
        assert.match(elsewhere, /^NO \[AUTHENTICATIONFAILED\] /);
      }
      assert.match(await scramLogin(imap, USER, PASSWORD, { ...options, binding: binding(socket, type) }), /^OK \[CAPABILITY /);
      assert.match((await imap.command('SELECT INBOX')).done, /^OK /);
    }
  });
});

const TOKENS = `
import { definePlugin } from '@pochard/plugin-sdk';

export const plugin = definePlugin({
  name: 'tokens',
  permissions: ['credentials'],
  apply({ hooks }) {
    hooks.auth.verify.decide(({ mechanism, username, secret }) => {
      if (mechanism !== 'OAUTHBEARER' && mechanism !== 'XOAUTH2') return undefined;
      if (Buffer.from(secret.bytes()).toString() !== 'good.token') return { result: 'reject', reason: 'credentials' };
      return { result: 'accept', account: { username } };
    });
  },
});
`;

test('RFC 7628: OAUTHBEARER, and XOAUTH2', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'tokens.ts'), TOKENS);
  const config = { limits: LIMITS, auth: { tokens: 'on' }, plugins: [{ use: join(folder, 'tokens.ts') }] };
  const server = await startServer(t, { accounts: { [USER]: PASSWORD }, config });
  const connect = () => ImapScript.connect(t, server.port('imap'));
  const bearer = (token: string, user = USER): string => base64(`n,a=${user},\x01host=mx\x01port=143\x01auth=Bearer ${token}\x01\x01`);
  const xoauth2 = (token: string): string => base64(`user=${USER}\x01auth=Bearer ${token}\x01\x01`);

  await t.test('malformed', async () => {
    const imap = await connect();
    assert.match(await capabilities(imap), / AUTH=OAUTHBEARER AUTH=XOAUTH2 /);
    for (const text of [
      'n,,',
      'p=tls-unique,,\x01auth=Bearer x\x01\x01',
      `n,a=${USER},\x01auth=Bearer x\x01`,
      `n,a=${USER},\x01auth=Basic x\x01\x01`,
      `n,a=${USER},\x01host=mx\x01\x01`,
      `n,a=${USER},\x01auth=Bearer a b\x01\x01`,
      '\xff',
    ])
      assert.match((await imap.command(`AUTHENTICATE OAUTHBEARER ${base64(text)}`)).done, /^BAD /, JSON.stringify(text));
    for (const text of ['user=\x01auth=Bearer x\x01\x01', 'auth=Bearer x\x01\x01', `user=${USER}\x01auth=Bearer x\x01`])
      assert.match((await imap.command(`AUTHENTICATE XOAUTH2 ${base64(text)}`)).done, /^BAD /, JSON.stringify(text));
  });

  await t.test('§3.2.2: a wrong token gets the error as a challenge, and NO after the answer to it', async () => {
    const imap = await connect();
    for (const [command, status] of [
      [`OAUTHBEARER ${bearer('bad')}`, 'invalid_token'],
      [`OAUTHBEARER ${bearer(PASSWORD.replace(' ', '.'))}`, 'invalid_token'],
      [`XOAUTH2 ${xoauth2('bad')}`, '401'],
    ] as const) {
      const { done } = await imap.command(`AUTHENTICATE ${command}`);
      const challenge: unknown = JSON.parse(Buffer.from(done.replace(/^\+ /, ''), 'base64').toString());
      assert.deepEqual(challenge, { status, schemes: 'bearer', scope: '' });
      imap.socket.write('AQ==\r\n');
      assert.match(await imap.response(), /^t\d+ NO \[AUTHENTICATIONFAILED\] /);
    }
    assert.match((await imap.command('SELECT INBOX')).done, /^BAD /);
  });

  await t.test('§3.1: a good one logs in', async () => {
    for (const command of [`OAUTHBEARER ${bearer('good.token')}`, `XOAUTH2 ${xoauth2('good.token')}`]) {
      const imap = await connect();
      assert.match((await imap.command(`AUTHENTICATE ${command}`)).done, /^OK \[CAPABILITY /);
      assert.match((await imap.command('SELECT INBOX')).done, /^OK /);
    }
    const imap = await connect();
    assert.match((await imap.command('AUTHENTICATE OAUTHBEARER')).done, /^\+/);
    imap.socket.write(`${bearer('good.token')}\r\n`);
    assert.match(await imap.response(), /^t\d+ OK \[CAPABILITY /);
  });
});
