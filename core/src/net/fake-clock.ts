/** A clock that tests move; its intervals tick only when moved. */
export class FakeClock {
  readonly #intervals = new Set<{ readonly ms: number; readonly tick: () => void; nextAt: number }>();
  #time = 1_000_000;

  readonly now = (): number => this.#time;

  readonly every = (ms: number, tick: () => void): { stop(): void } => {
    const interval = { ms, tick, nextAt: this.#time + ms };
    this.#intervals.add(interval);
    return { stop: () => this.#intervals.delete(interval) };
  };

  get runningIntervals(): number {
    return this.#intervals.size;
  }

  /** Moves on, firing what falls due on the way. */
  advance(ms: number): void {
    const end = this.#time + ms;
    for (;;) {
      const due = [...this.#intervals].filter(({ nextAt }) => nextAt <= end).sort((a, b) => a.nextAt - b.nextAt)[0];
      if (due === undefined) break;
      this.#time = due.nextAt;
      due.nextAt += due.ms;
      due.tick();
    }
    this.#time = end;
  }

  /** As when the process was stopped: time passes and no interval ticks. */
  skip(ms: number): void {
    this.#time += ms;
    for (const interval of this.#intervals) interval.nextAt = this.#time;
  }
}
