import { Worker } from 'node:worker_threads';
import type { Document, OpaqueDocument } from './document.ts';
import type { IndexReply, IndexRequest, NumberedRequest } from './index-thread.ts';
import type { MergeInput } from './segment-merger.ts';

/** The search thread cannot do what was asked, or has ended: begin again later. */
export class IndexWorkerError extends Error {
  override name = 'IndexWorkerError';
  /** Of a merge: the input that is damaged. */
  readonly input: number | undefined;
  constructor(message: string, options: { readonly cause?: unknown; readonly input?: number | undefined } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.input = options.input;
  }
}

interface Waiting {
  readonly resolve: (reply: IndexReply) => void;
  readonly reject: (error: Error) => void;
}

/** Memory of the thread in MiB: beyond it the thread ends, not the server. */
const HEAP_MIB = 768;

/** The protocol thread's end of the search thread, which is started at its first use and after it has died. */
export class IndexWorker {
  #worker: Worker | undefined;
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #isStopped = false;

  async begin(): Promise<void> {
    await this.#ask({ do: 'begin' });
  }
  /** Returns what the segment has grown to: terms and postings. Octets of documents are given away. */
  async add(documents: readonly (Document | OpaqueDocument)[]): Promise<number> {
    const reply = await this.#ask({ do: 'add', documents }, buffersOf(documents));
    return 'size' in reply ? reply.size : 0;
  }
  async finish(): Promise<readonly Uint8Array[]> {
    const reply = await this.#ask({ do: 'finish' });
    return 'pieces' in reply ? reply.pieces : [];
  }
  /** Octets of pieces are given away. */
  async merge(inputs: readonly MergeInput[]): Promise<readonly Uint8Array[]> {
    const buffers = new Set<ArrayBuffer>();
    for (const { pieces } of inputs) for (const { buffer } of pieces) if (buffer instanceof ArrayBuffer) buffers.add(buffer);
    const reply = await this.#ask({ do: 'merge', inputs }, [...buffers]);
    return 'pieces' in reply ? reply.pieces : [];
  }

  /** For tests: what a crash looks like. */
  get threadId(): number | undefined {
    return this.#worker?.threadId;
  }

  /** Ends the thread, whatever it does; the next question starts another. */
  async rest(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = undefined;
  }
  /** For good. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.rest();
  }

  #ask(request: IndexRequest, transfer: readonly ArrayBuffer[] = []): Promise<IndexReply> {
    if (this.#isStopped) return Promise.reject(new IndexWorkerError('the search thread is not started any more'));
    const worker = this.#running();
    const number = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      worker.ref();
      worker.postMessage({ number, request } satisfies NumberedRequest, transfer);
    });
  }

  #running(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(new URL('./index-thread.ts', import.meta.url), { resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB } });
    worker.unref();
    worker.on('message', (reply: IndexReply) => {
      const waiting = this.#waiting.get(reply.number);
      this.#waiting.delete(reply.number);
      if (this.#waiting.size === 0) worker.unref();
      if ('error' in reply) waiting?.reject(new IndexWorkerError(reply.error, { input: reply.input }));
      else waiting?.resolve(reply);
    });
    const ended = (cause: unknown): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined; // the next question starts another
      for (const waiting of this.#waiting.values()) waiting.reject(new IndexWorkerError('the search thread ended', { cause }));
      this.#waiting.clear();
    };
    worker.on('error', ended);
    worker.on('exit', (code) => ended(new Error(`exit code ${code}`)));
    this.#worker = worker;
    return worker;
  }
}

function buffersOf(documents: readonly (Document | OpaqueDocument)[]): readonly ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const document of documents) {
    if ('opaque' in document) continue;
    for (const { buffer } of [document.head, ...(document.ranges ?? []).map(({ octets }) => octets)]) {
      if (buffer instanceof ArrayBuffer) buffers.add(buffer);
    }
  }
  return [...buffers];
}
