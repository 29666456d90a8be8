import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definePlugin, Refusal, Type } from '@pochard/plugin-sdk';
import { startMail, type TestHost } from '../mail-test-host.ts';
import type { NewAppPassword, ProtocolName } from '../services.ts';

const ADA = 'ada@example.test';
const phone: NewAppPassword = { label: 'phone', scope: ['imap'] };

function login(host: TestHost, password: string, protocol: ProtocolName = 'imap', remoteAddress = '192.0.2.1') {
  const session = { id: 's', protocol, listener: protocol, remoteAddress };
  return host.accounts.login({ username: ADA, secret: Buffer.from(password), mechanism: 'PLAIN', session }, host.never);
}

test('an app password without label, scope or sense is refused, and so is the 51st', async (t) => {
  const host = await startMail(t);
  const { id } = await host.account(ADA);
  for (const wrong of [
    { ...phone, label: '' },
    { ...phone, label: 'a\r\nb' },
    { ...phone, scope: [] },
    { ...phone, scope: ['pop3' as ProtocolName] },
    { ...phone, networks: ['10.0.0.0/33'] },
    { ...phone, expiresAt: host.at },
    { ...phone, expiresAt: Number.NaN },
  ]) {
    await assert.rejects(host.accounts.createAppPassword(id, wrong), { code: 'invalid' }, JSON.stringify(wrong));
  }
  await assert.rejects(host.accounts.revokeAppPassword(id, 'app-0'), { code: 'invalid' });
  await assert.rejects(host.accounts.revokeAppPassword(id, 'password'), { code: 'invalid' });
  for (let n = 0; n < 50; n += 1) await host.accounts.createAppPassword(id, phone);
  await assert.rejects(host.accounts.createAppPassword(id, phone), { code: 'limit' });
});

test('an app password logs in within its scope, range and time, and is kept as a digest', async (t) => {
  const host = await startMail(t);
  const { id } = await host.account(ADA);
  const made = await host.accounts.createAppPassword(id, { ...phone, networks: ['192.0.2.0/24'], expiresAt: host.at + 60_000 });
  assert.match(made.password, /^(?:[a-z2-9]{5}-){5}[a-z2-9]{5}$/);
  assert.equal((await login(host, made.password)).credentialId, made.id);
  assert.equal((await login(host, 'secret')).credentialId, 'password');
  await assert.rejects(login(host, made.password, 'submission'), { code: 'disabled' });
  await assert.rejects(login(host, made.password, 'imap', '198.51.100.1'), { code: 'disabled' });
  await assert.rejects(login(host, `${made.password}x`), { code: 'credentials' });
  const { password: shown, ...info } = made;
  assert.deepEqual(await host.accounts.appPasswords(id), [info]);
  const kept = JSON.stringify(await host.store.records.list(`account/${id}/credential`, { limit: 10 }));
  assert(!kept.includes(shown));
  host.at += 60_000;
  await assert.rejects(login(host, made.password), { code: 'disabled' });
});

test('revoking ends what it opened and nothing else; a new main password ends all sessions and no app password', async (t) => {
  const host = await startMail(t);
  const { id } = await host.account(ADA);
  const one = await host.accounts.createAppPassword(id, phone);
  const other = await host.accounts.createAppPassword(id, { ...phone, label: 'desk' });
  const ended: string[] = [];
  for (const password of ['secret', one.password, other.password]) {
    const session = await login(host, password);
    session.onRevoked(() => ended.push(session.credentialId));
  }
  await host.accounts.revokeAppPassword(id, one.id);
  assert.deepEqual(ended, [one.id]);
  await assert.rejects(login(host, one.password), { code: 'credentials' });
  await host.accounts.setPassword(id, { password: Buffer.from('next') });
  assert.deepEqual(ended.sort(), [one.id, other.id, 'password'].sort());
  await login(host, other.password);
});

test('who holds an app password makes, revokes and changes nothing', async (t) => {
  const host = await startMail(t);
  const { id } = await host.account(ADA);
  const made = await host.accounts.createAppPassword(id, phone);
  const session = await login(host, made.password);
  await assert.rejects(host.accounts.createAppPassword(id, phone, session), { code: 'forbidden' });
  await assert.rejects(host.accounts.revokeAppPassword(id, made.id, session), { code: 'forbidden' });
  await assert.rejects(host.accounts.changePassword(session, Buffer.from(made.password), Buffer.from('x')), { code: 'forbidden' });
});

test('auth.credential is asked with the secret, and what it writes lands with the credential or not at all', async (t) => {
  const asked: string[] = [];
  const plugin = definePlugin({
    name: 'slots',
    permissions: ['credentials'],
    apply({ hooks, table }) {
      const slots = table('slots', Type.Object({ length: Type.Number() }));
      hooks.auth.credential.gate(async (change, { account, actor }) => {
        const former = change.change === 'changed' ? Buffer.from(change.former.bytes()).toString() : '';
        asked.push(`${change.change} ${change.credentialId.slice(0, 4)} ${former} by ${actor.type}`);
        if (change.change === 'revoked') return slots.delete(account.id, change.credentialId, { in: change.commit });
        if (Buffer.from(change.secret.bytes()).toString() === 'hunter2') throw new Refusal('policy', 'Too well known');
        await slots.put(account.id, change.credentialId, { length: change.secret.bytes().length }, { in: change.commit });
      });
    },
  });
  const host = await startMail(t, { plugins: [{ plugin }] });
  const { id } = await host.account(ADA);
  const slots = async () => (await host.store.records.list(`account/${id}/plugin/slots/slots`, { limit: 10 })).length;
  const session = await login(host, 'secret');
  const made = await host.accounts.createAppPassword(id, phone, session);
  await host.accounts.changePassword(session, Buffer.from('secret'), Buffer.from('next'));
  await host.accounts.setPassword(id, { password: Buffer.from('third') });
  await assert.rejects(host.accounts.setPassword(id, { password: Buffer.from('hunter2') }), { code: 'policy', message: 'Too well known' });
  await login(host, 'third');
  await host.accounts.revokeAppPassword(id, made.id);
  assert.deepEqual(asked, [
    'created app-  by user',
    'changed pass secret by user',
    'reset pass  by system',
    'reset pass  by system',
    'revoked app-  by system',
  ]);
  assert.equal(await slots(), 1);
});

test('a password that a directory holds is changed there, or not at all', async (t) => {
  let held = 'secret';
  const plugin = (takes: 'takes' | 'ignores') =>
    definePlugin({
      name: 'directory',
      permissions: ['credentials'],
      apply({ hooks }) {
        hooks.auth.verify.decide(({ username, secret }) => {
          if (username !== ADA) return undefined;
          const isRight = Buffer.from(secret.bytes()).toString() === held;
          return isRight ? { result: 'accept', account: { username: ADA } } : { result: 'reject', reason: 'credentials' };
        });
        hooks.auth.credential.gate((change) => {
          if (takes === 'takes' && 'secret' in change) held = Buffer.from(change.secret.bytes()).toString();
        });
      },
    });
  const host = await startMail(t, { plugins: [{ plugin: plugin('ignores') }] });
  const first = await login(host, 'secret');
  await assert.rejects(host.accounts.changePassword(first, Buffer.from('secret'), Buffer.from('next')), { code: 'unsupported' });
  await login(host, 'secret');
  await host.hooks.reload([{ plugin: plugin('takes') }]);
  const second = await login(host, 'secret');
  await host.accounts.changePassword(second, Buffer.from('secret'), Buffer.from('next'));
  assert.equal(held, 'next');
  await login(host, 'next');
  await assert.rejects(login(host, 'secret'), { code: 'credentials' });
  const record = await host.accounts.find(ADA);
  assert.deepEqual(await host.store.records.list(`account/${record?.id}/credential`, { limit: 10 }), []);
});
