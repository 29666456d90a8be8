import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELLO, imapHouse } from '../imap-house.fixture.ts';

test('ESEARCH that is malformed, or comes before login, is BAD', async (t) => {
  const house = await imapHouse(t, { limits: { imapBadCommands: 100 } });
  await (await house.connect()).expect('ESEARCH ALL', '$ BAD Log in first');
  const client = await house.login();
  const broken: readonly (readonly [string, string])[] = [
    ['', 'Argument missing'],
    [' ALL', 'No mailbox selected'],
    [' IN (selected) ALL', 'No mailbox selected'],
    [' IN', 'Space expected'],
    [' IN personal ALL', 'List expected'],
    [' IN () ALL', 'Unknown mailbox filter'],
    [' IN (everywhere) ALL', 'Unknown mailbox filter'],
    [' IN (selected-delayed) ALL', 'Unknown mailbox filter'],
    [' IN (mailboxes) ALL', 'Space expected'],
    [' IN (mailboxes ()) ALL', 'Empty list'],
    [' IN (personal (deep)) ALL', 'Scope options are not supported'],
    [' IN (personal ALL', 'Unknown mailbox filter'],
    [' IN (personal)', 'Space expected'],
    [' IN (personal) 1:*', 'Message numbers are of the selected mailbox only'],
    [' IN (personal) NOT (SEEN OR 1 2)', 'Message numbers are of the selected mailbox only'],
    [' IN (personal) $', 'Message numbers are of the selected mailbox only'],
    [' IN (personal) UID $', 'Message numbers are of the selected mailbox only'],
    [' IN (personal) RETURN (SAVE) ALL', 'SAVE is for the selected mailbox only'],
    [' IN (personal) RETURN (UPDATE) ALL', 'RETURN option is not supported'],
  ];
  for (const [text, why] of broken) await client.expect(`ESEARCH${text}`, `$ BAD ${why}`);
});

async function filled(t: Parameters<typeof imapHouse>[0]) {
  const client = await (await imapHouse(t)).select();
  for (const name of ['a', 'a/b', 'a/b/c']) await client.run(`CREATE ${name}`);
  for (const name of ['INBOX', 'INBOX', 'a', 'a/b', 'a/b/c', 'a/b/c']) await client.append(name, HELLO, name === 'a' ? '(\\Seen)' : '()');
  await client.run('UNSUBSCRIBE Drafts');
  const found = async (command: string): Promise<string[]> =>
    (await client.run(command)).map((line) => line.replace(/UIDVALIDITY \d+/, 'UIDVALIDITY V'));
  return { client, found };
}
const OK = '$ OK ESEARCH done';

test('each mailbox with matches has one response with UIDs; the others have none', async (t) => {
  const { found } = await filled(t);
  assert.deepEqual(await found('ESEARCH IN (personal) UNSEEN SUBJECT hello'), [
    '* ESEARCH (TAG "$" MAILBOX INBOX UIDVALIDITY V) UID ALL 1:2',
    '* ESEARCH (TAG "$" MAILBOX "a/b" UIDVALIDITY V) UID ALL 1',
    '* ESEARCH (TAG "$" MAILBOX "a/b/c" UIDVALIDITY V) UID ALL 1:2',
    OK,
  ]);
  assert.deepEqual(await found('ESEARCH IN (personal) RETURN (COUNT) SUBJECT nothing'), [OK]);
  assert.deepEqual(await found('ESEARCH IN (mailboxes (a Nowhere)) RETURN (MIN MAX COUNT) ALL'), [
    '* ESEARCH (TAG "$" MAILBOX "a" UIDVALIDITY V) UID MIN 1 MAX 1 COUNT 1',
    OK,
  ]);
});

test('filters name subtrees, children, inboxes, subscriptions; each mailbox is searched once', async (t) => {
  const { client, found } = await filled(t);
  const names = async (sources: string): Promise<string[]> =>
    (await found(`ESEARCH IN (${sources}) RETURN (COUNT) ALL`)).slice(0, -1).map((line) => /MAILBOX "?([^" ]*)/.exec(line)?.[1] ?? '');
  assert.deepEqual(await names('subtree a/b'), ['a/b', 'a/b/c']);
  assert.deepEqual(await names('subtree-one a'), ['a', 'a/b']);
  assert.deepEqual(await names('inboxes'), ['INBOX']);
  assert.deepEqual(await names('subscribed'), ['INBOX']);
  assert.deepEqual(await names('subtree a mailboxes (a INBOX) selected'), ['INBOX', 'a', 'a/b', 'a/b/c']);
  await client.run('SUBSCRIBE a/b');
  assert.deepEqual(await names('subscribed'), ['INBOX', 'a/b']);
});

test('the selected mailbox: numbers, $ and SAVE work, and only what the session was told is searched', async (t) => {
  const { client, found } = await filled(t);
  await client.run('NOOP');
  assert.deepEqual(await found('ESEARCH RETURN (SAVE ALL) 2'), ['* ESEARCH (TAG "$" MAILBOX INBOX UIDVALIDITY V) UID ALL 2', OK]);
  assert.deepEqual(await found('ESEARCH IN (selected) $'), ['* ESEARCH (TAG "$" MAILBOX INBOX UIDVALIDITY V) UID ALL 2', OK]);
  assert.deepEqual(await found('ESEARCH IN (selected) RETURN (SAVE) 1'), [OK]);
  assert.deepEqual(await found('UID FETCH $ FLAGS'), ['* 1 FETCH (UID 1 FLAGS (\\Recent))', '$ OK FETCH done']);
});

test('MODSEQ searches tell the highest of each mailbox', async (t) => {
  const { client, found } = await filled(t);
  await client.run('UNSELECT');
  const [line, end] = await found('ESEARCH IN (mailboxes a) MODSEQ 1');
  assert.match(line ?? '', /^\* ESEARCH \(TAG "\$" MAILBOX "a" UIDVALIDITY V\) UID ALL 1 MODSEQ \d+$/);
  assert.equal(end, OK);
});

test('UID sets count in each mailbox for itself', async (t) => {
  const { found } = await filled(t);
  assert.deepEqual(await found('ESEARCH IN (subtree a) UID *'), [
    '* ESEARCH (TAG "$" MAILBOX "a" UIDVALIDITY V) UID ALL 1',
    '* ESEARCH (TAG "$" MAILBOX "a/b" UIDVALIDITY V) UID ALL 1',
    '* ESEARCH (TAG "$" MAILBOX "a/b/c" UIDVALIDITY V) UID ALL 2',
    OK,
  ]);
});
