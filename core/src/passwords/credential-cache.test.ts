import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CredentialCache } from './credential-cache.ts';

function open(options: { maxEntries?: number; ttlMs?: number } = {}) {
  const clock = { time: 1000 };
  return { clock, cache: new CredentialCache({ maxEntries: 3, ttlMs: 60_000, now: () => clock.time, ...options }) };
}
const secret = Buffer.from('secret');

test('nothing but the same account, version and secret is remembered', () => {
  const { cache } = open();
  assert.equal(cache.isRemembered('ada', '1', secret), false);
  cache.remember('ada', '1', secret);
  assert.equal(cache.isRemembered('ada', '1', secret), true);
  assert.equal(cache.isRemembered('ada', '1', Buffer.from('secreT')), false);
  assert.equal(cache.isRemembered('ada', '1', Buffer.alloc(0)), false);
  assert.equal(cache.isRemembered('ada', '2', secret), false);
  assert.equal(cache.isRemembered('ada1', '', secret), false);
  assert.equal(cache.isRemembered('__proto__', '1', secret), false);
});

test('it is forgotten after the time, and looking does not prolong it', () => {
  const { cache, clock } = open();
  cache.remember('ada', '1', secret);
  clock.time += 40_000;
  assert.equal(cache.isRemembered('ada', '1', secret), true);
  clock.time += 21_000;
  assert.equal(cache.isRemembered('ada', '1', secret), false);
});

test('the number of entries is bounded, the longest unused goes first', () => {
  const { cache } = open();
  for (const account of ['a', 'b', 'c']) cache.remember(account, '1', secret);
  assert.ok(cache.isRemembered('a', '1', secret));
  cache.remember('d', '1', secret);
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].map((account) => cache.isRemembered(account, '1', secret)),
    [true, false, true, true],
  );
});

test('forget, clear and a time of 0 leave nothing', () => {
  const { cache } = open();
  cache.remember('a', '1', secret);
  cache.forget('a', '1');
  assert.equal(cache.isRemembered('a', '1', secret), false);
  cache.remember('a', '1', secret);
  cache.clear();
  assert.equal(cache.isRemembered('a', '1', secret), false);
  const { cache: none } = open({ ttlMs: 0 });
  none.remember('a', '1', secret);
  assert.equal(none.isRemembered('a', '1', secret), false);
});
