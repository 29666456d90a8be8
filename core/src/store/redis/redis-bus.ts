/** Beacons, leases and counters of several instances over Redis. While it is away each instance goes on with what it knows itself. */
import { randomBytes } from 'node:crypto';
import { MemoryBus } from '../memory/memory-bus.ts';
import type { AccountId, Bus, Lease, Seq } from '../store.ts';
import { RedisLease } from './redis-lease.ts';
import { RedisLink } from './redis-link.ts';
import { parseRedisUrl } from './redis-url.ts';

export interface RedisBusOptions {
  /** See {@link parseRedisUrl}. */
  readonly url: string;
  /** Before every key and channel; instances with the same prefix are one server (default `pochard:`). */
  readonly keyPrefix?: string;
  /** ms since 1970. */
  readonly now?: () => number;
  readonly heartbeatMs?: number;
  readonly commandTimeoutMs?: number;
  readonly onListenerError?: (error: unknown) => void;
  /** Redis is reached, at first and again: beacons of before may be lost, so the heads are worth a look. */
  readonly onConnected?: () => void;
  /** Redis is lost, or was not there at the start. */
  readonly onLost?: (error: Error) => void;
  /** Redis is there and answers commands with errors (out of memory, no permission); at most once a minute. */
  readonly onRefused?: (error: Error) => void;
}

const HEARTBEAT_MS = 2_000;
const COMMAND_TIMEOUT_MS = 1_000;
/** Beacons within so many ms after others go out together. */
const GATHER_MS = 5;
/** Accounts in one message: below the limit for messages, at 32 + 17 characters each. */
const MESSAGE_ACCOUNTS = 500;
/** Accounts whose beacons wait for Redis while it is away; others are found by the poll of heads. */
const MAX_PENDING = 10_000;
/** And other news. */
const MAX_UNTOLD = 1_000;
const MAX_TOLD = 4_096;
/** ms that who tells news waits for those who hear them. One who is slower, or died a moment ago, learns by itself. */
const ACTED_MS = 500;

const COUNT = `
local sum = redis.call('incrby', KEYS[1], ARGV[1])
if redis.call('pttl', KEYS[1]) < 0 then redis.call('pexpire', KEYS[1], ARGV[2]) end
return sum`;
/** Looks without beginning a window. */
const LOOK = `return tonumber(redis.call('get', KEYS[1]) or '0')`;

export class RedisBus implements Bus {
  readonly #prefix: string;
  readonly #now: () => number;
  readonly #link: RedisLink;
  /** This process's listeners, and its own counts, which stand in while Redis is away and after it was emptied. */
  readonly #local: MemoryBus;
  readonly #pending = new Map<AccountId, Seq>();
  readonly #leases = new Set<RedisLease>();
  readonly #hearers = new Map<string, ((about: string) => void)[]>();
  readonly #onListenerError: ((error: unknown) => void) | undefined;
  readonly #instance = randomBytes(9).toString('base64url');
  /** By number: called for each instance that has acted on news of this one. */
  readonly #acted = new Map<number, () => void>();
  #newsNumber = 0;
  #untold: string[] = [];
  #flushTimer: NodeJS.Timeout | undefined;
  #flushedAt = 0;
  #closed = false;

  private constructor(options: RedisBusOptions) {
    const { url, keyPrefix = 'pochard:', now = Date.now, onListenerError, onConnected, onLost, onRefused } = options;
    this.#prefix = keyPrefix;
    this.#now = now;
    this.#onListenerError = onListenerError;
    this.#local = new MemoryBus({ now, ...(onListenerError === undefined ? {} : { onListenerError }) });
    this.#link = new RedisLink({
      target: parseRedisUrl(url),
      channel: `${keyPrefix}beacons`,
      instance: this.#instance,
      heartbeatMs: options.heartbeatMs ?? HEARTBEAT_MS,
      commandTimeoutMs: options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS,
      onMessage: (text) => this.#hear(text),
      onUp: () => {
        for (const news of this.#untold.splice(0)) void this.#link.publish(news);
        this.#flush();
        onConnected?.();
      },
      onDown: (error) => onLost?.(error),
      onRefused: (error) => onRefused?.(error),
    });
  }

  /** Resolves also when Redis is not there: it is looked for until `close`. @throws TypeError for a URL that is none */
  static async open(options: RedisBusOptions): Promise<RedisBus> {
    const bus = new RedisBus(options);
    await bus.#link.open();
    return bus;
  }

  get isConnected(): boolean {
    return this.#link.isUp;
  }

  beacon(account: AccountId, head: Seq): void {
    if (this.#closed) return;
    this.#local.beacon(account, head);
    const pending = this.#pending.get(account);
    if (pending === undefined && this.#pending.size >= MAX_PENDING) return;
    if (pending === undefined || head > pending) this.#pending.set(account, head);
    // The first goes at once; under load those of the next milliseconds share a message.
    if (this.#link.isUp) this.#flushTimer ??= setTimeout(() => this.#flush(), Math.max(0, this.#flushedAt + GATHER_MS - performance.now()));
  }
  #flush(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    this.#flushedAt = performance.now();
    if (!this.#link.isUp || this.#pending.size === 0) return;
    let parts: string[] = [];
    for (const [account, head] of this.#pending) {
      parts.push(`${account}=${head.toString(36)}`);
      if (parts.length === MESSAGE_ACCOUNTS) {
        void this.#link.publish(parts.join(','));
        parts = [];
      }
    }
    if (parts.length > 0) void this.#link.publish(parts.join(','));
    this.#pending.clear();
  }
  #hear(text: string): void {
    if (text.startsWith('~')) this.#hearNews(text);
    else if (text.startsWith('^')) this.#hearActed(text);
    else this.#hearBeacons(text);
  }
  #hearBeacons(text: string): void {
    for (const part of text.split(',')) {
      const equals = part.indexOf('=');
      const head = Number.parseInt(part.slice(equals + 1), 36);
      // Listeners alone decide what an account is: an unknown name finds none.
      if (equals > 0 && head > 0 && Number.isSafeInteger(head)) this.#local.beacon(part.slice(0, equals) as AccountId, head);
    }
  }

  listen(account: AccountId, hear: (head: Seq) => void): () => void {
    return this.#local.listen(account, hear);
  }

  async tell(topic: string, about: string): Promise<void> {
    if (this.#closed || about.length > MAX_TOLD) return;
    const number = ++this.#newsNumber;
    const news = `~${this.#instance}.${number} ${topic} ${about}`;
    if (!this.#link.isUp) {
      if (this.#untold.length < MAX_UNTOLD) this.#untold.push(news);
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ACTED_MS);
    let acted = 0;
    let expected = Number.POSITIVE_INFINITY;
    const look = (): void => {
      if (acted >= expected) resolve();
    };
    this.#acted.set(number, () => {
      acted += 1;
      look();
    });
    void this.#link.publish(news).then((others) => {
      expected = others;
      look();
    });
    await promise;
    clearTimeout(timer);
    this.#acted.delete(number);
  }
  hear(topic: string, hear: (about: string) => void): void {
    this.#hearers.set(topic, [...(this.#hearers.get(topic) ?? []), hear]);
  }
  #hearNews(text: string): void {
    const [id = '', topic = ''] = text.slice(1).split(' ', 2);
    const about = text.slice(id.length + topic.length + 3);
    for (const hear of this.#hearers.get(topic) ?? []) {
      try {
        hear(about);
      } catch (error) {
        this.#onListenerError?.(error);
      }
    }
    void this.#link.publish(`^${id}`);
  }
  #hearActed(text: string): void {
    const [instance, number] = text.slice(1).split('.');
    if (instance === this.#instance) this.#acted.get(Number(number))?.();
  }

  /** While Redis is away nobody gets a lease: work that needs one waits. */
  async lease(name: string, ttlMs: number): Promise<Lease | undefined> {
    if (this.#closed || !this.#link.isUp) return undefined;
    let lease: RedisLease | undefined;
    try {
      lease = await RedisLease.take({
        link: this.#link,
        name,
        prefix: this.#prefix,
        token: randomBytes(12).toString('base64url'),
        ttlMs,
        now: this.#now,
        onEnd: (ended) => this.#leases.delete(ended),
      });
    } catch {
      return undefined; // the link says what is wrong; a key that was set expires
    }
    if (lease === undefined) return undefined;
    this.#leases.add(lease);
    if (this.#closed) await lease.release();
    return lease.held ? lease : undefined;
  }

  /** The greater of what all have counted and what this process has: counting goes on without Redis. */
  async count(key: string, by: number, windowMs: number): Promise<number> {
    const own = await this.#local.count(key, by, windowMs);
    if (!this.#link.isUp) return own;
    try {
      const keys = [`${this.#prefix}count:${key}`];
      const sum =
        by === 0 ? await this.#link.run(LOOK, keys, []) : await this.#link.run(COUNT, keys, [Math.trunc(by), Math.ceil(windowMs)]);
      return Math.max(own, Number(sum));
    } catch {
      return own; // the link says what is wrong
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#flush();
    this.#closed = true;
    clearTimeout(this.#flushTimer);
    await Promise.all([...this.#leases].map((lease) => lease.release()));
    await this.#link.close();
    await this.#local.close();
  }
}
