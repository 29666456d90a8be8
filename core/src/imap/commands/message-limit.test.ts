/** MESSAGELIMIT: RFC 9738. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { HELLO, imapHouse } from '../imap-house.fixture.ts';
import { type WireClient, withoutUidValidity } from '../wire-client.fixture.ts';

async function limited(t: TestContext, imapMessagesPerCommand = 3): Promise<WireClient> {
  const house = await imapHouse(t, { limits: { imapMessagesPerCommand } });
  const client = await house.select();
  for (let n = 0; n < 5; n++) await client.append('INBOX', HELLO);
  return client;
}

function flagsOf(responses: readonly string[]): string[] {
  return responses.map((line) => line.replace(/^\* (\d+) (UID)?FETCH .*/, '$1'));
}

test('MESSAGELIMIT is offered after login where there is a limit', async (t) => {
  const client = await limited(t);
  assert.match((await client.run('CAPABILITY'))[0] ?? '', / MESSAGELIMIT=3( |$)/);
  assert.doesNotMatch((await (await limited(t, 0)).run('CAPABILITY'))[0] ?? '', /MESSAGELIMIT/);
});

test('FETCH and STORE work on the highest messages and say where they stopped', async (t) => {
  const client = await limited(t);
  assert.deepEqual(flagsOf(await client.run('FETCH 1:* UID')), ['3', '4', '5', '$ OK [MESSAGELIMIT 3 3] FETCH done in part']);
  assert.deepEqual(flagsOf(await client.run('FETCH 1:2 BODY.PEEK[]')).at(-1), '$ OK FETCH done');
  assert.deepEqual(flagsOf(await client.run('UID FETCH 1:4 (FLAGS)')), ['2', '3', '4', '$ OK [MESSAGELIMIT 3 2] FETCH done in part']);
  assert.deepEqual(flagsOf(await client.run('UID FETCH 1:* (UID) (PARTIAL 1:2)')), ['1', '2', '$ OK FETCH done']);
  assert.deepEqual(flagsOf(await client.run('STORE 1:* +FLAGS (\\Flagged)')), [
    '3',
    '4',
    '5',
    '$ OK [MESSAGELIMIT 3 3] STORE done in part',
  ]);
  await client.expect('SEARCH FLAGGED', '* SEARCH 3 4 5', '$ OK SEARCH done');
  assert.deepEqual(flagsOf(await client.run('UID FETCH 1:* FLAGS (CHANGEDSINCE 6)')).slice(-4), ['3', '4', '5', '$ OK FETCH done']);
});

test('UNCHANGEDSINCE and the limit are told together, also with UIDONLY and QRESYNC', async (t) => {
  const client = await limited(t);
  await client.run('ENABLE UIDONLY QRESYNC');
  await client.run('UID STORE 5 +FLAGS.SILENT (\\Flagged)');
  const responses = await client.run('UID STORE 1:* (UNCHANGEDSINCE 6) +FLAGS (\\Seen)');
  assert.deepEqual(flagsOf(responses), [
    '3',
    '4',
    '* OK [MESSAGELIMIT 3 3] Some messages were left out',
    '$ OK [MODIFIED 5] Some messages were changed meanwhile',
  ]);
});

test('COPY and APPEND of too many messages do nothing', async (t) => {
  const client = await limited(t);
  const no = '$ NO [MESSAGELIMIT 3] Too many messages for one command';
  await client.expect('COPY 1:* Drafts', no);
  await client.expect('UID COPY 1:4 Drafts', no);
  const one = `{${HELLO.length}+}\r\n${HELLO}`;
  await client.expect(`APPEND Drafts ${one} ${one} ${one} ${one}`, no);
  await client.expect('STATUS Drafts (MESSAGES)', '* STATUS "Drafts" (MESSAGES 0)', '$ OK STATUS done');
  assert.match((await client.run('COPY 1:3 Drafts')).at(-1) ?? '', /^\$ OK \[COPYUID /);
});

test('UID EXPUNGE counts what is \\Deleted, EXPUNGE has no limit', async (t) => {
  const client = await limited(t);
  await client.run('STORE 1:2 +FLAGS.SILENT (\\Deleted)');
  await client.run('STORE 4:5 +FLAGS.SILENT (\\Deleted)');
  await client.expect(
    'UID EXPUNGE 1:*',
    '* 5 EXPUNGE',
    '* 4 EXPUNGE',
    '* 2 EXPUNGE',
    '$ OK [MESSAGELIMIT 3 2] Some messages were left out',
  );
  await client.run('STORE 1:* +FLAGS.SILENT (\\Deleted)');
  await client.expect('UID EXPUNGE 1:*', '* 2 EXPUNGE', '* 1 EXPUNGE', '$ OK UID EXPUNGE done');
});

test('MOVE takes the highest messages, and tells HIGHESTMODSEQ beside with QRESYNC', async (t) => {
  const client = await limited(t);
  await client.run('ENABLE QRESYNC UIDONLY');
  const responses = (await client.run('UID MOVE 1:* Drafts')).map((line) => withoutUidValidity(line).replace(/MODSEQ \d+/, 'MODSEQ n'));
  assert.deepEqual(responses, [
    '* OK [COPYUID V 3:5 1:3] Messages moved',
    '* OK [HIGHESTMODSEQ n] Highest mod-sequence',
    '* VANISHED 3:5',
    '$ OK [MESSAGELIMIT 3 3] MOVE done in part',
  ]);
});

test('SAVELIMIT cuts what is saved, not what is told', async (t) => {
  const house = await imapHouse(t, { limits: { imapSavedMessages: 2 } });
  const client = await house.select();
  for (let n = 0; n < 4; n++) await client.append('INBOX', HELLO);
  assert.match((await client.run('CAPABILITY'))[0] ?? '', / SAVELIMIT=2( |$)/);
  await client.expect(
    'SEARCH RETURN (SAVE ALL) ALL',
    '* ESEARCH (TAG "$") ALL 1:4',
    '$ OK [MESSAGELIMIT 2 3] SEARCH done, not all was saved',
  );
  await client.expect('SEARCH $', '* SEARCH 3 4', '$ OK SEARCH done');
  await client.expect('SORT RETURN (SAVE) (REVERSE ARRIVAL) UTF-8 1:3', '$ OK [MESSAGELIMIT 2 2] SORT done, not all was saved');
  await client.expect('SEARCH $', '* SEARCH 2 3', '$ OK SEARCH done');
  await client.expect('ESEARCH RETURN (SAVE) ALL', '* OK [MESSAGELIMIT 2 3] Not all was saved', '$ OK ESEARCH done');
  await client.expect('SEARCH RETURN (SAVE) 1:2', '$ OK SEARCH done');
});
