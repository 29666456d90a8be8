import type { AccountId, Derived } from '../store.ts';

export class MemoryDerived implements Derived {
  readonly #hasJournal: (account: AccountId) => boolean;
  readonly #accounts = new Map<AccountId, Map<string, Map<number, Uint8Array>>>();
  constructor(hasJournal: (account: AccountId) => boolean) {
    this.#hasJournal = hasJournal;
  }

  async put(account: AccountId, id: string, from: number, pieces: readonly Uint8Array[]): Promise<void> {
    if (!this.#hasJournal(account)) return;
    const ids = this.#accounts.get(account) ?? new Map<string, Map<number, Uint8Array>>();
    this.#accounts.set(account, ids);
    const kept = ids.get(id) ?? new Map<number, Uint8Array>();
    ids.set(id, kept);
    for (const [at, piece] of pieces.entries()) kept.set(from + at, Uint8Array.from(piece));
  }

  async get(account: AccountId, id: string, n: number): Promise<Uint8Array | undefined> {
    const piece = this.#accounts.get(account)?.get(id)?.get(n);
    return piece === undefined ? undefined : Uint8Array.from(piece);
  }

  async list(account: AccountId): Promise<readonly { readonly id: string; readonly pieces: number }[]> {
    return [...(this.#accounts.get(account) ?? [])]
      .map(([id, pieces]) => ({ id, pieces: pieces.size }))
      .sort((one, two) => (one.id < two.id ? -1 : 1));
  }

  async drop(account: AccountId, id: string): Promise<void> {
    this.#accounts.get(account)?.delete(id);
  }

  erase(account: AccountId): void {
    this.#accounts.delete(account);
  }
}
