import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagValue, merged, quotaOctets } from './mapping.ts';
import { presets } from './presets.ts';

test('a flag that is NULL, unreadable or of another value is no', () => {
  for (const value of [null, undefined, 0, '0', 'n', 'N', '', 'maybe', Buffer.from([0]), Buffer.from([1, 1])])
    assert.equal(flagValue(value, undefined), false, String(value));
  assert.equal(flagValue('not json', { column: 'c', key: 'imap_access' }), false);
  assert.equal(flagValue('{"imap_access":"0"}', { column: 'c', key: 'imap_access' }), false);
  assert.equal(flagValue('IMAPS', { column: 'c', contains: ['IMAP'] }), false);
  assert.equal(flagValue('y', { column: 'c', on: ['n'] }), false);
});
test('a flag is yes in the words of each product', () => {
  for (const value of [1, '1', 'y', 'Y', 'yes', true, 'true', 't', Buffer.from([1])])
    assert.equal(flagValue(value, undefined), true, String(value));
  for (const value of ['{"imap_access":"1"}', '{"imap_access":1}', { imap_access: '1' }, '{}', '{"__proto__":"0"}']) {
    assert.equal(flagValue(value, { column: 'c', key: 'imap_access' }), true);
  }
  assert.equal(flagValue('smtp, imap', { column: 'c', contains: ['ALL', 'IMAP'] }), true);
});
test('a quota of nothing is no word, of zero or less no limit, and never beyond exact numbers', () => {
  assert.equal(quotaOctets(null, 'octets'), undefined);
  assert.equal(quotaOctets('', 'octets'), undefined);
  assert.equal(quotaOctets('much', 'octets'), undefined);
  assert.equal(quotaOctets(0, 'MiB'), 'unlimited');
  assert.equal(quotaOctets('-1', 'octets'), 'unlimited');
  assert.equal(quotaOctets('2', 'MiB'), 2_097_152);
  assert.equal(quotaOctets('9223372036854775807', 'octets'), Number.MAX_SAFE_INTEGER);
});
test('what is laid over a preset changes that and no more', () => {
  const over = { users: { columns: { submission: 'smtp_active', active: { column: 'state', on: ['live'] } } } };
  const { users, aliases } = merged(presets.postfixadmin, over);
  assert.deepEqual(users?.columns, { ...presets.postfixadmin.users?.columns, ...over.users.columns });
  assert.equal(users?.table, 'mailbox');
  assert.deepEqual(aliases, presets.postfixadmin.aliases);
});
