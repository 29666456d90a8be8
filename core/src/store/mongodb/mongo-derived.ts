import type { AccountId, Derived } from '../store.ts';
import type { Journal } from './journal.ts';
import { accountRange, pieceKey, under } from './keys.ts';
import type { Collections, DerivedDoc } from './schema.ts';

/** Pieces of one bulk write: with pieces of some 50 KiB a message of 1 MiB. */
const PUT_PAGE = 20;
const LIST_PAGE = 5_000;

export class MongoDerived implements Derived {
  readonly #derived: Collections['derived'];
  readonly #journal: Journal;
  constructor(collections: Pick<Collections, 'derived'>, journal: Journal) {
    this.#derived = collections.derived;
    this.#journal = journal;
  }

  async put(account: AccountId, id: string, from: number, pieces: readonly Uint8Array[]): Promise<void> {
    if ((await this.#journal.head(account)) === 0) return;
    for (let at = 0; at < pieces.length; at += PUT_PAGE) {
      const docs = pieces.slice(at, at + PUT_PAGE).map((d, n): DerivedDoc => ({ _id: pieceKey(`${account}/${id}`, from + at + n), d }));
      await this.#derived.put(docs);
    }
  }
  async get(account: AccountId, id: string, n: number): Promise<Uint8Array | undefined> {
    return (await this.#derived.get(pieceKey(`${account}/${id}`, n)))?.d;
  }
  async list(account: AccountId): Promise<readonly { readonly id: string; readonly pieces: number }[]> {
    const counts = new Map<string, number>();
    for (let after = accountRange(account).$gte; ; ) {
      const page = await this.#derived.find({ _id: { $gt: after, $lt: accountRange(account).$lt } }, { limit: LIST_PAGE, fields: [] });
      for (const { _id } of page) {
        const id = _id.slice(account.length + 1, _id.lastIndexOf('/'));
        counts.set(id, (counts.get(id) ?? 0) + 1);
      }
      const last = page.at(-1);
      if (last === undefined || page.length < LIST_PAGE) break;
      after = last._id;
    }
    return [...counts].map(([id, pieces]) => ({ id, pieces })).sort((one, two) => (one.id < two.id ? -1 : 1));
  }
  async drop(account: AccountId, id: string): Promise<void> {
    await this.#derived.remove({ _id: under(`${account}/${id}/`) });
  }
  async erase(account: AccountId): Promise<void> {
    await this.#derived.remove({ _id: accountRange(account) });
  }
}
