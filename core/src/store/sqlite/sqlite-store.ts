import { join } from 'node:path';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type {
  AccountId,
  Held,
  MailboxId,
  Outcome,
  Proposal,
  RecordRow,
  Records,
  RecordWrite,
  Seq,
  Snapshot,
  StateDelta,
  Store,
  StoredChunk,
  StoredEntry,
} from '../store.ts';
import { RecordConflict, StoreDamaged, StoreUnavailable } from '../store.ts';
import { BlobFiles } from './blob-files.ts';
import { BodyReads } from './body-reads.ts';
import { type DataFolder, takeDataFolder } from './data-folder.ts';
import type { WriteOp, WriterReply, WriterSettings } from './messages.ts';
import { type FileFirst, packContent, packRecord } from './pack-content.ts';
import { Reader } from './reader.ts';
import { Reads } from './reads.ts';
import { type Database, openDatabase } from './sqlite.ts';
import { SqliteBlobs } from './sqlite-blobs.ts';
import { SqliteContents } from './sqlite-contents.ts';
import { SqliteDerived } from './sqlite-derived.ts';
import { SqliteFeed } from './sqlite-feed.ts';
import { WriteQueue } from './write-queue.ts';
import type { WriterThreadData } from './writer-thread.ts';

export interface SqliteOptions {
  /** The data folder; made when it is not there. One process owns it at a time. */
  readonly folder: string;
  /** `normal` may lose the last second in a power cut: acknowledged mail included. Default `full`. */
  readonly synchronous?: 'full' | 'normal';
  /** Compress bodies when nothing else is to be done. Default `on`. */
  readonly repack?: 'on' | 'off';
  /** Quiet time before the idle pass begins, ms. Default 1000. */
  readonly idleMs?: number;
  /** Length that the write-ahead log gets at the start and keeps. Default 32 MiB; 0: it grows as needed (tests). */
  readonly walOctets?: number;
  /** Page cache of the protocol thread's connection and of the writer's, each. Default 32 MiB. */
  readonly cacheOctets?: number;
  /** The database file may not grow beyond this; writes are refused then as on a full disk. Default: no limit of its own. */
  readonly maxOctets?: number;
  /** ms since 1970; for expiry, blob touches and sweeps. */
  readonly now?: () => number;
  /** An I/O error ended the store: nothing more is taken. The process should end and start anew. */
  readonly onFailure?: (error: Error) => void;
}

/** Chunks read without turning the event loop: 1 MiB. */
const CHUNK_PAGE = 64;
/** Chunks that one op saves: 512 KiB, some 2 ms of the writer. */
const CHUNKS_PER_OP = 32;
const MOVED_PAGE = 500;
const DEFAULT_WAL_OCTETS = 32 * 1024 * 1024;
const DEFAULT_CACHE_OCTETS = 32 * 1024 * 1024;

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

interface Parts {
  readonly folder: DataFolder;
  readonly worker: Worker;
  readonly port: MessagePort;
  readonly nextContent: number;
}

/**
 * The embedded store: `store.db`, `blobs/`, `lock.db` and `in-use` in one folder. Commits go to the writer thread, which merges what waits
 * into one transaction and one sync; small reads are made here, big ones by a reader thread. Nothing is kept per account.
 */
export class SqliteStore implements Store {
  readonly records: Records;
  readonly contents: SqliteContents;
  readonly blobs: SqliteBlobs;
  readonly derived: SqliteDerived;
  readonly feed: SqliteFeed;
  readonly #parts: Parts;
  readonly #files: BlobFiles;
  readonly #database: Database;
  readonly #reads: Reads;
  readonly #reader: Reader;
  readonly #queue: WriteQueue;
  readonly #now: () => number;
  /** Saves, prunes and erases that have not settled. */
  readonly #pending = new Set<Promise<void>>();
  #closing: Promise<void> | undefined;
  #failed = false;

  constructor(parts: Parts, files: BlobFiles, options: SqliteOptions) {
    this.#parts = parts;
    this.#files = files;
    this.#now = options.now ?? Date.now;
    const cacheOctets = options.cacheOctets ?? DEFAULT_CACHE_OCTETS;
    this.#database = openDatabase(join(parts.folder.path, 'store.db'), { access: 'read', timeoutMs: 1_000, cacheOctets });
    this.#reads = new Reads(this.#database);
    const bodies = new BodyReads(this.#database);
    this.#reader = new Reader(parts.folder.path);
    this.#queue = new WriteQueue(parts.port, parts.worker, (error) => {
      this.#failed = true;
      options.onFailure?.(error);
    });
    this.contents = new SqliteContents(this.#queue, this.#reads, bodies, this.#reader, files, parts.nextContent);
    this.blobs = new SqliteBlobs(this.#queue, files, this.#database, bodies, this.#reader, this.#now);
    this.derived = new SqliteDerived(this.#queue, this.#database);
    this.feed = new SqliteFeed(this.#queue, this.#database);
    this.records = new SqliteRecords(this.#queue, this.#reads, this.#now);
  }

  /** Octets of the proposal must not change until this settles; they stay the caller's, and may be proposed again after a conflict. */
  async commit(proposal: Proposal): Promise<Outcome> {
    const { account, entry } = proposal;
    const files: FileFirst[] = [];
    const contents = proposal.contents.map((content) => packContent(account, content, files));
    // Files first: an orphaned one is swept later, a row without its octets is lost mail.
    if (files.length > 0) await Promise.all(files.map(({ id, data }) => this.blobs.putFile(id, data)));
    const { done, head, conflict } = await this.#queue.submit({
      op: 'commit',
      account,
      seq: entry.seq,
      token: entry.token,
      data: entry.data,
      contents,
      dead: proposal.dead,
      records: proposal.records.map(packRecord),
      at: this.#now(),
    });
    if (done) return { done: true };
    return conflict === undefined ? { done: false, head } : { done: false, head, conflict };
  }

  async load(account: AccountId): Promise<Snapshot | undefined> {
    return this.#reads.snapshot(account);
  }
  async tail(account: AccountId, after: Seq, limit: number): Promise<readonly StoredEntry[]> {
    return this.#reads.tail(account, after, limit);
  }
  async moved(heads: ReadonlyMap<AccountId, Seq>): Promise<readonly AccountId[]> {
    const found: AccountId[] = [];
    let page: (readonly [AccountId, Seq])[] = [];
    for (const head of heads) {
      page.push(head);
      if (page.length < MOVED_PAGE) continue;
      found.push(...this.#reads.moved(page));
      page = [];
      await turn();
    }
    if (page.length > 0) found.push(...this.#reads.moved(page));
    return found;
  }

  async chunks(account: AccountId, box: MailboxId, from: number, to: number): Promise<readonly StoredChunk[]> {
    const found: StoredChunk[] = [];
    for (let next = from; next <= to; ) {
      const page = this.#reads.chunks(account, box, next, to, CHUNK_PAGE);
      found.push(...page);
      const last = page.at(-1);
      if (last === undefined || page.length < CHUNK_PAGE) break;
      next = last.n + 1;
      await turn();
    }
    return found;
  }

  /** Chunks first, the snapshot last: `applied` rises only after all chunks of the save are durable. */
  saveState(account: AccountId, delta: StateDelta): Promise<void> {
    return this.#lazily(this.#saveState(account, delta));
  }
  async #saveState(account: AccountId, delta: StateDelta): Promise<void> {
    const { snapshot, chunks, unboxed } = delta;
    const slices: Promise<unknown>[] = [];
    for (let at = 0; at < chunks.length; at += CHUNKS_PER_OP) {
      slices.push(this.#queue.submit({ op: 'chunks', account, chunks: chunks.slice(at, at + CHUNKS_PER_OP) }));
    }
    await Promise.all(slices);
    await this.#queue.submit({ op: 'state', account, applied: snapshot.applied, data: snapshot.data, unboxed });
  }

  async adopt(account: AccountId, { floor, contents, dead }: Held): Promise<void> {
    const files: FileFirst[] = [];
    const packed = contents.map((content) => packContent(account, content, files));
    if (files.length > 0) await Promise.all(files.map(({ id, data }) => this.blobs.putFile(id, data)));
    await this.#queue.submit({ op: 'adopt', account, floor, contents: packed, dead, at: this.#now() });
    this.contents.passId(contents.reduce((most, { id }) => Math.max(most, id), 0));
  }

  /** Entries that an observer has not passed, or that are parked for another try, stay. */
  prune(account: AccountId, upTo: Seq): Promise<void> {
    return this.#lazily(this.#again({ op: 'prune', account, upTo }));
  }
  erase(account: AccountId): Promise<void> {
    return this.#lazily(this.#again({ op: 'erase', account }));
  }
  /** Slice by slice, until there is no more. */
  async #again(op: Extract<WriteOp, { op: 'prune' | 'erase' }>): Promise<void> {
    while (await this.#queue.submit(op));
  }
  #lazily(work: Promise<void>): Promise<void> {
    this.#pending.add(work);
    const forget = (): void => void this.#pending.delete(work);
    work.then(forget, forget);
    return work;
  }

  /** Errors go to whoever began the work. */
  async flush(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }

  async *check(): AsyncGenerator<{ readonly what: string; readonly problem: string }> {
    const { problems, files } = await this.#reader.check();
    yield* problems;
    for (const [id, sizeOctets] of files) {
      const found = await this.#files.sizeOf(id as Parameters<BlobFiles['sizeOf']>[0]);
      if (found === undefined) yield { what: `blob ${id}`, problem: 'its file is gone' };
      else if (found !== sizeOctets) yield { what: `blob ${id}`, problem: `its file has ${found} octets instead of ${sizeOctets}` };
    }
  }

  /** Runs the idle pass to its end: compress, sort, erase, expire. For maintenance and tests; it happens by itself when the store is idle. */
  async tidy(): Promise<void> {
    await this.#queue.submit({ op: 'tidy', at: this.#now() });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }
  async #close(): Promise<void> {
    await this.flush();
    await this.#queue.drain(new StoreUnavailable('the store is closed'));
    await this.#reader.close();
    this.#database.close();
    const { worker, port, folder } = this.#parts;
    const exited = new Promise((resolve) => worker.once('exit', resolve));
    if (worker.threadId !== -1) {
      port.postMessage('close');
      await exited;
    }
    port.close();
    await folder.release(this.#failed ? 'unclean' : 'clean');
  }
}

class SqliteRecords implements Records {
  readonly #queue: WriteQueue;
  readonly #reads: Reads;
  readonly #now: () => number;
  constructor(queue: WriteQueue, reads: Reads, now: () => number) {
    this.#queue = queue;
    this.#reads = reads;
    this.#now = now;
  }
  async get(table: string, key: string): Promise<RecordRow | undefined> {
    return this.#reads.record(table, key, this.#now());
  }
  async list(
    table: string,
    options: { readonly prefix?: string; readonly after?: string; readonly limit: number },
  ): Promise<readonly RecordRow[]> {
    return this.#reads.listRecords(table, options.prefix ?? '', options.after, options.limit, this.#now());
  }
  async all(after: string | undefined, limit: number) {
    return this.#reads.allRecords(after, limit, this.#now());
  }
  async write(writes: readonly RecordWrite[]): Promise<void> {
    const { conflict } = await this.#queue.submit({ op: 'records', records: writes.map(packRecord), at: this.#now() });
    if (conflict !== undefined) throw new RecordConflict(conflict.table, conflict.key);
  }
}

/** Settles when the writer has opened, migrated and, after an unclean end, checked the database. */
function untilReady(port: MessagePort, worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    port.once('message', (reply: WriterReply) => {
      if (reply.kind === 'ready') resolve(reply.nextContent);
      else if (reply.kind === 'failed-to-open') {
        const { failed, message } = reply.failure;
        reject(failed === 'damaged' ? new StoreDamaged(message) : new StoreUnavailable(message));
      } else reject(new StoreUnavailable('the writer thread did not open the store'));
    });
    worker.once('error', reject);
  });
}

/**
 * Opens or makes the store in a folder.
 * @throws StoreUnavailable when another process owns the folder, a newer Pochard wrote it, or it lies on a network file system
 * @throws StoreDamaged when the database does not pass its check after an unclean end
 */
export async function openSqliteStore(options: SqliteOptions): Promise<SqliteStore> {
  const folder = await takeDataFolder(options.folder);
  const { port1: port, port2 } = new MessageChannel();
  try {
    const files = new BlobFiles(join(folder.path, 'blobs'));
    await files.prepare();
    const settings: WriterSettings = {
      folder: folder.path,
      synchronous: options.synchronous ?? 'full',
      walOctets: options.walOctets ?? DEFAULT_WAL_OCTETS,
      cacheOctets: options.cacheOctets ?? DEFAULT_CACHE_OCTETS,
      repack: options.repack !== 'off',
      idleMs: options.idleMs ?? 1_000,
      maxOctets: options.maxOctets ?? 0,
    };
    const worker = new Worker(new URL('./writer-thread.ts', import.meta.url), {
      workerData: { port: port2, settings, start: folder.start } satisfies WriterThreadData,
      transferList: [port2],
    });
    const nextContent = await untilReady(port, worker);
    return new SqliteStore({ folder, worker, port, nextContent }, files, options);
  } catch (error) {
    port.close();
    await folder.release('unclean');
    throw error;
  }
}
