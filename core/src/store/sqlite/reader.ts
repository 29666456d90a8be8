import { Worker } from 'node:worker_threads';
import { StoreDamaged, StoreUnavailable } from '../store.ts';
import type { CheckReport } from './check.ts';
import type { ReaderReply, ReaderRequest } from './reader-thread.ts';

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}
type Question = { readonly ask: 'body'; readonly from: 'content' | 'segment' | 'blob'; readonly row: number } | { readonly ask: 'check' };

/** The protocol thread's end of the reader thread, which is started at its first use. */
export class Reader {
  readonly #folder: string;
  #worker: Worker | undefined;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #closed = false;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Stored octets of one row. @throws StoreDamaged */
  async body(from: 'content' | 'segment' | 'blob', row: number): Promise<Uint8Array> {
    const octets = await this.#ask({ ask: 'body', from, row });
    return octets as Uint8Array;
  }
  async check(): Promise<CheckReport> {
    return (await this.#ask({ ask: 'check' })) as CheckReport;
  }

  #ask(question: Question): Promise<unknown> {
    if (this.#closed) return Promise.reject(new StoreUnavailable('the store is closed'));
    const worker = this.#running();
    const number = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      worker.postMessage({ number, ...question } satisfies ReaderRequest);
    });
  }

  #running(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(new URL('./reader-thread.ts', import.meta.url), { workerData: { folder: this.#folder } });
    worker.on('message', (reply: ReaderReply) => {
      const waiting = this.#waiting.get(reply.number);
      this.#waiting.delete(reply.number);
      if ('error' in reply) waiting?.reject(new StoreDamaged(reply.error));
      else waiting?.resolve(reply.result);
    });
    const ended = (error: Error): void => {
      this.#worker = undefined; // the next question starts another
      for (const waiting of this.#waiting.values()) waiting.reject(new StoreUnavailable('the reader thread ended', { cause: error }));
      this.#waiting.clear();
    };
    worker.on('error', (error) => ended(error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', (code) => ended(new Error(`exit code ${code}`)));
    this.#worker = worker;
    return worker;
  }

  /** By message, never by terminate: a connection must be closed by its own thread. */
  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    if (worker === undefined) return;
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    worker.postMessage('close');
    await exited;
  }
}
