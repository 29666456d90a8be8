import assert from 'node:assert/strict';
import { test } from 'node:test';
import { queryMistakes } from './query-check.ts';

const from = 'SELECT password FROM u WHERE name =';

for (const [why, sql, expected] of [
  ['a variable of Dovecot', `${from} '%u'`, /interpolates %u/],
  ['a variable of Dovecot with a modifier', `${from} '%Lu' AND x = ?`, /interpolates %Lu/],
  ['a long variable of Dovecot', `${from} '%{user}'`, /interpolates %\{/],
  ['variables of Postfix', `${from} '%s' OR d = '%d'`, /interpolates %s/],
  ['a template literal', `${from} '\${username}'`, /interpolates \$\{/],
  ['a brace template', `${from} '{username}'`, /interpolates \{username\}/],
  ['a double brace template', `${from} {{ username }}`, /interpolates/],
  ['a shell variable', `${from} $user`, /interpolates \$user/],
  ['a named placeholder', `${from} :username`, /uses :username/],
  ['a variable of MySQL', `${from} @user`, /uses @u/],
  ['a placeholder within quotes', `${from} '?'`, /within quotes/],
  ['a placeholder within double quotes', `${from} "?" OR name = ?`, /within quotes/],
  ['no placeholder', 'SELECT password FROM u', /has no placeholder/],
  ['two statements', `${from} ?; DELETE FROM u`, /semicolon/],
  ['a line comment', `${from} ? -- x`, /comment/],
  ['a hash comment', `${from} ? # x`, /comment/],
  ['a conditional comment', `${from} ? /*!50000 UNION SELECT 1 */`, /comment/],
  ['a quote that does not end', `${from} ? AND a = 'x`, /does not end/],
  ['a quote that is escaped', `${from} ? AND a = 'x\\'`, /does not end/],
  ['a write', 'DELETE FROM u WHERE name = ?', /must be a SELECT/],
  ['a file', "SELECT password INTO OUTFILE '/tmp/x' FROM u WHERE name = ?", /must not write/],
  ['a control character', `${from} ?\u0000`, /control character/],
  ['far too much', `${from} ?${' '.repeat(20_000)}`, /longer than/],
] as const) {
  test(`refused: ${why}`, () => assert.match(queryMistakes(sql, 'select').join('; '), expected));
}

test('refused: an update with the wrong number of placeholders, and a select in its place', () => {
  assert.match(queryMistakes('UPDATE u SET password = ? WHERE name = ?', 'update', 3).join(), /has 2 placeholders .* needs 3/);
  assert.match(queryMistakes('SELECT ?, ?, ?', 'update', 3).join(), /must be an UPDATE/);
});

for (const sql of [
  `${from} ?`,
  `${from} SUBSTRING_INDEX(?, '@', 1) AND domain = SUBSTRING_INDEX(?, '@', -1)`,
  "SELECT CONCAT('{CRYPT}', pw) AS password FROM `users table` WHERE name = ? AND note <> 'it''s; -- fine' AND x = \"a\\\"b\"",
  "WITH a AS (SELECT * FROM u WHERE name = ?) SELECT * FROM a WHERE host LIKE '%.example'",
]) {
  test(`taken: ${sql}`, () => assert.deepEqual(queryMistakes(sql, 'select'), []));
}
const list = 'SELECT mail AS username, quota FROM u WHERE mail > ? ORDER BY mail';
for (const [why, sql, expected] of [
  ['a variable of Dovecot', list.replace('?', "'%u'"), /interpolates %u/],
  ['a template literal', list.replace('?', `'\${after}'`), /interpolates \$\{/],
  ['no placeholder', 'SELECT mail AS username FROM u ORDER BY mail', /has no placeholder/],
  ['no order', 'SELECT mail AS username FROM u WHERE mail > ?', /has no ORDER BY/],
  ['a limit of its own', `${list} LIMIT 10`, /has a LIMIT/],
  ['all columns', list.replace('mail AS username', '*'), /selects \*/],
  ['all columns of a table', list.replace('mail AS username', '`u`.*'), /selects \*/],
  ['all columns beside others', list.replace('quota', ' *'), /selects \*/],
  ['the password', list.replace('quota', 'password'), /has a password/],
  ['the password under quotes', list.replace('quota', 'pw AS `Password`'), /has a password/],
  ['a write', 'UPDATE u SET mail = ? ORDER BY mail', /must be a SELECT/],
  ['a file', "SELECT mail INTO OUTFILE '/tmp/x' FROM u WHERE mail > ? ORDER BY mail", /must not write/],
] as const) {
  test(`refused in a listing: ${why}`, () => assert.match(queryMistakes(sql, 'list').join('; '), expected));
}
test('taken: a listing with counts, products and a column that is named after passwords', () => {
  assert.deepEqual(queryMistakes(list, 'list'), []);
  const long =
    'SELECT mail AS username, megabytes * 1024 AS quota, (SELECT COUNT(*) FROM x) AS n, password_age FROM u WHERE mail > ? ORDER BY mail';
  assert.deepEqual(queryMistakes(long, 'list'), []);
});
test('taken: an update with new hash, name and former hash', () => {
  assert.deepEqual(queryMistakes("UPDATE u SET pw = CONCAT('{ARGON2ID}', ?) WHERE name = ? AND pw = ?", 'update', 3), []);
});
