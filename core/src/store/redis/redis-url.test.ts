import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRedisUrl } from './redis-url.ts';

test('a URL that is none says what is wrong, and never the password', () => {
  for (const [url, why] of [
    ['', /begins with/],
    ['http://host', /begins with/],
    ['redis+other://host', /begins with/],
    ['redis://', /host/],
    ['redis://secret@', /host/],
    ['redis://:secret@host:0', /host/],
    ['redis://:secret@host:65536', /host/],
    ['redis://:secret@ho:st:1', /host/],
    ['redis://:secret@[::1', /host/],
    ['redis://:secret@a,b', /sentinel/],
    ['redis://:secret@host/x', /number/],
    ['redis://:secret@host/-1', /number/],
    ['redis://:secret@host/1/2', /number/],
    ['redis://:%secret@host', /octet/],
    ['redis+sentinel://:secret@a,b', /master/],
    ['redis+sentinel://a/mail/1/2', /number/],
    ['redis+cluster://:secret@a,b/1', /database/],
  ] as const) {
    assert.throws(
      () => parseRedisUrl(url),
      (error) => error instanceof TypeError && why.test(error.message) && !error.message.includes('secret'),
      url,
    );
  }
});

test('one server, Sentinels and a Cluster are told apart', () => {
  const none = { tls: false, username: undefined, password: undefined, master: '', database: 0 };
  assert.deepEqual(parseRedisUrl('redis://host'), { ...none, kind: 'single', hosts: [{ host: 'host', port: 6379 }] });
  assert.deepEqual(parseRedisUrl('rediss://ada:p%40ss:w@[::1]:7/2'), {
    ...none,
    kind: 'single',
    hosts: [{ host: '::1', port: 7 }],
    tls: true,
    username: 'ada',
    password: 'p@ss:w',
    database: 2,
  });
  assert.deepEqual(parseRedisUrl('redis+sentinel://:pass@a,b:1/mail/3'), {
    ...none,
    kind: 'sentinel',
    hosts: [
      { host: 'a', port: 26379 },
      { host: 'b', port: 1 },
    ],
    password: 'pass',
    master: 'mail',
    database: 3,
  });
  assert.deepEqual(parseRedisUrl('redis+cluster://a:7000,b'), {
    ...none,
    kind: 'cluster',
    hosts: [
      { host: 'a', port: 7000 },
      { host: 'b', port: 6379 },
    ],
  });
});
