/** Which passwords were right, and which wrong, a moment ago. Kept is a MAC under keys that live as long as these objects; no password is. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

interface Entry<T> {
  readonly mac: Buffer;
  readonly until: number;
  readonly value: T;
}

/** One entry a user: the last password that was right. A fault is never an entry. */
export class AcceptedCache<T> {
  readonly #entries = new Map<string, Entry<T>>();
  readonly #options: CacheOptions;

  constructor(options: CacheOptions) {
    this.#options = options;
  }
  /** `mac`: of the password, keyed. */
  find(name: string, mac: Uint8Array): T | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    if (this.#options.now() >= entry.until) {
      this.#entries.delete(name);
      return undefined;
    }
    return entry.mac.length === mac.length && timingSafeEqual(entry.mac, mac) ? entry.value : undefined;
  }
  remember(name: string, mac: Uint8Array, value: T): void {
    const { ttlMs, now, maxEntries } = this.#options;
    if (ttlMs === 0) return;
    this.#entries.delete(name); // so that the oldest comes first
    this.#entries.set(name, { mac: Buffer.from(mac), until: now() + ttlMs, value });
    trim(this.#entries, maxEntries);
  }
  forget(name: string): void {
    this.#entries.delete(name);
  }
}

/** Wrong passwords, each with the stored one that it did not match: a changed password is another key, and counts at once. */
export class RejectedCache {
  readonly #key = randomBytes(32);
  readonly #until = new Map<string, number>();
  readonly #options: CacheOptions;

  constructor(options: CacheOptions) {
    this.#options = options;
  }
  has(name: string, mac: Uint8Array, stored: string): boolean {
    const key = this.#keyOf(name, mac, stored);
    const until = this.#until.get(key);
    if (until === undefined) return false;
    if (this.#options.now() < until) return true;
    this.#until.delete(key);
    return false;
  }
  remember(name: string, mac: Uint8Array, stored: string): void {
    const { ttlMs, now, maxEntries } = this.#options;
    if (ttlMs === 0) return;
    this.#until.set(this.#keyOf(name, mac, stored), now() + ttlMs);
    trim(this.#until, maxEntries);
  }
  #keyOf(name: string, mac: Uint8Array, stored: string): string {
    return createHmac('sha256', this.#key).update(`${name.length}:${name}${stored.length}:${stored}`).update(mac).digest('base64');
  }
}

/** Values by name for a while; the oldest go first. */
export class RecentValues<T> {
  readonly #entries = new Map<string, { readonly until: number; readonly value: T }>();
  readonly #options: CacheOptions;

  constructor(options: CacheOptions) {
    this.#options = options;
  }
  /** `stale`: its time is over, but it is what is known. */
  find(name: string): { readonly value: T; readonly age: 'fresh' | 'stale' } | undefined {
    const entry = this.#entries.get(name);
    return entry && { value: entry.value, age: this.#options.now() < entry.until ? 'fresh' : 'stale' };
  }
  remember(name: string, value: T): void {
    this.#entries.delete(name);
    this.#entries.set(name, { until: this.#options.now() + this.#options.ttlMs, value });
    trim(this.#entries, this.#options.maxEntries);
  }
}

export interface CacheOptions {
  readonly ttlMs: number;
  readonly maxEntries: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}
function trim(entries: Map<string, unknown>, max: number): void {
  for (const name of entries.keys()) {
    if (entries.size <= max) return;
    entries.delete(name);
  }
}
