import type { AccountId, Bus, Lease, Seq } from '../store.ts';

export interface MemoryBusOptions {
  /** ms since 1970. */
  readonly now?: () => number;
  /** A listener threw: its own fault, so the others still hear. */
  readonly onListenerError?: (error: unknown) => void;
}

interface Counter {
  sum: number;
  readonly until: number;
}
/** Counters kept before expired ones are looked for. */
const LEAST_SWEEP = 1_024;

/** Beacons, leases and counters within one process: the bus of the single profile, and of tests. */
export class MemoryBus implements Bus {
  readonly isConnected = true;
  readonly #now: () => number;
  readonly #onListenerError: (error: unknown) => void;
  readonly #listeners = new Map<AccountId, Set<(head: Seq) => void>>();
  readonly #leases = new Map<string, MemoryLease>();
  readonly #counters = new Map<string, Counter>();
  #sweepAt = LEAST_SWEEP;
  #fence: number;
  #closed = false;

  constructor(options: MemoryBusOptions = {}) {
    this.#now = options.now ?? Date.now;
    this.#onListenerError = options.onListenerError ?? ((error) => process.emitWarning(String(error), 'BusListenerError'));
    // Fences go into what holders write: after a restart they must be above those of before.
    this.#fence = this.#now();
  }

  /** Listeners are called after the caller's own work, before the event loop turns. */
  beacon(account: AccountId, head: Seq): void {
    if (this.#closed || !this.#listeners.has(account)) return;
    queueMicrotask(() => {
      const listeners = this.#listeners.get(account);
      if (listeners === undefined) return;
      for (const hear of [...listeners]) {
        if (!listeners.has(hear)) continue;
        try {
          hear(head);
        } catch (error) {
          this.#onListenerError(error);
        }
      }
    });
  }

  listen(account: AccountId, hear: (head: Seq) => void): () => void {
    // A function of its own, so that the same listener may be registered twice and stopped once.
    const mine = (head: Seq): void => hear(head);
    const listeners = this.#listeners.get(account) ?? new Set();
    listeners.add(mine);
    this.#listeners.set(account, listeners);
    return () => {
      listeners.delete(mine);
      if (listeners.size === 0 && this.#listeners.get(account) === listeners) this.#listeners.delete(account);
    };
  }

  /** There are no others. */
  async tell(): Promise<void> {}
  hear(): void {}

  /** Within one process a holder cannot be lost without all being lost: `ttlMs` has nothing to do here. */
  async lease(name: string, _ttlMs: number): Promise<Lease | undefined> {
    if (this.#closed || this.#leases.has(name)) return undefined;
    const lease = new MemoryLease(name, ++this.#fence, () => {
      if (this.#leases.get(name) === lease) this.#leases.delete(name);
    });
    this.#leases.set(name, lease);
    return lease;
  }

  async count(key: string, by: number, windowMs: number): Promise<number> {
    const now = this.#now();
    const found = this.#counters.get(key);
    if (found !== undefined && found.until > now) {
      found.sum += by;
      return found.sum;
    }
    this.#counters.set(key, { sum: by, until: now + windowMs });
    if (this.#counters.size >= this.#sweepAt) this.#forgetExpired(now);
    return by;
  }
  #forgetExpired(now: number): void {
    for (const [key, { until }] of this.#counters) if (until <= now) this.#counters.delete(key);
    this.#sweepAt = Math.max(LEAST_SWEEP, this.#counters.size * 2);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#listeners.clear();
    for (const lease of [...this.#leases.values()]) await lease.release();
    this.#counters.clear();
  }
}

class MemoryLease implements Lease {
  readonly name: string;
  readonly fence: number;
  held = true;
  readonly #free: () => void;
  constructor(name: string, fence: number, free: () => void) {
    this.name = name;
    this.fence = fence;
    this.#free = free;
  }
  async release(): Promise<void> {
    this.held = false;
    this.#free();
  }
}
