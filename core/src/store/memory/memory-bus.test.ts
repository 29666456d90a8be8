import assert from 'node:assert/strict';
import { test } from 'node:test';
import { busContract } from '../contract/bus-contract.ts';
import { account } from '../contract/samples.ts';
import { MemoryBus } from './memory-bus.ts';

busContract('memory', async (t) => {
  const bus = new MemoryBus({ onListenerError: () => undefined });
  t.after(() => bus.close());
  return [bus, bus];
});

test('a counter starts anew when its window is over, and expired ones are forgotten', async () => {
  let now = 1_000;
  const bus = new MemoryBus({ now: () => now });
  assert.equal(await bus.count('k', 4, 100), 4);
  now += 99;
  assert.equal(await bus.count('k', 1, 100), 5);
  now += 1;
  assert.equal(await bus.count('k', 1, 100), 1);
  for (let n = 0; n < 5_000; n++) {
    now += 1;
    await bus.count(`ip${n}`, 1, 10);
  }
  assert.equal(await bus.count('k', 1, 10_000), 1);
});

test('fences rise over a restart', async () => {
  let now = 5_000;
  const before = await new MemoryBus({ now: () => now }).lease('a', 1);
  now += 1_000;
  const after = await new MemoryBus({ now: () => now }).lease('a', 1);
  assert.ok(before !== undefined && after !== undefined && after.fence > before.fence);
});

test('a failing listener is reported to the owner of the bus', async () => {
  const reported: unknown[] = [];
  const bus = new MemoryBus({ onListenerError: (error) => reported.push(error) });
  bus.listen(account('a'), () => {
    throw new Error('listener');
  });
  bus.beacon(account('a'), 1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(reported.length, 1);
});
