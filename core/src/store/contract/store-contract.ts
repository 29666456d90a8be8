import { type TestContext, test } from 'node:test';
import { adoptionCases } from './adoption-contract.ts';
import { blobCases } from './blob-contract.ts';
import { contentCases } from './content-contract.ts';
import { derivedCases } from './derived-contract.ts';
import { feedCases } from './feed-contract.ts';
import { journalCases } from './journal-contract.ts';
import { recordCases } from './record-contract.ts';
import type { OpenStore } from './samples.ts';

export type Case = readonly [sentence: string, run: (given: OpenStore) => Promise<void>];

/**
 * What every driver keeps, DESIGN §2 as far as a driver goes. `open` gives each case an empty store and closes it after the test.
 * Where its server is not here it has skipped the test and gives `undefined`.
 * A clock that tests can set is not asked for: expiry and grace are tested with times far in the past and the future.
 */
export function storeContract(name: string, open: (t: TestContext) => Promise<OpenStore | undefined>): void {
  for (const [sentence, run] of [
    ...journalCases,
    ...contentCases,
    ...blobCases,
    ...derivedCases,
    ...recordCases,
    ...feedCases,
    ...adoptionCases,
  ]) {
    test(`${name}: ${sentence}`, async (t) => {
      const given = await open(t);
      if (given !== undefined) await run(given);
    });
  }
}
