import type { HostClock } from './clock.ts';

/** A clock that stands still until told to advance: for tests, also those of plugin authors. */
export class FakeClock implements HostClock {
  #now = 0;
  readonly #epoch: number;
  readonly #timers = new Set<{ at: number; readonly periodMs: number | undefined; readonly ring: () => void }>();

  constructor(epoch = Date.UTC(2026, 0, 1)) {
    this.#epoch = epoch;
  }
  now(): number {
    return this.#now;
  }
  date(): Date {
    return new Date(this.#epoch + this.#now);
  }
  every(periodMs: number, tick: () => void): () => void {
    return this.#add(periodMs, periodMs, tick);
  }
  after(delayMs: number, ring: () => void): () => void {
    return this.#add(delayMs, undefined, ring);
  }
  /** Moves on, ringing in order what falls due. Runs no promises: await what you wait for. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      let next: { at: number; readonly periodMs: number | undefined; readonly ring: () => void } | undefined;
      for (const timer of this.#timers) if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer;
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.at);
      if (next.periodMs === undefined) this.#timers.delete(next);
      else next.at += next.periodMs;
      next.ring();
    }
    this.#now = Math.max(this.#now, end);
  }
  /** Moves on without ringing: what a tap does that blocks the event loop. */
  block(ms: number): void {
    this.#now += ms;
  }
  #add(delayMs: number, periodMs: number | undefined, ring: () => void): () => void {
    const timer = { at: this.#now + delayMs, periodMs, ring };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
}
