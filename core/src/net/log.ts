/** What this folder needs of a logger: details, then a fixed sentence. */
export interface NetLog {
  info(details: Readonly<Record<string, unknown>>, message: string): void;
  warn(details: Readonly<Record<string, unknown>>, message: string): void;
  error(details: Readonly<Record<string, unknown>>, message: string): void;
}

/** At most one line in `quietMs`; the next line tells how many were left out. For what strangers can cause. */
export class QuietLog {
  readonly #write: (details: Readonly<Record<string, unknown>>, message: string) => void;
  readonly #now: () => number;
  readonly #quietMs: number;
  #nextAt = Number.NEGATIVE_INFINITY;
  #omitted = 0;

  constructor(write: (details: Readonly<Record<string, unknown>>, message: string) => void, now: () => number, quietMs = 1000) {
    this.#write = write;
    this.#now = now;
    this.#quietMs = quietMs;
  }

  say(details: Readonly<Record<string, unknown>>, message: string): void {
    const now = this.#now();
    if (now < this.#nextAt) {
      this.#omitted += 1;
      return;
    }
    this.#nextAt = now + this.#quietMs;
    this.#write(this.#omitted === 0 ? details : { ...details, omitted: this.#omitted }, message);
    this.#omitted = 0;
  }
}
