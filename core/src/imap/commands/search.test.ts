import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { imapHouse, mail } from '../imap-house.fixture.ts';
import type { WireClient } from '../wire-client.fixture.ts';

async function withFour(t: TestContext): Promise<{ client: WireClient; other: WireClient }> {
  const house = await imapHouse(t);
  const client = await house.select();
  await client.append(
    'INBOX',
    mail('From: ann@example.org\nTo: ada@example.test\nSubject: apples\nDate: Mon, 1 Jan 2024 23:30:00 -0500\n\nred\n'),
    '(\\Seen) "01-Jan-2024 10:00:00 +0000"',
  );
  await client.append(
    'INBOX',
    mail(
      'From: bob@example.org\nCc: cat@example.org\nSubject: =?utf-8?q?=C3=84pfel?=\nDate: Tue, 2 Jan 2024 10:00:00 +0000\n\ngreen and red\n',
    ),
    '(\\Flagged $Work) "02-Jan-2024 10:00:00 +0000"',
  );
  await client.append(
    'INBOX',
    mail('From: ann@example.org\nBcc: dan@example.org\nSubject: pears\nX-Test: yes\n\nyellow, a rather longer text than the others have\n'),
    '(\\Answered \\Draft) "03-Jan-2024 10:00:00 +0000"',
  );
  await client.append('INBOX', mail('Subject: nothing\n\nblue\n'), '(\\Deleted) "04-Jan-2024 10:00:00 +0000"');
  return { client, other: await house.select() };
}

test('SEARCH with broken arguments is BAD', async (t) => {
  const { client } = await withFour(t);
  for (const args of [
    '',
    ' NONSENSE',
    ' FROM',
    ' OR SEEN',
    ' NOT',
    ' (SEEN',
    ' BEFORE 1-Foo-2024',
    ' LARGER x',
    ' UID x',
    ' MODSEQ',
    ' MODSEQ "/flags/x" 5',
    ' RETURN (NONE) ALL',
    ' RETURN (PARTIAL 0:2) ALL',
    ` ${'('.repeat(60)}ALL${')'.repeat(60)}`,
  ]) {
    assert.match((await client.run(`SEARCH${args}`)).at(-1) ?? '', /^\$ BAD /, args);
  }
});

test('an unknown CHARSET is NO [BADCHARSET], a known one decodes', async (t) => {
  const { client } = await withFour(t);
  assert.match(
    (await client.run('SEARCH CHARSET KLINGON ALL')).at(-1) ?? '',
    /^\$ NO \[BADCHARSET \(.*UTF-8.*\)\] Charset is not supported$/,
  );
  await client.expect('SEARCH CHARSET UTF-8 SUBJECT "\xc3\x84pfel"', '* SEARCH 2', '$ OK SEARCH done');
  await client.expect('SEARCH CHARSET ISO-8859-1 SUBJECT {5+}\r\n\xc4pfel', '* SEARCH 2', '$ OK SEARCH done');
  await client.run('ENABLE UTF8=ACCEPT');
  await client.expect('SEARCH CHARSET UTF-8 ALL', '$ BAD CHARSET is not allowed after UTF8=ACCEPT');
});

test('every key of SEARCH', async (t) => {
  const { client } = await withFour(t);
  for (const [keys, found] of [
    ['ALL', '1 2 3 4'],
    ['2:3', '2 3'],
    ['*', '4'],
    ['4:2,9', '2 3 4'],
    ['1000', ''],
    ['UID 2,4', '2 4'],
    ['SEEN', '1'],
    ['UNSEEN', '2 3 4'],
    ['ANSWERED', '3'],
    ['UNANSWERED', '1 2 4'],
    ['FLAGGED', '2'],
    ['UNFLAGGED', '1 3 4'],
    ['DELETED', '4'],
    ['UNDELETED', '1 2 3'],
    ['DRAFT', '3'],
    ['UNDRAFT', '1 2 4'],
    ['KEYWORD $work', '2'],
    ['UNKEYWORD $Work', '1 3 4'],
    ['KEYWORD nowhere', ''],
    ['RECENT', '1 2 3 4'],
    ['OLD', ''],
    ['NEW', '2 3 4'],
    ['FROM ann', '1 3'],
    ['FROM ANN TO ada', '1'],
    ['CC cat', '2'],
    ['BCC dan', '3'],
    ['SUBJECT pe', '3'],
    ['SUBJECT "\xc3\x84PFEL"', '2'],
    ['BODY red', '1 2'],
    ['TEXT apples', '1'],
    ['HEADER X-Test ""', '3'],
    ['HEADER X-Test no', ''],
    ['BEFORE 2-Jan-2024', '1'],
    ['ON 2-Jan-2024', '2'],
    ['SINCE 3-Jan-2024', '3 4'],
    ['SENTON 1-Jan-2024', '1'],
    ['SENTSINCE 2-Jan-2024', '2'],
    ['SENTBEFORE 2-Jan-2024', '1'],
    ['SMALLER 40', '4'],
    ['LARGER 120', '2 3'],
    ['OLDER 86400', '1 2 3 4'],
    ['YOUNGER 86400', ''],
    ['SAVEDSINCE 2-Jan-2024', '1 2 3 4'],
    ['SAVEDATESUPPORTED', '1 2 3 4'],
    ['NOT SEEN', '2 3 4'],
    ['OR SEEN FLAGGED', '1 2'],
    ['NOT (OR SEEN FLAGGED)', '3 4'],
    ['OR (SEEN FROM ann) BODY blue', '1 4'],
    ['SEEN UNSEEN', ''],
    ['EMAILID M2', '2'],
    ['THREADID T1', ''],
  ] as const) {
    await client.expect(`SEARCH ${keys}`, found === '' ? '* SEARCH' : `* SEARCH ${found}`, '$ OK SEARCH done');
  }
});

test('SEARCH MODSEQ gives the highest MODSEQ of what it found, entry names or not', async (t) => {
  const { client } = await withFour(t);
  await client.run('STORE 2 +FLAGS.SILENT (\\Seen)');
  await client.expect('SEARCH MODSEQ 6', '* OK [HIGHESTMODSEQ 6] Highest mod-sequence', '* SEARCH 2 (MODSEQ 6)', '$ OK SEARCH done');
  await client.expect('SEARCH MODSEQ "/flags/\\\\seen" all 6', '* SEARCH 2 (MODSEQ 6)', '$ OK SEARCH done');
  await client.expect('SEARCH OR MODSEQ 6 1', '* SEARCH 1 2 (MODSEQ 6)', '$ OK SEARCH done');
  await client.expect('SEARCH MODSEQ 999', '* SEARCH', '$ OK SEARCH done');
  await client.expect('SEARCH RETURN (COUNT MIN) MODSEQ 4', '* ESEARCH (TAG "$") MIN 2 COUNT 3 MODSEQ 6', '$ OK SEARCH done');
  await client.expect('SEARCH RETURN (MAX) MODSEQ 4', '* ESEARCH (TAG "$") MAX 4 MODSEQ 5', '$ OK SEARCH done');
});

test('ESEARCH returns what was asked for', async (t) => {
  const { client } = await withFour(t);
  await client.expect('SEARCH RETURN () ALL', '* ESEARCH (TAG "$") ALL 1:4', '$ OK SEARCH done');
  await client.expect('SEARCH RETURN (MIN MAX COUNT) UNSEEN', '* ESEARCH (TAG "$") MIN 2 MAX 4 COUNT 3', '$ OK SEARCH done');
  await client.expect('UID SEARCH RETURN (ALL) NOT 3', '* ESEARCH (TAG "$") UID ALL 1:2,4', '$ OK SEARCH done');
  await client.expect('SEARCH RETURN (MIN COUNT) 1000', '* ESEARCH (TAG "$") COUNT 0', '$ OK SEARCH done');
});

test('SEARCH RETURN (SAVE) keeps its result for $', async (t) => {
  const { client } = await withFour(t);
  await client.expect('SEARCH RETURN (SAVE) 2:3', '$ OK SEARCH done');
  await client.expect('FETCH $ UID', '* 2 FETCH (UID 2)', '* 3 FETCH (UID 3)', '$ OK FETCH done');
  await client.expect('SEARCH RETURN (COUNT) $ FLAGGED', '* ESEARCH (TAG "$") COUNT 1', '$ OK SEARCH done');
  await client.run('SEARCH RETURN (SAVE MIN) ALL');
  await client.expect('UID FETCH $ UID', '* 1 FETCH (UID 1)', '$ OK FETCH done');
});

test('SEARCH does not find what the session was not told of, and numbers are those that it knows', async (t) => {
  const { client, other } = await withFour(t);
  await other.append('INBOX', mail('Subject: new\n\nx\n'));
  await other.run('STORE 1 +FLAGS.SILENT (\\Deleted)');
  await other.run('UID EXPUNGE 1');
  assert.deepEqual((await client.run('SEARCH ALL'))[0], '* SEARCH 2 3 4');
  assert.deepEqual(await client.run('UID SEARCH ALL'), ['* SEARCH 2 3 4 5', '* 1 EXPUNGE', '$ OK SEARCH done']);
  await client.expect('SEARCH ALL', '* SEARCH 1 2 3 4', '$ OK SEARCH done');
});
