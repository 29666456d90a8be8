/** Connections to one server: at most so many, waiting ends with the caller's signal, and after a fault none of the old ones is used again. */
import { type Connection, type ConnectionOptions, createConnection } from 'mysql2/promise';

export interface PoolOptions {
  readonly connection: ConnectionOptions;
  readonly size: number;
  readonly queueSize: number;
  readonly idleTimeoutMs: number;
  /** Runs on each new connection before its first use. */
  prepare(connection: Connection): Promise<void>;
}

interface Idle {
  readonly connection: Connection;
  readonly generation: number;
  readonly timer: NodeJS.Timeout;
}
interface Waiter {
  settle(result: Lease | Error): void;
}
export interface Lease {
  readonly connection: Connection;
  readonly generation: number;
}

export class PoolBusy extends Error {
  override readonly name = 'PoolBusy';
}

export class ConnectionPool {
  readonly #options: PoolOptions;
  readonly #idle: Idle[] = [];
  readonly #waiters = new Set<Waiter>();
  readonly #leased = new Set<Connection>();
  #opening = 0;
  /** Rises with each fault: a connection of an earlier one may be as dead as that which failed. */
  #generation = 0;
  #isClosed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** @throws what connecting throws, PoolBusy, the signal's reason */
  async acquire(signal: AbortSignal): Promise<Lease> {
    signal.throwIfAborted();
    if (this.#isClosed) throw new PoolBusy('the pool is closed');
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      clearTimeout(idle.timer);
      return this.#lease(idle.connection, idle.generation);
    }
    if (this.#waiters.size >= this.#options.queueSize + this.#options.size) throw new PoolBusy('too many lookups wait for a connection');
    const { promise, resolve, reject } = Promise.withResolvers<Lease>();
    const waiter: Waiter = {
      settle: (result) => {
        this.#waiters.delete(waiter);
        signal.removeEventListener('abort', onAbort);
        if (result instanceof Error) reject(result);
        else resolve(result);
      },
    };
    const onAbort = () => waiter.settle(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    signal.addEventListener('abort', onAbort);
    this.#waiters.add(waiter);
    this.#open();
    return promise;
  }

  release({ connection, generation }: Lease): void {
    if (!this.#leased.delete(connection)) return;
    if (this.#isClosed || generation !== this.#generation) connection.destroy();
    else this.#offer(connection, generation);
    this.#open();
  }

  /** After a fault: this connection and every idle one go, and those in use after their query. */
  discard({ connection }: Lease): void {
    if (!this.#leased.delete(connection)) return;
    connection.destroy();
    this.#generation += 1;
    for (const idle of this.#idle.splice(0)) {
      clearTimeout(idle.timer);
      idle.connection.destroy();
    }
    this.#open();
  }

  /** Only this connection: its caller went away, which says nothing of the server. */
  drop({ connection }: Lease): void {
    if (!this.#leased.delete(connection)) return;
    connection.destroy();
    this.#open();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const waiter of [...this.#waiters]) waiter.settle(new PoolBusy('the pool is closed'));
    for (const connection of this.#leased) connection.destroy();
    this.#leased.clear();
    await Promise.all(
      this.#idle.splice(0).map(async ({ connection, timer }) => {
        clearTimeout(timer);
        // A server that does not take its leave is left.
        const force = setTimeout(() => connection.destroy(), 1_000);
        try {
          await connection.end();
        } catch {
          connection.destroy(); // it was gone already
        } finally {
          clearTimeout(force);
        }
      }),
    );
  }

  #open(): void {
    const { size } = this.#options;
    while (!this.#isClosed && this.#opening < this.#waiters.size && this.#idle.length + this.#leased.size + this.#opening < size) {
      this.#opening += 1;
      void this.#connect();
    }
  }
  async #connect(): Promise<void> {
    const generation = this.#generation;
    let connection: Connection | undefined;
    try {
      connection = await createConnection(this.#options.connection);
      const made = connection;
      // Without a listener the end of an idle connection would end the process.
      made.on('error', () => this.#forget(made));
      made.on('end', () => this.#forget(made));
      await this.#options.prepare(made);
    } catch (error) {
      connection?.destroy();
      this.#opening -= 1;
      const failure = error instanceof Error ? error : new Error('connecting failed');
      // All that wait would have met the same.
      for (const waiter of [...this.#waiters]) waiter.settle(failure);
      return;
    }
    this.#opening -= 1;
    if (this.#isClosed) connection.destroy();
    else this.#offer(connection, generation);
  }
  #offer(connection: Connection, generation: number): void {
    const [waiter] = this.#waiters;
    if (waiter !== undefined) {
      waiter.settle(this.#lease(connection, generation));
      return;
    }
    const timer = setTimeout(() => {
      this.#forget(connection);
      connection.destroy();
    }, this.#options.idleTimeoutMs);
    timer.unref();
    this.#idle.push({ connection, generation, timer });
  }
  #lease(connection: Connection, generation: number): Lease {
    this.#leased.add(connection);
    return { connection, generation };
  }
  #forget(connection: Connection): void {
    const at = this.#idle.findIndex((idle) => idle.connection === connection);
    if (at < 0) return; // in use: its query fails by itself
    const [idle] = this.#idle.splice(at, 1);
    clearTimeout(idle?.timer);
  }
}
