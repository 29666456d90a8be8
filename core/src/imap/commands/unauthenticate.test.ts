import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELLO, imapHouse } from '../imap-house.fixture.ts';

test('UNAUTHENTICATE needs a login and takes no argument', async (t) => {
  const house = await imapHouse(t);
  await (await house.connect()).expect('UNAUTHENTICATE', '$ BAD Log in first');
  await (await house.login()).expect('UNAUTHENTICATE now', '$ BAD Unexpected text after the last argument');
});

test('after UNAUTHENTICATE the session is as after the greeting, and somebody may log in again', async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  await client.append('INBOX', HELLO);
  await client.run('ENABLE QRESYNC IMAP4rev2');
  await client.run('SELECT INBOX');
  const done = (await client.run('UNAUTHENTICATE')).at(-1) ?? '';
  assert.match(done, /^\$ OK \[CAPABILITY IMAP4rev1 .*AUTH=PLAIN.*\] Logged out$/);
  assert(!done.includes('UIDPLUS'));
  await client.expect('FETCH 1 FLAGS', '$ BAD Log in first');
  await client.expectEnd('LOGIN ada@example.test wrong', '$ NO [AUTHENTICATIONFAILED] Wrong user name or password');
  assert.match((await client.run('LOGIN ada@example.test secret')).at(-1) ?? '', /^\$ OK \[CAPABILITY /);
  await client.expect('FETCH 1 FLAGS', '$ BAD No mailbox selected');
  await client.expect('SELECT INBOX (QRESYNC (1 1))', '$ BAD QRESYNC is not enabled');
  assert((await client.run('SELECT INBOX')).includes('* 1 RECENT'));
});

test('bad commands from before UNAUTHENTICATE do not count against whoever logs in next', async (t) => {
  const house = await imapHouse(t, { limits: { imapBadCommands: 10, imapBadCommandsBeforeLogin: 3 } });
  const client = await house.login();
  for (let n = 0; n < 6; n += 1) await client.expect('NONSENSE', '$ BAD Unknown command');
  await client.run('UNAUTHENTICATE');
  await client.expect('NONSENSE', '$ BAD Unknown command');
  assert.match((await client.run('LOGIN ada@example.test secret')).at(-1) ?? '', /^\$ OK \[CAPABILITY /);
});

test('a user who logs out this way leaves a place for another connection', async (t) => {
  const house = await imapHouse(t, { limits: { imapConnectionsPerUserAndAddress: 1 } });
  const client = await house.login();
  await assert.rejects(house.login(), /LIMIT/);
  await client.run('UNAUTHENTICATE');
  await house.login();
});

test('who logs in no more is sent away like a stranger, in whatever state the compression is', async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  await client.run('COMPRESS DEFLATE');
  client.compressed();
  await client.run('UNAUTHENTICATE');
  house.clock.advance(40_000);
  await client.expect('NOOP', '$ OK NOOP done');
  house.clock.advance(21_000);
  await client.hears('* BYE Too long before login');
  assert(await client.isClosed());
});
