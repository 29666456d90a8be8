import { hash } from 'node:crypto';

import { LRUCache } from 'lru-cache';

import { type AddressSet, addressGroup } from './address.ts';

const DAY_MS = 86_400_000;
const STEPS_MS = [1000, 2000, 4000, 8000, 15_000];
const MAX_KNOWN = 20_000;

/** Counters that may be shared by several instances (the Bus has them). */
export interface Counters {
  /** Adds `by` (0 only looks) to what was counted under `key` in the last `windowMs`, and answers with the sum. */
  count(key: string, by: number, windowMs: number): Promise<number>;
}

export interface ThrottleLimits {
  readonly loginFailuresPerSession: number;
  readonly loginFailuresPerAddressDay: number;
  readonly loginDelayMaxMs: number;
  readonly loginDelayWindowMs: number;
}

export interface LoginThrottleOptions {
  readonly counters: Counters;
  readonly limits: ThrottleLimits;
  /** Addresses of webmails and proxies, which speak for many users: only limits by user hold for them. */
  readonly trusted: AddressSet;
  /** Settles after `ms`, or rejects with the reason of `signal`. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

export type Permission = { readonly isBlocked: false; readonly delayMs: number } | { readonly isBlocked: true };

/** Slows down who guesses passwords: by address (IPv4, IPv6 /64) and by user, 1, 2, 4, 8, 15 s, and 50 failures a day by address. */
export class LoginThrottle {
  readonly maxFailuresPerSession: number;
  readonly #counters: Counters;
  readonly #limits: ThrottleLimits;
  readonly #trusted: AddressSet;
  readonly #sleep: LoginThrottleOptions['sleep'];
  /** Pairs of address and user that have logged in: an attack on a user does not slow down where that user is at home. */
  readonly #known = new LRUCache<string, true>({ max: MAX_KNOWN });

  constructor({ counters, limits, trusted, sleep }: LoginThrottleOptions) {
    this.maxFailuresPerSession = limits.loginFailuresPerSession;
    this.#counters = counters;
    this.#limits = limits;
    this.#trusted = trusted;
    this.#sleep = sleep;
  }

  /** Before the password is looked at. `user` as it was given; whether it exists makes no difference. @throws what the counters throw */
  async permission(address: string, user: string): Promise<Permission> {
    const { addressKey, userKey, pair } = keysOf(address, user);
    const { loginDelayWindowMs, loginFailuresPerAddressDay } = this.#limits;
    const isTrusted = this.#trusted.has(address);
    const [today, byAddress, byUser] = await Promise.all([
      isTrusted ? 0 : this.#counters.count(`login-day:${addressKey}`, 0, DAY_MS),
      isTrusted ? 0 : this.#counters.count(`login-address:${addressKey}`, 0, loginDelayWindowMs),
      this.#counters.count(`login-user:${userKey}`, 0, loginDelayWindowMs),
    ]);
    if (today >= loginFailuresPerAddressDay) return { isBlocked: true };
    const failures = this.#known.has(pair) ? 0 : Math.max(byAddress, byUser);
    return { isBlocked: false, delayMs: this.delayAfter(failures) };
  }

  /** `permission`, and its delay is over when this settles. @throws the reason of `signal`, e.g. when the client has gone */
  async wait(address: string, user: string, signal: AbortSignal): Promise<'go on' | 'blocked'> {
    const permission = await this.permission(address, user);
    if (permission.isBlocked) return 'blocked';
    if (permission.delayMs > 0) await this.#sleep(permission.delayMs, signal);
    return 'go on';
  }

  /** The password was wrong, or there is no such user. Not for a backend that is down. */
  async failed(address: string, user: string): Promise<void> {
    const { addressKey, userKey, pair } = keysOf(address, user);
    const { loginDelayWindowMs } = this.#limits;
    this.#known.delete(pair);
    const counts = [this.#counters.count(`login-user:${userKey}`, 1, loginDelayWindowMs)];
    if (!this.#trusted.has(address)) {
      counts.push(this.#counters.count(`login-day:${addressKey}`, 1, DAY_MS));
      counts.push(this.#counters.count(`login-address:${addressKey}`, 1, loginDelayWindowMs));
    }
    await Promise.all(counts);
  }

  /** Forgives no failure, or an attacker could clear its address with an account of its own; but this pair is not delayed any more. */
  succeeded(address: string, user: string): void {
    this.#known.set(keysOf(address, user).pair, true);
  }

  delayAfter(failures: number): number {
    if (failures <= 0) return 0;
    const step = STEPS_MS[Math.min(failures, STEPS_MS.length) - 1] ?? 0;
    return Math.min(step, this.#limits.loginDelayMaxMs);
  }
}

/** User names come from the network: hashed, they have one length and no odd character in a shared counter's key. */
function keysOf(address: string, user: string) {
  const addressKey = addressGroup(address);
  const userKey = hash('sha256', user.trim().normalize('NFKC').toLowerCase(), 'base64url').slice(0, 22);
  return { addressKey, userKey, pair: `${addressKey} ${userKey}` };
}
