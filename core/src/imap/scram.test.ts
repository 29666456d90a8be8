import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { test } from 'node:test';
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
    'p=tls-exporter,,n=ada,r=x',
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
async function authenticate(client: WireClient, username: string, password: string, change = (final: string) => final) {
  const bare = `n=${username},r=fyko+d2lbbFgONRv9qkxdawL`;
  client.send(`x AUTHENTICATE SCRAM-SHA-256 ${base64(`n,,${bare}`)}\r\n`);
  const serverFirst = Buffer.from((await client.response())?.slice(2) ?? '', 'base64').toString();
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

async function houseWithPassword(t: Parameters<typeof imapHouse>[0]): Promise<ImapHouse> {
  const house = await imapHouse(t, { scram: 'on', limits: { imapBadCommandsBeforeLogin: 50, loginFailuresPerSession: 50 } });
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
