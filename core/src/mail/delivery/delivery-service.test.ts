import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definePlugin, Refusal } from '@pochard/plugin-sdk';
import { session, startMail } from '../mail-test-host.ts';

const mail = 'Message-ID: <1@example.org>\r\nSubject: hi\r\n\r\nhello\r\n';

test('an address that nobody has, and one that makes no sense', async (t) => {
  const host = await startMail(t);
  await host.account('ada@example.test');
  for (const address of ['eve@example.test', '', 'a b@example.test', '@', 'ada@example.test\r\nRCPT']) {
    await assert.rejects(host.send(mail, [address]), { code: 'no-such-recipient' });
  }
});

test('aliases that go round in a circle are found', async (t) => {
  const host = await startMail(t);
  await host.accounts.setAlias('a@example.test', ['b@example.test']);
  await host.accounts.setAlias('b@example.test', ['a@example.test']);
  await assert.rejects(host.send(mail, ['a@example.test']), { code: 'policy' });
  for (let n = 0; n < 12; n += 1) await host.accounts.setAlias(`l${n}@example.test`, [`l${n + 1}@example.test`]);
  await assert.rejects(host.send(mail, ['l0@example.test']), { code: 'policy' });
});

test('a hundred Received fields are a loop', async (t) => {
  const host = await startMail(t);
  await host.account('ada@example.test');
  await assert.rejects(host.send(`${'Received: by x\r\n'.repeat(100)}${mail}`, ['ada@example.test']), { code: 'policy' });
});

test('stored means: it is in INBOX, with the trace fields before it, octets unchanged', async (t) => {
  const host = await startMail(t);
  const ada = await host.account('ada@example.test');
  const [outcome] = await host.send(mail, ['Ada@EXAMPLE.test']);
  assert.partialDeepStrictEqual(outcome, { address: 'Ada@EXAMPLE.test', stored: true, duplicate: false });
  const access = await host.admin(ada.id);
  const [stored] = await host.messages(access, 'INBOX');
  assert.ok(stored);
  assert.equal(stored.subarray(-mail.length).toString(), mail);
  const trace = stored.subarray(0, -mail.length).toString();
  assert.match(
    trace,
    /^Return-Path: <bob@example\.org>\r\nDelivered-To: ada@example\.test\r\nReceived: from mta\.test \(\[192\.0\.2\.1\]\)\r\n/,
  );
  const [content] = await access.content.open(await host.contentIds(access, 'INBOX'));
  assert.equal(content?.sizeOctets, stored.length);
  assert.equal(content?.head.length, stored.length - 'hello\r\n'.length);
  assert.equal(content?.parts.bodyStart, content?.head.length);
  const [meta] = await access.content.meta(await host.contentIds(access, 'INBOX'), ['envelope', 'preview']);
  assert.match(meta?.envelope ?? '', /"hi"/);
  assert.equal(meta?.preview, 'hello');
});

test('labels, catch-all, aliases, Unicode, accounts without a domain', async (t) => {
  const host = await startMail(t);
  const ada = await host.account('ada@example.test', { addresses: ['пётр@пример.test'] });
  const all = await host.account('all@example.test', { addresses: ['*@example.test'] });
  const u1 = await host.account('u1');
  await host.accounts.setAlias('team@example.test', ['ada@example.test', 'all@example.test', 'ADA@example.test']);
  const access = await host.admin(ada.id);
  await access.create('Lists');
  const count = async (id: typeof ada.id, name = 'INBOX') => (await host.admin(id)).mail.byName(name)?.messages;
  let n = 0;
  const send = (to: string) => host.send(mail.replace('<1@', `<${++n}@`), [to]);
  await send('ada+Lists@example.test');
  assert.equal(await count(ada.id, 'Lists'), 1);
  await send('ada+none@example.test');
  assert.equal(await count(ada.id), 1);
  await send('ПЁТР@пример.test');
  assert.equal(await count(ada.id), 2);
  await send('who@example.test');
  assert.equal(await count(all.id), 1);
  await send('team@example.test');
  assert.deepEqual([await count(ada.id), await count(all.id)], [3, 2]);
  await send('U1');
  assert.equal(await count(u1.id), 1);
});

test('the same message again is stored once; without Message-ID or Received it is another message', async (t) => {
  const host = await startMail(t);
  const ada = await host.account('ada@example.test');
  await host.send(mail, ['ada@example.test']);
  const again = await host.send(mail, ['ada@example.test']);
  assert.partialDeepStrictEqual(again, [{ address: 'ada@example.test', stored: true, duplicate: true }]);
  await host.send(mail, ['ada@example.test'], { from: 'other@example.org' });
  const bare = 'Subject: x\r\n\r\ny\r\n';
  await host.send(bare, ['ada@example.test']);
  await host.send(bare, ['ada@example.test']);
  assert.equal((await host.admin(ada.id)).mail.byName('INBOX')?.messages, 4);
  // The sender has read the reply: what comes now is no retry.
  for (const outcome of again) if (outcome.stored) outcome.settle?.();
  assert.partialDeepStrictEqual(await host.send(mail, ['ada@example.test']), [{ stored: true, duplicate: false }]);
});

test('once the sender has surely read the reply, an equal message is another message', async (t) => {
  const host = await startMail(t);
  const ada = await host.account('ada@example.test');
  const [first] = await host.send(mail, ['ada@example.test']);
  assert(first?.stored === true);
  first.settle?.();
  const [second] = await host.send(mail, ['ada@example.test']);
  assert(second?.stored === true && !second.duplicate);
  assert.equal((await host.admin(ada.id)).mail.byName('INBOX')?.messages, 2);
});

test('over quota is told at RCPT where it is known, and by the commit; other recipients have their mail', async (t) => {
  const host = await startMail(t);
  await host.account('ada@example.test', { quotaOctets: 300 });
  const bea = await host.account('bea@example.test');
  const envelope = { reversePath: '', declaredOctets: 301 };
  await assert.rejects(host.delivery.resolve('ada@example.test', envelope, session), { code: 'over-quota' });
  const outcomes = await host.send(`${mail}${'x'.repeat(200)}\r\n`, ['ada@example.test', 'bea@example.test']);
  assert.equal(outcomes[0]?.stored, false);
  assert.equal(outcomes[0]?.stored === false && 'code' in outcomes[0].error && outcomes[0].error.code, 'over-quota');
  assert.equal(outcomes[1]?.stored, true);
  const [stored] = await host.messages(await host.admin(bea.id), 'INBOX');
  assert.equal(stored?.toString().includes('\tfor <'), false); // two recipients
});

test('a disabled account takes no mail', async (t) => {
  const host = await startMail(t);
  const { id } = await host.account('ada@example.test');
  await host.accounts.update(id, { disabled: true });
  await assert.rejects(host.send(mail, ['ada@example.test']), { code: 'disabled' });
});

test('hooks of a delivery: refuse, change, scan, route', async (t) => {
  let verdict: 'accept' | 'junk' | 'reject' | 'defer' = 'accept';
  let fail = false;
  const plugin = definePlugin({
    name: 'scanner',
    permissions: ['plaintext'],
    apply({ hooks }) {
      hooks.rcpt.resolve.decide(({ address }) => {
        if (address === 'new@example.test') return { result: 'deliver', account: { username: 'new@example.test' } };
        if (address === 'old@example.test') return { result: 'alias', to: ['ada@example.test'] };
        if (address === 'no@example.test') return { result: 'reject', reason: 'policy' };
        return undefined;
      });
      hooks.rcpt.accept.gate(({ reversePath }) => {
        if (reversePath === 'spammer@example.org') throw new Refusal('policy', 'not from you');
      });
      hooks.delivery.received.transform((delivery) => {
        if (fail) throw new Error('broken');
        return delivery.with(delivery.message.prepend('X-Scanned', 'yes').without('X-Secret'));
      });
      hooks.delivery.scan.collect(() => [{ source: 'test', about: 'spam', action: verdict, reason: 'looks\r\nodd' }]);
      hooks.delivery.route.transform((routing, { account }) =>
        account.username.startsWith('bea') ? { mailbox: { name: 'Nowhere' }, flags: ['$Bea'] } : routing,
      );
    },
  });
  const host = await startMail(t, { plugins: [{ plugin }] });
  const ada = await host.account('ada@example.test');
  const bea = await host.account('bea@example.test');
  await assert.rejects(host.send(mail, ['no@example.test']), { code: 'policy' });
  await assert.rejects(host.send(mail, ['ada@example.test'], { from: 'spammer@example.org' }), { code: 'policy', message: 'not from you' });
  verdict = 'reject';
  await assert.rejects(host.send(mail, ['ada@example.test']), { code: 'policy', message: 'looks  odd' });
  verdict = 'defer';
  await assert.rejects(host.send(mail, ['ada@example.test']), { code: 'unavailable' });
  fail = true;
  verdict = 'accept';
  await assert.rejects(host.send(mail, ['ada@example.test']), { code: 'unavailable' });
  fail = false;
  await host.send(`X-Secret: 1\r\n${mail}`, ['ada@example.test', 'bea@example.test', 'new@example.test']);
  const [stored] = await host.messages(await host.admin(ada.id), 'INBOX');
  assert.match(stored?.toString() ?? '', /\r\nX-Scanned: yes\r\nMessage-ID/);
  assert.equal(stored?.toString().includes('X-Secret'), false);
  const beas = await host.admin(bea.id);
  assert.equal(beas.mail.byName('INBOX')?.messages, 1); // no such mailbox: INBOX
  assert.deepEqual(beas.mail.byName('INBOX')?.keywords, ['$Bea']);
  const made = await host.accounts.find('new@example.test');
  assert.ok(made);
  assert.equal((await host.admin(made.id)).mail.byName('INBOX')?.messages, 1);
  verdict = 'junk';
  await host.send(mail.replace('<1@', '<2@'), ['old@example.test']);
  assert.equal((await host.admin(ada.id)).mail.byName('Junk')?.messages, 1);
});
