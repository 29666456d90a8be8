import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imapHouse } from '../imap-house.fixture.ts';

test('STARTTLS is BAD where it is not offered, and after login', async (t) => {
  const house = await imapHouse(t);
  const client = await house.connect();
  await client.expect('STARTTLS now', '$ BAD Unexpected text after the last argument');
  await client.expect('STARTTLS', '$ BAD TLS is not offered here');
  await (await house.login()).expect('STARTTLS', '$ BAD Already logged in');
});

test('after STARTTLS the session goes on over TLS, and LOGINDISABLED has gone', async (t) => {
  const house = await imapHouse(t, { tls: 'starttls', cleartextLogin: 'never' });
  const client = await house.connect();
  assert.match((await client.run('CAPABILITY'))[0] ?? '', / STARTTLS LOGINDISABLED /);
  await client.expect('STARTTLS', '$ OK Begin TLS negotiation now');
  await client.startTls();
  const [capability] = await client.run('CAPABILITY');
  assert.doesNotMatch(capability ?? '', /STARTTLS|LOGINDISABLED/);
  assert.match(capability ?? '', /AUTH=PLAIN/);
  await client.expect('STARTTLS', '$ BAD TLS is on already');
  assert.match((await client.run('LOGIN ada@example.test secret')).at(-1) ?? '', /^\$ OK/);
  await client.expectEnd('SELECT INBOX', '$ OK [READ-WRITE] Mailbox selected');
});

test('commands injected in clear behind STARTTLS are never executed', async (t) => {
  const house = await imapHouse(t, { tls: 'starttls' });
  const client = await house.connect();
  client.send('a STARTTLS\r\nb LOGIN ada@example.test secret\r\n');
  await client.hears('a OK Begin TLS negotiation now');
  await client.startTls();
  await client.expect('SELECT INBOX', '$ BAD Log in first');
  await client.expect('NOOP', '$ OK NOOP done');
});
