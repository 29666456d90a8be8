import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { definePlugin } from '@pochard/plugin-sdk';
import { OutcomeUnknown, type Proposal, StoreUnavailable } from '../../store/store.ts';
import type { AccountMail } from '../journal/account-mail.ts';
import { rightSet } from '../journal/acl.ts';
import { runOf } from '../journal/uid-runs.ts';
import { startMail, type TestHost } from '../mail-test-host.ts';
import { MAX_TRANSFER_MESSAGES } from './transfers.ts';

const mail = 'Message-ID: <1@example.org>\r\nSubject: hi\r\n\r\nhello\r\n';

/** Ada shares INBOX with Bob, who may do everything there and has a message in his own. */
async function neighbours(t: TestContext, options: Parameters<typeof startMail>[1] = {}) {
  const host = await startMail(t, options);
  const ada = await host.account('ada@example.test');
  const bob = await host.account('bob@example.test');
  const adas = await host.admin(ada.id);
  const inbox = host.box(adas, 'INBOX');
  await adas.setAcl(inbox, { identifier: bob.username, who: bob.id, mode: 'replace', rights: rightSet('lrswipkxte') ?? 0 });
  const login = await host.login('bob@example.test', 'secret');
  const others = host.sharing.of(login);
  const theirs = await others.of('ada@example.test');
  assert.ok(theirs);
  const own = login.access;
  const ownInbox = own.mail.byName('INBOX')?.id ?? inbox;
  await own.append(ownInbox, [{ source: host.source(mail), flags: ['\\Flagged', 'word'] }], host.never);
  return { host, ada, bob, adas, inbox, others, theirs, own, ownInbox };
}

/** The n-th commit from now on (1: the next) suffers it, whoever's it is. */
function faultAt(host: TestHost, n: number, fault: 'unavailable' | 'landed' | 'lost'): void {
  const commit = host.store.commit.bind(host.store);
  let left = n;
  host.store.commit = async (proposal: Proposal) => {
    left -= 1;
    if (left !== 0) return commit(proposal);
    if (fault === 'unavailable') throw new StoreUnavailable('down');
    if (fault === 'landed') await commit(proposal);
    throw new OutcomeUnknown(fault);
  };
}

async function requireClean(host: TestHost, ...mails: readonly AccountMail[]): Promise<void> {
  assert.deepEqual(await host.store.records.list('transfer', { limit: 10 }), []);
  for (const one of mails) assert.deepEqual([[...one.notes('transfer/')], [...one.notes('arrived/')]], [[], []]);
}

test('a transfer that is too much, held, or not allowed changes nothing', async (t) => {
  const keeper = definePlugin({
    name: 'keeper',
    apply({ hooks }) {
      hooks.expunge.before.gate((request) => request.keep(request.messages, 'kept for ever'));
    },
  });
  const { host, adas, inbox, others, theirs, own, ownInbox, bob } = await neighbours(t, { plugins: [{ plugin: keeper }] });
  await assert.rejects(others.move(own, ownInbox, runOf(1, 1), theirs, inbox, host.never), { code: 'held' });
  await adas.setAcl(inbox, { identifier: bob.username, who: bob.id, mode: 'remove', rights: rightSet('i') ?? 0 });
  await assert.rejects(others.copy(own, ownInbox, runOf(1, 1), theirs, inbox, host.never), { code: 'forbidden' });
  await adas.setAcl(inbox, { identifier: bob.username, who: bob.id, mode: 'remove', rights: rightSet('l') ?? 0 });
  await assert.rejects(others.copy(own, ownInbox, runOf(1, 1), theirs, inbox, host.never), { code: 'no-such-target' });
  const many = Array.from({ length: MAX_TRANSFER_MESSAGES + 1 }, () => ({ source: host.source(mail), flags: [] }));
  await adas.append(inbox, many, host.never);
  await assert.rejects(others.copy(theirs, inbox, runOf(1, 5000), own, ownInbox, host.never), { code: 'limit' });
  assert.equal(own.mail.byName('INBOX')?.messages, 1);
  await requireClean(host, own.mail, adas.mail);
});

test('COPY and MOVE between accounts keep octets, flags and dates', async (t) => {
  const { host, adas, inbox, others, theirs, own, ownInbox } = await neighbours(t);
  assert.deepEqual([...(await others.copy(own, ownInbox, runOf(1, 9), theirs, inbox, host.never)).to], [1, 1]);
  assert.deepEqual([...(await others.move(own, ownInbox, runOf(1, 1), theirs, inbox, host.never)).from], [1, 1]);
  assert.deepEqual([...(await others.move(own, ownInbox, runOf(1, 1), theirs, inbox, host.never)).from], []);
  assert.equal(own.mail.byName('INBOX')?.messages, 0);
  assert.deepEqual((await host.messages(adas, 'INBOX')).map(String), [mail, mail]);
  assert.deepEqual(adas.mail.byName('INBOX')?.keywords, ['word']);
  await requireClean(host, own.mail, adas.mail);
});

test('REPLACE by a message in another account puts the new one there and takes the old one away', async (t) => {
  const { host, adas, inbox, others, theirs, own, ownInbox, bob } = await neighbours(t);
  const better = mail.replace('hello', 'better');
  const message = () => ({ source: host.source(better), flags: ['\\Seen'], internalDate: 1_700_000_000 });
  await assert.rejects(others.replace(own, ownInbox, 9, theirs, inbox, message(), host.never), { code: 'expunged' });
  const { uid } = await others.replace(own, ownInbox, 1, theirs, inbox, message(), host.never);
  assert.equal(uid, 1);
  assert.equal(own.mail.byName('INBOX')?.messages, 0);
  assert.deepEqual((await host.messages(adas, 'INBOX')).map(String), [better]);
  // Back again, which takes the rights of an expunge.
  await adas.setAcl(inbox, { identifier: bob.username, who: bob.id, mode: 'remove', rights: rightSet('e') ?? 0 });
  await assert.rejects(others.replace(theirs, inbox, 1, own, ownInbox, message(), host.never), { code: 'forbidden' });
  await adas.setAcl(inbox, { identifier: bob.username, who: bob.id, mode: 'add', rights: rightSet('e') ?? 0 });
  await others.replace(theirs, inbox, 1, own, ownInbox, message(), host.never);
  assert.deepEqual([own.mail.byName('INBOX')?.messages, adas.mail.byName('INBOX')?.messages], [1, 0]);
  await requireClean(host, own.mail, adas.mail);
});

// Commits of a MOVE: the word that it begins (1), the messages in the target (2), their end in the source (3), the target's word goes (4).
for (const [command, fault] of [
  ['MOVE', 'unavailable'],
  ['MOVE', 'landed'],
  ['MOVE', 'lost'],
  ['REPLACE', 'unavailable'],
  ['REPLACE', 'landed'],
  ['REPLACE', 'lost'],
] as const) {
  for (const at of [1, 2, 3, 4]) {
    test(`${command} between accounts with commit ${at} ${fault}: never in none, and in one only once it is finished`, async (t) => {
      const { host, adas, inbox, others, theirs, own, ownInbox } = await neighbours(t);
      faultAt(host, at, fault);
      let isDone = true;
      const running: Promise<unknown> =
        command === 'MOVE'
          ? others.move(own, ownInbox, runOf(1, 1), theirs, inbox, host.never)
          : others.replace(own, ownInbox, 1, theirs, inbox, { source: host.source(mail), flags: [] }, host.never);
      await running.catch(() => {
        isDone = false;
      });
      const count = (): number[] => [own.mail.byName('INBOX')?.messages ?? 0, adas.mail.byName('INBOX')?.messages ?? 0];
      assert.ok(count().some((messages) => messages === 1));
      if (isDone) assert.deepEqual(count(), [0, 1]);
      await host.sharing.transfers.resume(0);
      assert.ok(['0,1', '1,0'].includes(count().join()), count().join());
      await requireClean(host, own.mail, adas.mail);
      await host.sharing.transfers.resume(0); // and again harms nothing
      assert.equal(count()[0] === 1 ? 1 : 0, count()[1] === 1 ? 0 : 1);
    });
  }
}

test('what a process left half done is finished or taken back later, not before', async (t) => {
  const { host, ada, bob, adas, inbox, own, ownInbox } = await neighbours(t);
  const row = (at: number) => ({ source: bob.id, target: ada.id, box: ownInbox, uids: [1, 1], at });
  const origin = { by: 'imap', actor: '' };
  // Killed before anything arrived.
  await host.store.records.write([{ table: 'transfer', key: 'k1', value: row(host.at) }]);
  await own.mail.beginTransfer(ownInbox, 'transfer/k1', origin);
  await host.sharing.transfers.resume();
  assert.equal((await host.store.records.list('transfer', { limit: 10 })).length, 1);
  host.at += 10 * 60_000;
  await host.sharing.transfers.resume();
  assert.equal(own.mail.byName('INBOX')?.messages, 1);
  await requireClean(host, own.mail, adas.mail);
  // Killed after.
  await host.store.records.write([{ table: 'transfer', key: 'k2', value: row(host.at) }]);
  await own.mail.beginTransfer(ownInbox, 'transfer/k2', origin);
  await adas.append(inbox, [{ source: host.source(mail), flags: [] }], host.never);
  await adas.mail.setNote('arrived/k2', '', origin);
  await host.sharing.transfers.resume(0);
  assert.equal(own.mail.byName('INBOX')?.messages, 0);
  assert.equal(adas.mail.byName('INBOX')?.messages, 1);
  await requireClean(host, own.mail, adas.mail);
});
