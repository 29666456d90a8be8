import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Config } from './config.ts';
import { presetNames } from './mapping.ts';
import { domainPattern, prefixPattern, statementsOf } from './statements.ts';

function statements(over: Partial<Config>) {
  return statementsOf({ rehash: 'never', quotaUnit: 'octets', catchAll: ['@domain'], ...over } as Config);
}

test('whatever the key, it is bound: the text is made once, and has as many ? as values', () => {
  for (const preset of presetNames) {
    const { user, mailbox, alias, domain, domainAlias } = statements({ preset });
    for (const statement of [user, mailbox, alias, domain, domainAlias]) {
      if (statement === undefined) continue;
      const values = statement.values("x' OR 1=1");
      assert.equal(statement.sql.split('?').length - 1, values.length, statement.sql);
      assert(values.includes("x' OR 1=1"));
      assert.doesNotMatch(statement.sql, /'/);
    }
  }
});
test('constants of a mapping are bound beside the key', () => {
  const { domainAlias } = statements({ preset: 'ispconfig' });
  assert.match(domainAlias?.sql ?? '', /from `mail_forwarding` where `source` = \? and `type` in \(\?\)$/);
  assert.deepEqual(domainAlias?.values('@a.example'), ['@a.example', 'aliasdomain']);
});
test('a join is written with the names of the mapping', () => {
  const { mailbox } = statements({ preset: 'modoboa' });
  assert.match(
    mailbox.sql,
    /from `core_user` inner join `admin_mailbox` on `admin_mailbox`\.`user_id` = `core_user`\.`id` where `core_user`\.`email` = \?$/,
  );
});
test('a rehash replaces what was checked and nothing newer', () => {
  const { rehash } = statements({ preset: 'postfixadmin', rehash: 'writeBack' });
  assert.equal(rehash?.sql, 'update `mailbox` set `password` = ? where `username` = ? and `password` = ?');
  assert.deepEqual(rehash?.values('new', 'ada', 'old'), ['new', 'ada', 'old']);
  assert.equal(statements({ preset: 'postfixadmin' }).rehash, undefined);
});
test('a listing reads no password, and binds where it goes on, the names and the addresses', () => {
  const page = { after: "x' OR 1=1", login: 'ad%', address: '%@a.example' };
  for (const preset of presetNames) {
    const { list } = statements({ preset });
    const values = list?.values(page) ?? [];
    assert.doesNotMatch(list?.sql ?? 'password', /password/, preset);
    assert.match(list?.sql ?? '', / order by `username` asc limit 200$/);
    assert.equal(list?.sql.split('?').length, values.length + 1);
    assert.deepEqual(values.slice(-3), Object.values(page));
  }
  const { list } = statements({ preset: 'mailcow' });
  assert.deepEqual(list?.values(page), ['', ...Object.values(page)]); // `kind` comes first
});
test('what is special to LIKE stays itself in a listing', () => {
  assert.equal(prefixPattern('50%_|\\'), '50|%|_||\\%');
  assert.equal(domainPattern('a_b.example'), '%@a|_b.example');
});
test('own listings get the page and bind the name to each placeholder; without one there is none', () => {
  const user = 'SELECT p FROM u WHERE n = ?';
  const { list } = statements({ queries: { user, list: "SELECT n AS username FROM u WHERE n > ? AND '?' <> ? ORDER BY n" } });
  assert.match(list?.sql ?? '', / ORDER BY n LIMIT 200$/);
  assert.deepEqual(list?.values({ after: 'x', login: 'y', address: 'z' }), ['x', 'x']);
  assert.equal(statements({ queries: { user } }).list, undefined);
});
test('own queries bind the name to each placeholder outside of quotes', () => {
  const { user, mailbox } = statements({ queries: { user: "SELECT 'a''b' FROM u WHERE a = ? OR b = ?" } });
  assert.deepEqual(user.values('x'), ['x', 'x']);
  assert.equal(mailbox.sql, user.sql);
});
