import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definePlugin, Octets, Refusal, Type } from '@pochard/plugin-sdk';
import { startMail } from '../mail-test-host.ts';
import type { NewAccount } from '../services.ts';

const plainHash = '{PLAIN}secret';
const ADA = 'ada@example.test';

test('names that make no sense or are taken are refused, saying which', async (t) => {
  const host = await startMail(t);
  await host.account('ada@example.test', { addresses: ['a@example.test'] });
  const refused: readonly [NewAccount, RegExp][] = [
    [{ username: '' }, /username/],
    [{ username: 'a\0b' }, /username/],
    [{ username: 'ADA@example.test' }, /ada@example\.test is taken/],
    [{ username: 'a@example.test' }, /a@example\.test is taken/],
    [{ username: 'bea', addresses: ['ada@example.test'] }, /ada@example\.test is taken/],
    [{ username: 'bea', addresses: ['x y@example.test'] }, /address/],
    [{ username: 'bea', addresses: ['*'] }, /address/],
    [{ username: 'bea', quotaOctets: -1 }, /quota/],
    [{ username: 'bea', passwordHash: '{NOPE}x' }, /scheme/],
  ];
  for (const [account, message] of refused) {
    const code = message.source.includes('taken') ? 'taken' : 'invalid';
    await assert.rejects(host.accounts.create(account), { code, message });
  }
  assert.equal(await host.accounts.find('bea'), undefined);
});

test('two creations of one name at once: one of them wins', async (t) => {
  const host = await startMail(t);
  const results = await Promise.allSettled(Array.from({ length: 8 }, () => host.accounts.create({ username: 'ada@example.test' })));
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  assert.equal((await host.accounts.list({ limit: 10 })).length, 1);
});

test('a new account has its mailboxes, subscribed, with their special uses', async (t) => {
  const host = await startMail(t);
  const { id } = await host.account('ada@example.test');
  const { mail } = await host.admin(id);
  assert.deepEqual([...mail.mailboxes()].map(({ name, specialUse }) => `${name} ${specialUse.join()}`).sort(), [
    'Archive \\Archive',
    'Drafts \\Drafts',
    'INBOX ',
    'Junk \\Junk',
    'Sent \\Sent',
    'Trash \\Trash',
  ]);
  assert.deepEqual([...mail.subscriptions()].sort(), ['Archive', 'Drafts', 'INBOX', 'Junk', 'Sent', 'Trash']);
});

test('wrong password, unknown user, odd names: one answer, and it takes a hash each time', async (t) => {
  const host = await startMail(t);
  await host.account('ada@example.test');
  for (const [name, password] of [
    ['ada@example.test', 'wrong'],
    ['eve@example.test', 'secret'],
    ['', 'secret'],
    ['a\0', 'secret'],
    ['__proto__', 'secret'],
  ] as const) {
    await assert.rejects(host.login(name, password), { code: 'credentials', message: 'Wrong user name or password' });
  }
});

test('login by username or address; the secret is wiped; the session ends once', async (t) => {
  const ended: string[] = [];
  const plugin = definePlugin({
    name: 'watch',
    apply({ hooks }) {
      hooks.session.ended.observe(({ reason }) => ended.push(reason));
    },
  });
  const host = await startMail(t, { plugins: [{ plugin }] });
  await host.account('ada@example.test', { addresses: ['countess@example.test'] });
  const secret = Buffer.from('secret');
  const loggedIn = await host.accounts.login(
    {
      username: 'Countess@Example.test',
      secret,
      mechanism: 'PLAIN',
      session: { id: 's', protocol: 'imap', listener: 'imap', remoteAddress: '192.0.2.1' },
    },
    host.never,
  );
  assert.deepEqual(secret, Buffer.alloc(6));
  assert.equal(loggedIn.account.username, 'ada@example.test');
  loggedIn.end('logout');
  loggedIn.end('closed');
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(ended, ['logout']);
});

test('a changed password, a disabled and a deleted account end sessions', async (t) => {
  const host = await startMail(t);
  const { id } = await host.account('ada@example.test');
  let revoked = 0;
  const open = async (password: string) => (await host.login('ada@example.test', password)).onRevoked(() => (revoked += 1));
  await open('secret');
  await host.accounts.setPassword(id, { password: Buffer.from('other') });
  assert.equal(revoked, 1);
  await assert.rejects(host.login('ada@example.test', 'secret'), { code: 'credentials' });
  await open('other');
  await host.accounts.setPassword(id, { passwordHash: plainHash });
  await open('secret');
  await host.accounts.update(id, { disabled: true });
  assert.equal(revoked, 3);
  await assert.rejects(host.login('ada@example.test', 'secret'), { code: 'disabled' });
  await host.accounts.update(id, { disabled: false, allow: ['http'] });
  await assert.rejects(host.login('ada@example.test', 'secret'), { code: 'disabled' });
  await host.accounts.update(id, { allow: ['imap'] });
  await open('secret');
  await host.accounts.delete(id);
  assert.equal(revoked, 4);
  assert.equal(await host.accounts.find('ada@example.test'), undefined);
  await assert.rejects(host.login('ada@example.test', 'secret'), { code: 'credentials' });
  const again = await host.account('ada@example.test');
  assert.notEqual(again.id, id);
});

test('addresses come and go; an alias does not take an account’s', async (t) => {
  const host = await startMail(t);
  const { id } = await host.account('ada@example.test');
  await host.accounts.addAddress(id, 'A@example.test');
  await assert.rejects(host.accounts.addAddress(id, 'a@example.test'), { code: 'taken' });
  await assert.rejects(host.accounts.setAlias('a@example.test', ['ada@example.test']), { code: 'taken' });
  assert.equal((await host.accounts.find('a@example.test'))?.id, id);
  await host.accounts.removeAddress(id, 'a@example.test');
  assert.equal(await host.accounts.find('a@example.test'), undefined);
  await host.accounts.setAlias('a@example.test', ['ada@example.test']);
  await host.accounts.setAlias('a@example.test', undefined);
  await host.accounts.addAddress(id, 'a@example.test');
});

test('many accounts with hashes: one bad row does not stop the others', async (t) => {
  const host = await startMail(t);
  async function* rows(): AsyncGenerator<NewAccount> {
    for (let n = 0; n < 500; n += 1) yield { username: n === 250 ? 'u1' : `u${n}`, passwordHash: plainHash };
  }
  const results = [];
  for await (const result of host.accounts.createMany(rows())) results.push(result);
  assert.equal(results.length, 500);
  assert.deepEqual(
    results.filter(({ error }) => error !== undefined).map(({ username }) => username),
    ['u1'],
  );
  assert.equal((await host.accounts.list({ limit: 1000 })).length, 499);
  assert.equal((await host.accounts.list({ after: 'u97', limit: 1000 })).length, 2);
});

test('hooks of a login: refuse by policy, vouch, down is not wrong, gate with its commit', async (t) => {
  let down = false;
  let gates = 0;
  const plugin = definePlugin({
    name: 'outside',
    permissions: ['credentials'],
    apply({ hooks, table }) {
      const slots = table('slots', Type.Object({ wrapped: Octets }));
      hooks.auth.normalize.transform((name) => name.replace('EXAMPLE\\', ''));
      hooks.auth.verify.decide(({ username }) => (username === 'mallory' ? { result: 'reject', reason: 'policy' } : undefined), {
        stage: 'policy',
      });
      hooks.auth.verify.decide(({ username, secret }) => {
        if (down) throw new Error('database is down');
        if (!username.startsWith('x')) return undefined;
        if (Buffer.from(secret.bytes()).toString() !== 'outside') return { result: 'reject', reason: 'credentials' };
        return { result: 'accept', account: { username, addresses: [`${username}@example.test`], quotaOctets: 5000 } };
      });
      hooks.account.creating.gate(async ({ seed, secret, commit }, { account }) => {
        if (seed.username === 'xno') throw new Refusal('policy', 'not this one');
        await slots.put(account.id, 'slot', { wrapped: Uint8Array.from(secret?.bytes() ?? []) }, { in: commit });
      });
      hooks.account.mailboxes.transform((plans) => [...plans, { name: 'Notes' }]);
      hooks.auth.succeeded.gate(async (login, { account }) => {
        gates += 1;
        if (login.first) await slots.put(account.id, 'first', { wrapped: new Uint8Array([1]) }, { in: login.commit });
      });
    },
  });
  const host = await startMail(t, { plugins: [{ plugin }] });
  await host.account('ada@example.test');
  await assert.rejects(host.login('mallory', 'x'), { code: 'policy' });
  await assert.rejects(host.login('x1', 'wrong'), { code: 'credentials' });
  await assert.rejects(host.login('xno', 'outside'), { code: 'policy', message: 'not this one' });
  assert.equal(await host.accounts.find('xno'), undefined);
  const { account } = await host.login('EXAMPLE\\x1', 'outside');
  assert.equal(gates, 1);
  const record = await host.accounts.find('x1@example.test');
  assert.equal(record?.id, account.id as string);
  assert.equal(record?.quotaOctets, 5000);
  assert.ok((await host.admin(record.id)).mail.byName('Notes'));
  const rows = await host.store.records.list(`account/${record.id}/plugin/outside/slots`, { limit: 10 });
  assert.deepEqual(
    rows.map(({ key }) => key),
    ['first', 'slot'],
  );
  await host.login('x1', 'outside');
  await host.login('ada@example.test', 'secret'); // core's own
  down = true;
  await assert.rejects(host.login('x1', 'outside'), { code: 'unavailable' });
});

test('failures count for the account, by whichever address or spelling, and for the network', async (t) => {
  const host = await startMail(t);
  await host.account(ADA, { addresses: ['sales@example.test', 'grüße@example.test'] });
  const wrong = (username: string, remoteAddress: string) => {
    const session = { id: 's', protocol: 'imap', listener: 'imap', remoteAddress } as const;
    return assert.rejects(host.accounts.login({ username, secret: Buffer.from('wrong'), mechanism: 'PLAIN', session }, host.never), {
      code: 'credentials',
    });
  };
  await wrong(ADA, '192.0.2.1');
  await wrong('ADA@Example.Test', '192.0.2.2');
  await wrong('sales@example.test', '192.0.2.3');
  await wrong('GRÜSSE@example.test', '192.0.2.4'); // another name: ß is not ss
  await wrong('grüße@example.test', '192.0.2.5');
  assert.deepEqual(host.delays, [1000, 2000, 4000]);
  await wrong('nobody@example.test', '2001:db8::1');
  await wrong('another@example.test', '2001:db8::2');
  assert.deepEqual(host.delays.slice(3), [1000]);
});

test('an unlimited quota of a directory is none, whatever the default', async (t) => {
  const seed = { username: ADA, quotaOctets: 'unlimited' } as const;
  const plugin = definePlugin({
    name: 'directory',
    apply({ hooks }) {
      hooks.account.lookup.decide(({ username }) => (username === ADA ? seed : undefined));
    },
  });
  const host = await startMail(t, { plugins: [{ plugin }], settings: { defaultQuotaOctets: 10 } });
  const other = await host.account('bob@example.test');
  const record = await host.accounts.find(ADA);
  assert(record);
  assert.deepEqual(await (await host.admin(record.id)).limits(), {});
  assert.deepEqual(await (await host.admin(other.id)).limits(), { octets: 10 });
  const [outcome] = await host.send('Subject: long enough to be over ten octets', [ADA]);
  assert.equal(outcome?.stored, true);
});

test('mail for an account not seen yet, which forwards and keeps, reaches both at the first try', async (t) => {
  const plugin = definePlugin({
    name: 'directory',
    apply({ hooks }) {
      hooks.rcpt.resolve.decide(({ address }) => ({ result: 'deliver', account: { username: address } }));
      hooks.rcpt.expand.transform((addresses, { address }) => (address === ADA ? [ADA, 'bob@example.test'] : addresses));
    },
  });
  const host = await startMail(t, { plugins: [{ plugin }] });
  await host.send('Subject: once', [ADA]);
  for (const name of [ADA, 'bob@example.test']) {
    const record = await host.accounts.find(name);
    assert(record);
    assert.equal((await host.messages(await host.admin(record.id), 'INBOX')).length, 1, name);
  }
});
