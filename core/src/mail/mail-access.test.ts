import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definePlugin, type MessageRef, Refusal } from '@pochard/plugin-sdk';
import { runOf } from './journal/uid-runs.ts';
import { startMail } from './mail-test-host.ts';

const mail = 'Message-ID: <1@example.org>\r\nSubject: hi\r\nDate: Mon, 5 Jan 2026 07:08:09 +0000\r\n\r\nhello\r\n';
const all = runOf(1, 0xffff_ffff);
const hear = { added() {}, flagged() {}, gone() {}, keywords() {}, closed() {}, reloaded() {} };

test('what is not there, too big, or over quota', async (t) => {
  const host = await startMail(t, { settings: { messageOctets: 1000 } });
  const { id } = await host.account('ada@example.test', { quotaOctets: 500 });
  const access = await host.admin(id);
  const inbox = host.box(access, 'INBOX');
  await assert.rejects(access.delete('nowhere'), { code: 'no-such-mailbox' });
  await assert.rejects(access.rename('nowhere', 'x'), { code: 'no-such-mailbox' });
  await assert.rejects(access.mayAppend(999 as typeof inbox, 1), { code: 'no-such-target' });
  await assert.rejects(access.mayAppend(inbox, 1001), { code: 'too-big' });
  await assert.rejects(access.mayAppend(inbox, 501), { code: 'over-quota' });
  const append = (text: string, times = 1) =>
    access.append(
      inbox,
      Array.from({ length: times }, () => ({ source: host.source(text), flags: [] })),
      host.never,
    );
  await assert.rejects(append(`${mail}${'x'.repeat(1000)}`), { code: 'too-big' });
  await assert.rejects(append(mail, 9), { code: 'over-quota' }); // all or nothing
  assert.equal(access.mail.byName('INBOX')?.messages, 0);
  const { uids } = await append(mail, 2);
  assert.deepEqual(uids, [1, 2]);
  await assert.rejects(access.append(inbox, [{ source: host.source(mail), flags: ['bad flag'] }], host.never), { code: 'invalid' });
});

test('without plugins everything passes; the same message may be appended twice', async (t) => {
  const host = await startMail(t);
  const { id } = await host.account('ada@example.test');
  const access = await host.admin(id);
  const inbox = host.box(access, 'INBOX');
  await access.append(inbox, [{ source: host.source(mail), flags: ['\\Seen', 'work'], internalDate: 1_000_000 }], host.never);
  await access.append(inbox, [{ source: host.source(mail), flags: [] }], host.never);
  assert.deepEqual((await host.messages(access, 'INBOX')).map(String), [mail, mail]);
  const { changed } = await access.store(inbox, all, { mode: 'add', flags: ['\\Deleted'] });
  assert.deepEqual([...changed], [1, 2]);
  const sent = host.box(access, 'Sent');
  assert.deepEqual([...(await access.copy(inbox, runOf(1, 1), sent)).to], [1, 1]);
  assert.deepEqual([...(await access.move(inbox, runOf(2, 2), sent)).to], [2, 2]);
  const { gone, kept } = await access.expunge(inbox, all, 'expunge', { onlyDeleted: true });
  assert.deepEqual([[...gone], [...kept]], [[1, 1], []]);
  await access.create('a/b', { specialUse: ['\\Archive'] });
  await access.subscribe('a/b', 'subscribe');
  await access.rename('a', 'c');
  assert.ok(access.mail.byName('c/b'));
  await access.delete('c/b');
  await access.authorize(sent, all, 'content');
  assert.deepEqual(await access.limits(), {});
  assert.deepEqual([...(await access.search(sent, { op: 'subject', contains: 'HI' }, { within: all, signal: host.never }))], [1, 2]);
  const open = await access.open(sent, hear);
  assert.equal(open.state.info.messages, 2);
  open.close();
});

test('each gate can refuse, and nothing has happened then', async (t) => {
  let refuse = '';
  const gate = (name: string) => {
    if (refuse === name) throw new Refusal('forbidden', `no ${name}`);
  };
  const seen: string[] = [];
  const plugin = definePlugin({
    name: 'gates',
    permissions: ['plaintext'],
    apply({ hooks }) {
      hooks.mailbox.before.gate(({ change }) => gate(change));
      hooks.append.before.gate(() => gate('append'));
      hooks.store.before.gate(async ({ message, origin }) => {
        seen.push(`${origin} ${message.header.get('subject')}`);
        gate('store');
      });
      hooks.copy.before.gate(({ as, uids }) => {
        assert.deepEqual(uids, [[1, 4_294_967_295]]);
        gate(as);
      });
      hooks.expunge.before.gate(() => gate('expunge'));
      hooks.fetch.authorize.gate(({ wants }) => gate(wants));
      hooks.quota.limits.decide(({ origin }) => (origin === 'copy' ? { messages: 1 } : { octets: 10_000 }));
    },
  });
  const host = await startMail(t, { plugins: [{ plugin }] });
  const { id } = await host.account('ada@example.test');
  const access = await host.admin(id);
  const inbox = host.box(access, 'INBOX');
  const sent = host.box(access, 'Sent');
  const append = () => access.append(inbox, [{ source: host.source(mail), flags: [] }], host.never);
  await append();
  const head = access.mail.head;
  const refused: readonly [string, () => Promise<unknown>][] = [
    ['create', () => access.create('x')],
    ['rename', () => access.rename('Sent', 'x')],
    ['delete', () => access.delete('Sent')],
    ['subscribe', () => access.subscribe('Sent', 'subscribe')],
    ['unsubscribe', () => access.subscribe('Sent', 'unsubscribe')],
    ['append', () => access.mayAppend(inbox, 10)],
    ['store', append],
    ['copy', () => access.copy(inbox, all, sent)],
    ['move', () => access.move(inbox, all, sent)],
    ['expunge', () => access.expunge(inbox, all, 'expunge')],
    ['content', () => access.authorize(inbox, all, 'content')],
    ['metadata', () => access.search(inbox, { op: 'all' }, { within: all, signal: host.never })],
    ['content', () => access.search(inbox, { op: 'body', contains: 'x' }, { within: all, signal: host.never })],
  ];
  for (const [name, act] of refused) {
    refuse = name;
    await assert.rejects(act(), { code: 'forbidden', message: `no ${name}` }, name);
  }
  assert.equal(access.mail.head, head);
  refuse = '';
  await assert.rejects(access.copy(inbox, all, sent), { code: 'over-quota' });
  await access.move(inbox, all, sent);
  assert.deepEqual(seen, ['api hi', 'api hi']);
});

test('held messages stay, the others go; a mailbox or an account with some cannot be deleted', async (t) => {
  const asked: number[] = [];
  const plugin = definePlugin({
    name: 'hold',
    apply({ hooks }) {
      hooks.expunge.before.gate(({ messages, keep }) => {
        asked.push(messages.length);
        keep(
          messages.filter((message: MessageRef) => message.uid % 1000 === 7),
          'Kept\r\nby policy',
        );
      });
    },
  });
  const host = await startMail(t, { plugins: [{ plugin }] });
  const { id } = await host.account('ada@example.test');
  const access = await host.admin(id);
  const box = (await access.create('held')).id;
  await access.append(
    box,
    Array.from({ length: 2100 }, () => ({ source: host.source(mail), flags: ['\\Deleted'] })),
    host.never,
  );
  await assert.rejects(access.delete('held'), { code: 'held', message: 'Kept  by policy' });
  await assert.rejects(host.accounts.delete(id), { code: 'held' });
  assert.equal(access.mail.byId(box)?.messages, 2100);
  asked.length = 0;
  const { gone, kept, keptText } = await access.expunge(box, all, 'expunge', { onlyDeleted: true });
  assert.deepEqual(asked, [1000, 1000, 100]);
  assert.deepEqual([...kept], [7, 7, 1007, 1007, 2007, 2007]);
  assert.equal(keptText, 'Kept  by policy');
  assert.equal(access.mail.byId(box)?.messages, 3);
  assert.equal(gone.length, 8);
});

test('the same message in Sent twice is one, within the window', async (t) => {
  const plugin = definePlugin({
    name: 'sent-copy',
    apply({ hooks }) {
      hooks.append.match.decide(({ mailbox }) => (mailbox.specialUse.includes('\\Sent') ? { sameWithinMs: 600_000 } : undefined));
    },
  });
  const host = await startMail(t, { plugins: [{ plugin }] });
  const { id } = await host.account('ada@example.test');
  const access = await host.admin(id);
  const append = async (name: string, text: string) =>
    (await access.append(host.box(access, name), [{ source: host.source(text), flags: [] }], host.never)).uids;
  assert.deepEqual(await append('Sent', mail), [1]);
  assert.deepEqual(await append('Sent', `Bcc: eve@example.org\r\n${mail}`), [1]);
  assert.deepEqual(await append('Sent', mail.replace('hello', 'other')), [2]);
  assert.deepEqual(await append('INBOX', mail), [1]);
  assert.deepEqual(await append('INBOX', mail), [2]);
  host.at += 600_001;
  assert.deepEqual(await append('Sent', mail), [3]);
});

test('a plan of a plugin: exact as far as it reaches, verified where it is not exact', async (t) => {
  let answer = { uids: [1, 2], exact: true, upTo: 0 };
  const plugin = definePlugin({
    name: 'finder',
    permissions: ['plaintext'],
    apply({ hooks }) {
      hooks.search.rewrite.transform((query) => (query.op === 'all' ? { op: 'subject', contains: 'hi' } : query));
      hooks.search.plan.decide(() => answer as never);
    },
  });
  const host = await startMail(t, { plugins: [{ plugin }] });
  const { id } = await host.account('ada@example.test');
  const access = await host.admin(id);
  const inbox = host.box(access, 'INBOX');
  const append = (text: string) => access.append(inbox, [{ source: host.source(text), flags: [] }], host.never);
  await append(mail);
  await append(mail.replace('hi', 'no'));
  const upTo = access.mail.head;
  await append(mail);
  await append(mail.replace('hi', 'no'));
  const search = async () => [...(await access.search(inbox, { op: 'all' }, { within: all, signal: host.never }))];
  answer = { uids: [1, 2], exact: true, upTo };
  assert.deepEqual(await search(), [1, 2, 3]); // as the plugin says, and what came since
  answer = { uids: [1, 2], exact: false, upTo };
  assert.deepEqual(await search(), [1, 3]);
});
