import type { MessagePort, Worker } from 'node:worker_threads';
import { OutcomeUnknown, StoreDamaged, StoreUnavailable } from '../store.ts';
import { isFailure, type OpFailure, type OpResults, octetsOf, packMessage, type WriteOp, type WriterReply } from './messages.ts';

/** Octets under way to the writer; what is above waits here, unpacked. */
const MAX_IN_FLIGHT_OCTETS = 32 * 1024 * 1024;
/** Octets that one message packs: larger ones would stall the loop while they are copied. */
const MAX_MESSAGE_OCTETS = 4 * 1024 * 1024;

interface Waiting {
  readonly op: WriteOp;
  readonly octets: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

function errorOf(failure: OpFailure): Error {
  switch (failure.failed) {
    case 'unavailable':
      return new StoreUnavailable(failure.message);
    case 'unknown':
      return new OutcomeUnknown(failure.message);
    case 'damaged':
      return new StoreDamaged(failure.message);
    case 'refused':
      return new Error(failure.message);
  }
}

/**
 * The protocol thread's end of the writer. All ops of one turn of the event loop travel in one message; results come back a group at a
 * time. Buffers in an op must not change until its promise settles; they stay the caller's.
 */
export class WriteQueue {
  readonly #port: MessagePort;
  #queue: Waiting[] = [];
  readonly #sent = new Map<number, Waiting>();
  #sentOctets = 0;
  #next = 1;
  #scheduled = false;
  #ended: Error | undefined;
  readonly #onDead: (error: Error) => void;
  #onIdle: (() => void) | undefined;

  constructor(port: MessagePort, worker: Worker, onDead: (error: Error) => void) {
    this.#port = port;
    this.#onDead = onDead;
    port.on('message', (reply: WriterReply) => {
      if (reply.kind === 'done') this.#settle(reply.results);
      // What is under way gets an answer still.
      else if (reply.kind === 'dead') this.#refuseNew(new OutcomeUnknown(reply.message));
    });
    worker.on('error', (error) => this.#die(error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', () => this.#die(new Error('the writer thread ended')));
  }

  submit<Op extends WriteOp>(op: Op): Promise<OpResults[Op['op']]> {
    if (this.#ended !== undefined) return Promise.reject(new StoreUnavailable(this.#ended.message, { cause: this.#ended }));
    this.#schedule();
    return new Promise<OpResults[Op['op']]>((resolve, reject) => {
      this.#queue.push({ op, octets: octetsOf(op), resolve: resolve as (value: unknown) => void, reject });
    });
  }

  /** Takes nothing more; settles when all that was taken has settled. */
  async drain(reason: Error): Promise<void> {
    const open: Promise<unknown>[] = [];
    if (this.#queue.length > 0 || this.#sent.size > 0) {
      open.push(new Promise<void>((resolve) => (this.#onIdle = resolve)));
    }
    this.#ended ??= reason;
    await Promise.all(open);
  }
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#send();
    });
  }

  #send(): void {
    let at = 0;
    while (at < this.#queue.length && (this.#sentOctets < MAX_IN_FLIGHT_OCTETS || this.#sent.size === 0)) {
      const first = this.#next;
      const ops: WriteOp[] = [];
      let octets = 0;
      while (at < this.#queue.length && octets < MAX_MESSAGE_OCTETS) {
        const waiting = this.#queue[at++];
        if (waiting === undefined) break;
        ops.push(waiting.op);
        octets += waiting.octets;
        this.#sent.set(this.#next++, waiting);
      }
      this.#sentOctets += octets;
      const { message, transfer } = packMessage(first, ops);
      this.#port.postMessage(message, transfer);
    }
    if (at === this.#queue.length) this.#queue = [];
    else this.#queue.splice(0, at);
  }

  #settle(results: readonly unknown[]): void {
    for (let at = 0; at < results.length; at += 2) {
      const number = results[at] as number;
      const waiting = this.#sent.get(number);
      if (waiting === undefined) continue;
      this.#sent.delete(number);
      this.#sentOctets -= waiting.octets;
      const result = results[at + 1];
      if (isFailure(result)) waiting.reject(errorOf(result));
      else waiting.resolve(result);
    }
    if (this.#queue.length > 0) this.#schedule();
    else if (this.#sent.size === 0) this.#onIdle?.();
  }

  /** The thread is gone, and with it the answers to all that was sent. */
  #die(error: Error): void {
    for (const waiting of this.#sent.values()) {
      waiting.reject(new OutcomeUnknown('the writer ended before it answered', { cause: error }));
    }
    this.#sent.clear();
    this.#refuseNew(error);
  }
  #refuseNew(error: Error): void {
    const wasAlive = this.#ended === undefined;
    this.#ended ??= error;
    for (const waiting of this.#queue) waiting.reject(new StoreUnavailable(error.message, { cause: error }));
    this.#queue = [];
    if (this.#sent.size === 0) this.#onIdle?.();
    if (wasAlive) this.#onDead(error);
  }
}
