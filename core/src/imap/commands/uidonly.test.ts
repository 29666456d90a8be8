/** UIDONLY: RFC 9586. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { HELLO, type ImapHouse, imapHouse } from '../imap-house.fixture.ts';
import type { WireClient } from '../wire-client.fixture.ts';

const BY_NUMBER = '$ BAD [UIDREQUIRED] Use the UID form';

async function filled(t: TestContext, count: number): Promise<{ readonly house: ImapHouse; readonly other: WireClient }> {
  const house = await imapHouse(t, { limits: { imapBadCommands: 100 } });
  const other = await house.select();
  for (let n = 0; n < count; n++) await other.append('INBOX', HELLO);
  return { house, other };
}

async function uidOnly(house: ImapHouse, more = ''): Promise<WireClient> {
  const client = await house.login();
  await client.run(`ENABLE UIDONLY${more}`);
  await client.run('SELECT INBOX');
  return client;
}

function withoutModSeq(responses: readonly string[]): string[] {
  return responses.map((line) => line.replace(/MODSEQ( \()?(\s?)\d+/, 'MODSEQ$1$2n'));
}

test('UIDONLY is offered after login, enabled once, and ends with UNAUTHENTICATE', async (t) => {
  const { house } = await filled(t, 1);
  const client = await house.connect();
  assert.doesNotMatch((await client.run('CAPABILITY')).join(), /UIDONLY/);
  await client.run('LOGIN ada@example.test secret');
  assert.match((await client.run('CAPABILITY')).join(), / UIDONLY/);
  await client.expect('ENABLE UIDONLY', '* ENABLED UIDONLY', '$ OK ENABLE done');
  await client.expect('ENABLE UIDONLY', '* ENABLED', '$ OK ENABLE done');
  await client.run('UNAUTHENTICATE');
  await client.run('LOGIN ada@example.test secret');
  await client.run('SELECT INBOX');
  await client.expect('FETCH 1 UID', '* 1 FETCH (UID 1)', '$ OK FETCH done');
});

test('commands and keys that name message numbers are BAD with UIDREQUIRED', async (t) => {
  const { house } = await filled(t, 2);
  const client = await uidOnly(house, ' QRESYNC');
  for (const command of [
    'FETCH 1 FLAGS',
    'STORE 1 +FLAGS (\\Seen)',
    'COPY 1 Drafts',
    'MOVE 1 Drafts',
    'SEARCH ALL',
    'SEARCH RETURN (COUNT) ALL',
    'SORT (DATE) UTF-8 ALL',
    'THREAD REFERENCES UTF-8 ALL',
    'FETCH $ FLAGS',
  ])
    await client.expect(command, BY_NUMBER);
  await client.expect(`REPLACE 1 INBOX {${HELLO.length}}`, BY_NUMBER); // before the message is sent
  const key = '$ BAD [UIDREQUIRED] Message numbers are not allowed after UIDONLY';
  for (const command of [
    'UID SEARCH 1',
    'UID SEARCH NOT 1:*',
    'UID SORT (DATE) UTF-8 OR 1 ALL',
    'UID THREAD REFERENCES UTF-8 2',
    'ESEARCH 1',
  ])
    await client.expect(command, key);
  await client.expect('SELECT INBOX (QRESYNC (1 1 1:2 (1 1)))', key);
  await client.expectEnd('NOOP', '$ OK NOOP done');
});

test('answers are UIDFETCH with the UID in front, told again only when it was asked for', async (t) => {
  const { house } = await filled(t, 3);
  const first = await house.select();
  await first.run('UID STORE 1 +FLAGS.SILENT (\\Deleted)');
  await first.run('EXPUNGE');
  const client = await uidOnly(house);
  await client.expect('UID FETCH 1:* FLAGS', '* 2 UIDFETCH (FLAGS ())', '* 3 UIDFETCH (FLAGS ())', '$ OK FETCH done');
  await client.expect('UID FETCH 2 (UID RFC822.SIZE)', '* 2 UIDFETCH (UID 2 RFC822.SIZE 115)', '$ OK FETCH done');
  await client.expect(
    'UID FETCH 3 (BODY[HEADER.FIELDS (SUBJECT)])',
    '* 3 UIDFETCH (FLAGS (\\Seen) BODY[HEADER.FIELDS (SUBJECT)] {18}\r\nSubject: hello\r\n\r\n)',
    '$ OK FETCH done',
  );
  await client.expect('UID STORE 2 +FLAGS (\\Flagged)', '* 2 UIDFETCH (FLAGS (\\Flagged))', '$ OK STORE done');
  await client.expect('UID SEARCH RETURN (SAVE ALL) FLAGGED', '* ESEARCH (TAG "$") UID ALL 2', '$ OK SEARCH done');
  await client.expect('UID FETCH $ FLAGS', '* 2 UIDFETCH (FLAGS (\\Flagged))', '$ OK FETCH done');
  await client.expect('UID SEARCH $ SEEN', '* SEARCH', '$ OK SEARCH done');
});

test('SELECT tells no UNSEEN, since it is a message number', async (t) => {
  const { house } = await filled(t, 1);
  assert.match((await (await house.login()).run('SELECT INBOX')).join(), /UNSEEN 1/);
  const client = await house.login();
  await client.run('ENABLE UIDONLY');
  assert.doesNotMatch((await client.run('SELECT INBOX')).join(), /UNSEEN/);
});

test('what goes is told by VANISHED, with and without QRESYNC', async (t) => {
  const { house, other } = await filled(t, 5);
  const client = await uidOnly(house);
  await client.run('UID STORE 1,3 +FLAGS.SILENT (\\Deleted)');
  await client.expect('EXPUNGE', '* VANISHED 1,3', '$ OK EXPUNGE done');
  await other.run('UID MOVE 4 Drafts');
  await client.expect('NOOP', '* VANISHED 4', '$ OK NOOP done');
  await other.run('UID STORE 5 +FLAGS (\\Answered)');
  await other.append('INBOX', HELLO);
  await client.expect('NOOP', '* 3 EXISTS', '* 5 UIDFETCH (FLAGS (\\Answered))', '$ OK NOOP done');
  const resync = await uidOnly(house, ' QRESYNC');
  await other.run('UID STORE 2 +FLAGS (\\Flagged)');
  assert.deepEqual(withoutModSeq(await resync.run('NOOP')), ['* 2 UIDFETCH (FLAGS (\\Flagged) MODSEQ (n))', '$ OK NOOP done']);
  await other.run('UID MOVE 5 Drafts');
  await resync.expect('NOOP', '* VANISHED 5', '$ OK NOOP done');
});

test('QRESYNC of SELECT and CHANGEDSINCE with VANISHED answer with UIDFETCH', async (t) => {
  const { house, other } = await filled(t, 4);
  const { highestModSeq = 0, uidValidity = 0 } = (await house.access()).mail.byName('INBOX') ?? {};
  await other.run('UID STORE 3 +FLAGS (\\Flagged)');
  await other.run('UID MOVE 2 Drafts');
  const client = await house.login();
  await client.run('ENABLE QRESYNC UIDONLY IMAP4rev2');
  const news = (await client.run(`SELECT INBOX (QRESYNC (${uidValidity} ${highestModSeq}))`)).filter((line) => /VANISHED|FETCH/.test(line));
  assert.deepEqual(withoutModSeq(news), ['* VANISHED (EARLIER) 2', '* 3 UIDFETCH (FLAGS (\\Flagged) MODSEQ (n))']);
  assert.deepEqual(withoutModSeq(await client.run(`UID FETCH 1:* (FLAGS) (CHANGEDSINCE ${highestModSeq} VANISHED)`)), [
    '* VANISHED (EARLIER) 2',
    '* 3 UIDFETCH (FLAGS (\\Flagged) MODSEQ (n))',
    '$ OK FETCH done',
  ]);
});

test('with NOTIFY and COMPRESS new messages come as UIDFETCH at once', async (t) => {
  const { house, other } = await filled(t, 2);
  await other.run('UID MOVE 1 Drafts');
  const client = await uidOnly(house);
  await client.run('COMPRESS DEFLATE');
  client.compressed();
  await client.run('NOTIFY SET (selected (MessageNew (FLAGS) MessageExpunge FlagChange))');
  await other.append('INBOX', HELLO);
  await client.hears('* 2 EXISTS');
  await client.hears('* 1 RECENT');
  await client.hears('* 3 UIDFETCH (FLAGS (\\Recent))');
  await other.run('UID STORE 2 +FLAGS (\\Seen)');
  await client.hears('* 2 UIDFETCH (FLAGS (\\Seen))');
  await other.run('UID MOVE 2 Drafts');
  await client.hears('* VANISHED 2');
});
