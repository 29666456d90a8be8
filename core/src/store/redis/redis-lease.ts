/** A lease in Redis: one key that expires, renewed while it is held. */
import type { Lease } from '../store.ts';
import type { RedisLink } from './redis-link.ts';

/** Fences rise over a loss of Redis too, as they are at least the time of day. */
const TAKE = `
if redis.call('exists', KEYS[1]) == 1 then return 0 end
local fence = math.max(tonumber(redis.call('get', KEYS[2]) or '0') + 1, tonumber(ARGV[3]))
fence = string.format('%.0f', fence)
redis.call('set', KEYS[2], fence, 'px', 86400000)
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return fence`;
/** A key that Redis has lost is written again, unless somebody else was first. */
const RENEW = `
local holder = redis.call('get', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return 1`;
const RELEASE = `
if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end
return 1`;

export interface RedisLeaseOptions {
  readonly link: RedisLink;
  readonly name: string;
  /** Both keys lie in one slot of a Cluster. */
  readonly prefix: string;
  /** Random: nobody else's. */
  readonly token: string;
  readonly ttlMs: number;
  /** ms since 1970. */
  readonly now: () => number;
  readonly onEnd: (lease: RedisLease) => void;
}

export class RedisLease implements Lease {
  readonly name: string;
  readonly fence: number;
  readonly #options: RedisLeaseOptions;
  readonly #key: string;
  readonly #renewal: NodeJS.Timeout;
  /** Of the process's own clock, which a lease may not outlive. */
  #until: number;
  #ended = false;

  private constructor(options: RedisLeaseOptions, key: string, fence: number, until: number) {
    this.name = options.name;
    this.fence = fence;
    this.#options = options;
    this.#key = key;
    this.#until = until;
    this.#renewal = setInterval(() => void this.#renew(), Math.max(1, options.ttlMs / 3));
    this.#renewal.unref();
  }

  /** `undefined`: somebody else holds it. @throws Error when Redis does not answer */
  static async take(options: RedisLeaseOptions): Promise<RedisLease | undefined> {
    const { link, name, prefix, token, ttlMs, now } = options;
    const key = `${prefix}lease:{${name}}`;
    const asked = performance.now();
    const fence = Number(await link.run(TAKE, [key, `${key}:fence`], [token, Math.ceil(ttlMs), Math.trunc(now())]));
    return fence > 0 ? new RedisLease(options, key, fence, asked + ttlMs) : undefined;
  }

  get held(): boolean {
    return !this.#ended && performance.now() < this.#until;
  }

  async release(): Promise<void> {
    if (this.#ended) return;
    this.#end();
    try {
      await this.#options.link.run(RELEASE, [this.#key], [this.#options.token]);
    } catch {
      // It expires by itself.
    }
  }

  async #renew(): Promise<void> {
    if (!this.held) return this.#end();
    const { link, token, ttlMs } = this.#options;
    const asked = performance.now();
    try {
      const ours = await link.run(RENEW, [this.#key], [token, Math.ceil(ttlMs)]);
      if (this.#ended) return;
      if (ours === 1) this.#until = asked + ttlMs;
      else this.#end();
    } catch {
      // Held until its time is over; the next attempt may reach Redis again.
    }
  }

  #end(): void {
    this.#ended = true;
    clearInterval(this.#renewal);
    this.#options.onEnd(this);
  }
}
