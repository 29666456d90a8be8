import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Config, configMistakes } from './config.ts';

/** As the schema's defaults fill it in. */
function config(over: Partial<Config>, connection: Partial<Config['connection']> = {}): Config {
  return {
    connection: {
      user: 'u',
      database: 'd',
      poolSize: 8,
      queueSize: 256,
      connectTimeoutMs: 2_000,
      queryTimeoutMs: 2_000,
      idleTimeoutMs: 60_000,
      retryMs: 1_000,
      ...connection,
    },
    readReplicas: [],
    quotaUnit: 'octets',
    catchAll: ['@domain'],
    domainForm: 'a-label',
    delimiter: '+',
    ignoreTargets: [],
    rehash: 'never',
    passwordChange: 'refuse',
    cache: { acceptedMs: 60_000, rejectedMs: 5_000, entries: 10_000, quotaMs: 60_000 },
    ...over,
  };
}

for (const [why, wrong, expected] of [
  ['nothing says where the users are', config({}), /one of preset, tables, queries/],
  ['two ways at once', config({ preset: 'mailcow', queries: { user: 'SELECT 1 WHERE 1 = ?' } }), /leave out preset/],
  ['a socket and a host', config({ preset: 'mailcow' }, { socket: '/x', host: 'h' }), /give one/],
  ['a replica without a place', config({ preset: 'mailcow', readReplicas: [{}] }), /readReplicas\[0\]: needs/],
  ['two passwords', config({ preset: 'mailcow' }, { password: 'x', passwordFile: '/x' }), /give one/],
  [
    'a file from nowhere',
    config({ preset: 'mailcow' }, { passwordFile: 'db-password' }),
    /passwordFile: give the whole path of db-password/,
  ],
  ['half a client certificate', config({ preset: 'mailcow' }, { host: 'h', tls: { keyFile: '/x' } }), /go together/],
  ['TLS to an address', config({ preset: 'mailcow' }, { host: '192.0.2.1', tls: {} }), /a certificate names a host/],
  ['tables without a password', config({ tables: { users: { table: 't', columns: { address: 'a' } } } }), /columns\.password/],
  [
    'aliases without a target',
    config({ tables: { users: { table: 't', columns: { address: 'a', password: 'p' } }, aliases: { table: 'x' } } }),
    /tables\.aliases/,
  ],
  ['an interpolated query', config({ queries: { user: "SELECT p FROM u WHERE n = '%u'" } }), /queries\.user: interpolates %u/],
  [
    'an interpolated listing',
    config({ queries: { user: 'SELECT p FROM u WHERE n = ?', list: "SELECT n AS username FROM u WHERE n > '%u' ORDER BY n" } }),
    /queries\.list: interpolates %u/,
  ],
  [
    'rehashing without a statement',
    config({ queries: { user: 'SELECT p FROM u WHERE n = ?' }, rehash: 'writeBack' }),
    /needs queries\.rehash/,
  ],
] as const) {
  test(`refused: ${why}`, () => assert.match(configMistakes(wrong).join('; '), expected));
}

test('a preset, with a column of its own over it, is enough', () => {
  assert.deepEqual(configMistakes(config({ preset: 'postfixadmin', tables: { users: { columns: { submission: 'smtp_active' } } } })), []);
});
