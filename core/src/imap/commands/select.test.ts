import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELLO, imapHouse } from '../imap-house.fixture.ts';

test('SELECT with broken arguments is BAD, before login too', async (t) => {
  const house = await imapHouse(t);
  const stranger = await house.connect();
  await stranger.expect('SELECT INBOX', '$ BAD Log in first');
  await stranger.expect('EXAMINE INBOX', '$ BAD Log in first');
  const client = await house.login();
  await client.expect('SELECT', '$ BAD Argument missing');
  await client.expect('SELECT INBOX (NONSENSE)', '$ BAD Unknown parameter');
  await client.expect('SELECT "&bad"', '$ BAD Shift in a mailbox name is not closed');
  await client.expect('SELECT INBOX (QRESYNC (1 2))', '$ BAD QRESYNC is not enabled');
});

test('SELECT of a mailbox that is not there is NO, and leaves none selected', async (t) => {
  const client = await (await imapHouse(t)).select();
  await client.expect('SELECT nowhere', '* OK [CLOSED] The previous mailbox is closed', '$ NO [NONEXISTENT] No such mailbox');
  await client.expect('FETCH 1 FLAGS', '$ BAD No mailbox selected');
});

test('SELECT tells all that RFC 3501 and RFC 7162 ask for', async (t) => {
  const house = await imapHouse(t);
  const other = await house.login();
  await other.append('INBOX', HELLO, '(\\Seen)');
  await other.append('INBOX', HELLO, '($Work)');
  const client = await house.login();
  await client.expect(
    'SELECT inbox',
    '* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)',
    '* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work \\*)] Flags that stay',
    '* 2 EXISTS',
    '* 2 RECENT',
    '* OK [UNSEEN 2] First unseen message',
    '* OK [UIDVALIDITY V] UIDs are valid',
    '* OK [UIDNEXT 3] Next UID',
    '* OK [HIGHESTMODSEQ 3] Highest mod-sequence',
    '* OK [MAILBOXID (F1)] Mailbox id',
    '$ OK [READ-WRITE] Mailbox selected',
  );
});

test('\\Recent is given to the first session that selects, and EXAMINE does not take it', async (t) => {
  const house = await imapHouse(t);
  const other = await house.login();
  await other.append('INBOX', HELLO);
  const looker = await house.login();
  assert((await looker.run('EXAMINE INBOX')).includes('* 1 RECENT'));
  await looker.expect('FETCH 1 FLAGS', '* 1 FETCH (FLAGS (\\Recent))', '$ OK FETCH done');
  const first = await house.login();
  assert((await first.run('SELECT INBOX')).includes('* 1 RECENT'));
  const second = await house.login();
  assert((await second.run('SELECT INBOX')).includes('* 0 RECENT'));
  await first.expect('FETCH 1 FLAGS', '* 1 FETCH (FLAGS (\\Recent))', '$ OK FETCH done');
  await second.expect('FETCH 1 FLAGS', '* 1 FETCH (FLAGS ())', '$ OK FETCH done');
  await first.expect('SEARCH RECENT', '* SEARCH 1', '$ OK SEARCH done');
  await second.expect('SEARCH RECENT', '* SEARCH', '$ OK SEARCH done');
  await second.expect('SEARCH OLD', '* SEARCH 1', '$ OK SEARCH done');
  await first.expect('SEARCH NEW', '* SEARCH 1', '$ OK SEARCH done');
  await first.expect('STATUS INBOX (RECENT)', '* STATUS INBOX (RECENT 1)', '$ OK STATUS done');
  // Of a message that arrives while both look, whoever is told first has it.
  await other.append('INBOX', HELLO);
  await second.expect('NOOP', '* 2 EXISTS', '* 1 RECENT', '$ OK NOOP done');
  await first.expect('NOOP', '* 2 EXISTS', '$ OK NOOP done');
});

test('EXAMINE is read-only: nothing can be changed through it', async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  await client.append('INBOX', HELLO);
  const examined = await client.run('EXAMINE INBOX');
  assert(examined.includes('* OK [PERMANENTFLAGS ()] No flags can be changed'));
  assert.equal(examined.at(-1), '$ OK [READ-ONLY] Mailbox examined');
  await client.expect('STORE 1 +FLAGS (\\Seen)', '$ NO [NOPERM] Mailbox is read-only');
  await client.expect('EXPUNGE', '$ NO [NOPERM] Mailbox is read-only');
  await client.expect('UID EXPUNGE 1', '$ NO [NOPERM] Mailbox is read-only');
  await client.expect('MOVE 1 Sent', '$ NO [NOPERM] Mailbox is read-only');
  await client.expectEnd('FETCH 1 BODY[TEXT]', '$ OK FETCH done');
  await client.expect('FETCH 1 FLAGS', '* 1 FETCH (FLAGS (\\Recent))', '$ OK FETCH done');
  await client.expect('COPY 1 Sent', '$ OK [COPYUID V 1 1] Messages copied');
  await client.expect('CLOSE', '$ OK CLOSE done');
});

test('SELECT with IMAP4rev2 enabled has no RECENT and a LIST', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.append('INBOX', HELLO);
  await client.expect('ENABLE IMAP4rev2', '* ENABLED IMAP4rev2', '$ OK ENABLE done');
  const responses = await client.run('SELECT INBOX');
  assert(!responses.some((line) => /RECENT|UNSEEN/.test(line)));
  assert(responses.includes('* LIST () "/" INBOX'));
  await client.expect('FETCH 1 FLAGS', '* 1 FETCH (FLAGS ())', '$ OK FETCH done');
  await client.expect('SEARCH ALL', '* ESEARCH (TAG "$") ALL 1', '$ OK SEARCH done');
});

test('UNSELECT and CLOSE end the selection, and only CLOSE expunges, silently', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  await client.expect('UNSELECT now', '$ BAD Unexpected text after the last argument');
  await client.expect('CLOSE now', '$ BAD Unexpected text after the last argument');
  await client.append('INBOX', HELLO, '(\\Deleted)');
  await client.expect('UNSELECT', '$ OK UNSELECT done');
  await client.expect('UNSELECT', '$ BAD No mailbox selected');
  await client.expect('CLOSE', '$ BAD No mailbox selected');
  await client.expect('CHECK', '$ BAD No mailbox selected');
  await client.expect('STATUS INBOX (MESSAGES)', '* STATUS INBOX (MESSAGES 1)', '$ OK STATUS done');
  await client.run('SELECT INBOX');
  await client.expect('CHECK', '$ OK CHECK done');
  await client.expect('CLOSE', '$ OK CLOSE done');
  await client.expect('STATUS INBOX (MESSAGES)', '* STATUS INBOX (MESSAGES 0)', '$ OK STATUS done');
});
