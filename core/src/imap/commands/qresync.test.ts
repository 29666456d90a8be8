import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { HELLO, type ImapHouse, imapHouse } from '../imap-house.fixture.ts';
import type { WireClient } from '../wire-client.fixture.ts';

async function uidValidity(house: ImapHouse): Promise<number> {
  return (await house.access()).mail.byName('INBOX')?.uidValidity ?? 0;
}

/** Messages 1 to `count`, and who put them there. */
async function filled(t: TestContext, count: number): Promise<{ readonly house: ImapHouse; readonly other: WireClient }> {
  const house = await imapHouse(t);
  const other = await house.select();
  await other.append('INBOX', HELLO);
  for (let have = 1; have < count; have *= 2) await other.run(`COPY 1:${Math.min(have, count - have)} INBOX`);
  return { house, other };
}

async function qresync(house: ImapHouse): Promise<WireClient> {
  const client = await house.login();
  await client.expect('ENABLE QRESYNC', '* ENABLED QRESYNC', '$ OK ENABLE done');
  return client;
}

/** What of the answer to SELECT is news. */
function news(responses: readonly string[]): string[] {
  return responses.filter((line) => line.includes('VANISHED') || line.includes(' FETCH '));
}

function gone(responses: readonly string[]): string[] {
  return responses.filter((line) => line.includes('VANISHED'));
}

async function highestModSeq(house: ImapHouse): Promise<number> {
  return (await house.access()).mail.byName('INBOX')?.highestModSeq ?? 0;
}

async function expunge(client: WireClient, uids: string): Promise<void> {
  await client.run(`UID STORE ${uids} +FLAGS.SILENT (\\Deleted)`);
  await client.run(`UID EXPUNGE ${uids}`);
}

test('QRESYNC and VANISHED need ENABLE, the UID form and CHANGEDSINCE', async (t) => {
  const { house, other } = await filled(t, 1);
  await other.expect('UID FETCH 1 (FLAGS) (CHANGEDSINCE 1 VANISHED)', '$ BAD QRESYNC is not enabled');
  const client = await qresync(house);
  await client.expect('SELECT INBOX (QRESYNC (0 1))', '$ BAD Number must not be zero');
  await client.expect('SELECT INBOX (QRESYNC (1 1 $))', '$ BAD Numbers expected');
  await client.run('SELECT INBOX');
  await client.expect('FETCH 1 (FLAGS) (CHANGEDSINCE 1 VANISHED)', '$ BAD VANISHED needs UID FETCH');
  await client.expect('UID FETCH 1 (FLAGS) (VANISHED)', '$ BAD VANISHED needs CHANGEDSINCE');
});

test('SELECT with QRESYNC tells what has gone and changed since, and nothing else', async (t) => {
  const { house, other } = await filled(t, 20);
  const since = await highestModSeq(house);
  await expunge(other, '3,5:7,20');
  await other.run('UID STORE 2 +FLAGS.SILENT (\\Flagged)');
  const flagged = await highestModSeq(house);
  await other.append('INBOX', HELLO);
  const validity = await uidValidity(house);
  const client = await qresync(house);
  const fresh = [`* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (${flagged}))`, `* 16 FETCH (UID 21 FLAGS (\\Recent) MODSEQ (${flagged + 1}))`];
  assert.deepEqual(news(await client.run(`SELECT INBOX (QRESYNC (${validity} ${since}))`)), [
    '* VANISHED (EARLIER) 3,5:7,20',
    ...fresh.map((line) => line.replace('\\Recent', '')),
  ]);
  assert.deepEqual(news(await client.run(`SELECT INBOX (QRESYNC (${validity} ${since} 1:6))`)), ['* VANISHED (EARLIER) 3,5:6', fresh[0]]);
  assert.deepEqual(news(await client.run(`SELECT INBOX (QRESYNC (${validity} ${flagged + 1}))`)), []);
  assert.deepEqual(news(await client.run(`SELECT INBOX (QRESYNC (${validity + 1} ${since}))`)), []);
  assert.deepEqual(news(await client.run(`SELECT INBOX (QRESYNC (${validity} 99999))`)), []);
});

test('below the floor of the journal everything that is not there has vanished, but for what a sequence match rules out', async (t) => {
  const { house, other } = await filled(t, 20);
  await expunge(other, '3,5:7,20');
  const since = await highestModSeq(house);
  await expunge(other, '11,13');
  // So many entries that the state is saved, which lets the journal be cut.
  for (let n = 0; n < 130; n++)
    await other.run(`UID STORE 1 +FLAGS.SILENT (\\Seen)`).then(() => other.run('UID STORE 1 -FLAGS.SILENT (\\Seen)'));
  await house.store.prune(house.account.id, since + 1);
  const validity = await uidValidity(house);
  const client = await qresync(house);
  assert.deepEqual(gone(await client.run(`SELECT INBOX (QRESYNC (${validity} ${since}))`)), ['* VANISHED (EARLIER) 3,5:7,11,13,20']);
  const known = '1:2,4,8:19';
  assert.deepEqual(gone(await client.run(`SELECT INBOX (QRESYNC (${validity} ${since} ${known}))`)), ['* VANISHED (EARLIER) 11,13']);
  const match = '(1,4,7,13,15 1,8,11,17,19)';
  assert.deepEqual(gone(await client.run(`SELECT INBOX (QRESYNC (${validity} ${since} 1:19 ${match}))`)), ['* VANISHED (EARLIER) 11,13']);
  await client.expect(`UID FETCH 12:* (FLAGS) (CHANGEDSINCE ${since} VANISHED)`, '* VANISHED (EARLIER) 13,20', '$ OK FETCH done');
});

test('UID FETCH with VANISHED looks at the UIDs asked for, with those above the last message', async (t) => {
  const { house, other } = await filled(t, 6);
  const since = await highestModSeq(house);
  await expunge(other, '2,6');
  await other.run('UID STORE 3 +FLAGS.SILENT (\\Seen)');
  const client = await qresync(house);
  await client.run('SELECT INBOX');
  await client.expect(
    `UID FETCH 2:* (FLAGS) (CHANGEDSINCE ${since} VANISHED)`,
    '* VANISHED (EARLIER) 2,6',
    `* 2 FETCH (UID 3 FLAGS (\\Seen) MODSEQ (${await highestModSeq(house)}))`,
    '$ OK FETCH done',
  );
  await client.expect(`UID FETCH 1 (FLAGS) (CHANGEDSINCE ${since} VANISHED)`, '$ OK FETCH done');
});

test('EXPUNGE, MOVE and CLOSE tell HIGHESTMODSEQ, and what goes is told by UID', async (t) => {
  const { house } = await filled(t, 8);
  const client = await qresync(house);
  await client.run('SELECT INBOX');
  await client.run('STORE 2,4,5 +FLAGS.SILENT (\\Deleted)');
  const before = await highestModSeq(house);
  await client.expect('UID EXPUNGE 2', '* VANISHED 2', `$ OK [HIGHESTMODSEQ ${before + 1}] Messages removed`);
  await client.expect('EXPUNGE', '* VANISHED 4:5', `$ OK [HIGHESTMODSEQ ${before + 2}] Messages removed`);
  await client.expect('EXPUNGE', '$ OK EXPUNGE done');
  await client.run('STORE 1 +FLAGS.SILENT (\\Deleted)');
  await client.expect(
    'UID MOVE 3 Sent',
    '* OK [COPYUID V 3 1] Messages moved',
    '* VANISHED 3',
    `$ OK [HIGHESTMODSEQ ${before + 4}] MOVE done`,
  );
  await client.expect('CLOSE', `$ OK [HIGHESTMODSEQ ${before + 5}] CLOSE done`);
  await client.run('SELECT INBOX');
  await client.expect('CLOSE', '$ OK CLOSE done');
});

test('CLOSE says no HIGHESTMODSEQ that covers changes of others which the client has not heard of', async (t) => {
  const { house, other } = await filled(t, 4);
  const client = await qresync(house);
  await client.run('SELECT INBOX');
  await client.run('STORE 1 +FLAGS.SILENT (\\Deleted)');
  await expunge(other, '3');
  await client.expect('CLOSE', '$ OK CLOSE done');
});

test('others hear VANISHED in IDLE and at NOOP, never during FETCH by number', async (t) => {
  const { house, other } = await filled(t, 6);
  const client = await qresync(house);
  await client.run('SELECT INBOX');
  await expunge(other, '2,4');
  await client.expect('FETCH 6 UID', '* 6 FETCH (UID 6)', '$ OK FETCH done');
  await client.expect('NOOP', '* VANISHED 2,4', '$ OK NOOP done');
  client.send('x IDLE\r\n');
  await client.hears('+ idling');
  await expunge(other, '5:6');
  await client.hears(`* 3 FETCH (UID 5 FLAGS (\\Deleted) MODSEQ (${(await highestModSeq(house)) - 1}))`);
  await client.hears(`* 4 FETCH (UID 6 FLAGS (\\Deleted) MODSEQ (${(await highestModSeq(house)) - 1}))`);
  await client.hears('* VANISHED 5:6');
  client.send('DONE\r\n');
  await client.hears('x OK IDLE done');
  await client.expect(
    'STORE 1 +FLAGS (\\Seen)',
    `* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (${(await highestModSeq(house)) + 1}))`,
    '$ OK STORE done',
  );
});

test('ten changes of many messages are told without looking at the others', async (t) => {
  const { house, other } = await filled(t, 100_000);
  const since = await highestModSeq(house);
  await expunge(other, '1000,20000,50000,70000,99999');
  await other.run('UID STORE 5,30000,40000,60000,100000 +FLAGS.SILENT (\\Seen)');
  const validity = await uidValidity(house);
  const client = await qresync(house);
  const began = performance.now();
  const told = news(await client.run(`SELECT INBOX (QRESYNC (${validity} ${since} 1:100000))`));
  t.diagnostic(`10 changes of 100 000: ${(performance.now() - began).toFixed(2)} ms`);
  assert.equal(told[0], '* VANISHED (EARLIER) 1000,20000,50000,70000,99999');
  assert.equal(told.length, 6);
});
