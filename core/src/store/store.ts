/**
 * What a database must do for Pochard (DESIGN §2). A driver orders entries and stores octets under keys; it knows neither flags nor
 * UIDs: what an entry means is the reducer's business (mail/journal). Every driver passes the contract suite beside this file.
 */

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Opaque, never reused; 1 to 32 of [a-z0-9]. */
export type AccountId = Brand<string, 'AccountId'>;
/** Counted by the reducer within one account, from 1, never reused. */
export type MailboxId = Brand<number, 'MailboxId'>;
/** Chosen by the driver, 1 to 2^48-1, unique within the account (SQLite: within the store), never reused. */
export type ContentId = Brand<number, 'ContentId'>;
/** Position in one account's journal, from 1; the MODSEQ of what the entry changed. A safe integer. */
export type Seq = number;
/** Lower-case hex SHA-256 of the blob's octets, or of those octets and the account where blobs are kept apart by account. */
export type BlobId = Brand<string, 'BlobId'>;

/** One journal entry as it lies in the store. `data` is opaque to drivers (format level in its first octet). */
export interface StoredEntry {
  readonly seq: Seq;
  /** 16 random hex digits: finds out after a failed commit whether this entry landed. */
  readonly token: string;
  readonly data: Uint8Array;
}

export interface Proposal {
  readonly account: AccountId;
  /** `seq` must be the account's head + 1, else the outcome is `done: false`. */
  readonly entry: StoredEntry;
  /** New contents, made durable together with the entry, or not at all. */
  readonly contents: readonly NewContent[];
  /** Contents that lost a message in this entry: candidates for {@link Contents.sweep}. */
  readonly dead: readonly ContentId[];
  /** Record writes that land with the entry, or not at all (a credential beside its key slot, an account beside its first mailboxes). */
  readonly records: readonly RecordWrite[];
}
/** `done: false`: another writer was first, or a record precondition failed (`conflict`); nothing was written: read the tail, compute again. */
export type Outcome = { readonly done: true } | { readonly done: false; readonly head: Seq; readonly conflict?: string };

/** Redo state. A snapshot plus the entries above `applied` IS the account; entries at or below it may be pruned. */
export interface Snapshot {
  readonly account: AccountId;
  readonly applied: Seq;
  /** Opaque: the reducer's account state without its chunks, with a checksum inside. */
  readonly data: Uint8Array;
}
/** The live UIDs with (uid-1)>>9 = n, 32 octets each (mail/journal/layout). `seq` is the redo guard: an entry touches a chunk only if entry.seq > chunk.seq. */
export interface StoredChunk {
  readonly box: MailboxId;
  readonly n: number;
  readonly seq: Seq;
  /** CRC-32 of `data`. */
  readonly crc: number;
  /** Empty when the last message of the chunk is gone. */
  readonly data: Uint8Array;
}
export interface StateDelta {
  readonly snapshot: Snapshot;
  readonly chunks: readonly StoredChunk[];
  /** Deleted mailboxes: their chunks go. */
  readonly unboxed: readonly MailboxId[];
}

/** Of an account, in another store. */
export interface Held {
  readonly floor: Seq;
  readonly contents: readonly NewContent[];
  readonly dead: readonly DeadContent[];
}
/** A candidate of {@link Contents.sweep}; `at`: when it lost a message, ms since 1970. */
export interface DeadContent {
  readonly id: ContentId;
  readonly at: number;
}

export interface Store {
  /** Other processes may commit too: what is in memory may lie behind the store, until a beacon or a look. */
  readonly shared?: true;
  /**
   * Makes the entry number `entry.seq` of the account, with the contents and records that it carries. Resolves when durable, never
   * before; nothing of it is visible before. The driver merges proposals of different accounts into one sync. One per account in flight.
   * @throws OutcomeUnknown when the commit failed midway: drop state, reload, look for `entry.token`
   */
  commit(proposal: Proposal): Promise<Outcome>;
  /** `undefined`: no state was ever saved; the account is its journal from 1. */
  load(account: AccountId): Promise<Snapshot | undefined>;
  /** Entries above `after`, gapless, in order, at most `limit`. Empty: nothing new. @throws JournalPruned when `after` is below the floor */
  tail(account: AccountId, after: Seq, limit: number): Promise<readonly StoredEntry[]>;
  /** Of these heads, which have moved? The poll behind a lost beacon; one query for up to 500 accounts. */
  moved(heads: ReadonlyMap<AccountId, Seq>): Promise<readonly AccountId[]>;
  /** Chunks `from` to `to` (inclusive) of a mailbox that are not empty, ascending. */
  chunks(account: AccountId, box: MailboxId, from: number, to: number): Promise<readonly StoredChunk[]>;
  /** Lazy, idempotent, guarded by `seq` (an older save never replaces a newer one); never in the path of an acknowledgement. */
  saveState(account: AccountId, delta: StateDelta): Promise<void>;
  /** Forgets entries up to `upTo` (inclusive). Never above the saved snapshot's `applied`, nor what an observer has not passed or must retry. */
  prune(account: AccountId, upTo: Seq): Promise<void>;
  /**
   * Takes over what another store held: contents under the ids that they had (what is there already stays), and where the journal of an
   * account that has none begins. For moves between stores: nothing else writes to the account meanwhile.
   */
  adopt(account: AccountId, held: Held): Promise<void>;
  /** Removes journal, state, contents, derived pieces and records under `account/<id>/` of a deleted account. */
  erase(account: AccountId): Promise<void>;
  /** Everything handed to `saveState`, `prune` and the like has reached the disk. */
  flush(): Promise<void>;
  /** Structural check of the driver's own storage: torn rows, missing blobs, orphans. The journal's meaning is checked by mail/fsck. */
  check(): AsyncIterable<{ readonly what: string; readonly problem: string }>;
  readonly records: Records;
  readonly contents: Contents;
  readonly blobs: Blobs;
  readonly derived: Derived;
  readonly feed: Feed;
  close(): Promise<void>;
}

/* ── Contents: immutable, shared by COPY and MOVE ──────────────────────────────────────────────────────────── */

/** What IMAP lists need, computed once at delivery. Wire strings are latin1: one character an octet, no NUL. */
export interface ContentMeta {
  readonly envelope: string;
  readonly structure: string;
  readonly body: string;
  /** RFC 8970, Unicode, at most 200 characters. */
  readonly preview: string;
  /** RFC 5322 Date in ms since 1970, or null where there is none that parses. */
  readonly sentAt: number | null;
  /** The header block up to and including its blank line, capped at the parsed limit (mime/limits). */
  readonly head: Uint8Array;
  /** mime/part-table. */
  readonly parts: Uint8Array;
}
/** What can be asked for. `headText` is `head` as latin1, one character an octet: a list of thousands makes no buffer for each. */
export interface MetaColumns extends ContentMeta {
  readonly headText: string;
}
export type MetaColumn = keyof MetaColumns;
/** An encrypting codec gives one opaque record in place of the columns. */
export type StoredMeta = Partial<MetaColumns> | { readonly sealed: Uint8Array };

export type Segment =
  | { readonly at: 'inline'; readonly sizeOctets: number; readonly data: Uint8Array }
  | {
      readonly at: 'blob';
      /** Octets of the message that this segment stands for (not of the blob). */
      readonly sizeOctets: number;
      readonly blob: BlobId;
      /** Octets of the blob. */
      readonly blobOctets: number;
      /** mime/transfer-encoding: how to re-encode the blob; empty = as it is. */
      readonly recipe: Uint8Array;
      /** When given, the driver stores it in this commit unless the blob is there already; else `Blobs.put` has made it durable. */
      readonly data?: Uint8Array;
    };
export interface NewContent {
  readonly id: ContentId;
  /** RFC822.SIZE: octets of the message as received. */
  readonly sizeOctets: number;
  /** Codecs of `segments` in the order of encoding; undone in reverse (DESIGN §5). Empty: plain. */
  readonly codecs: readonly string[];
  readonly meta: ContentMeta | { readonly sealed: Uint8Array };
  /** Offset in the message of the first octet that `segments` hold: `head.length` when the header block lies in `meta` only, else 0. */
  readonly bodyOffset: number;
  readonly segments: readonly Segment[];
}
/** As stored. `data` of inline segments is there when together they are at most 256 KiB; else read them with {@link Contents.segment}. */
export interface StoredContent {
  readonly id: ContentId;
  readonly sizeOctets: number;
  readonly codecs: readonly string[];
  readonly bodyOffset: number;
  readonly meta: { readonly head: Uint8Array; readonly parts: Uint8Array } | { readonly sealed: Uint8Array };
  readonly segments: readonly StoredSegment[];
}
export type StoredSegment =
  | { readonly at: 'inline'; readonly sizeOctets: number; readonly data: Uint8Array | undefined }
  | { readonly at: 'blob'; readonly sizeOctets: number; readonly blob: BlobId; readonly blobOctets: number; readonly recipe: Uint8Array };

export interface Contents {
  newId(account: AccountId): ContentId;
  /** The named columns in the order asked; `undefined` where a content is gone. Callers page by at most 500 ids. */
  meta(account: AccountId, ids: readonly ContentId[], columns: readonly MetaColumn[]): Promise<readonly (StoredMeta | undefined)[]>;
  /** In the order asked; `undefined` where a content is gone. */
  load(account: AccountId, ids: readonly ContentId[]): Promise<readonly (StoredContent | undefined)[]>;
  /** Stored octets [from, to) of inline segment `n`. */
  segment(account: AccountId, id: ContentId, n: number, from: number, to: number): Promise<Uint8Array>;
  /** Replaces metadata of a content with an equivalent form (re-sealing): no entry, no MODSEQ. */
  reseal(account: AccountId, id: ContentId, sealed: Uint8Array): Promise<void>;
  /**
   * Removes candidates (see {@link Proposal.dead}) that died before `before` (ms) and are not in `live`.
   * Run while nothing of the account is in flight. Returns how many went.
   */
  sweep(account: AccountId, live: ReadonlySet<number>, before: number): Promise<number>;
  /** What {@link sweep} would look at some day, ascending by id. */
  dead(account: AccountId, after: ContentId | 0, limit: number): Promise<readonly DeadContent[]>;
  /** All contents of an account, ascending by id, for fsck and re-encoding jobs. */
  list(
    account: AccountId,
    after: ContentId | 0,
    limit: number,
  ): Promise<readonly { readonly id: ContentId; readonly sizeOctets: number }[]>;
}

export interface Blobs {
  /**
   * Stores a stream and resolves when durable. The same octets (and `scope`) give the same id and one copy. It is touched, so that no
   * sweep takes it before the commit that names it.
   */
  put(
    scope: string,
    source: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<{ readonly id: BlobId; readonly sizeOctets: number; readonly fresh: boolean }>;
  /** The id that `put` would give to octets held in memory. */
  idOf(scope: string, data: Uint8Array): BlobId;
  /** `lends`: a chunk is the caller's only until it asks for the next, so that a long read needs one buffer. */
  read(id: BlobId, from: number, to: number, signal: AbortSignal, lends?: boolean): AsyncIterable<Uint8Array>;
  /** Removes blobs that no content names and that were touched before `before` (ms). Returns how many went. */
  sweep(before: number): Promise<number>;
}

/* ── Derived: what can be made again (search segments) ─────────────────────────────────────────────────────── */

/**
 * Octets of an account that no entry names, in numbered pieces under an id (1 to 64 of [a-z0-9-]). Lazy: never in the path of an
 * acknowledgement. They go with the account.
 */
export interface Derived {
  /** Pieces `from`, `from + 1`...: durable when it resolves. What is there already is replaced. For an account without a journal nothing is kept. */
  put(account: AccountId, id: string, from: number, pieces: readonly Uint8Array[]): Promise<void>;
  /** `undefined`: it is not there. */
  get(account: AccountId, id: string, n: number): Promise<Uint8Array | undefined>;
  /** All ids of the account, ascending, with the number of their pieces. */
  list(account: AccountId): Promise<readonly { readonly id: string; readonly pieces: number }[]>;
  drop(account: AccountId, id: string): Promise<void>;
}

/* ── Records: accounts, addresses, credentials, tokens, plugin tables ──────────────────────────────────────── */

/** Small JSON values under string keys. A table name is `[a-z0-9./-]+`; keys are Unicode, compared by code unit. */
export interface RecordRow {
  readonly key: string;
  /** From 1, one more at each write. */
  readonly version: number;
  readonly value: unknown;
}
export interface RecordWrite {
  readonly table: string;
  readonly key: string;
  /** `undefined` removes the row. */
  readonly value: unknown;
  /** The version that the row must have now; 0: it must not exist. Absent: whatever is there. */
  readonly ifVersion?: number;
  /** ms since 1970, after which the row may be treated as absent and removed. */
  readonly expiresAt?: number;
}
export interface Records {
  get(table: string, key: string): Promise<RecordRow | undefined>;
  /** Keys that start with `prefix` and are greater than `after`, ascending. */
  list(
    table: string,
    options: { readonly prefix?: string; readonly after?: string; readonly limit: number },
  ): Promise<readonly RecordRow[]>;
  /** All tables, for moves: rows behind `after`, in an order of the driver's own. `mark` is the `after` of the next page. */
  all(
    after: string | undefined,
    limit: number,
  ): Promise<readonly (RecordRow & { readonly table: string; readonly expiresAt: number | undefined; readonly mark: string })[]>;
  /** All or nothing, durable when it resolves. @throws RecordConflict naming table and key when a precondition fails */
  write(writes: readonly RecordWrite[]): Promise<void>;
}

/* ── Feed: all accounts' entries for durable observers ─────────────────────────────────────────────────────── */

/** At least once; in order within an account, no order across accounts. */
export interface Feed {
  /** Idempotent. Registered before the instance serves, so that nothing committed from then on is missed. */
  register(observer: string, from: 'now' | 'start'): Promise<void>;
  unregister(observer: string): Promise<void>;
  observers(): Promise<readonly string[]>;
  /** Entries that the observer has not passed yet, oldest first; accounts with a parked, ordered entry are left out. */
  next(
    observer: string,
    limit: number,
  ): Promise<readonly { readonly position: string; readonly account: AccountId; readonly entry: StoredEntry }[]>;
  /** Moves the cursor past `position`. */
  done(observer: string, position: string): Promise<void>;
  /**
   * Sets one entry aside for one observer, to be tried again at `retryAt` (ms), or never when `undefined`. With `holds` the observer is
   * ordered: later entries of the account wait until `unpark`, and come before anything newer then.
   */
  park(observer: string, account: AccountId, seq: Seq, error: string, retryAt: number | undefined, holds?: 'account'): Promise<void>;
  parked(
    observer: string,
  ): Promise<readonly { readonly account: AccountId; readonly seq: Seq; readonly error: string; readonly retryAt: number | undefined }[]>;
  unpark(observer: string, account: AccountId, seq: Seq): Promise<void>;
}

/* ── Bus: hints between instances ──────────────────────────────────────────────────────────────────────────── */

export interface Lease {
  readonly name: string;
  /** Rises with each holder; goes along with what the holder writes. */
  readonly fence: number;
  /** False once it has expired or was lost. */
  readonly held: boolean;
  release(): Promise<void>;
}
/** Losing every message of the bus costs latency, never truth. */
export interface Bus {
  /** False: other instances are neither heard nor told for now. */
  readonly isConnected: boolean;
  beacon(account: AccountId, head: Seq): void;
  listen(account: AccountId, hear: (head: Seq) => void): () => void;
  /**
   * Says to all other instances, not to this one, that what they keep in memory is old. Short text. Resolves when all that are there have heard and acted,
   * or after half a second; when Redis is away at once, and the news may come late or never. Never rejects.
   */
  tell(topic: string, about: string): Promise<void>;
  hear(topic: string, hear: (about: string) => void): void;
  /** `undefined`: somebody else holds it. Renewed by the driver until released. */
  lease(name: string, ttlMs: number): Promise<Lease | undefined>;
  /** Adds to a counter that starts anew `windowMs` after its first use; returns the sum. */
  count(key: string, by: number, windowMs: number): Promise<number>;
  close(): Promise<void>;
}

/* ── Errors ────────────────────────────────────────────────────────────────────────────────────────────────── */

/** The commit failed after it may have become durable: drop state, reload, look for the entry's token. */
export class OutcomeUnknown extends Error {
  override name = 'OutcomeUnknown';
}
/** The entries asked for were pruned; `floor` is the lowest `after` that can be read. */
export class JournalPruned extends Error {
  override name = 'JournalPruned';
  readonly floor: Seq;
  constructor(floor: Seq) {
    super(`journal is pruned up to ${floor}`);
    this.floor = floor;
  }
}
export class RecordConflict extends Error {
  override name = 'RecordConflict';
  readonly table: string;
  readonly key: string;
  constructor(table: string, key: string) {
    super(`record ${table}/${key} was changed by another writer`);
    this.table = table;
    this.key = key;
  }
}
/** The store cannot be reached or refuses to write now (disk full, closed). Nothing was written. */
export class StoreUnavailable extends Error {
  override name = 'StoreUnavailable';
}
/** Stored octets do not match their checksum or cannot be decoded. */
export class StoreDamaged extends Error {
  override name = 'StoreDamaged';
}
