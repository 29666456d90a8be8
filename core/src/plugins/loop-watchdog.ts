import { Worker } from 'node:worker_threads';

/** Places in the shared memory: the loop's heartbeat, the tap whose synchronous part runs (0: none), the tap named last. */
export const places = { beat: 0, running: 1, reported: 2 } as const;
export interface WatchdogData {
  readonly memory: SharedArrayBuffer;
  readonly lookMs: number;
  readonly blockedMs: number;
}

const limits = { beatMs: 200, lookMs: 200, blockedMs: 800 }; // so that a tap is named within about a second

/**
 * Names the tap that blocks the event loop, from a thread that is not blocked. Sees the part of a tap before its first `await`;
 * what blocks later has no tap's name on it.
 */
export class LoopWatchdog {
  readonly #memory: Int32Array<SharedArrayBuffer>;
  readonly #worker: Worker;
  readonly #timer: NodeJS.Timeout;
  #count = 0;

  constructor({ beatMs, lookMs, blockedMs } = limits) {
    const memory = new SharedArrayBuffer(Object.keys(places).length * Int32Array.BYTES_PER_ELEMENT);
    this.#memory = new Int32Array(memory);
    this.#worker = new Worker(new URL('./loop-watchdog-worker.ts', import.meta.url), {
      workerData: { memory, lookMs, blockedMs } satisfies WatchdogData,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 16 },
    });
    this.#worker.unref();
    this.#timer = setInterval(() => Atomics.add(this.#memory, places.beat, 1), beatMs).unref();
  }
  /** A number for a tap, to `enter` with. */
  register(plugin: string, hook: string): number {
    this.#count += 1;
    this.#worker.postMessage([this.#count, plugin, hook]);
    return this.#count;
  }
  /** Returns what ran before, to go back to. */
  enter(tap: number): number {
    const before = this.#memory[places.running] ?? 0;
    this.#memory[places.running] = tap;
    return before;
  }
  leave(before: number): void {
    this.#memory[places.running] = before;
  }
  /** Blocks until the watcher has named a tap, or `limitMs`; for tests, which want to be caught and not to be slow. */
  waitUntilReported(limitMs: number): 'ok' | 'not-equal' | 'timed-out' {
    return Atomics.wait(this.#memory, places.reported, 0, limitMs);
  }
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#worker.terminate();
  }
}
