/** Snapshots and chunks: what the reducer made of the journal, saved behind it. */
import type { AccountId, MailboxId, Seq, Snapshot, StateDelta, StoredChunk } from '../store.ts';
import { accountRange, boxKey, chunkKey, chunkOf, under } from './keys.ts';
import type { AccountDoc, ChunkDoc, Collections } from './schema.ts';

/** Chunks (16 KiB each) that one query reads, or one write takes. */
const CHUNK_PAGE = 100;

export class States {
  readonly #accounts: Collections['accounts'];
  readonly #chunks: Collections['chunks'];
  readonly #newToken: () => string;
  constructor(collections: Pick<Collections, 'accounts' | 'chunks'>, newToken: () => string) {
    this.#accounts = collections.accounts;
    this.#chunks = collections.chunks;
    this.#newToken = newToken;
  }

  async load(account: AccountId): Promise<Snapshot | undefined> {
    const found = await this.#accounts.get(account, ['applied', 'data']);
    return found && { account, applied: found.applied, data: Uint8Array.from(found.data) };
  }
  async floor(account: AccountId): Promise<Seq> {
    return (await this.#accounts.get(account, ['floor']))?.floor ?? 0;
  }

  async chunks(account: AccountId, box: MailboxId, from: number, to: number): Promise<readonly StoredChunk[]> {
    const found: StoredChunk[] = [];
    for (let next = from; next <= to; ) {
      const range = { $gte: chunkKey(account, box, next), $lte: chunkKey(account, box, Math.min(to, 0xff_ffff)) };
      const page = await this.#chunks.find({ _id: range }, { limit: CHUNK_PAGE });
      for (const { _id, seq, crc, data } of page) {
        // A copy: rows are read as 32-bit words, and what comes from the wire begins anywhere.
        if (data.length > 0) found.push({ box, n: chunkOf(_id), seq, crc, data: Uint8Array.from(data) });
      }
      const last = page.at(-1);
      if (last === undefined || page.length < CHUNK_PAGE) break;
      next = chunkOf(last._id) + 1;
    }
    return found;
  }

  /** Chunks first, the snapshot last: `applied` rises only after all chunks of the save are durable. */
  async save(account: AccountId, { snapshot, chunks, unboxed }: StateDelta): Promise<void> {
    for (let at = 0; at < chunks.length; at += CHUNK_PAGE) {
      const page = chunks.slice(at, at + CHUNK_PAGE);
      await this.#chunks.put(
        page.map(({ box, n, seq, crc, data }): ChunkDoc => ({ _id: chunkKey(account, box, n), seq, crc, data })),
        'seq',
      );
    }
    for (const box of unboxed) await this.#chunks.remove({ _id: under(`${boxKey(account, box)}/`) });
    const { applied, data } = snapshot;
    const fresh: AccountDoc = { _id: account, k: this.#newToken(), applied, data, floor: 0, swept: 0 };
    for (;;) {
      // An older save than the one that is there matches nothing.
      if (await this.#accounts.update({ _id: account, applied: { $lte: applied } }, { $set: { applied, data, k: this.#newToken() } }))
        return;
      if ((await this.#accounts.get(account, ['applied'])) !== undefined || (await this.#accounts.insert(fresh))) return;
    }
  }

  async erase(account: AccountId): Promise<void> {
    await this.#accounts.remove({ _id: account });
    await this.#chunks.remove({ _id: accountRange(account) });
  }
}
