import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeClock } from './fake-clock.ts';
import { TimerWheel } from './timer-wheel.ts';

function setUp() {
  const clock = new FakeClock();
  const fired: number[] = [];
  const wheel = new TimerWheel({ now: clock.now, every: clock.every });
  return { clock, fired, wheel, owner: { onTimeout: () => void fired.push(clock.now()) } };
}

test('a timeout never comes early, and at most a tick late', () => {
  for (const delayMs of [0, 1, 999, 1000, 1500, 60_000, 255_000, 256_000, 257_000, 1_800_000]) {
    const { clock, fired, wheel, owner } = setUp();
    clock.advance(250);
    const from = clock.now();
    wheel.start(owner, delayMs);
    clock.advance(delayMs + 2000);
    assert.equal(fired.length, 1, `${delayMs}`);
    const late = (fired[0] ?? 0) - from - delayMs;
    assert.ok(late >= 0 && late <= 1000, `${delayMs} ms came ${late} ms late`);
  }
});

test('a restarted timer counts from the restart; a stopped one stays silent and may be restarted', () => {
  const { clock, fired, wheel, owner } = setUp();
  const timer = wheel.start(owner, 10_000);
  for (let turn = 0; turn < 100; turn += 1) {
    clock.advance(9000);
    wheel.restart(timer);
  }
  assert.deepEqual(fired, []);
  wheel.stop(timer);
  assert.equal(timer.isRunning, false);
  clock.advance(60_000);
  assert.deepEqual(fired, []);
  wheel.restart(timer);
  clock.advance(11_000);
  assert.equal(fired.length, 1);
});

test('after the process was stopped for hours, each timer that is due fires once', () => {
  const { clock, fired, wheel, owner } = setUp();
  wheel.start(owner, 5000);
  wheel.start(owner, 3_600_000 * 9);
  clock.skip(3_600_000 * 3);
  clock.advance(1000);
  assert.equal(fired.length, 1);
});

test('an owner may restart its timer, or start another, when it fires', () => {
  const { clock, wheel } = setUp();
  let count = 0;
  wheel.start(
    {
      onTimeout: (timer) => {
        count += 1;
        wheel.restart(timer);
      },
    },
    0,
  );
  clock.advance(5000);
  assert.equal(count, 5);
});

test('many timers share one interval, which stops with the last', () => {
  const { clock, wheel, owner, fired } = setUp();
  const timers = Array.from({ length: 10_000 }, (_, index) => wheel.start(owner, 1000 + index));
  assert.equal(clock.runningIntervals, 1);
  for (const timer of timers.slice(5000)) wheel.stop(timer);
  clock.advance(20_000);
  assert.equal(fired.length, 5000);
  assert.equal(wheel.size, 0);
  assert.equal(clock.runningIntervals, 0);
});
