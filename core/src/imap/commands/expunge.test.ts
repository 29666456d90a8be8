import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELLO, imapHouse } from '../imap-house.fixture.ts';

test('EXPUNGE takes no argument, UID EXPUNGE needs one', async (t) => {
  const house = await imapHouse(t);
  await (await house.login()).expect('EXPUNGE', '$ BAD No mailbox selected');
  const client = await house.select();
  await client.expect('EXPUNGE 1', '$ BAD Unexpected text after the last argument');
  await client.expect('UID EXPUNGE', '$ BAD Argument missing');
  await client.expect('UID EXPUNGE x', '$ BAD Number expected');
});

test('EXPUNGE removes what is \\Deleted, UID EXPUNGE only what is named, too', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  for (let n = 0; n < 5; n++) await client.append('INBOX', HELLO);
  await client.expect('EXPUNGE', '$ OK EXPUNGE done');
  await client.run('STORE 2,3,5 +FLAGS.SILENT (\\Deleted)');
  await client.expect('UID EXPUNGE 1:3', '* 3 EXPUNGE', '* 2 EXPUNGE', '$ OK UID EXPUNGE done');
  await client.expect('EXPUNGE', '* 3 EXPUNGE', '$ OK EXPUNGE done');
  await client.expect('FETCH 1:* UID', '* 1 FETCH (UID 1)', '* 2 FETCH (UID 4)', '$ OK FETCH done');
});

test('others keep their numbers during FETCH, STORE and SEARCH, and are told at NOOP', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  for (let n = 0; n < 4; n++) await client.append('INBOX', HELLO);
  const other = await house.select();
  await client.run('STORE 1,3 +FLAGS.SILENT (\\Deleted)');
  await other.run('NOOP');
  await client.run('EXPUNGE');
  await other.expect('FETCH 4 UID', '* 4 FETCH (UID 4)', '$ OK FETCH done');
  await other.expect('STORE 2 +FLAGS.SILENT (\\Seen)', '$ OK STORE done');
  await other.expect('SEARCH UID 4', '* SEARCH 4', '$ OK SEARCH done');
  await client.append('INBOX', HELLO);
  await other.expect('FETCH 2 UID', '* 2 FETCH (UID 2)', '* 5 EXISTS', '$ OK FETCH done');
  await other.expect('NOOP', '* 3 EXPUNGE', '* 1 EXPUNGE', '$ OK NOOP done');
  await other.expect('FETCH 1:3 UID', '* 1 FETCH (UID 2)', '* 2 FETCH (UID 4)', '* 3 FETCH (UID 5)', '$ OK FETCH done');
});

test('HIGHESTMODSEQ never rises above an expunge that was not told', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  for (let n = 0; n < 2; n++) await client.append('INBOX', HELLO);
  const other = await house.select();
  await client.run('STORE 1 +FLAGS.SILENT (\\Deleted)');
  await client.run('EXPUNGE');
  await other.run('FETCH 1 UID');
  // STATUS is not FETCH: the expunge goes out with it, after its answer.
  await other.expect(
    'STATUS INBOX (HIGHESTMODSEQ)',
    '* OK [HIGHESTMODSEQ 4] Highest mod-sequence',
    '* STATUS INBOX (HIGHESTMODSEQ 4)',
    '* 1 EXPUNGE',
    '$ OK STATUS done',
  );
  await other.expect('STATUS INBOX (HIGHESTMODSEQ)', '* STATUS INBOX (HIGHESTMODSEQ 5)', '$ OK STATUS done');
});

test('thousands of expunges are told in whole, highest first', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  const count = 1500;
  await client.append('INBOX', HELLO);
  for (let n = 1; n < count; n *= 2) await client.run(`COPY 1:${Math.min(n, count - n)} INBOX`);
  await client.run('STORE 1:* +FLAGS.SILENT (\\Deleted)');
  const responses = await client.run('EXPUNGE');
  assert.deepEqual(responses, [...Array.from({ length: count }, (_, n) => `* ${count - n} EXPUNGE`), '$ OK EXPUNGE done']);
});
