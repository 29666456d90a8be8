import { Worker } from 'node:worker_threads';

import type { HashAnswer, HashJob } from './hash-job.ts';
import { PasswordError } from './password-error.ts';

export interface HashThreadsOptions {
  readonly threads: number;
  /** Jobs that may wait for a thread. */
  readonly queue: number;
}

interface Pending {
  readonly job: HashJob;
  readonly settle: PromiseWithResolvers<HashAnswer>;
  readonly signal: AbortSignal;
  readonly onAbort: () => void;
}

/**
 * A few threads that do nothing but hash. Not libuv's pool (`crypto.argon2`): four slow hashes there would stop every file operation.
 * Threads start when they are first needed and do not keep the process alive.
 */
export class HashThreads {
  readonly #options: HashThreadsOptions;
  readonly #idle: Worker[] = [];
  readonly #busy = new Map<Worker, Pending>();
  readonly #waiting: Pending[] = [];
  #isClosed = false;

  constructor(options: HashThreadsOptions) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * The secret in `job` is moved to a thread, or wiped if it never gets there.
   * @throws PasswordError `unavailable` when the queue is full, `closed`; the reason of `signal`
   */
  async run(job: HashJob, signal: AbortSignal): Promise<HashAnswer> {
    const refuse = this.#isClosed
      ? new PasswordError('closed', 'passwords are no longer checked')
      : this.#waiting.length >= this.#options.queue
        ? new PasswordError('unavailable', 'too many password checks are waiting')
        : undefined;
    if (refuse !== undefined || signal.aborted) {
      job.secret.fill(0);
      throw refuse ?? signal.reason;
    }

    const settle = Promise.withResolvers<HashAnswer>();
    const pending: Pending = { job, settle, signal, onAbort: () => this.#abandon(pending) };
    signal.addEventListener('abort', pending.onAbort, { once: true });
    this.#waiting.push(pending);
    this.#assign();
    try {
      return await settle.promise;
    } finally {
      signal.removeEventListener('abort', pending.onAbort);
    }
  }

  /** Waiting jobs are refused, running ones end with their threads. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const closed = new PasswordError('closed', 'passwords are no longer checked');
    for (const { job, settle } of this.#waiting.splice(0)) {
      job.secret.fill(0);
      settle.reject(closed);
    }
    const workers = [...this.#idle.splice(0), ...this.#busy.keys()];
    for (const { settle } of this.#busy.values()) settle.reject(closed);
    this.#busy.clear();
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  #assign(): void {
    while (this.#waiting.length > 0) {
      const worker = this.#idle.pop() ?? (this.#busy.size < this.#options.threads ? this.#start() : undefined);
      const pending = worker === undefined ? undefined : this.#waiting.shift();
      if (worker === undefined || pending === undefined) return;
      this.#busy.set(worker, pending);
      worker.ref();
      worker.postMessage(pending.job, [pending.job.secret.buffer]);
    }
  }

  #start(): Worker {
    const worker = new Worker(new URL('./hash-thread.ts', import.meta.url), { env: {}, name: 'pochard-hash' });
    worker.on('message', (answer: HashAnswer) => {
      const pending = this.#busy.get(worker);
      this.#busy.delete(worker);
      worker.unref();
      if (!this.#isClosed) this.#idle.push(worker);
      pending?.settle.resolve(answer);
      this.#assign();
    });
    const lost = (cause: unknown): void => {
      const pending = this.#busy.get(worker);
      this.#busy.delete(worker);
      const index = this.#idle.indexOf(worker);
      if (index >= 0) this.#idle.splice(index, 1);
      pending?.settle.reject(new PasswordError('unavailable', 'a hashing thread ended', { cause }));
      if (!this.#isClosed) this.#assign();
    };
    worker.on('error', lost);
    worker.on('exit', lost);
    return worker;
  }

  /** A job that waits leaves the queue; one that runs goes on, and nobody listens. */
  #abandon(pending: Pending): void {
    const index = this.#waiting.indexOf(pending);
    if (index >= 0) {
      this.#waiting.splice(index, 1);
      pending.job.secret.fill(0);
    }
    pending.settle.reject(pending.signal.reason);
  }
}
