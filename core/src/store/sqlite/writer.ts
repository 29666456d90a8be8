import { closeSync, existsSync, fsyncSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { StoreDamaged, StoreUnavailable } from '../store.ts';
import { LAZY_OPS, type OpFailure, octetsOf, type WriteOp, type WriterSettings } from './messages.ts';
import { migrate } from './schema.ts';
import { type Database, type Fault, faultOf, openDatabase, prepare, type Query, requireSafeVersion, sqliteVersion } from './sqlite.ts';
import { BlobMissing, ContentWrites } from './write-contents.ts';
import { DerivedWrites } from './write-derived.ts';
import { FeedWrites } from './write-feed.ts';
import { JournalWrites, Refused } from './write-journal.ts';

export const PAGE_OCTETS = 8_192;
/** A group takes at most this much into one sync (design/journal.md §1 row 4). */
const GROUP_OPS = 256;
const GROUP_OCTETS = 8 * 1024 * 1024;
/** Ops from this size on wait for a group of their own while small ones are there: they would hold up everybody's acknowledgement. */
const BIG_OP_OCTETS = 64 * 1024;
/** Lazy octets that join one group. */
const LAZY_OCTETS = 512 * 1024;

export interface Numbered {
  readonly number: number;
  readonly op: WriteOp;
  readonly octets: number;
}

/** The only writing connection: takes ops, merges them into groups, one transaction and one sync each. Runs in the writer thread. */
export class Writer {
  readonly #database: Database;
  readonly #settings: WriterSettings;
  readonly #journal: JournalWrites;
  readonly #contents: ContentWrites;
  readonly #derived: DerivedWrites;
  readonly #feed: FeedWrites;
  readonly #begin: Query;
  readonly #commit: Query;
  readonly #savepoint: Query;
  readonly #undo: Query;
  readonly #release: Query;
  readonly #walFrames: Query<[busy: number, frames: number, checkpointed: number]>;

  #small: Numbered[] = [];
  #big: Numbered[] = [];
  #lazy: Numbered[] = [];
  #bigTurn = false;
  /** Set after an I/O error: what is on the disk is unknown, so nothing more is taken. */
  dead: string | undefined;

  /** @throws StoreUnavailable, StoreDamaged */
  constructor(settings: WriterSettings, start: 'clean' | 'unclean') {
    this.#settings = settings;
    const path = join(settings.folder, 'store.db');
    const database = openDatabase(path, { access: 'write', timeoutMs: 20, cacheOctets: settings.cacheOctets });
    this.#database = database;
    requireSafeVersion(sqliteVersion(database));
    database.exec(`PRAGMA page_size = ${PAGE_OCTETS}`);
    if (prepare<[string]>(database, 'PRAGMA journal_mode = WAL').get()?.[0] !== 'wal') {
      throw new StoreUnavailable('the data folder lies on a file system that cannot hold a WAL database');
    }
    database.exec(`PRAGMA synchronous = ${settings.synchronous === 'full' ? 'FULL' : 'NORMAL'}; PRAGMA wal_autocheckpoint = 0`);
    if (start === 'unclean') {
      const verdict = prepare<[string]>(database, 'PRAGMA quick_check(1)').get()?.[0];
      if (verdict !== 'ok') throw new StoreDamaged(`store.db is damaged: ${verdict}`);
    }
    migrate(database);
    growWal(database, `${path}-wal`, settings.walOctets);
    if (settings.maxOctets > 0) database.exec(`PRAGMA max_page_count = ${Math.ceil(settings.maxOctets / PAGE_OCTETS)}`);
    this.#contents = new ContentWrites(database);
    this.#derived = new DerivedWrites(database);
    this.#journal = new JournalWrites(database, this.#contents, this.#derived);
    this.#feed = new FeedWrites(database);
    this.#begin = prepare(database, 'BEGIN IMMEDIATE');
    this.#commit = prepare(database, 'COMMIT');
    this.#savepoint = prepare(database, 'SAVEPOINT op');
    this.#undo = prepare(database, 'ROLLBACK TO op');
    this.#release = prepare(database, 'RELEASE op');
    this.#walFrames = prepare(database, 'PRAGMA wal_checkpoint(NOOP)');
  }

  get nextContent(): number {
    return this.#contents.newest + 1;
  }
  get isIdle(): boolean {
    return this.#small.length === 0 && this.#big.length === 0 && this.#lazy.length === 0;
  }

  take(first: number, ops: readonly WriteOp[]): void {
    for (const [at, op] of ops.entries()) {
      const entry = { number: first + at, op, octets: octetsOf(op) };
      if (LAZY_OPS.has(op.op)) this.#lazy.push(entry);
      else if (entry.octets >= BIG_OP_OCTETS) this.#big.push(entry);
      else this.#small.push(entry);
    }
  }

  /** Commits one group of what waits. Returns its results flat: number, result, number, result... */
  runGroup(): readonly unknown[] {
    const group = this.#nextGroup();
    if (this.dead !== undefined) return failAll(group, { failed: 'unavailable', message: this.dead });
    const results: unknown[] = [];
    try {
      this.#begin.run();
      for (const { number, op } of group) results.push(number, this.#applyOne(op));
      this.#commit.run();
      return results;
    } catch (error) {
      return failAll(group, this.#groupFailed(error));
    }
  }

  #nextGroup(): readonly Numbered[] {
    // Small and big take turns, so that neither waits for ever.
    const fromBig = this.#big.length > 0 && (this.#small.length === 0 || this.#bigTurn);
    this.#bigTurn = !fromBig;
    const group = takeFront(fromBig ? this.#big : this.#small, GROUP_OPS, GROUP_OCTETS);
    if (this.#lazy.length > 0) group.push(...takeFront(this.#lazy, GROUP_OPS, LAZY_OCTETS));
    return group;
  }

  /** One op in a savepoint: what it refuses or stumbles over is undone without sinking the group. */
  #applyOne(op: WriteOp): unknown {
    this.#savepoint.run();
    let result: unknown;
    try {
      result = this.#apply(op);
    } catch (error) {
      // A full disk or an I/O error may have ended the whole transaction.
      const fault = faultOf(error);
      if (!this.#database.isTransaction || fault === 'full' || fault === 'io') throw error;
      this.#undo.run();
      if (error instanceof Refused) result = error.result;
      else if (error instanceof BlobMissing) result = { failed: 'unavailable', message: error.message } satisfies OpFailure;
      else result = { failed: fault === 'damaged' ? 'damaged' : 'refused', message: messageOf(error) } satisfies OpFailure;
    }
    this.#release.run();
    return result;
  }

  #apply(op: WriteOp): unknown {
    switch (op.op) {
      case 'commit':
        return this.#journal.commit(op);
      case 'records':
        return this.#journal.records(op);
      case 'chunks':
        return this.#journal.chunks(op);
      case 'state':
        return this.#journal.state(op);
      case 'adopt':
        return this.#journal.adopt(op);
      case 'prune':
        return this.#journal.prune(op);
      case 'erase':
        return this.#journal.erase(op);
      case 'reseal':
        return this.#contents.reseal(this.#journal.knownIdOf(op.account) ?? 0, op);
      case 'sweep-contents':
        return this.#contents.sweep(this.#journal.knownIdOf(op.account) ?? 0, op);
      case 'blob':
        return this.#contents.putBlob(op);
      case 'drop-blob':
        return this.#contents.dropBlob(op);
      case 'derived':
        return this.#derived.put(this.#journal.knownIdOf(op.account), op);
      case 'drop-derived':
        return this.#derived.drop(this.#journal.knownIdOf(op.account), op);
      case 'register':
        return this.#feed.register(op);
      case 'unregister':
        return this.#feed.unregister(op);
      case 'passed':
        return this.#feed.passed(op);
      case 'park':
        return this.#feed.park(this.#journal.idOf(op.account), op);
      case 'unpark':
        return this.#feed.unpark(this.#journal.knownIdOf(op.account) ?? 0, op);
      case 'tidy':
        while (this.#tidySlice(op.at));
        return null;
    }
  }

  /** Undoes the group and says what its callers are told. */
  #groupFailed(error: unknown): OpFailure {
    const fault = faultOf(error);
    try {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      this.#contents.reload();
    } catch (rollbackError) {
      this.dead = `the store stopped: rollback failed: ${messageOf(rollbackError)}`;
      return { failed: 'unknown', message: this.dead };
    }
    // The commit frame goes last and bears a checksum over all before it: a full disk means that it is not there.
    if (fault === 'full') return { failed: 'unavailable', message: `the disk is full: ${messageOf(error)}` };
    if (fault === 'busy') return { failed: 'unavailable', message: messageOf(error) };
    this.dead = `the store stopped after an error: ${messageOf(error)}`;
    return { failed: 'unknown', message: this.dead };
  }

  /** One slice of the work that can wait for a quiet moment, in a transaction of its own. True when there is more. */
  tidy(now: number): boolean {
    return this.#apart(() => this.#tidySlice(now));
  }
  /** What cannot wait for a quiet moment: see {@link ownedIsBehind}. */
  fillOwned(): void {
    this.#apart(() => this.#contents.fillOwned());
  }
  #apart(work: () => boolean): boolean {
    if (this.dead !== undefined) return false;
    try {
      this.#begin.run();
      const more = work();
      this.#commit.run();
      return more;
    } catch (error) {
      this.#groupFailed(error);
      return false;
    }
  }
  #tidySlice(now: number): boolean {
    if (this.#contents.fillOwned()) return true;
    if (this.#journal.expireRecords(now)) return true;
    if (this.#journal.eraseSlice()) return true;
    return this.#settings.repack && this.#contents.repack();
  }
  get ownedIsBehind(): boolean {
    return this.#contents.ownedIsBehind;
  }

  /** Length of the WAL in use; 0 when a checkpoint has copied all of it. */
  walOctets(): number {
    const [, frames, checkpointed] = this.#walFrames.get() ?? [0, 0, 0];
    return frames > checkpointed ? frames * PAGE_OCTETS : 0;
  }
  /** After a passive checkpoint: copies the rest and lets the next group begin at the WAL's start. */
  restartWal(): void {
    if (this.dead !== undefined) return;
    try {
      this.#database.exec('PRAGMA wal_checkpoint(RESTART)');
    } catch (error) {
      this.checkpointFailed(faultOf(error), messageOf(error));
    }
  }
  /** A full disk or a busy reader: the WAL grows until the next try. An I/O error ends the store. */
  checkpointFailed(fault: Fault, message: string): void {
    if (fault === 'io' || fault === 'damaged') this.dead ??= `the store stopped: a checkpoint failed: ${message}`;
  }

  /** Last: the other connections are closed. */
  close(): void {
    if (this.dead === undefined) {
      try {
        this.#database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      } catch (error) {
        // All is in the WAL, synced; the next start copies it.
        this.checkpointFailed(faultOf(error), messageOf(error));
      }
    }
    this.#database.close();
  }
}

function takeFront(from: Numbered[], ops: number, octets: number): Numbered[] {
  let count = 0;
  let sum = 0;
  for (const { octets: size } of from) {
    if (count > 0 && (count >= ops || sum + size > octets)) break;
    count++;
    sum += size;
  }
  return from.splice(0, count);
}

function failAll(group: readonly Numbered[], failure: OpFailure): readonly unknown[] {
  return group.flatMap(({ number }) => [number, failure]);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Makes the WAL file as long as it will get: a commit into blocks that exist costs 0.26 ms, one that extends the file 0.39 to 0.49
 * (design/journal.md §3). A transaction spills its pages into the WAL and is rolled back, so the database itself does not grow.
 */
function growWal(database: Database, path: string, octets: number): void {
  database.exec('PRAGMA wal_checkpoint(RESTART)');
  if (octets === 0 || (existsSync(path) && statSync(path).size >= octets)) return;
  const cachePages = prepare<[number]>(database, 'PRAGMA cache_size').get()?.[0] ?? -2000;
  database.exec('PRAGMA cache_size = 16; PRAGMA cache_spill = 16; BEGIN IMMEDIATE; CREATE TABLE grow(data BLOB) STRICT;');
  const insert = prepare(database, 'INSERT INTO grow VALUES (zeroblob(?))');
  // A little more than asked: the last pages stay in the cache.
  for (let left = octets + 512 * 1024; left > 0; left -= 1024 * 1024) insert.run(Math.min(left, 1024 * 1024));
  database.exec(`ROLLBACK; PRAGMA cache_size = ${cachePages}; PRAGMA cache_spill = ON`);
  // No lock of SQLite is on the WAL file itself, so closing this handle gives none up.
  const handle = openSync(path, 'r+');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
