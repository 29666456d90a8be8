import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { test } from 'node:test';
import { type SecureVersion, TLSSocket } from 'node:tls';
import { checkScramProof, deriveScramKeys, readScramKeys, writeScramKeys } from '../passwords/scram-keys.ts';
import { ImapBad, ImapNo } from './errors.ts';
import { type ImapHouse, imapHouse } from './imap-house.fixture.ts';
import { readClientFirst } from './scram.ts';
import type { WireClient } from './wire-client.fixture.ts';

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

test('malformed first messages are refused', () => {
  for (const text of [
    '',
    'n,',
    'n,,',
    'n,,n=ada',
    'n,,r=x,n=ada',
    'n,,n=,r=x',
    'n,,n=ada,r=',
    'p=,,n=ada,r=x',
    'p=tls exporter,,n=ada,r=x',
    'n,,m=x,n=ada,r=x',
    'n,,n=a=20,r=x',
    'x,,n=ada,r=x',
    '\0',
  ])
    assert.throws(() => readClientFirst(Buffer.from(text)), ImapBad, JSON.stringify(text));
  assert.throws(() => readClientFirst(Buffer.from('n,a=eve,n=ada,r=x')), ImapNo);
  assert.equal(readClientFirst(Buffer.from('y,a=a=2Cb=3D,n=a=2Cb=3D,r=x,ext=1')).username, 'a,b=');
});

test('the example of RFC 7677 is right, and its keys survive a record', async () => {
  const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
  const keys = readScramKeys(writeScramKeys(await deriveScramKeys(Buffer.from('pencil'), salt, 4096)));
  assert(keys !== undefined);
  const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
  const message = `n=user,r=rOprNGfwEbeRWgbNEkqO,r=${nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=${nonce}`;
  const proof = Buffer.from('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=', 'base64');
  assert.equal(checkScramProof(keys, message, proof)?.toString('base64'), '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
  assert.equal(checkScramProof(keys, `${message} `, proof), undefined);
  assert.equal(checkScramProof(keys, message, proof.subarray(1)), undefined);
  for (const text of [undefined, '', 'a$b$c$d', '1$YQ==$YQ==$YQ==']) assert.equal(readScramKeys(text), undefined);
});

/** An exchange as RFC 5802 §3 has it. @returns the last line, and what the server said of itself */
async function authenticate(
  client: WireClient,
  username: string,
  password: string,
  change = (final: string) => final,
  { mechanism = 'SCRAM-SHA-256', header = 'n,,' } = {},
) {
  const bare = `n=${username},r=fyko+d2lbbFgONRv9qkxdawL`;
  client.send(`x AUTHENTICATE ${mechanism} ${base64(`${header}${bare}`)}\r\n`);
  const answer = (await client.response()) ?? '';
  if (!answer.startsWith('+')) return { line: answer, salt: '' };
  const serverFirst = Buffer.from(answer.slice(2), 'base64').toString();
  const [, nonce = '', salt = '', count = ''] = /^r=(.*),s=(.*),i=(\d+)$/.exec(serverFirst) ?? [];
  const hmac = (key: Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(count), 32, 'sha256');
  const clientKey = hmac(salted, 'Client Key');
  const withoutProof = change(`c=biws,r=${nonce}`);
  const message = `${bare},${serverFirst},${withoutProof}`;
  const signature = hmac(createHash('sha256').update(clientKey).digest(), message);
  const proof = Buffer.from(clientKey.map((octet, at) => octet ^ (signature[at] ?? 0)));
  client.send(`${base64(`${withoutProof},p=${proof.toString('base64')}`)}\r\n`);
  const line = (await client.response()) ?? '';
  if (!line.startsWith('+')) return { line, salt };
  assert.equal(Buffer.from(line.slice(2), 'base64').toString(), `v=${hmac(hmac(salted, 'Server Key'), message).toString('base64')}`);
  client.send('\r\n');
  return { line: (await client.response()) ?? '', salt };
}

async function houseWithPassword(t: Parameters<typeof imapHouse>[0], tls: 'none' | 'starttls' = 'none'): Promise<ImapHouse> {
  const house = await imapHouse(t, { tls, scram: 'on', limits: { imapBadCommandsBeforeLogin: 50, loginFailuresPerSession: 50 } });
  await house.services.accounts.setPassword(house.account.id, { password: Buffer.from('pencil') });
  return house;
}

test('SCRAM-SHA-256 is offered when it is switched on only', async (t) => {
  assert.match((await (await (await houseWithPassword(t)).connect()).run('CAPABILITY'))[0] ?? '', / AUTH=SCRAM-SHA-256 /);
  const off = await (await imapHouse(t)).connect();
  assert.doesNotMatch((await off.run('CAPABILITY'))[0] ?? '', /SCRAM/);
  await off.expect(`AUTHENTICATE SCRAM-SHA-256 ${base64('n,,n=ada,r=x')}`, '$ NO [CANNOT] Mechanism is not supported');
});

test('the right password logs in, and both sides prove themselves', async (t) => {
  const house = await houseWithPassword(t);
  const client = await house.connect();
  assert.match((await authenticate(client, 'ada@example.test', 'pencil')).line, /^x OK \[CAPABILITY /);
  await client.expectEnd('SELECT INBOX', '$ OK [READ-WRITE] Mailbox selected');
});

test('a wrong password and an unknown user look alike, also when asked twice', async (t) => {
  const house = await houseWithPassword(t);
  const client = await house.connect();
  const no = 'x NO [AUTHENTICATIONFAILED] Wrong user name or password';
  assert.equal((await authenticate(client, 'ada@example.test', 'wrong')).line, no);
  const once = await authenticate(client, 'eve@example.test', 'pencil');
  const twice = await authenticate(client, 'eve@example.test', 'pencil');
  assert.equal(once.line, no);
  assert.equal(once.salt, twice.salt);
  assert.equal(Buffer.from(once.salt, 'base64').length, 16);
  assert.equal(
    (await authenticate(client, 'ada@example.test', 'pencil', (final) => final.replace('biws', 'eSws'))).line,
    'x BAD Wrong SCRAM message',
  );
  assert.equal((await authenticate(client, 'ada@example.test', 'pencil', (final) => `${final}x`)).line, 'x BAD Wrong SCRAM message');
});

test('an account of which only a hash is known gets its keys with its first password login', async (t) => {
  const house = await imapHouse(t, { scram: 'on' });
  const client = await house.connect();
  assert.match((await authenticate(client, 'ada@example.test', 'secret')).line, /^x NO /);
  await house.login();
  assert.match((await authenticate(client, 'ada@example.test', 'secret')).line, /^x OK /);
});

const PLUS = 'SCRAM-SHA-256-PLUS';

async function overTls(house: ImapHouse, version?: SecureVersion): Promise<{ readonly client: WireClient; readonly socket: TLSSocket }> {
  const client = await house.connect();
  await client.run('STARTTLS');
  await client.startTls(version);
  const { socket } = client;
  assert(socket instanceof TLSSocket);
  return { client, socket };
}

function bound(socket: TLSSocket, type: string): Buffer {
  if (type === 'tls-exporter') return socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
  return createHash('sha256').update(socket.getPeerCertificate(true).raw).digest();
}

function plus(client: WireClient, type: string, data: Buffer, password = 'pencil') {
  const header = `p=${type},,`;
  const binding = Buffer.concat([Buffer.from(header), data]).toString('base64');
  return authenticate(client, 'ada@example.test', password, (final) => final.replace('biws', binding), { mechanism: PLUS, header });
}

test('SCRAM-SHA-256-PLUS needs TLS, and a binding that the connection has', async (t) => {
  const house = await houseWithPassword(t, 'starttls');
  const plain = await house.connect();
  assert.doesNotMatch((await plain.run('CAPABILITY'))[0] ?? '', /PLUS/);
  await plain.expect(`AUTHENTICATE ${PLUS} ${base64('p=tls-exporter,,n=ada,r=x')}`, '$ NO [CANNOT] Mechanism is not supported');
  const { client } = await overTls(house);
  assert.match((await client.run('CAPABILITY'))[0] ?? '', / AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-256-PLUS /);
  await client.expect(`AUTHENTICATE ${PLUS} ${base64('n,,n=ada,r=x')}`, '$ BAD Wrong SCRAM message');
  await client.expect(`AUTHENTICATE SCRAM-SHA-256 ${base64('p=tls-exporter,,n=ada,r=x')}`, '$ BAD Wrong SCRAM message');
  await client.expect(
    `AUTHENTICATE ${PLUS} ${base64('p=tls-unique,,n=ada,r=x')}`,
    '$ NO [CANNOT] This channel binding is not supported here',
  );
  // Somebody has taken -PLUS out of the capabilities.
  await client.expect(
    `AUTHENTICATE SCRAM-SHA-256 ${base64('y,,n=ada,r=x')}`,
    '$ NO [AUTHENTICATIONFAILED] This server does support channel binding',
  );
});

test('a login is bound to the connection by tls-exporter or tls-server-end-point', async (t) => {
  const house = await houseWithPassword(t, 'starttls');
  for (const type of ['tls-exporter', 'tls-server-end-point']) {
    const { client, socket } = await overTls(house);
    const no = 'x NO [AUTHENTICATIONFAILED] Wrong user name or password';
    assert.equal((await plus(client, type, Buffer.alloc(32))).line, no, 'another channel');
    assert.equal((await plus(client, type, bound(socket, type), 'wrong')).line, no);
    assert.match((await plus(client, type, bound(socket, type))).line, /^x OK \[CAPABILITY /);
    await client.expectEnd('SELECT INBOX', '$ OK [READ-WRITE] Mailbox selected');
  }
});

test('over TLS 1.2 there is tls-server-end-point only', async (t) => {
  const house = await houseWithPassword(t, 'starttls');
  const { client, socket } = await overTls(house, 'TLSv1.2');
  assert.equal(socket.getProtocol(), 'TLSv1.2');
  assert.equal((await plus(client, 'tls-exporter', Buffer.alloc(32))).line, 'x NO [CANNOT] This channel binding is not supported here');
  assert.match((await plus(client, 'tls-server-end-point', bound(socket, 'tls-server-end-point'))).line, /^x OK /);
});
