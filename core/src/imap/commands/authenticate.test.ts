import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imapHouse } from '../imap-house.fixture.ts';

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
const PLAIN = base64('\0ada@example.test\0secret');

test('AUTHENTICATE with an unknown mechanism, bad base64 or a cancel is refused', async (t) => {
  const client = await (await imapHouse(t, { limits: { imapBadCommandsBeforeLogin: 50 } })).connect();
  await client.expect('AUTHENTICATE', '$ BAD Argument missing');
  await client.expect('AUTHENTICATE GSSAPI', '$ NO [CANNOT] Mechanism is not supported');
  await client.expect('AUTHENTICATE PLAIN !!!', '$ BAD Wrong base64');
  await client.expect(`AUTHENTICATE PLAIN ${base64('no nul at all')}`, '$ BAD Wrong PLAIN response');
  await client.expect(`AUTHENTICATE PLAIN ${base64('a\0b\0c\0d')}`, '$ BAD Wrong PLAIN response');
  await client.expect(
    `AUTHENTICATE PLAIN ${base64('eve@example.test\0ada@example.test\0secret')}`,
    '$ NO [AUTHORIZATIONFAILED] You may log in as yourself only',
  );
  client.send('x AUTHENTICATE PLAIN\r\n');
  await client.hears('+ ');
  client.send('*\r\n');
  await client.hears('x BAD Authentication cancelled');
  await client.expect('NOOP', '$ OK NOOP done');
});

test('AUTHENTICATE PLAIN works with and without an initial response', async (t) => {
  const house = await imapHouse(t);
  const direct = await house.connect();
  assert.match((await direct.run(`AUTHENTICATE PLAIN ${PLAIN}`)).at(-1) ?? '', /^\$ OK \[CAPABILITY /);
  await direct.expect('AUTHENTICATE PLAIN', '$ BAD Already logged in');
  const asked = await house.connect();
  asked.send('x AUTHENTICATE plain\r\n');
  await asked.hears('+ ');
  asked.send(`${PLAIN}\r\n`);
  assert.match((await asked.response()) ?? '', /^x OK \[CAPABILITY /);
  const wrong = await house.connect();
  assert.match(
    (await wrong.run(`AUTHENTICATE PLAIN ${base64('\0ada@example.test\0nope')}`)).at(-1) ?? '',
    /^\$ NO \[AUTHENTICATIONFAILED\]/,
  );
});

test('AUTHENTICATE LOGIN asks for user name and password', async (t) => {
  const client = await (await imapHouse(t)).connect();
  client.send('x AUTHENTICATE LOGIN\r\n');
  await client.hears('+ VXNlcm5hbWU6');
  client.send(`${base64('ada@example.test')}\r\n`);
  await client.hears('+ UGFzc3dvcmQ6');
  client.send(`${base64('secret')}\r\n`);
  assert.match((await client.response()) ?? '', /^x OK \[CAPABILITY /);
});
