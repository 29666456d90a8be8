import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELLO, imapHouse } from '../imap-house.fixture.ts';

test('STORE with broken arguments is BAD, as is a number that no message has', async (t) => {
  const client = await (await imapHouse(t)).select();
  await client.append('INBOX', HELLO);
  await client.expect('STORE', '$ BAD Argument missing');
  await client.expect('STORE 1', '$ BAD Argument missing');
  await client.expect('STORE 1 FLAGS', '$ BAD Space expected');
  await client.expect('STORE 1 +FLAGZ (\\Seen)', '$ BAD FLAGS expected');
  await client.expect('STORE 0 +FLAGS (\\Seen)', '$ BAD Number must not be zero');
  await client.expect('STORE 1 (UNCHANGEDSINCE x) +FLAGS (\\Seen)', '$ BAD Number expected');
  await client.expect('STORE 2 +FLAGS (\\Seen)', '$ BAD No message has this sequence number');
  await client.expect('UID STORE 99 +FLAGS (\\Seen)', '$ OK STORE done');
});

test('STORE adds, removes and replaces flags, and says what they are now', async (t) => {
  const client = await (await imapHouse(t)).select();
  await client.append('INBOX', HELLO);
  await client.append('INBOX', HELLO);
  await client.expect(
    'STORE 1:2 +FLAGS (\\Seen \\Flagged)',
    '* 1 FETCH (FLAGS (\\Recent \\Seen \\Flagged))',
    '* 2 FETCH (FLAGS (\\Recent \\Seen \\Flagged))',
    '$ OK STORE done',
  );
  await client.expect('STORE 2 -FLAGS \\Seen', '* 2 FETCH (FLAGS (\\Recent \\Flagged))', '$ OK STORE done');
  await client.expect('UID STORE 1 FLAGS (\\Answered)', '* 1 FETCH (UID 1 FLAGS (\\Recent \\Answered))', '$ OK STORE done');
  await client.expect('STORE 1 FLAGS ()', '* 1 FETCH (FLAGS (\\Recent))', '$ OK STORE done');
  await client.expect('STORE 1:* +FLAGS.SILENT (\\Draft)', '$ OK STORE done');
  await client.expect(
    'FETCH 1:2 FLAGS',
    '* 1 FETCH (FLAGS (\\Recent \\Draft))',
    '* 2 FETCH (FLAGS (\\Recent \\Flagged \\Draft))',
    '$ OK FETCH done',
  );
});

test('a new keyword is told in FLAGS and PERMANENTFLAGS before it is shown, in every session', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  await client.append('INBOX', HELLO);
  const other = await house.select();
  const flags = [
    '* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Junk)',
    '* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Junk \\*)] Flags that stay',
  ];
  await client.expect('STORE 1 +FLAGS ($Junk)', ...flags, '* 1 FETCH (FLAGS (\\Recent $Junk))', '$ OK STORE done');
  await other.expect('NOOP', ...flags, '* 1 FETCH (FLAGS ($Junk))', '$ OK NOOP done');
  await client.expect('STORE 1 +FLAGS ($JUNK)', '* 1 FETCH (FLAGS (\\Recent $Junk))', '$ OK STORE done');
});

test('other sessions hear of changed flags, the one that changed them does not', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  await client.append('INBOX', HELLO);
  const other = await house.select();
  await client.expect('STORE 1 +FLAGS.SILENT (\\Seen)', '$ OK STORE done');
  await client.expect('NOOP', '$ OK NOOP done');
  await other.expect('NOOP', '* 1 FETCH (FLAGS (\\Seen))', '$ OK NOOP done');
  await other.expect('NOOP', '$ OK NOOP done');
  await other.expect('STORE 1 +FLAGS (\\Flagged)', '* 1 FETCH (FLAGS (\\Seen \\Flagged))', '$ OK STORE done');
  await client.expect('FETCH 1 UID', '* 1 FETCH (UID 1)', '* 1 FETCH (FLAGS (\\Recent \\Seen \\Flagged))', '$ OK FETCH done');
});

test('a silent STORE still tells what another session changed in the same message before', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  await client.append('INBOX', HELLO);
  const other = await house.select();
  await other.run('STORE 1 +FLAGS (\\Flagged)');
  await client.expect('STORE 1 +FLAGS.SILENT (\\Seen)', '* 1 FETCH (FLAGS (\\Recent \\Seen \\Flagged))', '$ OK STORE done');
});

test('STORE on messages of which some were expunged elsewhere answers the survivors and EXPUNGEISSUED', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  for (let n = 0; n < 3; n++) await client.append('INBOX', HELLO);
  const other = await house.select();
  await other.run('STORE 2 +FLAGS.SILENT (\\Deleted)');
  await client.run('NOOP');
  await other.expect('EXPUNGE', '* 2 EXPUNGE', '$ OK EXPUNGE done');
  await client.expect(
    'STORE 1:3 +FLAGS (\\Seen)',
    '* 1 FETCH (FLAGS (\\Recent \\Seen))',
    '* 3 FETCH (FLAGS (\\Recent \\Seen))',
    '$ OK [EXPUNGEISSUED] Some messages are gone',
  );
  await client.expect('STORE 2 +FLAGS (\\Seen)', '$ NO [EXPUNGEISSUED] The messages are gone');
  await client.expect('UID STORE 2 +FLAGS (\\Seen)', '* 2 EXPUNGE', '$ OK STORE done');
  await client.expect('STORE 2 +FLAGS (\\Flagged)', '* 2 FETCH (FLAGS (\\Recent \\Seen \\Flagged))', '$ OK STORE done');
});

test('UNCHANGEDSINCE changes what is unchanged and names the rest in MODIFIED', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  for (let n = 0; n < 3; n++) await client.append('INBOX', HELLO);
  await client.expect(
    'FETCH 1:3 MODSEQ',
    '* OK [HIGHESTMODSEQ 4] Highest mod-sequence',
    '* 1 FETCH (MODSEQ (2))',
    '* 2 FETCH (MODSEQ (3))',
    '* 3 FETCH (MODSEQ (4))',
    '$ OK FETCH done',
  );
  await client.expect(
    'STORE 1:3 (UNCHANGEDSINCE 3) +FLAGS (\\Seen)',
    '* 1 FETCH (FLAGS (\\Recent \\Seen) MODSEQ (5))',
    '* 2 FETCH (FLAGS (\\Recent \\Seen) MODSEQ (5))',
    '$ OK [MODIFIED 3] Some messages were changed meanwhile',
  );
  await client.expect(
    'UID STORE 2:3 (UNCHANGEDSINCE 1) +FLAGS.SILENT (\\Draft)',
    '$ OK [MODIFIED 2:3] Some messages were changed meanwhile',
  );
  await client.expect('STORE 3 (UNCHANGEDSINCE 4) +FLAGS.SILENT (\\Draft)', '* 3 FETCH (MODSEQ (6))', '$ OK STORE done');
  await client.expect('STORE 1 (UNCHANGEDSINCE 0) FLAGS ()', '$ OK [MODIFIED 1] Some messages were changed meanwhile');
});

test('with CONDSTORE enabled, unsolicited FETCH carries UID and MODSEQ', async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  await client.append('INBOX', HELLO);
  await client.expect('ENABLE CONDSTORE', '* ENABLED CONDSTORE', '$ OK ENABLE done');
  await client.run('SELECT INBOX');
  const other = await house.select();
  await other.run('STORE 1 +FLAGS (\\Seen)');
  await client.expect('NOOP', '* 1 FETCH (UID 1 FLAGS (\\Recent \\Seen) MODSEQ (3))', '$ OK NOOP done');
});

test('a mailbox with 27 keywords takes no more, and says so', async (t) => {
  const client = await (await imapHouse(t)).select();
  await client.append('INBOX', HELLO);
  const keywords = Array.from({ length: 27 }, (_, n) => `k${n}`);
  const full = (await client.run(`STORE 1 +FLAGS (${keywords.join(' ')})`)).find((line) => line.includes('PERMANENTFLAGS'));
  assert.equal(full?.includes('\\*'), false);
  assert.match((await client.run('STORE 1 +FLAGS (onemore)')).at(-1) ?? '', /^\$ NO \[LIMIT\] /);
});
