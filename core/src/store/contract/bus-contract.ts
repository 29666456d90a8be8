import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Bus, Seq } from '../store.ts';
import { account } from './samples.ts';

const ada = account('ada1');
const bob = account('bob2');

/** What every bus keeps. `open` gives two ends of one bus (the same object twice for an in-process bus) and closes them after the test. */
export function busContract(name: string, open: (t: TestContext) => Promise<readonly [Bus, Bus]>): void {
  test(`${name}: a beacon reaches those who listen to the account, until they stop`, async (t) => {
    const [one, two] = await open(t);
    const heard: string[] = [];
    const { promise: twice, resolve } = Promise.withResolvers<void>();
    const note = (who: string) => (head: Seq) => {
      heard.push(`${who}:${head}`);
      if (heard.length === 2) resolve();
    };
    const stop = two.listen(ada, note('a'));
    two.listen(ada, note('b'));
    two.listen(bob, note('other'));
    one.beacon(ada, 7);
    await twice;
    assert.deepEqual(heard.sort(), ['a:7', 'b:7']);
    stop();
    stop();
    const { promise: again, resolve: heardAgain } = Promise.withResolvers<void>();
    two.listen(ada, () => heardAgain());
    one.beacon(ada, 8);
    await again;
    assert.ok(!heard.includes('a:8'));
  });

  test(`${name}: a listener that throws does not keep the others from hearing`, async (t) => {
    const [one, two] = await open(t);
    two.listen(ada, () => {
      throw new Error('a listener that fails');
    });
    const { promise, resolve } = Promise.withResolvers<Seq>();
    two.listen(ada, resolve);
    one.beacon(ada, 3);
    assert.equal(await promise, 3);
  });

  test(`${name}: a lease has one holder, and each next holder a higher fence`, async (t) => {
    const [one, two] = await open(t);
    const first = await one.lease('sweep', 60_000);
    assert.ok(first?.held);
    assert.equal(await two.lease('sweep', 60_000), undefined);
    assert.ok((await two.lease('other', 60_000))?.held);
    await first.release();
    await first.release();
    assert.equal(first.held, false);
    const second = await two.lease('sweep', 60_000);
    assert.ok(second !== undefined && second.fence > first.fence);
    await first.release();
    assert.equal(second.held, true, 'a late release of the first does not free the second');
    assert.equal(await one.lease('sweep', 60_000), undefined);
  });

  test(`${name}: a counter sums within its window, for any key`, async (t) => {
    const [one, two] = await open(t);
    assert.equal(await one.count('__proto__', 2, 60_000), 2);
    assert.equal(await two.count('__proto__', 3, 60_000), 5);
    assert.equal(await one.count('other', 1, 60_000), 1);
    assert.equal(await one.count('__proto__', 0, 60_000), 5);
  });

  test(`${name}: a closed bus neither hears nor gives leases`, async (t) => {
    const [one] = await open(t);
    await one.close();
    await one.close();
    one.beacon(ada, 1);
    assert.equal(await one.lease('x', 1_000), undefined);
  });
}
