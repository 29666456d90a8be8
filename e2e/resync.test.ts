/** Clients that were away: what catching up with few changes of a large mailbox costs, in octets and in time, and that it is complete. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ImapFlow } from 'imapflow';
import { ImapScript } from './support/imap-script.ts';
import { CHANGES, changeTen, fillMailbox, type MailboxVersion, versionOf } from './support/large-mailbox.ts';
import { startServer, type TestServer } from './support/server.ts';

const USER = 'ada@example.test';
const PASSWORD = 'correct horse';
const LARGE = Number(process.env['POCHARD_RESYNC_MESSAGES'] ?? 100_000);
const SMALL = 1_000;
/** Of a FETCH of UID, FLAGS and MODSEQ, with what SELECT says around it. */
const OCTETS_OF_CHANGE = 100;
const OCTETS_OF_SELECT = 1_200;

/** The changes as a client with QRESYNC hears of them, how many octets that took, and how long. */
async function resynchronised(t: TestContext, server: TestServer, mailbox: string, { uidValidity, modSeq }: MailboxVersion) {
  const imap = await ImapScript.login(t, server.port('imap'), USER, PASSWORD);
  await imap.command('ENABLE QRESYNC');
  const before = imap.octetsRead;
  const began = performance.now();
  const { untagged, done } = await imap.command(`SELECT ${mailbox} (QRESYNC (${uidValidity} ${modSeq}))`);
  const tookMs = performance.now() - began;
  assert.match(done, /^OK/);
  const octets = imap.octetsRead - before;
  imap.close();
  return {
    octets,
    tookMs,
    vanished: (untagged.find((line) => line.startsWith('* VANISHED (EARLIER) ')) ?? '').slice('* VANISHED (EARLIER) '.length),
    fetched: untagged.flatMap((line) => / FETCH \(UID (\d+)/.exec(line)?.[1] ?? []).map(Number),
  };
}

test(`QRESYNC of ${CHANGES} changes among ${LARGE} messages costs what the changes cost`, { timeout: 300_000 }, async (t) => {
  const server = await startServer(t, { accounts: { [USER]: PASSWORD } });
  const imap = await ImapScript.login(t, server.port('imap'), USER, PASSWORD);
  const times = new Map<number, number>();
  for (const count of [SMALL, LARGE]) {
    const mailbox = `m${count}`;
    await fillMailbox(imap, mailbox, count);
    const state = await versionOf(imap, mailbox);
    const { flagged, gone } = await changeTen(imap, mailbox, count);
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 5; round += 1) {
      const { octets, tookMs, vanished, fetched } = await resynchronised(t, server, mailbox, state);
      assert.equal(vanished, gone.join(','));
      assert.deepEqual(fetched, [...flagged, count + 1]);
      assert.ok(octets < OCTETS_OF_SELECT + OCTETS_OF_CHANGE * CHANGES, `${octets} octets for ${CHANGES} changes`);
      best = Math.min(best, tookMs);
      if (round === 0) t.diagnostic(`${count} messages: ${octets} octets`);
    }
    times.set(count, best);
    t.diagnostic(`${count} messages: ${best.toFixed(1)} ms`);
  }
  // The same work: a hundred times the messages may cost a look into more chunks, and no more than that.
  const [small = 0, large = 0] = times.values();
  assert.ok(large < 20 + 4 * small, `${large} ms for ${LARGE} messages, ${small} ms for ${SMALL}`);

  await t.test('imapflow learns of changes since a MODSEQ', async () => {
    const mailbox = `m${LARGE}`;
    const state = await versionOf(imap, mailbox);
    await imap.command(`SELECT ${mailbox}`);
    await imap.command('UID STORE 11,5011 +FLAGS.SILENT (\\Answered)');
    await imap.command('UNSELECT');
    const client = new ImapFlow({
      host: '127.0.0.1',
      port: server.port('imap'),
      secure: false,
      auth: { user: USER, pass: PASSWORD },
      logger: false,
      qresync: true,
    });
    await client.connect();
    await client.mailboxOpen(mailbox);
    const uids: number[] = [];
    for await (const { uid } of client.fetch('1:*', { uid: true, flags: true }, { uid: true, changedSince: BigInt(state.modSeq) }))
      uids.push(uid);
    assert.deepEqual(uids, [11, 5011]);
    await client.logout();
  });

  await t.test('CHANGEDSINCE with VANISHED, and STATUS, cost as little', async () => {
    const mailbox = `m${LARGE}`;
    const { modSeq } = await versionOf(imap, mailbox);
    await imap.command('ENABLE QRESYNC');
    await imap.command(`SELECT ${mailbox}`);
    await imap.command('UID STORE 21,6021 +FLAGS.SILENT (\\Deleted)');
    await imap.command('UID EXPUNGE 21');
    const before = imap.octetsRead;
    const { untagged } = await imap.command(`UID FETCH 1:* (FLAGS) (CHANGEDSINCE ${modSeq} VANISHED)`);
    assert.ok(imap.octetsRead - before < 400, `${imap.octetsRead - before} octets`);
    assert.deepEqual(
      untagged.filter((line) => line.includes('VANISHED')),
      ['* VANISHED (EARLIER) 21'],
    );
    assert.match((await imap.command(`STATUS ${mailbox} (MESSAGES UNSEEN HIGHESTMODSEQ)`)).done, /^OK/);
  });
});
