/** Puts something between a store and its documents: a scheduler, a crash, an election. Works over a server and over the model. */
import type { Collection, Doc, Documents, Index } from './documents.ts';

/** Which operation is meant, e.g. `journal.insert`. */
export type Name = `${string}.${string}`;
export interface Hooks {
  /** What it throws is the outcome; the operation is not carried out. */
  before?(name: Name): Promise<void>;
  /** What it throws is the outcome, although the operation was carried out. */
  after?(name: Name): Promise<void>;
}

export class HookedDocuments implements Documents {
  readonly #documents: Documents;
  readonly #hooks: Hooks;
  constructor(documents: Documents, hooks: Hooks) {
    this.#documents = documents;
    this.#hooks = hooks;
  }
  collection<D extends Doc>(name: string): Collection<D> {
    const hooks = this.#hooks;
    return new Proxy(this.#documents.collection<D>(name), {
      get(target, method) {
        const value: unknown = Reflect.get(target, method);
        if (typeof value !== 'function') return value;
        return async (...args: readonly unknown[]) => {
          const operation: Name = `${name}.${String(method)}`;
          await hooks.before?.(operation);
          const result: unknown = await Reflect.apply(value, target, args);
          await hooks.after?.(operation);
          return result;
        };
      },
    });
  }
  createIndex(collection: string, index: Index): Promise<void> {
    return this.#documents.createIndex(collection, index);
  }
  close(): Promise<void> {
    return this.#documents.close();
  }
}

/** Numbers in [0, 1), the same for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Lets operations of many clients go one after the other, in an order of chance. */
export class Scheduler {
  readonly #random: () => number;
  readonly #waiting: (() => void)[] = [];
  steps = 0;
  constructor(random: () => number) {
    this.#random = random;
  }
  readonly hooks: Hooks = {
    before: () => new Promise((resolve) => this.#waiting.push(resolve)),
  };
  /** Until `work` has settled. Timers of the clients fire as soon as nothing else can go on. */
  async run<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const end = (): void => {
      isDone = true;
    };
    work.then(end, end);
    while (!isDone) {
      await new Promise((resolve) => setImmediate(resolve));
      const [next] = this.#waiting.splice(Math.floor(this.#random() * this.#waiting.length), 1);
      next?.();
      this.steps++;
    }
    return work;
  }
}
