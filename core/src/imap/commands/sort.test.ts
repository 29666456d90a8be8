import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { imapHouse, mail } from '../imap-house.fixture.ts';
import type { WireClient } from '../wire-client.fixture.ts';

async function withFour(t: TestContext): Promise<{ client: WireClient; other: WireClient }> {
  const house = await imapHouse(t);
  const client = await house.select();
  for (const [text, when] of [
    [
      'From: Zoe <bob@example.org>\nSubject: Re: pears\nDate: Tue, 2 Jan 2024 10:00:00 +0000\n\na rather long text that makes it the largest\n',
      4,
    ],
    ['From: ann@example.org\nTo: Dan <zed@example.org>\nSubject: apples\nDate: Mon, 1 Jan 2024 23:30:00 -1200\n\nred\n', 3],
    ['From: cat@example.org\nTo: abe@example.org\nSubject: pears\n\n', 2],
    ['Subject: =?utf-8?q?=C3=84pfel?=\nDate: Tue, 2 Jan 2024 09:59:59 +0000\n\n', 1],
  ] as const) {
    await client.append('INBOX', mail(text), `(\\Seen) "0${when}-Feb-2024 10:00:00 +0000"`);
  }
  return { client, other: await house.select() };
}

test('SORT with broken arguments is BAD', async (t) => {
  const { client } = await withFour(t);
  for (const args of [
    '',
    ' ()',
    ' () UTF-8 ALL',
    ' DATE UTF-8 ALL',
    ' (NONSENSE) UTF-8 ALL',
    ' (REVERSE) UTF-8 ALL',
    ' (REVERSE REVERSE DATE) UTF-8 ALL',
    ' (DATE) UTF-8',
    ' (DATE)',
    ' (DATE SIZE UTF-8 ALL',
    ' (RELEVANCY) UTF-8 ALL',
    ' RETURN (UPDATE) (DATE) UTF-8 ALL',
    ` (${'DATE '.repeat(50)}SIZE) UTF-8 ALL`,
  ]) {
    assert.match((await client.run(`SORT${args}`)).at(-1) ?? '', /^\$ BAD /, args);
  }
});

test('SORT with an unknown charset is NO [BADCHARSET]; after UTF8=ACCEPT the charset is still an argument', async (t) => {
  const { client } = await withFour(t);
  assert.match((await client.run('SORT (DATE) KLINGON ALL')).at(-1) ?? '', /^\$ NO \[BADCHARSET \(.*UTF-8.*\)\] /);
  await client.expect('SORT (DATE) ISO-8859-1 SUBJECT {5+}\r\n\xc4pfel', '* SORT 4', '$ OK SORT done');
  await client.run('ENABLE UTF8=ACCEPT');
  await client.expect('SORT (DATE) UTF-8 SUBJECT "\xc3\x84pfel"', '* SORT 4', '$ OK SORT done');
});

test('every sort key', async (t) => {
  const { client } = await withFour(t);
  for (const [args, sorted] of [
    ['(ARRIVAL)', '4 3 2 1'],
    ['(REVERSE ARRIVAL)', '1 2 3 4'],
    ['(DATE)', '4 1 2 3'],
    ['(SUBJECT)', '2 4 1 3'],
    ['(SUBJECT ARRIVAL)', '2 4 3 1'],
    ['(REVERSE SIZE)', '1 2 4 3'],
    ['(FROM)', '4 2 1 3'],
    ['(TO)', '1 4 3 2'],
    ['(CC)', '1 2 3 4'],
    ['(DISPLAYFROM)', '4 2 3 1'],
    ['(DISPLAYTO)', '1 4 3 2'],
  ] as const) {
    await client.expect(`SORT ${args} UTF-8 ALL`, `* SORT ${sorted}`, '$ OK SORT done');
  }
  await client.expect('UID SORT (DATE) US-ASCII 2:3', '* SORT 2 3', '$ OK SORT done');
  await client.expect('SORT (DATE) UTF-8 UNSEEN', '* SORT', '$ OK SORT done');
  await client.expect(
    'SORT (DATE) UTF-8 MODSEQ 4',
    '* OK [HIGHESTMODSEQ 5] Highest mod-sequence',
    '* SORT 4 3 (MODSEQ 5)',
    '$ OK SORT done',
  );
});

test('ESORT: RETURN options answer in the order of the keys (RFC 5267 §3)', async (t) => {
  const { client } = await withFour(t);
  await client.expect('SORT RETURN () (DATE) UTF-8 ALL', '* ESEARCH (TAG "$") ALL 4,1:3', '$ OK SORT done');
  await client.expect('UID SORT RETURN (MIN MAX COUNT) (DATE) UTF-8 ALL', '* ESEARCH (TAG "$") UID MIN 4 MAX 3 COUNT 4', '$ OK SORT done');
  await client.expect('SORT RETURN (PARTIAL 2:3) (DATE) UTF-8 ALL', '* ESEARCH (TAG "$") PARTIAL (2:3 1:2)', '$ OK SORT done');
  await client.expect('SORT RETURN (PARTIAL -1:-2) (DATE) UTF-8 ALL', '* ESEARCH (TAG "$") PARTIAL (-1:-2 2:3)', '$ OK SORT done');
  await client.expect(
    'SORT RETURN (PARTIAL 9:20 COUNT) (DATE) UTF-8 ALL',
    '* ESEARCH (TAG "$") PARTIAL (9:20 NIL) COUNT 4',
    '$ OK SORT done',
  );
  await client.expect('SORT RETURN (MIN COUNT) (DATE) UTF-8 UNSEEN', '* ESEARCH (TAG "$") COUNT 0', '$ OK SORT done');
  await client.expect('SORT RETURN (SAVE MAX) (DATE) UTF-8 ALL', '* ESEARCH (TAG "$") MAX 3', '$ OK SORT done');
  await client.expect('UID SEARCH $', '* SEARCH 3', '$ OK SEARCH done');
  await client.run('SORT RETURN (SAVE MIN PARTIAL 2:3) (DATE) UTF-8 ALL');
  await client.expect('UID SEARCH $', '* SEARCH 1 2 4', '$ OK SEARCH done');
});

test('SORT sorts what the session knows, with the numbers that it knows', async (t) => {
  const { client, other } = await withFour(t);
  await other.append('INBOX', mail('Subject: new\n\nx\n'));
  await other.run('STORE 1 +FLAGS.SILENT (\\Deleted)');
  await other.run('UID EXPUNGE 1');
  assert.deepEqual((await client.run('SORT (SUBJECT) UTF-8 ALL'))[0], '* SORT 2 4 3');
  assert.deepEqual((await client.run('UID SORT (SUBJECT) UTF-8 ALL'))[0], '* SORT 2 4 5 3');
  await client.expect('SORT (SUBJECT) UTF-8 ALL', '* SORT 1 3 4 2', '$ OK SORT done');
});
