import type { AccountId, Commit, Static, Table, TSchema } from '@pochard/plugin-sdk';
import type { SchemaChecker } from './config-check.ts';
import type { TableStore } from './host-services.ts';

const maxRowOctets = 256 * 1024; // a table is for small state; mail and blobs have their own places
const maxKeyLength = 500;
const octetsMark = '\u0000octets'; // as a key of its own: no row of JSON has it

/** A plugin's table over the host's rows of octets. Old rows are read by the defaults of today's schema. */
export function pluginTable<S extends TSchema>(store: TableStore, table: string, schema: S, checker: SchemaChecker): Table<Static<S>> {
  const validate = checker.compile(schema);
  const read = (octets: Uint8Array): Static<S> => {
    const row: unknown = JSON.parse(Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString('utf8'), revive);
    if (!validate(row)) throw new TypeError(`a stored row of ${table} does not fit its schema: a new format needs a new table name`);
    return row as Static<S>;
  };
  return {
    async get(owner, key) {
      const octets = await store.get(table, owner, checkedKey(key));
      return octets === undefined ? undefined : read(octets);
    },
    async put(owner, key, row, options) {
      if (!validate(row)) throw new TypeError(`the row for ${table} does not fit its schema`);
      const octets = Buffer.from(JSON.stringify(row, replace));
      if (octets.length > maxRowOctets) throw new RangeError(`a row of ${table} has ${octets.length} octets, ${maxRowOctets} at most`);
      await store.put(table, owner, checkedKey(key), octets, { in: options?.in, expiresAt: options?.expiresAt });
    },
    async delete(owner, key, options) {
      await store.delete(table, owner, checkedKey(key), { in: options?.in });
    },
    async *entries(owner, prefix = '') {
      for await (const [key, octets] of store.entries(table, owner, prefix)) yield [key, read(octets)] as const;
    },
  };
}
function checkedKey(key: string): string {
  if (typeof key !== 'string' || key === '' || key.length > maxKeyLength) throw new TypeError(`a key has 1 to ${maxKeyLength} characters`);
  return key;
}
function replace(_key: string, value: unknown): unknown {
  // Buffers have their own toJSON, which has run by now.
  if (value instanceof Uint8Array) return { [octetsMark]: Buffer.from(value).toString('base64') };
  if (typeof value === 'object' && value !== null && (value as { readonly type?: unknown }).type === 'Buffer' && 'data' in value) {
    return { [octetsMark]: Buffer.from(value.data as number[]).toString('base64') };
  }
  return value;
}
function revive(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !(octetsMark in value)) return value;
  return new Uint8Array(Buffer.from(String(value[octetsMark]), 'base64'));
}

const scratchRows = 10_000;
/** What a shadow plugin writes: seen by itself, forgotten with it. Holds 10 000 rows, the oldest go first. */
export class ScratchTables implements TableStore {
  readonly #below: TableStore;
  readonly #rows = new Map<string, Uint8Array | undefined>();
  constructor(below: TableStore) {
    this.#below = below;
  }
  async get(table: string, owner: AccountId | 'all', key: string): Promise<Uint8Array | undefined> {
    const place = placeOf(table, owner, key);
    return this.#rows.has(place) ? this.#rows.get(place) : this.#below.get(table, owner, key);
  }
  async put(table: string, owner: AccountId | 'all', key: string, row: Uint8Array): Promise<void> {
    this.#set(placeOf(table, owner, key), row);
  }
  async delete(table: string, owner: AccountId | 'all', key: string, _options: { readonly in: Commit | undefined }): Promise<void> {
    this.#set(placeOf(table, owner, key), undefined);
  }
  async *entries(table: string, owner: AccountId | 'all', prefix: string): AsyncIterable<readonly [string, Uint8Array]> {
    const start = placeOf(table, owner, prefix);
    for await (const [key, row] of this.#below.entries(table, owner, prefix)) {
      if (!this.#rows.has(placeOf(table, owner, key))) yield [key, row];
    }
    for (const [place, row] of [...this.#rows]) {
      if (row !== undefined && place.startsWith(start)) yield [place.slice(start.length - prefix.length), row];
    }
  }
  #set(place: string, row: Uint8Array | undefined): void {
    this.#rows.delete(place);
    this.#rows.set(place, row);
    if (this.#rows.size <= scratchRows) return;
    for (const oldest of this.#rows.keys()) {
      this.#rows.delete(oldest);
      break;
    }
  }
}
function placeOf(table: string, owner: string, key: string): string {
  return `${table}\u0000${owner}\u0000${key}`;
}
