import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definePlugin } from '@pochard/plugin-sdk';
import { readOauthBearer, readXoauth2 } from './bearer.ts';
import { ImapBad } from './errors.ts';
import { imapHouse } from './imap-house.fixture.ts';

/** Knows one token, and who has it. */
const plugin = definePlugin({
  name: 'tokens',
  permissions: ['credentials'],
  apply({ hooks }) {
    hooks.auth.verify.decide(({ mechanism, username, secret }) => {
      if (mechanism !== 'OAUTHBEARER' && mechanism !== 'XOAUTH2') return undefined;
      if (Buffer.from(secret.bytes()).toString() !== 'good.token') return { result: 'reject', reason: 'credentials' };
      return { result: 'accept', account: { username } };
    });
    hooks.auth.succeeded.gate(({ secret }) => {
      assert(secret === undefined, 'a token is no password');
    });
  },
});

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
const bearer = (token: string, user = 'ada@example.test') => base64(`n,a=${user},\x01host=mx\x01port=143\x01auth=Bearer ${token}\x01\x01`);
const xoauth2 = (token: string) => base64(`user=ada@example.test\x01auth=Bearer ${token}\x01\x01`);

test('malformed responses of OAUTHBEARER and XOAUTH2 are refused', () => {
  const wrong = [
    '',
    'n,,',
    'p=tls-unique,,\x01auth=Bearer x\x01\x01',
    'n,b=ada,\x01auth=Bearer x\x01\x01',
    'n,a=ada=20,\x01auth=Bearer x\x01\x01',
    'n,a=ada,\x01auth=Bearer x\x01',
    'n,a=ada,\x01auth=Bearer x',
    'n,a=ada,\x01auth=Basic x\x01\x01',
    'n,a=ada,\x01auth=Bearer \x01\x01',
    'n,a=ada,\x01auth=Bearer a b\x01\x01',
    'n,a=ada,\x01auth=Bearer x\x01auth=Bearer y\x01\x01',
    'n,a=ada,\x01host=mx\x01\x01',
    'n,a=ada,\x01=x\x01\x01',
    '\xff',
  ];
  for (const text of wrong) assert.throws(() => readOauthBearer(Buffer.from(text, 'latin1')), ImapBad, JSON.stringify(text));
  for (const text of ['', 'user=\x01auth=Bearer x\x01\x01', 'auth=Bearer x\x01\x01', 'user=a\x01auth=Bearer x\x01'])
    assert.throws(() => readXoauth2(Buffer.from(text)), ImapBad, JSON.stringify(text));
  assert.equal(readOauthBearer(Buffer.from('y,a=a=2Cb=3D,\x01auth=bearer x==\x01\x01')).username, 'a,b=');
  assert.equal(readOauthBearer(Buffer.from('n,,\x01auth=Bearer x\x01\x01')).username, '');
});

test('token mechanisms are offered only when a plugin may know tokens and the administrator says so', async (t) => {
  const house = await imapHouse(t, { tokens: 'on' });
  const client = await house.connect();
  assert.doesNotMatch((await client.run('CAPABILITY'))[0] ?? '', /OAUTH/);
  await client.expect(`AUTHENTICATE OAUTHBEARER ${bearer('good.token')}`, '$ NO [CANNOT] Mechanism is not supported');
  await house.hooks.reload([{ plugin }]);
  assert.match((await client.run('CAPABILITY'))[0] ?? '', / AUTH=OAUTHBEARER AUTH=XOAUTH2 /);
  const off = await imapHouse(t);
  await off.hooks.reload([{ plugin }]);
  assert.doesNotMatch((await (await off.connect()).run('CAPABILITY'))[0] ?? '', /OAUTH/);
});

test('a good token logs in, with and without an initial response', async (t) => {
  const house = await imapHouse(t, { tokens: 'on' });
  await house.hooks.reload([{ plugin }]);
  assert.match(
    (await (await house.connect()).run(`AUTHENTICATE OAUTHBEARER ${bearer('good.token')}`)).at(-1) ?? '',
    /^\$ OK \[CAPABILITY /,
  );
  const client = await house.connect();
  client.send('x AUTHENTICATE XOAUTH2\r\n');
  await client.hears('+ ');
  client.send(`${xoauth2('good.token')}\r\n`);
  assert.match((await client.response()) ?? '', /^x OK \[CAPABILITY /);
  await client.expectEnd('SELECT INBOX', '$ OK [READ-WRITE] Mailbox selected');
});

test("a wrong token gets the error challenge, and NO after the client's word to it; a password is no token", async (t) => {
  const house = await imapHouse(t, { tokens: 'on' });
  await house.hooks.reload([{ plugin }]);
  const client = await house.connect();
  for (const [command, status] of [
    [`AUTHENTICATE OAUTHBEARER ${bearer('secret')}`, 'invalid_token'],
    [`AUTHENTICATE XOAUTH2 ${xoauth2('secret')}`, '401'],
    [`AUTHENTICATE OAUTHBEARER ${base64('n,,\x01auth=Bearer good.token\x01\x01')}`, 'invalid_token'],
  ] as const) {
    client.send(`x ${command}\r\n`);
    const line = (await client.response()) ?? '';
    assert.deepEqual(JSON.parse(Buffer.from(line.slice(2), 'base64').toString()), { status, schemes: 'bearer', scope: '' });
    client.send('AQ==\r\n');
    await client.hears('x NO [AUTHENTICATIONFAILED] Wrong user name or password');
  }
});
