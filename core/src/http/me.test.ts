import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startApi } from './api-house.fixture.ts';

const ADA = 'ada@example.test';
const basic = (password: string, username = ADA) => `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

async function api(t: TestContext) {
  const { mail, server, ask } = await startApi(t);
  const { id } = await mail.account(ADA);
  return {
    mail,
    server,
    id,
    async ask(
      method: 'GET' | 'PUT' | 'POST' | 'DELETE',
      url: string,
      authorization: string | undefined,
      body?: object,
      remoteAddress = '127.0.0.1',
    ) {
      const reply = await ask({ method, url, authorization, body, remoteAddress });
      return { ...reply, body: (reply.body ?? {}) as Record<string, unknown> };
    },
  };
}

test('nobody gets in without name and password, with the token, or over an open line', async (t) => {
  const { ask } = await api(t);
  for (const wrong of [
    undefined,
    'Basic',
    'Basic !',
    'Bearer token',
    basic('wrong'),
    basic('secret', 'eve@example.test'),
    'Basic YWRh',
    basic(''),
  ]) {
    const reply = await ask('GET', '/v1/me', wrong);
    assert.equal(reply.status, 401, wrong);
  }
  assert.match(String((await ask('GET', '/v1/me', undefined)).headers['www-authenticate']), /^Basic realm=/);
  assert.equal((await ask('GET', '/v1/me', basic('secret'), undefined, '192.0.2.1')).status, 403);
  assert.equal((await ask('GET', '/v1/accounts', basic('secret'))).status, 401);
});

test('the user reads the account, changes the password and then needs the new one', async (t) => {
  const { ask } = await api(t);
  const me = await ask('GET', '/v1/me', basic('secret'));
  assert.deepEqual([me.status, me.body['username']], [200, ADA]);
  assert.equal((await ask('PUT', '/v1/me/password', basic('secret'), { password: '' })).status, 400);
  assert.equal((await ask('PUT', '/v1/me/password', basic('secret'), { password: 'pässwort: 2' })).status, 204);
  assert.equal((await ask('GET', '/v1/me', basic('secret'))).status, 401);
  assert.equal((await ask('GET', '/v1/me', basic('pässwort: 2'))).status, 200);
});

test('app passwords are made with the main password, shown once, and revoked', async (t) => {
  const { ask, mail, id } = await api(t);
  const path = '/v1/me/app-passwords';
  for (const body of [{}, { label: 'x', scope: [] }, { label: 'x', scope: ['pop3'] }, { label: 'x', scope: ['http'], expiresAt: 'soon' }]) {
    assert.equal((await ask('POST', path, basic('secret'), body)).status, 400, JSON.stringify(body));
  }
  const expiresAt = new Date(mail.at + 3_600_000).toISOString();
  const made = await ask('POST', path, basic('secret'), { label: 'script', scope: ['http'], networks: ['127.0.0.0/8'], expiresAt });
  assert.equal(made.status, 201);
  const { password, ...info } = made.body;
  const own = basic(String(password));
  assert.deepEqual((await ask('GET', path, own)).body, { appPasswords: [info] });
  assert.equal((await ask('POST', path, own, { label: 'another', scope: ['imap'] })).status, 403);
  assert.equal((await ask('PUT', '/v1/me/password', own, { password: 'x' })).status, 403);
  assert.equal((await ask('DELETE', `${path}/${String(info['id'])}`, own)).status, 403);
  assert.equal((await ask('DELETE', `${path}/${String(info['id'])}`, basic('secret'))).status, 204);
  assert.equal((await ask('GET', '/v1/me', own)).status, 401);

  const byAdmin = await ask('POST', `/v1/accounts/${id}/app-passwords`, 'Bearer token', { label: 'phone', scope: ['imap'] });
  assert.equal(byAdmin.status, 201);
  assert.equal((await ask('GET', '/v1/me', basic(String(byAdmin.body['password'])))).status, 403); // not for this protocol
  const listed = await ask('GET', `/v1/accounts/${id}/app-passwords`, 'Bearer token');
  assert.deepEqual(
    (listed.body['appPasswords'] as { label: string }[]).map(({ label }) => label),
    ['phone'],
  );
  assert.equal((await ask('DELETE', `/v1/accounts/${id}/app-passwords/${String(byAdmin.body['id'])}`, 'Bearer token')).status, 204);
});

test('metrics are at /v1/metrics and /metrics, for the token alone', async (t) => {
  const { server } = await api(t);
  for (const url of ['/v1/metrics', '/metrics']) {
    assert.equal((await server.inject({ url })).statusCode, 401);
    const reply = await server.inject({ url, headers: { authorization: 'Bearer token' } });
    assert.deepEqual([reply.statusCode, reply.headers['content-type'], reply.body], [200, 'text/plain; version=0.0.4', '']);
  }
});
