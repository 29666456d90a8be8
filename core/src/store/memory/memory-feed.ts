import type { AccountId, Feed, Seq, StoredEntry } from '../store.ts';
import { octetsIn } from './octets-in.ts';

interface Parked {
  readonly error: string;
  readonly retryAt: number | undefined;
  readonly holds: boolean;
}
interface Observer {
  cursor: number;
  readonly parked: Map<AccountId, Map<Seq, Parked>>;
  /** Accounts that were held up: their entries above this seq, up to the cursor, come first. */
  readonly backlog: Map<AccountId, Seq>;
}
interface Committed {
  readonly g: number;
  readonly account: AccountId;
  readonly entry: StoredEntry;
}

/** The order of commits over all accounts, and who has seen how much of it. */
export class MemoryFeed implements Feed {
  readonly #observers = new Map<string, Observer>();
  #log: Committed[] = [];
  #g = 0;

  octets(): Generator<Uint8Array> {
    return octetsIn([this.#observers, this.#log]);
  }

  append(account: AccountId, entry: StoredEntry): void {
    this.#log.push({ g: ++this.#g, account, entry });
  }
  /** Entries of the account up to `upTo` were pruned, or all with the account. */
  forget(account: AccountId, upTo: Seq): void {
    this.#log = this.#log.filter((item) => item.account !== account || item.entry.seq > upTo);
  }
  erase(account: AccountId): void {
    this.forget(account, Number.MAX_SAFE_INTEGER);
    for (const { parked, backlog } of this.#observers.values()) {
      parked.delete(account);
      backlog.delete(account);
    }
  }
  /** The lowest entry of the account that an observer still needs. */
  pinned(account: AccountId): Seq {
    let pin = Number.MAX_SAFE_INTEGER;
    for (const { cursor, parked, backlog } of this.#observers.values()) {
      for (const item of this.#log) if (item.account === account && item.g > cursor) pin = Math.min(pin, item.entry.seq);
      for (const [seq, { holds, retryAt }] of parked.get(account) ?? []) if (holds || retryAt !== undefined) pin = Math.min(pin, seq);
      const behind = backlog.get(account);
      if (behind !== undefined) pin = Math.min(pin, behind + 1);
    }
    return pin;
  }

  async register(observer: string, from: 'now' | 'start'): Promise<void> {
    if (this.#observers.has(observer)) return;
    this.#observers.set(observer, { cursor: from === 'now' ? this.#g : 0, parked: new Map(), backlog: new Map() });
  }
  async observers(): Promise<readonly string[]> {
    return [...this.#observers.keys()];
  }
  async unregister(observer: string): Promise<void> {
    this.#observers.delete(observer);
  }

  #isHeld(observer: Observer, account: AccountId): boolean {
    for (const { holds } of observer.parked.get(account)?.values() ?? []) if (holds) return true;
    return false;
  }
  #behind(observer: Observer, account: AccountId): readonly Committed[] {
    const after = observer.backlog.get(account);
    if (after === undefined) return [];
    return this.#log.filter((item) => item.account === account && item.entry.seq > after && item.g <= observer.cursor);
  }
  #endBacklog(observer: Observer, account: AccountId): void {
    if (!this.#isHeld(observer, account) && this.#behind(observer, account).length === 0) observer.backlog.delete(account);
  }

  async next(observer: string, limit: number) {
    const state = this.#observers.get(observer);
    if (state === undefined) return [];
    for (const account of state.backlog.keys()) {
      if (this.#isHeld(state, account)) continue;
      const behind = this.#behind(state, account).slice(0, limit);
      if (behind.length > 0) return behind.map(({ entry }) => ({ position: `${account}:${entry.seq}`, account, entry }));
    }
    const found: { readonly position: string; readonly account: AccountId; readonly entry: StoredEntry }[] = [];
    for (let at = this.#firstAfter(state.cursor); at < this.#log.length && found.length < limit; at++) {
      const item = this.#log[at];
      if (item === undefined || this.#isHeld(state, item.account)) continue;
      found.push({ position: String(item.g), account: item.account, entry: item.entry });
    }
    return found;
  }

  /** Index of the first of `#log` above `g`: it is in order. */
  #firstAfter(g: number): number {
    let low = 0;
    for (let high = this.#log.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((this.#log[middle]?.g ?? 0) > g) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  async done(observer: string, position: string): Promise<void> {
    const state = this.#observers.get(observer);
    if (state === undefined) return;
    const colon = position.indexOf(':');
    if (colon < 0) {
      state.cursor = Math.max(state.cursor, Number(position));
      return;
    }
    const account = position.slice(0, colon) as AccountId;
    const after = state.backlog.get(account);
    if (after !== undefined) state.backlog.set(account, Math.max(after, Number(position.slice(colon + 1))));
    this.#endBacklog(state, account);
  }

  async park(observer: string, account: AccountId, seq: Seq, error: string, retryAt: number | undefined, holds?: 'account'): Promise<void> {
    const state = this.#observers.get(observer);
    if (state === undefined) return;
    const parked = state.parked.get(account) ?? new Map<Seq, Parked>();
    parked.set(seq, { error, retryAt, holds: holds === 'account' });
    state.parked.set(account, parked);
  }
  async parked(observer: string) {
    const found: { account: AccountId; seq: Seq; error: string; retryAt: number | undefined }[] = [];
    for (const [account, entries] of this.#observers.get(observer)?.parked ?? []) {
      for (const [seq, { error, retryAt }] of [...entries].sort(([one], [two]) => one - two)) found.push({ account, seq, error, retryAt });
    }
    return found;
  }
  async unpark(observer: string, account: AccountId, seq: Seq): Promise<void> {
    const state = this.#observers.get(observer);
    const parked = state?.parked.get(account);
    const held = parked?.get(seq)?.holds === true;
    parked?.delete(seq);
    if (state === undefined || !held || this.#isHeld(state, account)) return;
    if (!state.backlog.has(account)) state.backlog.set(account, seq);
    this.#endBacklog(state, account);
  }
}
