import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { HELLO, type ImapHouse, imapHouse } from './imap-house.fixture.ts';
import type { WireClient } from './wire-client.fixture.ts';

/** Sessions that have a mailbox each, with as many messages, and memory for none of them. */
async function crowd(
  t: TestContext,
  size: number,
  messages: number,
): Promise<{ house: ImapHouse; sessions: WireClient[]; other: WireClient }> {
  const house = await imapHouse(t, { packedOctets: 1, limits: { imapConnectionsPerUserAndAddress: size + 10 } });
  const other = await house.login();
  const sessions: WireClient[] = [];
  for (let n = 0; n < size; n++) {
    await other.run(`CREATE box${n}`);
    for (let m = 0; m < messages; m++) await other.append(`box${n}`, HELLO);
    sessions.push(await house.select(`box${n}`));
  }
  return { house, sessions, other };
}

async function idle(session: WireClient): Promise<void> {
  session.send('x IDLE\r\n');
  await session.hears('+ idling');
}

test('sessions in IDLE keep no mailbox in memory, and hear what happens all the same', async (t) => {
  const { house, sessions, other } = await crowd(t, 12, 3);
  assert(house.mails.gauges.packedOctets > 0);
  for (const session of sessions) await idle(session);
  // The last word of IDLE was sent before the view went to rest.
  await other.run('NOOP');
  assert.equal(house.mails.gauges.packedOctets, 0);

  const [first] = sessions;
  assert(first);
  await other.append('box0', HELLO);
  await first.hears('* 4 EXISTS');
  await first.hears('* 4 RECENT');
  await other.run('SELECT box0');
  await other.run('STORE 2 +FLAGS.SILENT (\\Deleted)');
  await first.hears('* 2 FETCH (FLAGS (\\Recent \\Deleted))');
  await other.run('EXPUNGE');
  await first.hears('* 2 EXPUNGE');
  await other.run('CLOSE');
  assert.equal(house.mails.gauges.packedOctets, 0);
  first.send('DONE\r\n');
  await first.hears('x OK IDLE done');
  await first.expect('FETCH 1:* UID', '* 1 FETCH (UID 1)', '* 2 FETCH (UID 3)', '* 3 FETCH (UID 4)', '$ OK FETCH done');
  await first.expect('SEARCH RECENT', '* SEARCH 1 2 3', '$ OK SEARCH done');
});

test('a session without commands rests after a minute, and wakes with the next command', async (t) => {
  const { house, sessions, other } = await crowd(t, 2, 2);
  const [first, second] = sessions;
  assert(first && second);
  assert(house.mails.gauges.packedOctets > 0);
  house.clock.advance(62_000);
  assert.equal(house.mails.gauges.packedOctets, 0);
  await other.append('box0', HELLO);
  await first.expect('NOOP', '* 3 EXISTS', '* 3 RECENT', '$ OK NOOP done');
  await other.run('SELECT box1');
  await other.run('STORE 1 +FLAGS.SILENT (\\Deleted)');
  await other.run('EXPUNGE');
  await other.run('CLOSE');
  assert.equal(house.mails.gauges.packedOctets, 0);
  await second.expect('FETCH 1:2 UID', '* 1 FETCH (UID 1)', '* 2 FETCH (UID 2)', '$ OK FETCH done');
  await second.expect('NOOP', '* 1 EXPUNGE', '$ OK NOOP done');
});

test('marks of \\Recent that another session has taken are not counted by a session at rest', async (t) => {
  const { sessions, house, other } = await crowd(t, 1, 1);
  const [session] = sessions;
  assert(session);
  house.clock.advance(62_000);
  await other.append('box0', HELLO);
  await house.select('box0');
  await other.append('box0', HELLO);
  await session.expect('NOOP', '* 3 EXISTS', '* 2 RECENT', '$ OK NOOP done');
});

test('a session at rest whose mailbox is deleted hears BYE', async (t) => {
  const { sessions, other } = await crowd(t, 1, 1);
  const [session] = sessions;
  assert(session);
  await idle(session);
  await other.run('DELETE box0');
  await session.hears('* BYE [UNAVAILABLE] The selected mailbox was deleted');
});
