import type { RecordRow, Records, RecordWrite } from '../store.ts';
import { RecordConflict } from '../store.ts';
import { octetsIn } from './octets-in.ts';

interface Row {
  readonly version: number;
  readonly json: string;
  readonly expiresAt: number | undefined;
}

export class MemoryRecords implements Records {
  readonly #now: () => number;
  readonly #tables = new Map<string, Map<string, Row>>();
  constructor(now: () => number) {
    this.#now = now;
  }

  #row(table: string, key: string): Row | undefined {
    const row = this.#tables.get(table)?.get(key);
    return row !== undefined && (row.expiresAt === undefined || row.expiresAt > this.#now()) ? row : undefined;
  }

  /** All writes or none. Returns the first write whose precondition fails. */
  apply(writes: readonly RecordWrite[]): RecordWrite | undefined {
    const changed = new Map<string, Map<string, Row | undefined>>();
    for (const write of writes) {
      const rows = changed.get(write.table) ?? new Map<string, Row | undefined>();
      changed.set(write.table, rows);
      const row = rows.has(write.key) ? rows.get(write.key) : this.#row(write.table, write.key);
      const version = row?.version ?? 0;
      if (write.ifVersion !== undefined && write.ifVersion !== version) return write;
      const json: string | undefined = JSON.stringify(write.value);
      if (write.value !== undefined && json === undefined) throw new TypeError(`record ${write.table}: the value is not JSON`);
      rows.set(write.key, json === undefined ? undefined : { version: version + 1, json, expiresAt: write.expiresAt });
    }
    for (const [table, rows] of changed) {
      const kept = this.#tables.get(table) ?? new Map<string, Row>();
      this.#tables.set(table, kept);
      for (const [key, row] of rows) {
        if (row === undefined) kept.delete(key);
        else kept.set(key, row);
      }
    }
    return undefined;
  }

  octets(): Generator<Uint8Array> {
    return octetsIn(this.#tables);
  }

  async get(table: string, key: string): Promise<RecordRow | undefined> {
    const row = this.#row(table, key);
    return row && { key, version: row.version, value: JSON.parse(row.json) };
  }
  async list(table: string, options: { readonly prefix?: string; readonly after?: string; readonly limit: number }) {
    const { prefix = '', after, limit } = options;
    const found: RecordRow[] = [];
    const keys = [...(this.#tables.get(table)?.keys() ?? [])].filter(
      (key) => key.startsWith(prefix) && (after === undefined || key > after),
    );
    for (const key of keys.sort((one, two) => (one < two ? -1 : 1))) {
      const row = found.length < limit ? this.#row(table, key) : undefined;
      if (row !== undefined) found.push({ key, version: row.version, value: JSON.parse(row.json) });
    }
    return found;
  }
  async all(after: string | undefined, limit: number) {
    const found: (RecordRow & { readonly table: string; readonly expiresAt: number | undefined; readonly mark: string })[] = [];
    for (const [table, rows] of this.#tables) {
      for (const key of rows.keys()) {
        const row = this.#row(table, key);
        const mark = JSON.stringify([table, key]);
        if (row === undefined || (after !== undefined && mark <= after)) continue;
        found.push({ table, key, version: row.version, value: JSON.parse(row.json), expiresAt: row.expiresAt, mark });
      }
    }
    return found.sort((one, two) => (one.mark < two.mark ? -1 : 1)).slice(0, limit);
  }
  async write(writes: readonly RecordWrite[]): Promise<void> {
    const conflict = this.apply(writes);
    if (conflict !== undefined) throw new RecordConflict(conflict.table, conflict.key);
  }

  eraseTables(prefix: string): void {
    for (const table of this.#tables.keys()) if (table.startsWith(prefix)) this.#tables.delete(table);
  }
}
