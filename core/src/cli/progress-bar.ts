/** One line that shows how far a long command is: a bar on a terminal, a line every ten percent elsewhere. */
export interface ProgressSink {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const BAR_WIDTH = 24;
const REDRAW_MS = 100;

export class ProgressBar {
  readonly #label: string;
  readonly #total: number;
  readonly #sink: ProgressSink;
  readonly #now: () => number;
  #drawnAt = Number.NEGATIVE_INFINITY;
  #drawnTenth = 0;

  /** `total` in whatever unit `show` is given; 0 shows counts only. */
  constructor(label: string, total: number, sink: ProgressSink, now: () => number = Date.now) {
    this.#label = label;
    this.#total = total;
    this.#sink = sink;
    this.#now = now;
  }

  show(done: number, note: string): void {
    const share = this.#total === 0 ? 0 : Math.min(1, done / this.#total);
    if (this.#sink.isTTY !== true) {
      const tenth = Math.floor(share * 10);
      if (tenth <= this.#drawnTenth) return;
      this.#drawnTenth = tenth;
      this.#sink.write(`${this.#label}: ${tenth * 10} %, ${note}\n`);
      return;
    }
    const now = this.#now();
    if (share < 1 && now - this.#drawnAt < REDRAW_MS) return;
    this.#drawnAt = now;
    const filled = Math.round(share * BAR_WIDTH);
    const line = `${this.#label} [${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${Math.floor(share * 100)} % ${note}`;
    this.#sink.write(`\r${line.slice(0, (this.#sink.columns ?? 80) - 1)}\x1b[K`);
  }

  finish(note: string): void {
    this.#sink.write(this.#sink.isTTY === true ? `\r${this.#label}: ${note}\x1b[K\n` : `${this.#label}: ${note}\n`);
  }
}
