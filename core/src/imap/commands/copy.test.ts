import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELLO, imapHouse } from '../imap-house.fixture.ts';

for (const name of ['COPY', 'MOVE'] as const) {
  test(`${name} with broken arguments is BAD, without a target NO [TRYCREATE]`, async (t) => {
    const house = await imapHouse(t);
    await (await house.login()).expect(`${name} 1 Sent`, '$ BAD No mailbox selected');
    const client = await house.select();
    await client.append('INBOX', HELLO);
    await client.expect(name, '$ BAD Argument missing');
    await client.expect(`${name} 1`, '$ BAD Argument missing');
    await client.expect(`${name} x Sent`, '$ BAD Number expected');
    await client.expect(`${name} 2 Sent`, '$ BAD No message has this sequence number');
    await client.expect(`${name} 1 nowhere`, '$ NO [TRYCREATE] No such mailbox');
    await client.expectEnd(`UID ${name} 7 Sent`, name === 'COPY' ? '$ OK Nothing to copy' : '$ OK MOVE done');
  });
}

test('COPY keeps flags and date, and tells the new UIDs', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  await client.append('INBOX', HELLO, '(\\Flagged $Work) "01-Feb-2024 03:04:05 +0000"');
  for (let n = 0; n < 2; n++) await client.append('INBOX', HELLO);
  await client.expect('COPY 1,3 Sent', '$ OK [COPYUID V 1,3 1:2] Messages copied');
  await client.expect('UID COPY 2 Sent', '$ OK [COPYUID V 2 3] Messages copied');
  await client.run('SELECT Sent');
  await client.expect(
    'FETCH 1 (FLAGS INTERNALDATE)',
    '* 1 FETCH (FLAGS (\\Recent \\Flagged $Work) INTERNALDATE " 1-Feb-2024 03:04:05 +0000")',
    '$ OK FETCH done',
  );
  await client.expect('COPY 1 Sent', '* 4 EXISTS', '* 4 RECENT', '$ OK [COPYUID V 1 4] Messages copied');
});

test('MOVE tells COPYUID before the EXPUNGEs, and others see both', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  for (let n = 0; n < 3; n++) await client.append('INBOX', HELLO);
  const other = await house.select();
  const target = await house.select('Sent');
  await client.expect('MOVE 1:2 Sent', '* OK [COPYUID V 1:2 1:2] Messages moved', '* 2 EXPUNGE', '* 1 EXPUNGE', '$ OK MOVE done');
  await other.expect('NOOP', '* 2 EXPUNGE', '* 1 EXPUNGE', '$ OK NOOP done');
  await target.expect('NOOP', '* 2 EXISTS', '* 2 RECENT', '$ OK NOOP done');
  await client.expect('UID MOVE 3 Sent', '* OK [COPYUID V 3 3] Messages moved', '* 1 EXPUNGE', '$ OK MOVE done');
  assert.equal((await client.run('STATUS INBOX (MESSAGES)'))[0], '* STATUS INBOX (MESSAGES 0)');
});

test('a number of a message that has gone stops COPY and MOVE before anything is done', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  for (let n = 0; n < 2; n++) await client.append('INBOX', HELLO);
  const other = await house.select();
  await client.run('STORE 1 +FLAGS.SILENT (\\Deleted)');
  await client.run('EXPUNGE');
  await other.expect('COPY 1:2 Sent', '* 1 EXPUNGE', '$ NO [EXPUNGEISSUED] Some messages are gone');
  await other.expect('STATUS Sent (MESSAGES)', '* STATUS "Sent" (MESSAGES 0)', '$ OK STATUS done');
});

test('COPY over quota is NO [OVERQUOTA] and copies nothing', async (t) => {
  const client = await (await imapHouse(t, { quotaOctets: 300 })).select();
  await client.append('INBOX', HELLO);
  await client.append('INBOX', HELLO);
  assert.match((await client.run('COPY 1:2 Sent')).at(-1) ?? '', /^\$ NO \[OVERQUOTA\] /);
  await client.expect('STATUS Sent (MESSAGES)', '* STATUS "Sent" (MESSAGES 0)', '$ OK STATUS done');
});
