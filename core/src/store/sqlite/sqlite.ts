/** The only file that names `node:sqlite`. Rows come back as arrays in column order; tables are STRICT, so a query's row type holds. */
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { StoreUnavailable } from '../store.ts';

export type Database = DatabaseSync;
export type Cell = null | number | string | Uint8Array;
export type Input = SQLInputValue;

/** A prepared statement. `Row` is what its SQL selects: claimed where it is prepared. */
export interface Query<Row extends readonly Cell[] = readonly Cell[]> {
  all(...params: Input[]): Row[];
  get(...params: Input[]): Row | undefined;
  run(...params: Input[]): { readonly changes: number | bigint };
}

export function prepare<Row extends readonly Cell[]>(database: Database, sql: string): Query<Row> {
  const statement = database.prepare(sql);
  statement.setReturnArrays(true);
  return statement as unknown as Query<Row>;
}

export interface OpenOptions {
  readonly access: 'read' | 'write';
  /** How long a statement waits for a lock of another connection. */
  readonly timeoutMs: number;
  readonly cacheOctets: number;
}
/** Opens a connection; the caller keeps the handle for as long as any statement of it lives. */
export function openDatabase(path: string, options: OpenOptions): Database {
  const database = new DatabaseSync(path, { readOnly: options.access === 'read', timeout: options.timeoutMs });
  try {
    database.exec(`PRAGMA cache_size = -${Math.max(64, Math.round(options.cacheOctets / 1024))}; PRAGMA temp_store = MEMORY;`);
    if (options.access === 'read') database.exec('PRAGMA query_only = ON');
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** First version without the WAL-reset corruption (several connections on one WAL). */
const LOWEST_VERSION = [3, 51, 3] as const;

/** @throws StoreUnavailable when the SQLite in this Node has the WAL-reset bug */
export function requireSafeVersion(version: string): void {
  const parts = version.split('.').map(Number);
  for (const [at, lowest] of LOWEST_VERSION.entries()) {
    const part = parts[at] ?? 0;
    if (part > lowest) return;
    if (part < lowest || Number.isNaN(part)) {
      throw new StoreUnavailable(`SQLite ${version} can corrupt a WAL database; ${LOWEST_VERSION.join('.')} or later is needed`);
    }
  }
}

export function sqliteVersion(database: Database): string {
  return prepare<[string]>(database, 'SELECT sqlite_version()').get()?.[0] ?? '';
}

export type Fault = 'full' | 'io' | 'damaged' | 'busy' | 'other';
/** What kind of SQLite error this is: by the primary result code, which is the low octet of the extended one. */
export function faultOf(error: unknown): Fault {
  const code = error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode & 0xff : 0;
  if (code === 13) return 'full';
  if (code === 10 || code === 7 || code === 14) return 'io'; // IOERR, NOMEM, CANTOPEN: what is on the disk is unknown
  if (code === 11 || code === 26) return 'damaged';
  if (code === 5 || code === 6) return 'busy';
  return 'other';
}
