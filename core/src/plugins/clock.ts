/** Time as the plugin host sees it; tests pass their own. */
export interface HostClock {
  /** Milliseconds, never going back. */
  now(): number;
  date(): Date;
  /** Calls `tick` again and again until the returned function is called. */
  every(periodMs: number, tick: () => void): () => void;
  /** Calls `ring` once, unless the returned function is called before. */
  after(delayMs: number, ring: () => void): () => void;
}

export const systemClock: HostClock = {
  now: () => performance.now(),
  date: () => new Date(),
  every(periodMs, tick) {
    const timer = setInterval(tick, periodMs);
    return () => clearInterval(timer);
  },
  after(delayMs, ring) {
    const timer = setTimeout(ring, delayMs);
    return () => clearTimeout(timer);
  },
};

/** @throws what `work` throws, or `complaint` with the limit; the work goes on then, and what it throws later is nobody's */
export async function inTime(work: () => Promise<void>, clock: HostClock, limitMs: number, complaint: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const cancel = clock.after(limitMs, () => reject(new Error(`${complaint} within ${limitMs / 1000} s`)));
    work().then(resolve, reject).finally(cancel);
  });
}
