/** The primary and its replicas: prepared statements only, each with a time limit, and a server that failed is left alone for a moment. */
import { readFileSync } from 'node:fs';
import { Unavailable } from '@pochard/plugin-sdk';
import type { Connection, ConnectionOptions, RowDataPacket } from 'mysql2/promise';
import type { Config } from './config.ts';
import { ConnectionPool, type Lease, PoolBusy } from './connection-pool.ts';
import type { ListPage, ListStatement, Statement, UpdateStatement, Value } from './statements.ts';

/** More rows than any answer has; a mapping that forgot a condition must not bring a whole table. */
const MAX_ROWS = 10_001;
/** MariaDB and MySQL call their time limits by different names. */
const ER_UNKNOWN_SYSTEM_VARIABLE = 1193;

/** No answer: never "there is no such user". Names the server's error, never a value. */
export class DatabaseUnavailable extends Unavailable {
  override readonly name = 'DatabaseUnavailable';
}

export type Row = Readonly<Record<string, unknown>>;
export interface DatabaseCounters {
  readonly queries: Counter;
  readonly failures: Counter;
  readonly timeouts: Counter;
  readonly failovers: Counter;
}
export interface Counter {
  add(n?: number): void;
}

interface Server {
  readonly title: string;
  readonly pool: ConnectionPool;
  /** On the monotonic clock. */
  downUntil: number;
}

export class Database {
  readonly #config: Config['connection'];
  readonly #counters: DatabaseCounters;
  readonly #now: () => number;
  readonly #primary: Server;
  readonly #replicas: readonly Server[];
  #turn = 0;

  /** `now`: monotonic milliseconds. @throws Error when a file of the configuration cannot be read */
  constructor(config: Config, counters: DatabaseCounters, now: () => number) {
    this.#config = config.connection;
    this.#counters = counters;
    this.#now = now;
    const base = baseOptions(config.connection);
    const server = (title: string, place: Place): Server => ({
      title,
      downUntil: 0,
      pool: new ConnectionPool({
        connection: { ...base, ...placeOf(place) },
        size: config.connection.poolSize,
        queueSize: config.connection.queueSize,
        idleTimeoutMs: config.connection.idleTimeoutMs,
        prepare: (connection) => this.#limit(connection),
      }),
    });
    this.#primary = server('primary', config.connection);
    this.#replicas = config.readReplicas.map((place, at) => server(`replica ${at}`, place));
  }

  get hasReplicas(): boolean {
    return this.#replicas.length > 0;
  }

  /** A replica when there is one, the primary when none answers; `primary`: the primary alone. @throws DatabaseUnavailable, the signal's reason */
  query(statement: Statement, key: string, signal: AbortSignal, from: 'any' | 'primary' = 'any'): Promise<readonly Row[]> {
    return this.#read(statement.name, statement.sql, statement.values(key), signal, from);
  }
  /** One page of users, from where `query` asks. @throws DatabaseUnavailable, the signal's reason */
  list(statement: ListStatement, page: ListPage, signal: AbortSignal): Promise<readonly Row[]> {
    return this.#read('list', statement.sql, statement.values(page), signal, 'any');
  }
  async #read(name: string, sql: string, values: readonly Value[], signal: AbortSignal, from: 'any' | 'primary'): Promise<readonly Row[]> {
    const servers = from === 'primary' ? [this.#primary] : [...this.#rotated(), this.#primary];
    let failure: unknown;
    for (const [at, server] of servers.entries()) {
      if (!this.#mayTry(server)) continue;
      if (failure !== undefined || (at > 0 && from === 'any')) this.#counters.failovers.add();
      try {
        return await this.#run(server, sql, values, signal, rowsOf);
      } catch (error) {
        signal.throwIfAborted();
        failure = error;
      }
    }
    throw failed(`${name} query`, failure);
  }

  /** On the primary. @returns how many rows changed */
  async update(statement: UpdateStatement, hash: string, username: string, former: string, signal: AbortSignal): Promise<number> {
    if (!this.#mayTry(this.#primary)) throw failed('update', undefined);
    try {
      return await this.#run(this.#primary, statement.sql, statement.values(hash, username, former), signal, affectedRows);
    } catch (error) {
      signal.throwIfAborted();
      throw failed('update', error);
    }
  }

  /** Prepares the statements, so that a wrong table or column is known early. @throws DatabaseUnavailable */
  async check(statements: readonly (Statement | undefined)[], signal: AbortSignal): Promise<void> {
    for (const statement of statements) if (statement !== undefined) await this.query(statement, '', signal, 'primary');
  }

  async close(): Promise<void> {
    await Promise.all([this.#primary, ...this.#replicas].map(({ pool }) => pool.close()));
  }

  async #run<T>(server: Server, sql: string, values: readonly Value[], outer: AbortSignal, read: (result: unknown) => T): Promise<T> {
    this.#counters.queries.add();
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(new DatabaseUnavailable('no answer in time')), this.#config.queryTimeoutMs);
    const signal = AbortSignal.any([outer, limit.signal]);
    let lease: Lease | undefined;
    try {
      lease = await server.pool.acquire(signal);
      const [result] = await untilAborted(lease.connection.execute<RowDataPacket[]>(sql, [...values]), signal);
      server.pool.release(lease);
      server.downUntil = 0;
      return read(result);
    } catch (error) {
      if (outer.aborted) {
        if (lease !== undefined) server.pool.drop(lease);
        throw error;
      }
      this.#counters.failures.add();
      if (limit.signal.aborted) this.#counters.timeouts.add();
      if (lease !== undefined && isStatementError(error)) server.pool.release(lease);
      else {
        if (lease !== undefined) server.pool.discard(lease);
        if (!(error instanceof PoolBusy)) server.downUntil = this.#now() + this.#config.retryMs;
      }
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** A server that has just failed costs nobody a timeout; after `retryMs` it is asked again. */
  #mayTry(server: Server): boolean {
    return server.downUntil === 0 || this.#now() >= server.downUntil;
  }
  #rotated(): readonly Server[] {
    if (this.#replicas.length === 0) return this.#replicas;
    this.#turn = (this.#turn + 1) % this.#replicas.length;
    return [...this.#replicas.slice(this.#turn), ...this.#replicas.slice(0, this.#turn)];
  }
  /** On each new connection: what bounds an answer in rows and, on the server too, in time. */
  async #limit(connection: Connection): Promise<void> {
    const { connectTimeoutMs, queryTimeoutMs } = this.#config;
    const signal = AbortSignal.timeout(connectTimeoutMs);
    await untilAborted(connection.execute(`SET SESSION sql_select_limit = ${MAX_ROWS}`), signal);
    // Later than our own limit: it ends what a lost connection left running.
    const limitMs = Math.ceil(queryTimeoutMs * 1.5);
    for (const setting of [`max_statement_time = ${limitMs / 1000}`, `max_execution_time = ${limitMs}`]) {
      try {
        await untilAborted(connection.execute(`SET SESSION ${setting}`), signal);
        return;
      } catch (error) {
        if (!(typeof error === 'object' && error !== null && 'errno' in error && error.errno === ER_UNKNOWN_SYSTEM_VARIABLE)) throw error;
      }
    }
  }
}

interface Place {
  readonly host?: string;
  readonly port?: number;
  readonly socket?: string;
}
function placeOf({ host = '127.0.0.1', port = 3306, socket }: Place): ConnectionOptions {
  return socket === undefined ? { host, port } : { socketPath: socket };
}
function baseOptions({ user, password, passwordFile, database, tls, connectTimeoutMs }: Config['connection']): ConnectionOptions {
  const secret = passwordFile === undefined ? password : readFileSync(passwordFile, 'utf8').replace(/\r?\n$/, '');
  return {
    user,
    ...(secret === undefined ? {} : { password: secret }),
    database,
    connectTimeout: connectTimeoutMs,
    charset: 'UTF8MB4_UNICODE_CI', // the server and we agree on where a character ends
    multipleStatements: false,
    supportBigNumbers: true,
    jsonStrings: true,
    dateStrings: true,
    flags: ['-LOCAL_FILES'], // a hostile server may not ask for our files
    ...(tls === undefined ? {} : { ssl: tlsOptions(tls) }),
  };
}
function tlsOptions({
  caFile,
  certificateFile,
  keyFile,
  serverName = 'verify',
}: NonNullable<Config['connection']['tls']>): NonNullable<ConnectionOptions['ssl']> {
  return {
    rejectUnauthorized: true,
    verifyIdentity: serverName === 'verify',
    minVersion: 'TLSv1.2',
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile, 'utf8') }),
    ...(certificateFile === undefined ? {} : { cert: readFileSync(certificateFile, 'utf8') }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile, 'utf8') }),
  };
}

/** The promise is left to itself when the signal comes first; its connection is destroyed then. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    promise.catch(() => undefined); // told already by the race, or by the abort
  }
}

/** The server answered, with an error that another try would meet again: the connection is good. */
function isStatementError(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('errno' in error) || !('sqlState' in error)) return false;
  return !('fatal' in error && error.fatal === true);
}
function failed(what: string, cause: unknown): DatabaseUnavailable {
  const code = typeof cause === 'object' && cause !== null && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined;
  const why = cause === undefined ? 'the server failed a moment ago' : (code ?? (cause instanceof Error ? cause.message : 'failed'));
  return new DatabaseUnavailable(`${what}: ${why}`, { cause });
}

function rowsOf(result: unknown): readonly Row[] {
  if (!Array.isArray(result)) return [];
  return result.filter((row): row is Row => typeof row === 'object' && row !== null);
}
function affectedRows(result: unknown): number {
  return typeof result === 'object' && result !== null && 'affectedRows' in result ? Number(result.affectedRows) : 0;
}
