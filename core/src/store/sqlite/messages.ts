/** What the protocol thread and the store's threads say to each other. Plain data; octets lie in one buffer per message. */
import { type CommitWire, commitOctets, packCommit, unpackCommit } from './commit-wire.ts';

export interface PackedSegment {
  /** 0 inline, 1 blob, 2 inline kept as a blob. */
  readonly kind: number;
  readonly size: number;
  /** Octets of an inline segment as stored. */
  readonly data: Uint8Array | undefined;
  readonly blob: string | undefined;
  readonly blobOctets: number;
  readonly recipe: Uint8Array | undefined;
  /** Octets of a small blob that the commit carries. */
  readonly blobData: Uint8Array | undefined;
}
/** How the segments of a content lie: none, one inline piece in the content's own row, or rows of the segment table. */
export const SHAPE_EMPTY = 0;
export const SHAPE_SINGLE = 1;
export const SHAPE_TABLE = 2;

export interface PackedContent {
  readonly id: number;
  readonly size: number;
  readonly bodyOffset: number;
  readonly codecs: string;
  readonly envelope: string | null;
  readonly structure: string | null;
  readonly body: string | null;
  readonly preview: string | null;
  readonly sentAt: number | null;
  readonly head: Uint8Array | null;
  readonly parts: Uint8Array | null;
  readonly sealed: Uint8Array | null;
  readonly shape: number;
  /** Of SHAPE_SINGLE: octets of the message that it stands for, and its octets. */
  readonly segmentSize: number;
  readonly data: Uint8Array | null;
  readonly segments: readonly PackedSegment[];
}
export interface PackedRecord {
  readonly table: string;
  readonly key: Uint8Array;
  /** For the error message only. */
  readonly name: string;
  /** JSON, or null: remove. */
  readonly value: string | null;
  readonly ifVersion: number | null;
  readonly expiresAt: number | null;
}
export interface PackedChunk {
  readonly box: number;
  readonly n: number;
  readonly seq: number;
  readonly crc: number;
  readonly data: Uint8Array;
}

export interface CommitOp {
  readonly op: 'commit';
  readonly account: string;
  readonly seq: number;
  readonly token: string;
  readonly data: Uint8Array;
  readonly contents: readonly PackedContent[];
  readonly dead: readonly number[];
  readonly records: readonly PackedRecord[];
  readonly at: number;
}
export type WriteOp =
  | CommitOp
  | { readonly op: 'records'; readonly records: readonly PackedRecord[]; readonly at: number }
  | { readonly op: 'chunks'; readonly account: string; readonly chunks: readonly PackedChunk[] }
  | {
      readonly op: 'state';
      readonly account: string;
      readonly applied: number;
      readonly data: Uint8Array;
      readonly unboxed: readonly number[];
    }
  | {
      readonly op: 'adopt';
      readonly account: string;
      readonly floor: number;
      readonly contents: readonly PackedContent[];
      readonly dead: readonly { readonly id: number; readonly at: number }[];
      readonly at: number;
    }
  | { readonly op: 'prune'; readonly account: string; readonly upTo: number }
  | { readonly op: 'erase'; readonly account: string }
  | { readonly op: 'reseal'; readonly account: string; readonly id: number; readonly sealed: Uint8Array }
  | {
      readonly op: 'sweep-contents';
      readonly account: string;
      readonly go: readonly number[];
      readonly stay: readonly number[];
      readonly before: number;
    }
  | { readonly op: 'blob'; readonly id: string; readonly size: number; readonly data: Uint8Array | null; readonly at: number }
  | { readonly op: 'drop-blob'; readonly id: string; readonly before: number }
  | { readonly op: 'derived'; readonly account: string; readonly id: string; readonly from: number; readonly pieces: readonly Uint8Array[] }
  | { readonly op: 'drop-derived'; readonly account: string; readonly id: string }
  | { readonly op: 'register'; readonly observer: string; readonly from: 'now' | 'start' }
  | { readonly op: 'unregister'; readonly observer: string }
  | { readonly op: 'passed'; readonly observer: string; readonly position: string }
  | {
      readonly op: 'park';
      readonly observer: string;
      readonly account: string;
      readonly seq: number;
      readonly error: string;
      readonly retryAt: number | null;
      readonly holds: number;
    }
  | { readonly op: 'unpark'; readonly observer: string; readonly account: string; readonly seq: number }
  /** Runs the idle pass now until nothing is left to do: tests and maintenance. */
  | { readonly op: 'tidy'; readonly at: number };

/** What each op answers. */
export interface OpResults {
  commit: { readonly done: boolean; readonly head: number; readonly conflict?: string };
  records: { readonly conflict?: { readonly table: string; readonly key: string } };
  chunks: null;
  state: null;
  adopt: null;
  /** True: call again, a slice was done. */
  prune: boolean;
  erase: boolean;
  reseal: null;
  /** How many contents went. */
  'sweep-contents': number;
  /** True when the blob was not there before. */
  blob: boolean;
  /** 0 it stays, 1 a row went, 2 a row went whose file must go. */
  'drop-blob': number;
  derived: null;
  /** True: call again, a slice was done. */
  'drop-derived': boolean;
  register: null;
  unregister: null;
  passed: null;
  park: null;
  unpark: null;
  tidy: null;
}

/** Ops that can wait: one slice of them joins each group, so that they never delay an acknowledgement by much. */
export const LAZY_OPS: ReadonlySet<WriteOp['op']> = new Set([
  'chunks',
  'state',
  'prune',
  'erase',
  'reseal',
  'sweep-contents',
  'drop-blob',
  'derived',
  'drop-derived',
  'tidy',
]);

export interface WriteMessage {
  /** Number of the first op; the others count on. */
  readonly first: number;
  readonly octets: Uint8Array;
  readonly ops: readonly (Exclude<WriteOp, CommitOp> | CommitWire)[];
}
export type OpFailure = { readonly failed: 'unavailable' | 'unknown' | 'damaged' | 'refused'; readonly message: string };
export type WriterReply =
  /** Flat: number, result, number, result... */
  | { readonly kind: 'done'; readonly results: readonly unknown[] }
  | { readonly kind: 'ready'; readonly nextContent: number }
  | { readonly kind: 'failed-to-open'; readonly failure: OpFailure }
  /** After an I/O error: nothing more is taken. */
  | { readonly kind: 'dead'; readonly message: string }
  | { readonly kind: 'closed' };

export interface WriterSettings {
  readonly folder: string;
  readonly synchronous: 'full' | 'normal';
  readonly walOctets: number;
  readonly cacheOctets: number;
  readonly repack: boolean;
  readonly idleMs: number;
  /** The database file may not grow beyond this; 0: no limit of its own. */
  readonly maxOctets: number;
}

export function isFailure(result: unknown): result is OpFailure {
  return typeof result === 'object' && result !== null && 'failed' in result;
}

/** Octets that an op carries, for the group cap and the queue's limit. */
export function octetsOf(op: WriteOp): number {
  switch (op.op) {
    case 'commit': {
      let octets = op.data.length;
      for (const content of op.contents) {
        octets += 512 + (content.envelope?.length ?? 0) + (content.structure?.length ?? 0) + (content.body?.length ?? 0);
        octets += (content.head?.length ?? 0) + (content.parts?.length ?? 0) + (content.sealed?.length ?? 0) + (content.data?.length ?? 0);
        for (const segment of content.segments) {
          octets += (segment.data?.length ?? 0) + (segment.blobData?.length ?? 0) + (segment.recipe?.length ?? 0);
        }
      }
      for (const record of op.records) octets += record.key.length + (record.value?.length ?? 0);
      return octets;
    }
    case 'records':
      return op.records.reduce((sum, record) => sum + record.key.length + (record.value?.length ?? 0), 0);
    case 'adopt':
      return op.contents.reduce((sum, content) => sum + 4_096 + (content.data?.length ?? 0), 0);
    case 'chunks':
      return op.chunks.reduce((sum, chunk) => sum + chunk.data.length, 0);
    case 'state':
      return op.data.length;
    case 'reseal':
      return op.sealed.length;
    case 'blob':
      return op.data?.length ?? 0;
    case 'derived':
      return op.pieces.reduce((sum, piece) => sum + piece.length, 0);
    default:
      return 64;
  }
}

/** Hands out room in one buffer that is transferred with the message: views of it survive the transfer. */
class Arena {
  readonly #bytes: Uint8Array;
  #used = 0;
  constructor(octets: number) {
    // Not from the pool, so that it can be transferred; not zeroed, as all of it is written.
    this.#bytes = Buffer.allocUnsafeSlow(octets);
  }
  get buffer(): ArrayBufferLike {
    return this.#bytes.buffer;
  }
  get octets(): Uint8Array {
    return this.#bytes;
  }
  place(source: Uint8Array): number {
    const at = this.#used;
    this.#bytes.set(source, at);
    this.#used += source.length;
    return at;
  }
  packed<T>(value: T): T {
    return this.#copyOf(value) as T;
  }
  #copyOf(value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return value;
    if (value instanceof Uint8Array) {
      const at = this.place(value);
      return this.#bytes.subarray(at, at + value.length);
    }
    if (Array.isArray(value)) return typeof value[0] === 'number' ? value : value.map((item) => this.#copyOf(item));
    const copy: Record<string, unknown> = {};
    for (const key in value) copy[key] = this.#copyOf((value as Record<string, unknown>)[key]);
    return copy;
  }
}

/** Octets of all `Uint8Array`s within a value of plain data. */
function viewOctets(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (value instanceof Uint8Array) return value.length;
  let octets = 0;
  if (Array.isArray(value)) for (const item of value) octets += viewOctets(item);
  else for (const key in value) octets += viewOctets((value as Record<string, unknown>)[key]);
  return octets;
}
function arenaOctets(op: WriteOp): number {
  if (op.op !== 'commit') return viewOctets(op);
  let octets = commitOctets(op);
  for (const { segments } of op.contents) if (segments.length > 0) octets += viewOctets(segments);
  return op.records.length === 0 ? octets : octets + viewOctets(op.records);
}

/**
 * Copies the octets of all ops into one buffer, so that a message costs one transfer and the callers' buffers (which may be slices of a
 * pool, or needed again after a conflict) are left alone.
 */
export function packMessage(first: number, ops: readonly WriteOp[]): { readonly message: WriteMessage; readonly transfer: ArrayBuffer[] } {
  let octets = 0;
  for (const op of ops) octets += arenaOctets(op);
  const arena = new Arena(octets);
  const packed = ops.map((op) => (op.op === 'commit' ? packCommit(op, arena) : arena.packed(op)));
  const message: WriteMessage = { first, octets: arena.octets, ops: packed };
  return { message, transfer: arena.buffer instanceof ArrayBuffer ? [arena.buffer] : [] };
}

export function unpackMessage({ ops, octets }: WriteMessage): readonly WriteOp[] {
  return ops.map((op) => ('op' in op ? op : unpackCommit(op, octets)));
}
