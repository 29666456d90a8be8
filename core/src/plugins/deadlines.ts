import type { HostClock } from './clock.ts';

const sweepMs = 50; // a timer for each call costs more than the rest of the guard

/** Something that must end in time. Owned by the list while it is in it. */
export interface Timed {
  /** On the clock's scale. */
  deadlineAt: number;
  previous: Timed | undefined;
  next: Timed | undefined;
  isEnrolled: boolean;
  /** Ends it, or puts `deadlineAt` off. Called once it is over, so up to 50 ms late. */
  expire(now: number): void;
}

/** The calls that have not answered yet, looked through every 50 ms while there are any. */
export class Deadlines {
  readonly #clock: HostClock;
  #first: Timed | undefined;
  #stop: (() => void) | undefined;
  #size = 0;

  constructor(clock: HostClock) {
    this.#clock = clock;
  }
  get size(): number {
    return this.#size;
  }
  add(timed: Timed): void {
    timed.isEnrolled = true;
    timed.previous = undefined;
    timed.next = this.#first;
    if (this.#first !== undefined) this.#first.previous = timed;
    this.#first = timed;
    this.#size += 1;
    this.#stop ??= this.#clock.every(sweepMs, () => this.#sweep());
  }
  remove(timed: Timed): void {
    if (!timed.isEnrolled) return;
    timed.isEnrolled = false;
    if (timed.previous === undefined) this.#first = timed.next;
    else timed.previous.next = timed.next;
    if (timed.next !== undefined) timed.next.previous = timed.previous;
    timed.previous = timed.next = undefined;
    this.#size -= 1;
  }
  #sweep(): void {
    if (this.#first === undefined) {
      // Stops a tick late, so that a steady trickle of calls does not make and drop a timer each.
      this.#stop?.();
      this.#stop = undefined;
      return;
    }
    const now = this.#clock.now();
    for (let timed: Timed | undefined = this.#first; timed !== undefined; ) {
      const next: Timed | undefined = timed.next; // `expire` may take it out
      if (timed.deadlineAt <= now) timed.expire(now);
      timed = next;
    }
  }
}
