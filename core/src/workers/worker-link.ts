/** The worker's end of what it and the parent tell each other. */
import type { MetricObject } from 'prom-client';
import type { RunFile } from '../cli/administration.ts';
import { type FromWorker, isOurs, type ToWorker } from './messages.ts';

export interface WorkerLinkHandlers {
  readonly onReload: () => void;
  readonly onDrain: () => void;
  /** Of this process alone. */
  readonly metrics: () => Promise<readonly MetricObject[]>;
}

const ALIVE_MS = 5_000;
const METRICS_MS = 5_000;

export class WorkerLink {
  readonly #asked = new Map<number, (text: string) => void>();
  #lastId = 0;

  /** Says that this process listens, and from then on that it lives. */
  open(listeners: RunFile['listeners'], { onReload, onDrain, metrics }: WorkerLinkHandlers): void {
    process.on('message', (message: unknown) => {
      if (!isOurs(message)) return;
      const said = message as ToWorker; // of the parent, which runs the same code
      if (said.kind === 'reload') onReload();
      else if (said.kind === 'drain') onDrain();
      else if (said.kind === 'ask-metrics') {
        metrics().then(
          (list) => send({ kind: 'metrics', id: said.id, metrics: list }),
          () => send({ kind: 'metrics', id: said.id, metrics: [] }), // the others' are worth having
        );
      } else if (said.kind === 'metrics') {
        this.#asked.get(said.id)?.(said.text);
        this.#asked.delete(said.id);
      }
    });
    setInterval(() => send({ kind: 'alive' }), ALIVE_MS).unref();
    send({ kind: 'ready', listeners });
  }

  /** Metrics of all workers, added up. @throws Error when the parent does not answer */
  metricsOfAll(): Promise<string> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#asked.delete(id);
        reject(new Error('the parent process does not answer'));
      }, METRICS_MS);
      this.#asked.set(id, (text) => {
        clearTimeout(timer);
        resolve(text);
      });
      send({ kind: 'ask-metrics', id });
    });
  }
}

/** A parent that has gone takes its workers with it: nothing to do about a failure. */
function send(message: FromWorker): void {
  process.send?.(message, undefined, undefined, () => undefined);
}
