import type { CommitOp, OpResults, PackedRecord, WriteOp } from './messages.ts';
import { type Database, prepare } from './sqlite.ts';
import type { ContentWrites } from './write-contents.ts';
import type { DerivedWrites } from './write-derived.ts';

type Op<Name extends WriteOp['op']> = Extract<WriteOp, { op: Name }>;

/** A precondition failed: the op is undone, the others of its group go on. */
export class Refused extends Error {
  override name = 'Refused';
  readonly result: unknown;
  constructor(result: unknown) {
    super('refused');
    this.result = result;
  }
}

/** Rows that one slice of a prune or an erase removes: a few milliseconds. */
const SLICE_ROWS = 1_000;
const SLICE_CONTENTS = 100;

/** Statements of the writer for accounts, journal, state and records. All run inside the group's transaction. */
export class JournalWrites {
  readonly #contents: ContentWrites;
  readonly #derived: DerivedWrites;
  #g: number;

  readonly #account;
  readonly #addAccount;
  readonly #append;
  readonly #addDead;
  readonly #record;
  readonly #putRecord;
  readonly #dropRecord;
  readonly #putChunk;
  readonly #putState;
  readonly #unbox;
  readonly #applied;
  readonly #pinnedByCursor;
  readonly #pinnedByParked;
  readonly #pinnedByBacklog;
  readonly #prune;
  readonly #setFloor;
  readonly #setCounter;
  readonly #expire;
  readonly #forget;
  readonly #forgetRecords;
  readonly #gone;
  readonly #eraseSlices: readonly { readonly rows: number; readonly sql: ReturnType<typeof prepare> }[];
  readonly #goneContents;
  readonly #dropAccount;

  constructor(database: Database, contents: ContentWrites, derived: DerivedWrites) {
    this.#contents = contents;
    this.#derived = derived;
    this.#account = prepare<[id: number, floor: number, head: number | null]>(
      database,
      'SELECT id, floor, (SELECT max(seq) FROM journal WHERE account = account.id) FROM account WHERE name = ?',
    );
    this.#addAccount = prepare<[number]>(database, 'INSERT INTO account(name) VALUES (?) RETURNING id');
    this.#append = prepare(database, 'INSERT INTO journal(g, account, seq, token, data) VALUES (?, ?, ?, ?, ?)');
    this.#addDead = prepare(database, 'INSERT INTO dead VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at');
    this.#record = prepare<[version: number, expiresAt: number | null]>(
      database,
      'SELECT version, expires_at FROM record WHERE tbl = ? AND key = ?',
    );
    this.#putRecord = prepare(
      database,
      `INSERT INTO record(tbl, key, version, expires_at, value) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
       SET version = excluded.version, expires_at = excluded.expires_at, value = excluded.value`,
    );
    this.#dropRecord = prepare(database, 'DELETE FROM record WHERE tbl = ? AND key = ?');
    this.#putChunk = prepare(
      database,
      `INSERT INTO chunk(account, box, n, seq, crc, data) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(account, box, n) DO UPDATE
       SET seq = excluded.seq, crc = excluded.crc, data = excluded.data WHERE excluded.seq >= chunk.seq`,
    );
    this.#putState = prepare(
      database,
      `INSERT INTO state(account, applied, data) VALUES (?, ?, ?) ON CONFLICT(account) DO UPDATE
       SET applied = excluded.applied, data = excluded.data WHERE excluded.applied >= state.applied`,
    );
    this.#unbox = prepare(database, 'DELETE FROM chunk WHERE account = ? AND box = ?');
    this.#applied = prepare<[number]>(database, 'SELECT applied FROM state WHERE account = ?');
    this.#pinnedByCursor = prepare<[number]>(
      database,
      `SELECT seq FROM journal WHERE account = ? AND seq > ? AND g > (SELECT min(cursor) FROM observer) ORDER BY seq LIMIT 1`,
    );
    this.#pinnedByParked = prepare<[number | null]>(
      database,
      'SELECT min(seq) FROM parked WHERE account = ? AND (holds = 1 OR retry_at IS NOT NULL)',
    );
    this.#pinnedByBacklog = prepare<[number | null]>(database, 'SELECT min(seq) + 1 FROM backlog WHERE account = ?');
    this.#prune = prepare(database, 'DELETE FROM journal WHERE account = ? AND seq <= ?');
    this.#setFloor = prepare(database, 'UPDATE account SET floor = ? WHERE id = ?');
    this.#setCounter = prepare(database, 'INSERT INTO counter VALUES (?, ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)');
    this.#expire = prepare(
      database,
      `DELETE FROM record WHERE (tbl, key) IN (SELECT tbl, key FROM record WHERE expires_at IS NOT NULL AND expires_at <= ? LIMIT ${SLICE_ROWS})`,
    );
    this.#forget = prepare(database, 'UPDATE account SET name = NULL, gone = 1 WHERE id = ?');
    this.#forgetRecords = prepare(database, 'DELETE FROM record WHERE tbl >= ? AND tbl < ?');
    this.#gone = prepare<[number]>(database, 'SELECT id FROM account WHERE gone IS NOT NULL LIMIT 1');
    const slice = (table: string, key: string) => ({
      rows: SLICE_ROWS,
      sql: prepare(database, `DELETE FROM ${table} WHERE ${key} IN (SELECT ${key} FROM ${table} WHERE account = ? LIMIT ${SLICE_ROWS})`),
    });
    const whole = (table: string) => ({ rows: Number.MAX_SAFE_INTEGER, sql: prepare(database, `DELETE FROM ${table} WHERE account = ?`) });
    this.#eraseSlices = [slice('chunk', 'id'), slice('journal', 'g'), whole('state'), whole('dead'), whole('parked'), whole('backlog')];
    this.#goneContents = prepare<[number]>(database, `SELECT content FROM owned WHERE account = ? LIMIT ${SLICE_CONTENTS}`);
    this.#dropAccount = prepare(database, 'DELETE FROM account WHERE id = ?');
    const highest = prepare<[number]>(
      database,
      `SELECT max(coalesce((SELECT max(g) FROM journal), 0), coalesce((SELECT value FROM counter WHERE name = 'g'), 0))`,
    );
    this.#g = highest.get()?.[0] ?? 0;
  }

  #find(name: string): { readonly id: number; readonly floor: number; readonly head: number } | undefined {
    const row = this.#account.get(name);
    return row && { id: row[0], floor: row[1], head: Math.max(row[1], row[2] ?? 0) };
  }
  /** The account's integer, made when it is new. */
  idOf(name: string): number {
    return this.#find(name)?.id ?? this.#addAccount.get(name)?.[0] ?? 0;
  }
  knownIdOf(name: string): number | undefined {
    return this.#find(name)?.id;
  }

  commit(op: CommitOp): OpResults['commit'] {
    const found = this.#find(op.account);
    const head = found?.head ?? 0;
    if (op.seq !== head + 1) throw new Refused({ done: false, head } satisfies OpResults['commit']);
    const conflict = this.#writeRecords(op.records, op.at);
    if (conflict !== undefined) {
      throw new Refused({ done: false, head, conflict: `${conflict.table}/${conflict.name}` } satisfies OpResults['commit']);
    }
    const account = found?.id ?? this.#addAccount.get(op.account)?.[0] ?? 0;
    for (const content of op.contents) this.#contents.add(account, content, op.at);
    this.#append.run(++this.#g, account, op.seq, op.token, op.data);
    for (const content of op.dead) this.#addDead.run(account, content, op.at);
    return { done: true, head: op.seq };
  }

  records(op: Op<'records'>): OpResults['records'] {
    const conflict = this.#writeRecords(op.records, op.at);
    if (conflict !== undefined)
      throw new Refused({ conflict: { table: conflict.table, key: conflict.name } } satisfies OpResults['records']);
    return {};
  }
  /** Returns the write whose precondition fails; the caller's savepoint undoes the others. */
  #writeRecords(records: readonly PackedRecord[], now: number): PackedRecord | undefined {
    for (const record of records) {
      const row = this.#record.get(record.table, record.key);
      const version = row === undefined || (row[1] !== null && row[1] <= now) ? 0 : row[0];
      if (record.ifVersion !== null && record.ifVersion !== version) return record;
      if (record.value === null) this.#dropRecord.run(record.table, record.key);
      else this.#putRecord.run(record.table, record.key, version + 1, record.expiresAt, record.value);
    }
    return undefined;
  }
  /** Removes some expired records; true when there may be more. */
  expireRecords(now: number): boolean {
    return Number(this.#expire.run(now).changes) >= SLICE_ROWS;
  }

  chunks(op: Op<'chunks'>): null {
    const account = this.idOf(op.account);
    for (const chunk of op.chunks) this.#putChunk.run(account, chunk.box, chunk.n, chunk.seq, chunk.crc, chunk.data);
    return null;
  }
  state(op: Op<'state'>): null {
    const account = this.idOf(op.account);
    for (const box of op.unboxed) this.#unbox.run(account, box);
    this.#putState.run(account, op.applied, op.data);
    return null;
  }

  /** See `Store.adopt`. */
  adopt(op: Op<'adopt'>): null {
    const account = this.idOf(op.account);
    const found = this.#find(op.account);
    if (found !== undefined && found.head <= found.floor && op.floor > found.floor) this.#setFloor.run(op.floor, account);
    for (const content of op.contents) if (!this.#contents.has(content.id)) this.#contents.add(account, content, op.at);
    for (const { id, at } of op.dead) this.#addDead.run(account, id, at);
    return null;
  }

  /** Forgets a slice of entries that the snapshot covers and that no observer still needs. */
  prune(op: Op<'prune'>): boolean {
    const found = this.#find(op.account);
    if (found === undefined) return false;
    const pins = [
      this.#pinnedByCursor.get(found.id, found.floor)?.[0],
      this.#pinnedByParked.get(found.id)?.[0],
      this.#pinnedByBacklog.get(found.id)?.[0],
    ];
    let upTo = Math.min(op.upTo, this.#applied.get(found.id)?.[0] ?? 0, found.head);
    for (const pin of pins) if (typeof pin === 'number') upTo = Math.min(upTo, pin - 1);
    const slice = Math.min(upTo, found.floor + SLICE_ROWS);
    if (slice <= found.floor) return false;
    this.#keepG();
    this.#prune.run(found.id, slice);
    this.#setFloor.run(slice, found.id);
    return slice < upTo;
  }
  /** Feed positions are never reused, although the rows that bore them go. */
  #keepG(): void {
    this.#setCounter.run('g', this.#g);
  }

  /** The name goes at once, the rows in slices; an erase that a crash cut short goes on in the idle pass. */
  erase(op: Op<'erase'>): boolean {
    const account = this.knownIdOf(op.account);
    if (account !== undefined) {
      this.#forgetRecords.run(`account/${op.account}/`, `account/${op.account}0`);
      this.#forget.run(account);
      return true;
    }
    this.#forgetRecords.run(`account/${op.account}/`, `account/${op.account}0`);
    return this.eraseSlice();
  }
  hasGone(): boolean {
    return this.#gone.get() !== undefined;
  }
  /** Removes a slice of what erased accounts left; true when there is more. */
  eraseSlice(): boolean {
    const account = this.#gone.get()?.[0];
    if (account === undefined) return false;
    if (this.#contents.fillOwned() || this.#derived.erase(account)) return true;
    const contents = this.#goneContents.all(account);
    if (contents.length > 0) {
      for (const [content] of contents) this.#contents.remove(account, content);
      return true;
    }
    this.#keepG();
    for (const { rows, sql } of this.#eraseSlices) if (Number(sql.run(account).changes) >= rows) return true;
    this.#dropAccount.run(account);
    return this.hasGone();
  }
}
