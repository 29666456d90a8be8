import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AcceptedCache, RecentValues, RejectedCache } from './credential-caches.ts';

const right = Buffer.alloc(32, 1);
const wrong = Buffer.alloc(32, 2);

test('another password, another name, and one that is too old are not found', () => {
  let time = 0;
  const cache = new AcceptedCache<string>({ ttlMs: 60_000, maxEntries: 10, now: () => time });
  cache.remember('ada', right, 'Ada');
  assert.equal(cache.find('ada', wrong), undefined);
  assert.equal(cache.find('ada', right.subarray(1)), undefined);
  assert.equal(cache.find('bob', right), undefined);
  assert.equal(cache.find('__proto__', right), undefined);
  time = 59_999;
  assert.equal(cache.find('ada', right), 'Ada');
  time = 60_000;
  assert.equal(cache.find('ada', right), undefined);
});
test('the time runs from the check, however often it is asked', () => {
  let time = 0;
  const cache = new AcceptedCache<string>({ ttlMs: 100, maxEntries: 10, now: () => time });
  cache.remember('ada', right, 'Ada');
  for (time = 0; time < 100; time += 10) assert.equal(cache.find('ada', right), 'Ada');
  assert.equal(cache.find('ada', right), undefined);
});
test('a wrong password is known until the stored one changes or its time is over', () => {
  let time = 0;
  const cache = new RejectedCache({ ttlMs: 5_000, maxEntries: 10, now: () => time });
  cache.remember('ada', wrong, 'stored');
  assert.equal(cache.has('ada', wrong, 'stored'), true);
  assert.equal(cache.has('ada', wrong, 'changed'), false);
  assert.equal(cache.has('ada', right, 'stored'), false);
  assert.equal(cache.has('adas', wrong, 'tored'), false);
  time = 5_000;
  assert.equal(cache.has('ada', wrong, 'stored'), false);
});
test('no cache outgrows its limit, and none with a time of zero holds anything', () => {
  const options = { ttlMs: 1_000, maxEntries: 3, now: () => 0 };
  const accepted = new AcceptedCache<number>(options);
  const recent = new RecentValues<number>(options);
  for (let at = 0; at < 100; at += 1) {
    accepted.remember(`u${at}`, right, at);
    recent.remember(`u${at}`, at);
  }
  assert.deepEqual(
    [96, 97, 98, 99].map((at) => accepted.find(`u${at}`, right)),
    [undefined, 97, 98, 99],
  );
  assert.equal(recent.find('u96'), undefined);
  assert.equal(recent.find('u99')?.value, 99);
  const off = new AcceptedCache<number>({ ...options, ttlMs: 0 });
  off.remember('ada', right, 1);
  assert.equal(off.find('ada', right), undefined);
});
