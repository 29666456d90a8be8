import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELLO, imapHouse } from '../imap-house.fixture.ts';
import { withoutUidValidity } from '../wire-client.fixture.ts';

const BETTER = HELLO.replace('Subject: hello', 'Subject: better');
const literal = `{${BETTER.length}+}\r\n${BETTER}`;

test('REPLACE wants one message, a mailbox and a literal', async (t) => {
  const house = await imapHouse(t);
  await (await house.login()).expect(`REPLACE 1 INBOX ${literal}`, '$ BAD No mailbox selected');
  const client = await house.select();
  await client.append('INBOX', HELLO);
  await client.expect('REPLACE', '$ BAD Argument missing');
  await client.expectEnd(`REPLACE 1:2 INBOX ${literal}`, '$ BAD Space expected');
  await client.expectEnd(`REPLACE 2 INBOX ${literal}`, '$ BAD No message has this sequence number');
  await client.expectEnd(`UID REPLACE 2 INBOX ${literal}`, '$ NO [NONEXISTENT] There is no such message');
  await client.expectEnd('REPLACE 1 nowhere {10}', '$ NO [TRYCREATE] No such mailbox');
  await client.expectEnd('REPLACE 1 INBOX {99999999}', '$ NO [TOOBIG] Message is too large');
  await client.run('EXAMINE INBOX');
  await client.expectEnd(`REPLACE 1 INBOX ${literal}`, '$ NO [NOPERM] Mailbox is read-only');
  await client.expectEnd('FETCH 1:* UID', '$ OK FETCH done');
});

test('REPLACE puts a message in the place of another, and others see both halves', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  assert((await client.run('CAPABILITY'))[0]?.split(' ').includes('REPLACE'));
  for (let n = 0; n < 3; n++) await client.append('INBOX', HELLO);
  const other = await house.select();
  await client.expect(
    `REPLACE 2 INBOX (\\Seen) "05-Jan-2026 10:00:00 +0000" ${literal}`,
    '* OK [APPENDUID V 4] Message stored',
    '* 2 EXPUNGE',
    '* 3 EXISTS',
    '* 3 RECENT',
    '$ OK REPLACE done',
  );
  await other.expect('NOOP', '* 2 EXPUNGE', '* 3 EXISTS', '$ OK NOOP done');
  const header = '\r\nSubject: better\r\n\r\n';
  await other.expect(
    'FETCH 3 (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])',
    `* 3 FETCH (UID 4 FLAGS (\\Seen) BODY[HEADER.FIELDS (SUBJECT)] {${header.length - 2}}${header})`,
    '$ OK FETCH done',
  );
});

test('UID REPLACE into another mailbox, with QRESYNC', async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  await client.run('ENABLE QRESYNC');
  await client.run('SELECT INBOX');
  for (let n = 0; n < 2; n++) await client.append('INBOX', HELLO);
  const responses = (await client.run(`UID REPLACE 1 Drafts (\\Draft) ${literal}`)).map(withoutUidValidity);
  assert.deepEqual(responses.slice(0, -1), ['* OK [APPENDUID V 1] Message stored', '* VANISHED 1']);
  assert.match(responses.at(-1) ?? '', /^\$ OK \[HIGHESTMODSEQ \d+\] REPLACE done$/);
  await client.expect('STATUS Drafts (MESSAGES)', '* STATUS "Drafts" (MESSAGES 1)', '$ OK STATUS done');
});

test('a message that a session does not know to be gone is not replaced', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  await client.append('INBOX', HELLO);
  const other = await house.select();
  await client.run('STORE 1 +FLAGS.SILENT (\\Deleted)');
  await client.run('EXPUNGE');
  await other.expectEnd(`REPLACE 1 INBOX ${literal}`, '$ NO [EXPUNGEISSUED] There is no such message');
  await client.expect('STATUS INBOX (MESSAGES)', '* STATUS INBOX (MESSAGES 0)', '$ OK STATUS done');
});
