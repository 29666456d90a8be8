/** Long work gives the loop back every few ms, so that other sessions' NOOP stays below 50 ms (DESIGN §6). */

/** ms of work before others get a turn. */
const SLICE_MS = 5;

export class TimeSlice {
  #started = performance.now();

  /** Ask at every few hundred steps: the clock costs more than a step. */
  get isOver(): boolean {
    return performance.now() - this.#started >= SLICE_MS;
  }

  /** Settles after everybody else had a turn. */
  async pass(): Promise<void> {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    this.#started = performance.now();
  }
}
