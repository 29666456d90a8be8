import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imapHouse } from '../imap-house.fixture.ts';

test('LOGIN with missing, surplus or broken arguments is BAD', async (t) => {
  const house = await imapHouse(t, { limits: { imapBadCommandsBeforeLogin: 50 } });
  const client = await house.connect();
  await client.expect('LOGIN', '$ BAD Argument missing');
  await client.expect('LOGIN ada@example.test', '$ BAD Argument missing');
  await client.expect('LOGIN ada@example.test secret more', '$ BAD Unexpected text after the last argument');
  await client.expect('LOGIN "ada secret', '$ BAD Quoted string is not closed');
  await client.expect('LOGIN (ada) secret', '$ BAD String expected');
});

test('LOGIN after login is BAD', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.expect('LOGIN ada@example.test secret', '$ BAD Already logged in');
});

test('LOGIN takes atoms, quoted strings and literals, and tells the capabilities', async (t) => {
  const house = await imapHouse(t);
  for (const form of [
    'ada@example.test secret',
    '"ada@example.test" "secret"',
    'ADA@EXAMPLE.TEST secret',
    '{16+}\r\nada@example.test {6+}\r\nsecret',
  ]) {
    const client = await house.connect();
    const [reply] = await client.run(`LOGIN ${form}`);
    assert.match(reply ?? '', /^\$ OK \[CAPABILITY IMAP4rev1 .*\] Logged in$/);
    assert.doesNotMatch(reply ?? '', /STARTTLS|LOGINDISABLED|AUTH=/);
  }
});

test('a synchronising literal is asked for by a continuation', async (t) => {
  const client = await (await imapHouse(t)).connect();
  client.send('a1 LOGIN {16}\r\n');
  await client.hears('+ OK');
  client.send('ada@example.test {6}\r\n');
  await client.hears('+ OK');
  client.send('secret\r\n');
  assert.match((await client.response()) ?? '', /^a1 OK /);
});

test('a wrong password and an unknown user get the same answer', async (t) => {
  const client = await (await imapHouse(t)).connect();
  const [wrong] = await client.run('LOGIN ada@example.test wrong');
  const [unknown] = await client.run('LOGIN eve@example.test secret');
  assert.match(wrong ?? '', /^\$ NO \[AUTHENTICATIONFAILED\] /);
  assert.equal(unknown, wrong);
});

test('the third failed login ends the connection', async (t) => {
  const client = await (await imapHouse(t)).connect();
  for (let attempt = 0; attempt < 3; attempt++) assert.match((await client.run('LOGIN ada@example.test wrong')).at(-1) ?? '', /^\$ NO /);
  await client.hears('* BYE Too many failed logins');
  assert(await client.isClosed());
});

test('without TLS and not from loopback alone, LOGIN is refused before the password is looked at', async (t) => {
  const house = await imapHouse(t, { cleartextLogin: 'never' });
  const client = await house.connect();
  const [capability] = await client.run('CAPABILITY');
  assert.match(capability ?? '', / LOGINDISABLED/);
  assert.doesNotMatch(capability ?? '', /AUTH=PLAIN/);
  await client.expect('LOGIN ada@example.test secret', '$ NO [PRIVACYREQUIRED] Use TLS to log in');
  await client.expect('AUTHENTICATE PLAIN AGFkYUBleGFtcGxlLnRlc3QAc2VjcmV0', '$ NO [PRIVACYREQUIRED] Use TLS to log in');
});

test('one user cannot open more connections from one address than the limit', async (t) => {
  const house = await imapHouse(t, { limits: { imapConnectionsPerUserAndAddress: 2 } });
  const first = await house.login();
  await house.login();
  const third = await house.connect();
  await third.expect('LOGIN ada@example.test secret', '$ NO [LIMIT] Too many connections of this user from your address');
  await first.run('LOGOUT');
  assert(await first.isClosed());
  assert.match((await third.run('LOGIN ada@example.test secret')).at(-1) ?? '', /^\$ OK/);
});
