import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { HELLO, imapHouse, mail } from '../imap-house.fixture.ts';

const DONE = '$ OK NOTIFY done';
const MESSAGES = '(MessageNew MessageExpunge FlagChange)';

test('NOTIFY that is malformed, or comes before login, is BAD', async (t) => {
  const house = await imapHouse(t, { limits: { imapBadCommands: 100 } });
  await (await house.connect()).expect('NOTIFY NONE', '$ BAD Log in first');
  const client = await house.login();
  const broken: readonly (readonly [string, string])[] = [
    ['', 'Argument missing'],
    [' ALL', 'SET or NONE expected'],
    [' NONE now', 'Unexpected text after the last argument'],
    [' SET', 'Space expected'],
    [' SET STATUS', 'Space expected'],
    [' SET LATER (personal NONE)', 'Event group expected'],
    [' SET ()', 'Unknown mailbox filter'],
    [' SET (everywhere NONE)', 'Unknown mailbox filter'],
    [' SET (personal)', 'Space expected'],
    [' SET (personal ())', 'Empty list'],
    [' SET (personal ALL)', 'Events expected'],
    [' SET (personal NONE', 'Closing parenthesis expected'],
    [' SET (mailboxes NONE)', 'Space expected'],
    [' SET (subtree () NONE)', 'Empty list'],
    [' SET (personal (MessageNew))', 'MessageNew and MessageExpunge go together'],
    [' SET (personal (MessageExpunge))', 'MessageNew and MessageExpunge go together'],
    [' SET (personal (FlagChange))', 'FlagChange needs MessageNew and MessageExpunge'],
    [' SET (personal (MessageNew (UID) MessageExpunge))', 'Only the selected mailbox can be fetched from'],
    [' SET (selected (MessageNew (NONSENSE) MessageExpunge))', 'Unknown FETCH item'],
    [' SET (selected (MailboxName))', 'Only message events concern the selected mailbox'],
    [' SET (selected NONE) (selected-delayed NONE)', 'Two groups for the selected mailbox'],
  ];
  for (const [text, why] of broken) await client.expect(`NOTIFY${text}`, `$ BAD ${why}`);
});

test('events that are not supported are named by BADEVENT, and what was set before stays', async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  await client.expect(`NOTIFY SET (personal ${MESSAGES})`, DONE);
  await client.expect(
    'NOTIFY SET (personal (MessageNew MessageExpunge AnnotationChange))',
    '$ NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange)] ' +
      'Some events are not supported',
  );
  await (await house.login()).append('Sent', HELLO);
  assert.match((await client.response()) ?? '', /^\* STATUS "Sent" \(MESSAGES 1 UIDNEXT 2 /);
});

test('STATUS of other mailboxes comes at once, without a command, and names what changed', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  const other = await house.select('Sent');
  await client.expect('NOTIFY SET (selected NONE) (mailboxes Drafts NONE) (personal (MessageNew MessageExpunge))', DONE);
  await other.append('Drafts', HELLO); // the first group that matches wants none
  await other.append('Sent', HELLO);
  await client.hears('* STATUS "Sent" (MESSAGES 1 UIDNEXT 2)');
  await other.run('STORE 1 +FLAGS (\\Deleted)');
  await other.run('EXPUNGE');
  await client.hears('* STATUS "Sent" (MESSAGES 0 UIDNEXT 2)');
  await client.expect(`NOTIFY SET (mailboxes (Sent Nowhere) ${MESSAGES})`, DONE);
  await other.append('Sent', HELLO);
  const line = /^\* STATUS "Sent" \(MESSAGES 1 UIDNEXT 3 UIDVALIDITY \d+ UNSEEN 1 HIGHESTMODSEQ \d+\)$/;
  assert.match((await client.response()) ?? '', line);
  await other.run('STORE 1 +FLAGS (\\Seen)');
  assert.match((await client.response()) ?? '', /^\* STATUS "Sent" \(UIDVALIDITY \d+ UNSEEN 0 HIGHESTMODSEQ \d+\)$/);
  await client.expect('NOTIFY NONE', DONE);
  await other.append('Sent', HELLO);
  await client.expect('NOOP', '$ OK NOOP done');
});

test('NOTIFY SET STATUS begins with how things are', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  await client.run('CREATE a/b');
  await client.append('a/b', HELLO);
  const answer = await client.run('NOTIFY SET STATUS (selected NONE) (subtree a (MessageNew MessageExpunge))');
  assert.deepEqual(
    answer.map((line) => line.replace(/UIDVALIDITY \d+/, 'UIDVALIDITY V')),
    ['* STATUS "a" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY V)', '* STATUS "a/b" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY V)', DONE],
  );
});

test('`inboxes` is INBOX, `subscribed` follows the subscriptions', async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  const other = await house.login();
  await client.run('SUBSCRIBE Sent');
  await client.run('UNSUBSCRIBE Drafts');
  await client.expect('NOTIFY SET (inboxes (MessageNew MessageExpunge)) (subscribed (MessageNew MessageExpunge))', DONE);
  await other.append('Drafts', HELLO);
  await other.append('INBOX', HELLO);
  await client.hears('* STATUS INBOX (MESSAGES 1 UIDNEXT 2)');
  await other.append('Sent', HELLO);
  await client.hears('* STATUS "Sent" (MESSAGES 1 UIDNEXT 2)');
  await other.run('SUBSCRIBE Drafts');
  await other.append('Drafts', HELLO);
  await client.hears('* STATUS "Drafts" (MESSAGES 2 UIDNEXT 3)');
});

test('the selected mailbox: EXISTS, flags and EXPUNGE come without a command', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  const other = await house.select();
  await client.expect(`NOTIFY SET (selected ${MESSAGES})`, DONE);
  await other.append('INBOX', HELLO);
  await client.hears('* 1 EXISTS');
  await client.hears('* 1 RECENT');
  await other.run('STORE 1 +FLAGS (\\Deleted)');
  await client.hears('* 1 FETCH (FLAGS (\\Recent \\Deleted))');
  await other.run('EXPUNGE');
  await client.hears('* 1 EXPUNGE');
});

test('selected-delayed keeps EXPUNGE for a command that may have it, and flags stay quiet when not asked for', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  const other = await house.select();
  await client.expect('NOTIFY SET (selected-delayed (MessageNew MessageExpunge))', DONE);
  await other.append('INBOX', HELLO);
  await client.hears('* 1 EXISTS');
  await client.hears('* 1 RECENT');
  await other.run('STORE 1 +FLAGS (\\Flagged)');
  await other.append('INBOX', HELLO);
  await client.hears('* 2 EXISTS');
  await client.hears('* 2 RECENT');
  await other.run('STORE 1 +FLAGS (\\Deleted)');
  await other.run('EXPUNGE');
  await other.append('INBOX', HELLO);
  await client.hears('* 3 EXISTS');
  await client.hears('* 3 RECENT');
  const answer = await client.run('NOOP');
  assert.equal(answer[0], '* 1 EXPUNGE');
  assert.equal(answer.at(-1), '$ OK NOOP done');
});

test('MessageNew shows the items that were asked for, and reads nothing', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  await client.expect('NOTIFY SET (selected (MessageNew (UID FLAGS BODY[HEADER.FIELDS (Subject)] BODY[TEXT]) MessageExpunge))', DONE);
  await (await house.login()).append('INBOX', HELLO);
  await client.hears('* 1 EXISTS');
  await client.hears('* 1 RECENT');
  await client.hears(
    '* 1 FETCH (UID 1 FLAGS (\\Recent) BODY[HEADER.FIELDS (Subject)] {18}\r\nSubject: hello\r\n\r\n BODY[TEXT] {8}\r\nHi Ada\r\n)',
  );
  await client.expect('FETCH 1 FLAGS', '* 1 FETCH (FLAGS (\\Recent))', '$ OK FETCH done');
  const own = await client.append('INBOX', HELLO);
  assert.deepEqual(
    own.slice(0, 3).map((line) => line.split(' ')[2]),
    ['EXISTS', 'RECENT', 'FETCH'],
  );
});

test('a message that is being shown is not torn by the next command', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  const other = await house.login();
  const big = mail(`Subject: big\n\n${'x'.repeat(70)}\n`) + `${'y'.repeat(70)}\r\n`.repeat(30_000);
  await client.expect('NOTIFY SET (selected (MessageNew (BODY[TEXT]) MessageExpunge))', DONE);
  const tag = other.tag();
  other.send(`${tag} APPEND INBOX {${big.length}}\r\n`);
  await other.response();
  other.send(`${big}\r\n`);
  await client.hears('* 1 EXISTS');
  client.send('a NOOP\r\nb FETCH 1 UID\r\n');
  await client.hears('* 1 RECENT');
  const shown = (await client.response()) ?? '';
  assert.equal(shown.length, `* 1 FETCH (BODY[TEXT] {${big.length - 16}}\r\n)`.length + big.length - 16);
  await client.hears('a OK NOOP done');
  await client.hears('* 1 FETCH (UID 1)');
  await client.hears('b OK FETCH done');
});

test('MailboxName, SubscriptionChange and annotations', async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  const other = await house.login();
  await client.expect('NOTIFY SET (personal (MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange))', DONE);
  await other.run('CREATE a');
  await client.hears('* LIST (\\HasNoChildren) "/" "a"');
  await other.run('RENAME a b');
  await client.hears('* LIST (\\HasNoChildren) "/" "b" ("OLDNAME" ("a"))');
  await other.run('SUBSCRIBE b');
  await client.hears('* LIST (\\HasNoChildren \\Subscribed) "/" "b"');
  await other.run('SETMETADATA b (/private/comment "x")');
  await client.hears('* METADATA "b" /private/comment');
  await other.run('SETMETADATA "" (/private/comment "x")');
  await client.hears('* METADATA "" /private/comment');
  await other.run('CREATE b/c');
  await client.hears('* LIST (\\HasNoChildren) "/" "b/c"');
  await other.run('DELETE b');
  await client.hears('* LIST (\\NonExistent \\HasChildren) "/" "b"');
  await client.hears('* METADATA "b" /private/comment'); // it has gone with the mailbox
  await client.expect('NOTIFY SET (personal (MailboxName))', DONE);
  await other.run('RENAME b/c d');
  await client.hears('* LIST (\\HasNoChildren) "/" "d" ("OLDNAME" ("b/c"))');
  await other.run('DELETE d');
  await client.hears('* LIST (\\NonExistent) "/" "d"');
});

test('IDLE tells what NOTIFY asked for too', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  const other = await house.login();
  await client.run('NOTIFY SET (selected (MessageNew MessageExpunge)) (personal (MessageNew MessageExpunge))');
  client.send('x IDLE\r\n');
  await client.hears('+ idling');
  await other.append('Sent', HELLO);
  await client.hears('* STATUS "Sent" (MESSAGES 1 UIDNEXT 2)');
  await other.append('INBOX', HELLO);
  await client.hears('* 1 EXISTS');
  await client.hears('* 1 RECENT');
  client.send('DONE\r\n');
  await client.hears('x OK IDLE done');
});

test('more than can be kept is NOTIFICATIONOVERFLOW, and then as after NOTIFY NONE', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  const other = await house.access();
  const source = house.services.spool.fromBytes(Buffer.from(HELLO + 'x'.repeat(900_000)));
  await other.append(other.mail.byName('INBOX')?.id ?? (0 as never), [{ source, flags: [] }], new AbortController().signal);
  await client.run('NOOP');
  await client.expect('NOTIFY SET (personal (SubscriptionChange))', DONE);
  // A command that cannot end, as nobody reads its answer.
  client.socket.pause();
  client.send(`x FETCH 1 (${Array.from({ length: 32 }, () => 'BODY.PEEK[TEXT]').join(' ')})\r\n`);
  await (await house.login()).run('NOOP');
  for (let n = 0; n < 1_001; n++) await other.subscribe(`n${n}`, 'subscribe');
  const tail = ending(client.socket, /^[xy] (?:OK|NO|BAD) .*\r\n$/m);
  client.socket.resume();
  assert.match(
    await tail,
    /\)\r\n\* OK \[NOTIFICATIONOVERFLOW\] Too much has changed; look at the mailboxes, and NOTIFY again\r\nx OK FETCH done\r\n$/,
  );
  await other.subscribe('more', 'subscribe');
  const next = ending(client.socket, /^y OK /m);
  client.send('y NOOP\r\n');
  assert.equal(await next, 'y OK NOOP done\r\n');
});

/** The last characters that come, once they match: the client's own parser is slow with megabytes. */
function ending(socket: Socket, end: RegExp): Promise<string> {
  socket.removeAllListeners('data');
  let text = '';
  return new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString('latin1')).slice(-400);
      if (end.test(text)) resolve(text);
    });
  });
}
