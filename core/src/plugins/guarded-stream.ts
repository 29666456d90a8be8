import { type ByteRange, type Bytes, type Segment, type Stream, Unavailable } from '@pochard/plugin-sdk';
import type { HostClock } from './clock.ts';
import { HookUnavailable } from './errors.ts';
import { GuardedTap, type InputWaits, type RunningTap } from './guard.ts';
import type { CallContext } from './hook-calls.ts';
import { noMetrics } from './metrics.ts';
import { settled } from './settled.ts';

/** Octets that the core gives to a plugin, watched so that waiting for them is not held against it. */
export class WatchedInput implements InputWaits {
  readonly #clock: HostClock;
  waiting = 0;
  resumedAt: number;

  constructor(clock: HostClock) {
    this.#clock = clock;
    this.resumedAt = clock.now();
  }
  segment(segment: Segment): Segment {
    return { role: segment.role, plainOctets: segment.plainOctets, open: (range) => this.#watch(segment.open(range)) };
  }
  bytes(bytes: Bytes): Bytes {
    return {
      sizeOctets: bytes.sizeOctets,
      open: (range?: ByteRange) => this.#watch(range === undefined ? bytes.open() : bytes.open(range)),
    };
  }
  #watch(stream: Stream): Stream {
    return {
      [Symbol.asyncIterator]: () => {
        const chunks = stream[Symbol.asyncIterator]();
        return {
          next: async () => {
            this.waiting += 1;
            try {
              return await chunks.next();
            } finally {
              this.waiting -= 1;
              this.resumedAt = this.#clock.now();
            }
          },
          return: async () => {
            await chunks.return?.();
            return { done: true, value: undefined };
          },
        };
      },
    };
  }
}

/**
 * What a plugin streams, with its deadline as the longest wait for the next item. `isGood` checks each.
 * The iterator throws HookUnavailable for faults, and lets `Damaged`, `Locked` and `Refusal` through.
 */
export function guardedStream<T>(
  stream: AsyncIterable<T>,
  options: {
    readonly tap: GuardedTap;
    readonly context: CallContext;
    readonly running: RunningTap | undefined;
    readonly input: InputWaits | undefined;
    readonly isGood: (item: unknown) => boolean;
  },
): AsyncIterable<T> {
  return { [Symbol.asyncIterator]: () => new GuardedItems<T>(stream[Symbol.asyncIterator](), options) };
}

class GuardedItems<T> implements AsyncIterator<T> {
  readonly #items: AsyncIterator<T>;
  readonly #next: GuardedTap;
  readonly #options: Parameters<typeof guardedStream<T>>[1];
  #isOver = false;

  constructor(items: AsyncIterator<T>, options: Parameters<typeof guardedStream<T>>[1]) {
    this.#items = items;
    this.#options = options;
    const { tap, isGood } = options;
    const check = (result: unknown) => {
      const { done, value } = result as IteratorResult<unknown>;
      return done === true || isGood(value);
    };
    // Not counted chunk by chunk, and with a breaker of its own: one fault ends the stream.
    this.#next = new GuardedTap(
      { ...tap.record, limit: undefined, check, fn: () => items.next() },
      { ...tap.parts, metrics: noMetrics, watchdog: undefined },
    );
  }
  async next(): Promise<IteratorResult<T>> {
    if (this.#isOver) return { done: true, value: undefined };
    const { context, input, tap, running } = this.#options;
    try {
      const result = (await settled((done) => this.#next.run(undefined, context, done, input))) as IteratorResult<T>;
      if (result.done === true) this.#isOver = true;
      return result;
    } catch (error) {
      if (error instanceof HookUnavailable && !(error.cause instanceof Unavailable)) tap.breaker.failed(tap.parts.clock.now());
      running?.abort();
      this.#close();
      throw error;
    }
  }
  async return(): Promise<IteratorResult<T>> {
    this.#close();
    return { done: true, value: undefined };
  }
  /** Nobody waits for a source that may hang; what it throws at its end has no one to go to but the log. */
  #close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#items.return?.().then(undefined, (error: unknown) => this.#options.tap.log.warn('stream did not close', { error }));
  }
}
