/**
 * `workers: N`: the parent owns the listening sockets and hands connections to its worker processes in turn (node:cluster); each worker is
 * the whole server. The parent opens no store. It starts workers anew, passes signals on, and is what the service manager watches.
 */
import cluster, { type Worker } from 'node:cluster';
import { AggregatorRegistry, type MetricObject } from 'prom-client';
import type { RunFile } from '../cli/administration.ts';
import type { Logger } from '../config/logger.ts';
import { type FromWorker, isOurs, type ToWorker } from './messages.ts';

export interface WorkerPoolOptions {
  readonly count: number;
  readonly log: Logger;
  /** ms that a worker may take to end after it was told to. */
  readonly graceMs: number;
  /** ms without a sign of life after which a worker is killed and started anew (default 60 000). */
  readonly silenceMs?: number;
}

const RESTART_MS = 1_000;
const RESTART_MAX_MS = 30_000;
/** Who lives so long was no failed start. */
const STEADY_MS = 60_000;
const METRICS_MS = 2_000;
/** After the grace of sessions: saving state. */
const CLOSE_MS = 15_000;

interface Slot {
  worker: Worker | undefined;
  startedAt: number;
  heardAt: number;
  failures: number;
}
interface Gathering {
  readonly asker: Worker;
  readonly askersId: number;
  readonly waitingFor: Set<number>;
  readonly gathered: MetricObject[][];
  readonly timer: NodeJS.Timeout;
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #slots: Slot[];
  readonly #gatherings = new Map<number, Gathering>();
  #gatheringId = 0;
  #watch: NodeJS.Timeout | undefined;
  #draining = false;
  #onExit: (() => void) | undefined;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#slots = Array.from({ length: options.count }, () => ({ worker: undefined, startedAt: 0, heardAt: 0, failures: 0 }));
  }

  /** Resolves when all listen. @throws Error when the first cannot start: so would none of the others */
  async start(): Promise<RunFile['listeners']> {
    const [first, ...others] = this.#slots;
    if (first === undefined) throw new Error('no workers');
    // Alone, as it may make what all then find: the token, the certificate.
    const listeners = await this.#fork(first);
    await Promise.all(others.map((slot) => this.#fork(slot)));
    this.#watch = setInterval(() => this.#killSilent(), Math.min(5_000, this.#silenceMs / 4));
    return listeners;
  }

  get #silenceMs(): number {
    return this.#options.silenceMs ?? 60_000;
  }

  reload(): void {
    this.#tell({ kind: 'reload' });
  }

  /** All stop accepting and let sessions finish; who does not end in time is killed. */
  async drain(): Promise<void> {
    this.#draining = true;
    clearInterval(this.#watch);
    this.#tell({ kind: 'drain' });
    const timer = setTimeout(() => {
      for (const { worker } of this.#slots) worker?.process.kill('SIGKILL');
    }, this.#options.graceMs + CLOSE_MS);
    while (this.#slots.some(({ worker }) => worker !== undefined)) {
      await new Promise<void>((resolve) => {
        this.#onExit = resolve;
      });
    }
    clearTimeout(timer);
  }

  #fork(slot: Slot): Promise<RunFile['listeners']> {
    const worker = cluster.fork();
    slot.worker = worker;
    slot.startedAt = slot.heardAt = performance.now();
    const { promise, resolve, reject } = Promise.withResolvers<RunFile['listeners']>();
    worker.on('message', (message: unknown) => {
      slot.heardAt = performance.now();
      if (!isOurs(message)) return;
      const said = message as FromWorker; // of a process that runs this same file's other end
      if (said.kind === 'ready') resolve(said.listeners);
      else if (said.kind === 'ask-metrics') this.#gather(worker, said.id);
      else if (said.kind === 'metrics') this.#gathered(said.id, worker.id, [...said.metrics]);
    });
    let isReady = false;
    promise.then(
      () => {
        isReady = true;
      },
      () => undefined, // told where the promise went
    );
    worker.on('exit', (code, signal) => {
      slot.worker = undefined;
      for (const id of this.#gatherings.keys()) this.#gathered(id, worker.id, []);
      this.#onExit?.();
      if (this.#draining) return;
      const isFirstStart = !isReady && this.#watch === undefined;
      reject(new Error(`a worker process ended while it started: ${signal ?? `exit status ${code}`}`));
      if (!isFirstStart) this.#restart(slot, code, signal);
    });
    return promise;
  }

  #restart(slot: Slot, code: number | null, signal: string | null): void {
    slot.failures = performance.now() - slot.startedAt > STEADY_MS ? 1 : slot.failures + 1;
    const delayMs = Math.min(RESTART_MS * 2 ** (slot.failures - 1), RESTART_MAX_MS);
    this.#options.log.error({ code, signal, delayMs }, 'a worker process has ended and is started anew');
    setTimeout(() => {
      if (!this.#draining) this.#fork(slot).catch(() => undefined); // its exit has been logged, and it is tried again
    }, delayMs);
  }

  #killSilent(): void {
    const silenceMs = this.#silenceMs;
    for (const { worker, heardAt } of this.#slots) {
      if (worker === undefined || performance.now() - heardAt < silenceMs) continue;
      this.#options.log.error({ process: worker.process.pid, silenceMs }, 'a worker process does not answer and is killed');
      worker.process.kill('SIGKILL');
    }
  }

  #tell(message: ToWorker): void {
    for (const { worker } of this.#slots) send(worker, message);
  }

  /* ── Metrics of all, for the worker that was asked ── */

  #gather(asker: Worker, askersId: number): void {
    const id = ++this.#gatheringId;
    const waitingFor = new Set<number>();
    for (const { worker } of this.#slots) if (worker !== undefined) waitingFor.add(worker.id);
    const timer = setTimeout(() => this.#answer(id), METRICS_MS);
    this.#gatherings.set(id, { asker, askersId, waitingFor, gathered: [], timer });
    this.#tell({ kind: 'ask-metrics', id });
  }
  #gathered(id: number, workerId: number, metrics: MetricObject[]): void {
    const gathering = this.#gatherings.get(id);
    if (gathering === undefined || !gathering.waitingFor.delete(workerId)) return;
    gathering.gathered.push(metrics);
    if (gathering.waitingFor.size === 0) this.#answer(id);
  }
  #answer(id: number): void {
    const gathering = this.#gatherings.get(id);
    if (gathering === undefined) return;
    this.#gatherings.delete(id);
    clearTimeout(gathering.timer);
    AggregatorRegistry.aggregate(gathering.gathered)
      .metrics()
      .then((text) => send(gathering.asker, { kind: 'metrics', id: gathering.askersId, text }))
      .catch((error: unknown) => this.#options.log.error({ err: error }, 'metrics of the workers could not be added up'));
  }
}

/** To a process that may have ended just now. */
function send(worker: Worker | undefined, message: ToWorker): void {
  if (worker?.isConnected() === true) worker.send(message, () => undefined);
}
