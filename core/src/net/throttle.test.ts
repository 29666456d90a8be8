import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AddressSet } from './address.ts';
import { FakeClock } from './fake-clock.ts';
import { type Counters, LoginThrottle } from './throttle.ts';

class FakeCounters implements Counters {
  readonly keys = new Set<string>();
  readonly #events: { readonly key: string; readonly by: number; readonly at: number }[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  async count(key: string, by: number, windowMs: number): Promise<number> {
    this.keys.add(key);
    if (by !== 0) this.#events.push({ key, by, at: this.#now() });
    const since = this.#now() - windowMs;
    return this.#events.filter((event) => event.key === key && event.at > since).reduce((sum, event) => sum + event.by, 0);
  }
}

function setUp() {
  const clock = new FakeClock();
  const slept: number[] = [];
  const counters = new FakeCounters(clock.now);
  const throttle = new LoginThrottle({
    counters,
    limits: { loginFailuresPerSession: 3, loginFailuresPerAddressDay: 50, loginDelayMaxMs: 15_000, loginDelayWindowMs: 900_000 },
    trusted: new AddressSet(['127.0.0.0/8']),
    sleep: async (ms, signal) => {
      signal.throwIfAborted();
      slept.push(ms);
      clock.advance(ms);
    },
  });
  return { clock, counters, slept, throttle, signal: new AbortController().signal };
}

test('the delays are 1, 2, 4, 8, 15, 15 s for the address, whatever the user', async () => {
  const { slept, throttle, signal } = setUp();
  for (let turn = 0; turn < 7; turn += 1) {
    assert.equal(await throttle.wait('192.0.2.1', `user${turn}`, signal), 'go on');
    await throttle.failed('192.0.2.1', `user${turn}`);
  }
  assert.deepEqual(slept, [1000, 2000, 4000, 8000, 15_000, 15_000]);
});

test('the user is slowed down too, from any address and in any spelling', async () => {
  const { slept, throttle, signal } = setUp();
  await throttle.failed('192.0.2.1', 'Ada@Example.test');
  await throttle.failed('192.0.2.2', ' ada@example.test');
  await throttle.wait('2a00::1', 'ada@example.test', signal);
  assert.deepEqual(slept, [2000]);
});

test('after 50 failures an address, or a /64, is out for the day', async () => {
  const { clock, throttle, signal } = setUp();
  for (let turn = 0; turn < 50; turn += 1) await throttle.failed(`2a00::${turn.toString(16)}`, `u${turn}`);
  assert.equal(await throttle.wait('2a00::ffff', 'ada', signal), 'blocked');
  assert.equal(await throttle.wait('2a00:0:0:1::1', 'ada', signal), 'go on');
  clock.advance(86_400_000);
  assert.equal(await throttle.wait('2a00::ffff', 'ada', signal), 'go on');
});

test('who has logged in from an address is not delayed there by an attack on the name, until a failure there', async () => {
  const { slept, throttle, signal } = setUp();
  throttle.succeeded('192.0.2.1', 'ada');
  for (let turn = 0; turn < 9; turn += 1) await throttle.failed('198.51.100.1', 'ada');
  await throttle.wait('192.0.2.1', 'ada', signal);
  assert.deepEqual(slept, []);
  await throttle.failed('192.0.2.1', 'ada');
  await throttle.wait('192.0.2.1', 'ada', signal);
  assert.deepEqual(slept, [15_000]);
});

test('a success with an own account does not clear the address', async () => {
  const { slept, throttle, signal } = setUp();
  await throttle.failed('192.0.2.1', 'victim');
  throttle.succeeded('192.0.2.1', 'attacker');
  await throttle.wait('192.0.2.1', 'victim2', signal);
  assert.deepEqual(slept, [1000]);
});

test('trusted addresses are slowed down by user only', async () => {
  const { slept, throttle, signal } = setUp();
  for (let turn = 0; turn < 60; turn += 1) await throttle.failed('127.0.0.1', `u${turn}`);
  assert.equal(await throttle.wait('127.0.0.1', 'ada', signal), 'go on');
  assert.deepEqual(slept, []);
  await throttle.wait('127.0.0.1', 'u1', signal);
  assert.deepEqual(slept, [1000]);
});

test('a client that goes away ends its delay; hostile names make no odd keys', async () => {
  const { counters, throttle } = setUp();
  await throttle.failed('192.0.2.1', `__proto__\r\n${'x'.repeat(10_000)}`);
  assert.ok([...counters.keys].every((key) => /^[\w.:-]{1,64}$/.test(key)));
  await assert.rejects(throttle.wait('192.0.2.1', 'x', AbortSignal.abort(new Error('gone'))), /gone/);
});
