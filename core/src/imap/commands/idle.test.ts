import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELLO, imapHouse } from '../imap-house.fixture.ts';

test('IDLE takes no argument, and only DONE ends it', async (t) => {
  const house = await imapHouse(t);
  await (await house.connect()).expect('IDLE', '$ BAD Log in first');
  const client = await house.select();
  await client.expect('IDLE now', '$ BAD Unexpected text after the last argument');
  client.send('x IDLE\r\n');
  await client.hears('+ idling');
  client.send('NOOP\r\n');
  await client.hears('x BAD DONE expected');
  await client.expect('NOOP', '$ OK NOOP done');
});

test('IDLE tells messages, flags and expunges as they happen', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  const other = await house.select();
  client.send('x IDLE\r\n');
  await client.hears('+ idling');
  await other.append('INBOX', HELLO);
  await client.hears('* 1 EXISTS');
  await client.hears('* 1 RECENT');
  await other.run('STORE 1 +FLAGS (\\Seen)');
  await client.hears('* 1 FETCH (FLAGS (\\Recent \\Seen))');
  await other.run('STORE 1 +FLAGS (\\Deleted)');
  await client.hears('* 1 FETCH (FLAGS (\\Recent \\Seen \\Deleted))');
  await other.run('EXPUNGE');
  await client.hears('* 1 EXPUNGE');
  client.send('done\r\n');
  await client.hears('x OK IDLE done');
});

test('IDLE tells of messages that come in the same change in which others go', async (t) => {
  const house = await imapHouse(t);
  const other = await house.select();
  for (let count = 0; count < 3; count += 1) await other.append('INBOX', HELLO);
  const client = await house.login();
  await client.run('ENABLE IMAP4rev2'); // whose \Recent they are is not the point here
  await client.run('SELECT INBOX');
  client.send('x IDLE\r\n');
  await client.hears('+ idling');
  await other.run('MOVE 1:2 INBOX');
  await client.hears('* 2 EXPUNGE');
  await client.hears('* 1 EXPUNGE');
  await client.hears('* 3 EXISTS');
  await other.run(`REPLACE 1 INBOX {${HELLO.length}+}\r\n${HELLO}`);
  await client.hears('* 1 EXPUNGE');
  await client.hears('* 3 EXISTS');
  client.send('DONE\r\n');
});

test('IDLE begins with what was not told yet, and works with no mailbox selected', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  await (await house.login()).append('INBOX', HELLO);
  client.send('x IDLE\r\n');
  await client.hears('+ idling');
  await client.hears('* 1 EXISTS');
  await client.hears('* 1 RECENT');
  client.send('DONE\r\n');
  await client.hears('x OK IDLE done');
  const bare = await house.login();
  bare.send('y IDLE\r\nDONE\r\n');
  await bare.hears('+ idling');
  await bare.hears('y OK IDLE done');
});

test('many sessions in IDLE hear of a message at once', async (t) => {
  const house = await imapHouse(t, { limits: { imapConnectionsPerUserAndAddress: 200 } });
  const watchers = await Promise.all(Array.from({ length: 100 }, () => house.select()));
  for (const watcher of watchers) {
    watcher.send('x IDLE\r\n');
    await watcher.hears('+ idling');
  }
  const other = await house.login();
  const began = performance.now();
  await other.append('INBOX', HELLO);
  await Promise.all(watchers.map((watcher) => watcher.hears('* 1 EXISTS')));
  t.diagnostic(`append to the last of 100 EXISTS: ${(performance.now() - began).toFixed(1)} ms`);
});

test('silence for too long ends IDLE with BYE', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  client.send('x IDLE\r\n');
  await client.hears('+ idling');
  house.clock.advance(31 * 60_000);
  await client.hears('* BYE Silence for too long'.replace('Silence', 'Silent'));
  assert(await client.isClosed());
});
