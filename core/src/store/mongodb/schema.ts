/** Collections, their documents and indexes. Field names are short because they are stored in every document. */
import { StoreUnavailable } from '../store.ts';
import type { Collection, Doc, Documents, Index } from './documents.ts';
import type { Tokened } from './retrying-documents.ts';

/** A step is added for each later level; levels are never edited. */
export const SCHEMA_LEVEL = 1;

/** Snapshot and what else is known of an account; none before its state is first saved. `_id`: account. */
export interface AccountDoc extends Tokened {
  readonly applied: number;
  readonly data: Uint8Array;
  /** Entries up to here are pruned. */
  readonly floor: number;
  /** Day (see content-ids) up to which contents that no entry names were looked for. */
  readonly swept: number;
}
/** One journal entry: inserting it is the commit. `_id`: account/seq; `k`: the entry's token. */
export interface SlotDoc extends Tokened {
  /** ms since 1970, when it was proposed. */
  readonly t: number;
  /** Absent when the octets lie in `sides`. */
  readonly d?: Uint8Array;
  /** Contents that lost a message here, six octets each. */
  readonly dead?: Uint8Array;
  /** Pieces in `sides`, and how many of their octets are `d`; the rest is `dead`. */
  readonly sides?: number;
  readonly size?: number;
  /** Waits for its place in the feed; then `g`, the number of the batch. */
  readonly f?: 1;
  readonly g?: number;
  /** Only valid if this transaction is committed. */
  readonly tx?: string;
  /** Pruned: nothing is left of it but the number, so that nobody takes it again. */
  readonly gone?: true;
}
/** Octets of entries that are too big for their slot, written before it. `_id`: account/seq/token/n. */
export interface SideDoc extends Doc {
  readonly t: number;
  readonly d: Uint8Array;
}
/** `_id`: account/mailbox/n. */
export interface ChunkDoc extends Doc {
  readonly seq: number;
  readonly crc: number;
  readonly data: Uint8Array;
}
/** `n`: octets of the message that it stands for. Inline: `d`, or `l` octets in `bodies`. Blob: `b`, its octets `o`, the recipe `r`. */
export interface SegmentField {
  readonly n: number;
  readonly d?: Uint8Array;
  readonly l?: number;
  readonly b?: string;
  readonly o?: number;
  readonly r?: Uint8Array;
}
/** Immutable but for resealing. `_id`: account/content. Sealed: `x`; else envelope, structure, body, preview, date, head, parts. */
export interface ContentDoc extends Doc {
  readonly n: number;
  /** Seq (hex) and token of the entry that it came with: whether that was ever made tells what a crash has left. */
  readonly w?: string;
  readonly c?: readonly string[];
  readonly o: number;
  readonly e?: string;
  readonly s?: string;
  readonly b?: string;
  readonly p?: string;
  readonly at?: number | null;
  readonly h?: Uint8Array;
  readonly m?: Uint8Array;
  readonly x?: Uint8Array;
  readonly g: readonly SegmentField[];
}
/** Inline octets that are too big for their content. `_id`: account/content/segment/piece. */
export interface BodyDoc extends Doc {
  readonly d: Uint8Array;
}
/** `_id`: account/content; when it lost a message, ms. */
export interface DeadDoc extends Doc {
  readonly t: number;
}
/** Header of a blob. `_id`: its id; `k` changes whenever it is touched. Octets: `d`, or the GridFS file `sid`. */
export interface BlobDoc extends Tokened {
  readonly n: number;
  readonly t: number;
  readonly d?: Uint8Array;
  readonly sid?: string;
}
/** `_id`: blob/account/content: this content names that blob. */
export interface EdgeDoc extends Doc {
  readonly t: number;
}
/** GridFS (its specification is MongoDB's): `blobdata.files` and `blobdata.chunks`. */
export interface GridFile extends Doc {
  readonly length: number;
  readonly chunkSize: number;
  readonly uploadDate: Date;
  readonly filename: string;
}
export interface GridChunk extends Doc {
  readonly files_id: string;
  readonly n: number;
  readonly data: Uint8Array;
}
/** A blob whose octets are being written. `_id`: GridFS file. */
export interface UploadDoc extends Doc {
  readonly t: number;
}
/** `_id`: account/id/n. */
export interface DerivedDoc extends Doc {
  readonly d: Uint8Array;
}
/** `_id`: table:key. Version 0 stands for a row that is not there. `l...`: what a transaction makes of it. */
export interface RowDoc extends Tokened {
  readonly v: number;
  readonly j: string;
  readonly x?: number;
  readonly lt?: string;
  readonly lv?: number;
  readonly lj?: string;
  readonly lx?: number;
}
/** Several records, perhaps with a slot, at once. `_id`: random. */
export interface TransactionDoc extends Tokened {
  readonly s: 'pending' | 'committed' | 'aborted';
  readonly t: number;
  readonly rows: readonly string[];
  readonly slot?: string;
}
/** `_id`: batch number. */
export interface BatchDoc extends Tokened {
  /** Keys of slots. */
  readonly items: readonly string[];
}
/** An observer (`_id`: name), or what it has set aside (`name/parked/account/seq`, `name/backlog/account`). */
export interface ObserverDoc extends Tokened {
  /** Position of the last entry that it has passed: number of the batch times 1024, plus the place within. */
  readonly c?: number;
  /** Reads the whole journal first; this slot was the last. */
  readonly scan?: string;
  readonly error?: string;
  readonly retryAt?: number | null;
  readonly holds?: boolean;
  readonly after?: number;
  readonly upTo?: number;
}
/** An account that is being erased. `_id`: account. */
export interface ErasureDoc extends Doc {
  readonly t: number;
}
/** `_id`: what is counted. */
export interface CounterDoc extends Doc {
  readonly n: number;
}

export interface Collections {
  readonly accounts: Collection<AccountDoc>;
  readonly journal: Collection<SlotDoc>;
  readonly sides: Collection<SideDoc>;
  readonly chunks: Collection<ChunkDoc>;
  readonly contents: Collection<ContentDoc>;
  readonly bodies: Collection<BodyDoc>;
  readonly dead: Collection<DeadDoc>;
  readonly blobs: Collection<BlobDoc>;
  readonly edges: Collection<EdgeDoc>;
  readonly files: Collection<GridFile>;
  readonly pieces: Collection<GridChunk>;
  readonly uploads: Collection<UploadDoc>;
  readonly derived: Collection<DerivedDoc>;
  readonly records: Collection<RowDoc>;
  readonly transactions: Collection<TransactionDoc>;
  readonly feedlog: Collection<BatchDoc>;
  readonly observers: Collection<ObserverDoc>;
  readonly erasures: Collection<ErasureDoc>;
  readonly counters: Collection<CounterDoc>;
}

export function collectionsOf(documents: Documents): Collections {
  return {
    accounts: documents.collection('accounts'),
    journal: documents.collection('journal'),
    sides: documents.collection('sides'),
    chunks: documents.collection('chunks'),
    contents: documents.collection('contents'),
    bodies: documents.collection('bodies'),
    dead: documents.collection('dead'),
    blobs: documents.collection('blobs'),
    edges: documents.collection('blobrefs'),
    files: documents.collection('blobdata.files'),
    pieces: documents.collection('blobdata.chunks'),
    uploads: documents.collection('uploads'),
    derived: documents.collection('derived'),
    records: documents.collection('records'),
    transactions: documents.collection('transactions'),
    feedlog: documents.collection('feedlog'),
    observers: documents.collection('observers'),
    erasures: documents.collection('erasures'),
    counters: documents.collection('counters'),
  };
}

/** Beside `_id`, which carries the account and is the shard key of every collection. */
const LEVELS: readonly (readonly (readonly [collection: string, index: Index])[])[] = [
  [
    ['journal', { name: 'feed', keys: ['f', '_id'], where: 'f' }],
    ['blobs', { name: 'touched', keys: ['t'] }],
    ['blobdata.chunks', { name: 'file', keys: ['files_id', 'n'] }],
    ['records', { name: 'expiry', keys: ['x'], where: 'x' }],
  ],
];

/**
 * Brings the database to this level; every instance does so at its start, several at once do no harm.
 * @returns the level that was found
 * @throws StoreUnavailable when a newer Pochard wrote the database
 */
export async function migrate(documents: Documents): Promise<number> {
  const counters = documents.collection<CounterDoc>('counters');
  const level = (await counters.get('schema'))?.n ?? 0;
  if (level > SCHEMA_LEVEL) {
    throw new StoreUnavailable(`the database has schema level ${level}, this Pochard knows up to ${SCHEMA_LEVEL}: use the newer version`);
  }
  if (level === SCHEMA_LEVEL) return level;
  for (const indexes of LEVELS.slice(level)) for (const [collection, index] of indexes) await documents.createIndex(collection, index);
  await counters.put([{ _id: 'schema', n: SCHEMA_LEVEL }], 'n');
  return level;
}
