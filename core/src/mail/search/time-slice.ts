/** Long searches give the loop back every few ms, so that another session's NOOP stays below 50 ms (DESIGN §6). */

/** ms of work before others get a turn. */
const SLICE_MS = 5;

export class TimeSlice {
  readonly #signal: AbortSignal;
  #started = performance.now();
  /** Whether the loop was ever given back: what was read from live state before may be out of date. */
  hasPassed = false;

  constructor(signal: AbortSignal) {
    signal.throwIfAborted();
    this.#signal = signal;
  }

  /** Costs a look at the clock: some 50 ns. */
  get isOver(): boolean {
    return performance.now() - this.#started >= SLICE_MS;
  }

  /** Settles after everybody else had a turn. @throws the signal's reason */
  async pass(): Promise<void> {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    this.#signal.throwIfAborted();
    this.hasPassed = true;
    this.#started = performance.now();
  }

  /** Call after an await: it may have given the loop back, or not, as what a driver reads at once does not. @throws the signal's reason */
  async resume(): Promise<void> {
    this.#signal.throwIfAborted();
    this.hasPassed = true;
    if (this.isOver) await this.pass();
  }
}
