import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startApi, TOKEN } from './api-house.fixture.ts';

async function api(t: TestContext) {
  const { mail, ask } = await startApi(t);
  for (const name of ['ada@example.test', 'bob@example.test']) await mail.account(name);
  return {
    mail,
    ask: (method: 'GET' | 'PUT', url: string, body?: object, token = TOKEN) => ask({ method, url, authorization: `Bearer ${token}`, body }),
  };
}

test('the administrator reads and sets access control lists; what makes no sense is refused', async (t) => {
  const { mail, ask } = await api(t);
  const list = '/v1/accounts/ada@example.test/acl';
  const bob = `${list}/bob@example.test?mailbox=INBOX`;
  assert.equal((await ask('GET', `${list}?mailbox=INBOX`, undefined, 'wrong')).status, 401);
  assert.equal((await ask('GET', list)).status, 400);
  assert.equal((await ask('GET', `${list}?mailbox=Nowhere`)).status, 404);
  assert.equal((await ask('GET', '/v1/accounts/nobody/acl?mailbox=INBOX')).status, 404);
  assert.equal((await ask('PUT', bob, { rights: 'lz' })).status, 400);
  assert.equal((await ask('PUT', bob, { rights: 'l', more: 1 })).status, 400);
  assert.equal((await ask('PUT', `${list}/nobody?mailbox=INBOX`, { rights: 'l' })).status, 404);
  assert.equal((await ask('PUT', `${list}/ada@example.test?mailbox=INBOX`, { rights: 'l' })).status, 400);
  assert.equal((await ask('PUT', bob, { rights: 'srl' })).status, 204);
  assert.equal((await ask('PUT', `${list}/-anyone?mailbox=INBOX`, { rights: 'a' })).status, 204);
  assert.deepEqual((await ask('GET', `${list}?mailbox=INBOX`)).body, {
    entries: [
      { identifier: '-anyone', rights: 'a' },
      { identifier: 'bob@example.test', rights: 'lrs' },
    ],
  });
  const login = await mail.login('bob@example.test', 'secret');
  const theirs = await mail.sharing.of(login).of('ada@example.test');
  assert.deepEqual(
    [...(theirs?.mail.mailboxes() ?? [])].map(({ name }) => name),
    ['INBOX'],
  );
  assert.equal((await ask('PUT', bob, { rights: '' })).status, 204);
  assert.equal(await mail.sharing.of(login).of('ada@example.test'), undefined);
});
