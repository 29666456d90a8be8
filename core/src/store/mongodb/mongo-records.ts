import type { RecordRow, Records, RecordWrite } from '../store.ts';
import { RecordConflict, StoreUnavailable } from '../store.ts';
import { under } from './keys.ts';
import { ABSENT, byRow, liveState, ownState, type RowState, type RowWrites, recordOf, rowKey, rowRange, written } from './record-rows.ts';
import type { Collections, RowDoc } from './schema.ts';
import type { Ended, Transactions } from './transactions.ts';

export interface MongoRecordsOptions {
  readonly collections: Pick<Collections, 'records'>;
  readonly transactions: Transactions;
  readonly newToken: () => string;
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

const PAGE = 200;
/** A row that others write all the time: after so many tries it is given up. */
const ATTEMPTS = 200;
const LONGEST_PAUSE_MS = 100;

/** One row is a compare-and-set on its token; several go through {@link Transactions}. */
export class MongoRecords implements Records {
  readonly #options: MongoRecordsOptions;
  readonly #rows: Collections['records'];
  constructor(options: MongoRecordsOptions) {
    this.#options = options;
    this.#rows = options.collections.records;
  }

  async get(table: string, key: string): Promise<RecordRow | undefined> {
    const id = rowKey(table, key);
    const state = await this.#live(await this.#rows.get(id));
    return state.version === 0 ? undefined : recordOf(id, state);
  }
  async #live(row: RowDoc | undefined): Promise<RowState> {
    return liveState(await this.#options.transactions.state(row), this.#options.now());
  }

  async list(
    table: string,
    options: { readonly prefix?: string; readonly after?: string; readonly limit: number },
  ): Promise<readonly RecordRow[]> {
    const found: RecordRow[] = [];
    let range: { readonly $gt?: string; readonly $gte?: string; readonly $lt: string } = rowRange(
      table,
      options.prefix ?? '',
      options.after,
    );
    while (found.length < options.limit) {
      const limit = Math.min(PAGE, options.limit - found.length);
      const page = await this.#rows.find({ _id: range }, { limit });
      for (const row of page) {
        const state = row.lt === undefined ? liveState(ownState(row), this.#options.now()) : await this.#live(row);
        if (state.version > 0) found.push(recordOf(row._id, state));
      }
      const last = page.at(-1);
      if (last === undefined || page.length < limit) break;
      range = { $gt: last._id, $lt: range.$lt };
    }
    return found;
  }

  async all(after: string | undefined, limit: number) {
    const found: (RecordRow & { readonly table: string; readonly expiresAt: number | undefined; readonly mark: string })[] = [];
    for (let mark = after ?? ''; found.length < limit; ) {
      const page = await this.#rows.find({ _id: { $gt: mark } }, { limit });
      for (const row of page) {
        const state = await this.#live(row);
        if (state.version === 0) continue;
        found.push({
          ...recordOf(row._id, state),
          table: row._id.slice(0, row._id.indexOf(':')),
          expiresAt: state.expiresAt,
          mark: row._id,
        });
      }
      const last = page.at(-1);
      if (last === undefined) break;
      mark = last._id;
    }
    return found.slice(0, limit);
  }

  async write(writes: readonly RecordWrite[]): Promise<void> {
    const rows = byRow(writes);
    const [first] = rows;
    if (first === undefined) return;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const end = rows.length === 1 ? await this.#writeOne(first) : await this.#options.transactions.run(rows);
      if (end.end === 'committed') return;
      if (end.end === 'conflict') throw new RecordConflict(end.write.table, end.write.key);
      await this.#options.sleep(Math.random() * Math.min(LONGEST_PAUSE_MS, 4 * (attempt + 1)));
    }
    throw new StoreUnavailable('others write these records all the time');
  }

  async #writeOne({ id, writes }: RowWrites): Promise<Ended> {
    const { newToken, now, transactions } = this.#options;
    // Most rows that must not exist do not.
    if (writes[0]?.ifVersion === 0 && (await this.#insert(id, written(ABSENT, writes)))) return { end: 'committed' };
    const found = await this.#rows.get(id);
    const row = found === undefined ? undefined : await transactions.free(found);
    if (row?.lt !== undefined) return { end: 'blocked' };
    const next = written(liveState(ownState(row), now()), writes);
    if ('conflict' in next) return { end: 'conflict', write: next.conflict };
    if (row === undefined) return { end: next.version === 0 || (await this.#insert(id, next)) ? 'committed' : 'blocked' };
    const { version: v, json: j, expiresAt: x } = next;
    const k = newToken();
    // A row that goes becomes one of version 0 first, so that its token tells who removed it.
    const isDone = await this.#rows.update(
      { _id: id, k: row.k, lt: { $exists: false } },
      x === undefined ? { $set: { v, j, k }, $unset: ['x'] } : { $set: { v, j, k, x } },
    );
    if (isDone && v === 0) await this.#rows.remove({ _id: id, k, v: 0 });
    return { end: isDone ? 'committed' : 'blocked' };
  }
  async #insert(id: string, state: RowState | { readonly conflict: RecordWrite }): Promise<boolean> {
    if ('conflict' in state || state.version === 0) return false;
    const { version: v, json: j, expiresAt: x } = state;
    return this.#rows.insert({ _id: id, v, j, k: this.#options.newToken(), ...(x === undefined ? {} : { x }) });
  }

  /** All tables whose name starts with `prefix`. */
  async eraseTables(prefix: `${string}/`): Promise<void> {
    await this.#rows.remove({ _id: under(prefix) });
  }
  async expire(): Promise<void> {
    await this.#rows.remove({ x: { $lte: this.#options.now() }, lt: { $exists: false } });
  }
}
