/** Whatever has a timeout: one shared method instead of a closure per connection. */
export interface TimerOwner {
  /** The time is up. The timer is stopped and may be started again. Must not throw. */
  onTimeout(timer: WheelTimer): void;
}

export interface TimerWheelOptions {
  /** ms between looks; timeouts are late by up to this, never early. */
  readonly tickMs?: number;
  /** Monotonic ms. */
  readonly now?: () => number;
  /** Calls `tick` every `ms` until `stop`; must not keep the process alive. */
  readonly every?: (ms: number, tick: () => void) => { stop(): void };
}

const SLOTS = 256;

/**
 * All timeouts of all connections, on one interval timer. Restarting a timer, which happens at every command, is one assignment: the
 * wheel looks at the deadline only when it comes by. The interval runs only while timers do.
 */
export class TimerWheel {
  readonly #tickMs: number;
  readonly #now: () => number;
  readonly #every: NonNullable<TimerWheelOptions['every']>;
  readonly #slots: (WheelTimer | undefined)[] = new Array<WheelTimer | undefined>(SLOTS).fill(undefined);
  #interval: { stop(): void } | undefined;
  /** Ticks are counted from here, so that they fall on those of the interval. */
  #base = 0;
  #lastTick = 0;
  #size = 0;

  constructor({ tickMs = 1000, now = () => performance.now(), every = unrefInterval }: TimerWheelOptions = {}) {
    this.#tickMs = tickMs;
    this.#now = now;
    this.#every = every;
  }

  /** Number of timers that the wheel holds, stopped ones that it has not come by included. */
  get size(): number {
    return this.#size;
  }

  /** Monotonic ms, of the same clock as the timeouts. */
  now(): number {
    return this.#now();
  }

  /** Starts a timer; keep it to restart or stop it. `owner` and `delayMs` stay the same for its life. */
  start(owner: TimerOwner, delayMs: number): WheelTimer {
    const timer = new WheelTimer(owner, delayMs);
    this.restart(timer);
    return timer;
  }

  /** The full delay again, from now; also for a timer that was stopped or has fired. */
  restart(timer: WheelTimer): void {
    timer.deadline = this.#now() + timer.delayMs;
    if (timer.isHeld) return; // it waits where an earlier deadline put it, and moves on from there
    this.#hold(timer);
  }

  /** The wheel lets go of a stopped timer when it comes by. */
  stop(timer: WheelTimer): void {
    timer.deadline = Number.POSITIVE_INFINITY;
  }

  /** Stops looking; no timer fires any more. */
  close(): void {
    this.#interval?.stop();
    this.#interval = undefined;
    this.#slots.fill(undefined);
    this.#size = 0;
  }

  #hold(timer: WheelTimer): void {
    if (this.#interval === undefined) {
      this.#base = this.#now();
      this.#lastTick = 0;
      this.#interval = this.#every(this.#tickMs, () => this.#tick());
    }
    // At least one tick ahead, so that a timer is never put into the slot that is being emptied; at most one round.
    const due = Math.ceil((timer.deadline - this.#base) / this.#tickMs);
    const slot = Math.min(Math.max(due, this.#lastTick + 1), this.#lastTick + SLOTS - 1) % SLOTS;
    timer.next = this.#slots[slot];
    this.#slots[slot] = timer;
    timer.isHeld = true;
    this.#size += 1;
  }

  #tick(): void {
    const now = this.#now();
    const current = Math.floor((now - this.#base) / this.#tickMs);
    // After a pause of the process each slot is looked at once, not once for each tick that was missed.
    const from = Math.max(this.#lastTick + 1, current - SLOTS + 1);
    for (let tick = from; tick <= current; tick += 1) {
      this.#lastTick = tick;
      let timer = this.#slots[tick % SLOTS];
      this.#slots[tick % SLOTS] = undefined;
      while (timer !== undefined) {
        const { next } = timer;
        this.#comeBy(timer, now);
        timer = next;
      }
    }
    if (this.#size === 0) this.close();
  }

  #comeBy(timer: WheelTimer, now: number): void {
    timer.next = undefined;
    timer.isHeld = false;
    this.#size -= 1;
    if (timer.deadline === Number.POSITIVE_INFINITY) return;
    if (timer.deadline > now) this.#hold(timer);
    else {
      timer.deadline = Number.POSITIVE_INFINITY;
      timer.owner.onTimeout(timer);
    }
  }
}

/** Made by `TimerWheel.start`; all but `delayMs` is the wheel's own. */
export class WheelTimer {
  readonly owner: TimerOwner;
  readonly delayMs: number;
  deadline = Number.POSITIVE_INFINITY;
  isHeld = false;
  next: WheelTimer | undefined = undefined;

  constructor(owner: TimerOwner, delayMs: number) {
    this.owner = owner;
    this.delayMs = delayMs;
  }

  get isRunning(): boolean {
    return this.deadline !== Number.POSITIVE_INFINITY;
  }
}

function unrefInterval(ms: number, tick: () => void): { stop(): void } {
  const interval = setInterval(tick, ms);
  interval.unref();
  return { stop: () => clearInterval(interval) };
}
