/** SETQUOTA: RFC 9208 §4.1.3. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HELLO, imapHouse } from '../imap-house.fixture.ts';

test('SETQUOTA is the administrators’ own, and malformed limits are BAD', async (t) => {
  const house = await imapHouse(t, { quotaOctets: 10_240, limits: { imapBadCommands: 50 } });
  const client = await house.login();
  await client.expect('SETQUOTA ""', '$ BAD Argument missing');
  await client.expect('SETQUOTA "" STORAGE 5', '$ BAD List expected');
  await client.expect('SETQUOTA "" (STORAGE)', '$ BAD Space expected');
  await client.expect('SETQUOTA "" (STORAGE -1)', '$ BAD Number expected');
  await client.expect('SETQUOTA "" (STORAGE 5)', '$ NO [NOPERM] Quota is set by the administrator');
  assert.doesNotMatch((await client.run('CAPABILITY'))[0] ?? '', /QUOTASET/);
  await client.expect('GETQUOTA ""', '* QUOTA "" (STORAGE 0 10)', '$ OK GETQUOTA done');
});

test('an administrator sets quotas, and they count at once', async (t) => {
  const house = await imapHouse(t, { quotaOctets: 10_240, quotaAdministrators: ['ada@example.test'] });
  await house.services.accounts.create({ username: 'bob@example.test', passwordHash: '{PLAIN}secret' });
  const client = await house.login();
  assert.match((await client.run('CAPABILITY'))[0] ?? '', / QUOTASET/);
  await client.expect('SETQUOTA "" (MESSAGE 5)', '$ NO [CANNOT] Only STORAGE can be set');
  await client.expect('SETQUOTA "user/eve@example.test" (STORAGE 5)', '$ NO [NONEXISTENT] No such quota root');
  await client.expect('SETQUOTA "else" (STORAGE 5)', '$ NO [NONEXISTENT] No such quota root');
  await client.expect('SETQUOTA "" (STORAGE 0)', '* QUOTA "" (STORAGE 0 0)', '$ OK SETQUOTA done');
  assert.deepEqual(await client.append('INBOX', HELLO), ['$ NO [OVERQUOTA] Over quota']);
  await client.expect('SETQUOTA "" ()', '* QUOTA "" ()', '$ OK SETQUOTA done');
  assert.match((await client.append('INBOX', HELLO)).at(-1) ?? '', /^\$ OK/);
  await client.expect('SETQUOTA "" (STORAGE 9223372036854775807)', '* QUOTA "" ()', '$ OK SETQUOTA done');
  await client.expect(
    'SETQUOTA "user/bob@example.test" (STORAGE 512)',
    '* QUOTA "user/bob@example.test" (STORAGE 0 512)',
    '$ OK SETQUOTA done',
  );
  await client.expect('GETQUOTA "user/bob@example.test"', '* QUOTA "user/bob@example.test" (STORAGE 0 512)', '$ OK GETQUOTA done');
  assert.equal((await house.services.accounts.find('bob@example.test'))?.quotaOctets, 524_288);
  await client.expect('SELECT "user/bob@example.test/INBOX"', '$ NO [NONEXISTENT] No such mailbox'); // quota is all that they see
});
