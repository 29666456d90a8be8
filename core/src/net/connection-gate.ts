import { type AddressSet, addressGroup } from './address.ts';

const MINUTE_MS = 60_000;
/** Address groups whose rate is known; more of them within a minute have only the limit on open connections. */
const MAX_RATED = 65_536;

export interface ConnectionLimits {
  readonly connectionsTotal: number;
  readonly connectionsPerAddress: number;
  readonly connectionsPerAddressMinute: number;
}

export interface ConnectionGateOptions {
  readonly limits: ConnectionLimits;
  /** Addresses that only `connectionsTotal` holds for. */
  readonly trusted: AddressSet;
  /** Monotonic ms. */
  readonly now: () => number;
}

export type Refusal = 'server full' | 'too many connections from this address' | 'too many new connections from this address';

/** Who may have one more connection; shared by all listeners of a server. */
export class ConnectionGate {
  readonly #limits: ConnectionLimits;
  readonly #trusted: AddressSet;
  readonly #now: () => number;
  readonly #open = new Map<string, number>();
  readonly #recent = new Map<string, number>();
  #recentSince = Number.NEGATIVE_INFINITY;
  #total = 0;

  constructor({ limits, trusted, now }: ConnectionGateOptions) {
    this.#limits = limits;
    this.#trusted = trusted;
    this.#now = now;
  }

  get openConnections(): number {
    return this.#total;
  }

  /** Counts a new connection; `undefined` when it is admitted, and then `release` must follow once. */
  admit(address: string): Refusal | undefined {
    if (this.#total >= this.#limits.connectionsTotal) return 'server full';
    if (!this.#trusted.has(address)) {
      const group = addressGroup(address);
      if (this.#countRecent(group) > this.#limits.connectionsPerAddressMinute) return 'too many new connections from this address';
      const open = this.#open.get(group) ?? 0;
      if (open >= this.#limits.connectionsPerAddress) return 'too many connections from this address';
      this.#open.set(group, open + 1);
    }
    this.#total += 1;
    return undefined;
  }

  release(address: string): void {
    this.#total -= 1;
    if (this.#trusted.has(address)) return;
    const group = addressGroup(address);
    const open = (this.#open.get(group) ?? 1) - 1;
    if (open > 0) this.#open.set(group, open);
    else this.#open.delete(group);
  }

  /** Refused ones count too: who hammers stays out until a minute has been quieter. */
  #countRecent(group: string): number {
    const now = this.#now();
    if (now - this.#recentSince >= MINUTE_MS) {
      this.#recent.clear();
      this.#recentSince = now;
    }
    const count = (this.#recent.get(group) ?? 0) + 1;
    if (count > 1 || this.#recent.size < MAX_RATED) this.#recent.set(group, count);
    return count;
  }
}
