import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type {
  AccountId,
  ContentId,
  MailboxId,
  NewContent,
  Proposal,
  RecordWrite,
  Segment,
  Seq,
  Store,
  StoredChunk,
  StoredEntry,
} from '../store.ts';

/** What a test gets: a store of its own. */
export interface OpenStore {
  readonly store: Store;
  /** Closes the store and opens it again on the same data; memory drivers give the same object. */
  readonly reopen: () => Promise<Store>;
}

export const account = (name: string): AccountId => name as AccountId;
export const box = (n: number): MailboxId => n as MailboxId;

export function octets(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'));
}
export function randomOctets(size: number): Uint8Array {
  return Uint8Array.from(randomBytes(size));
}
export function textOctets(size: number): Uint8Array {
  return octets('Lorem ipsum dolor sit amet, consectetur adipiscing elit.\r\n'.repeat(Math.ceil(size / 58)).slice(0, size));
}
export function entry(seq: Seq, data: string | Uint8Array = `entry ${seq}`): StoredEntry {
  return { seq, token: randomBytes(8).toString('hex'), data: typeof data === 'string' ? octets(data) : data };
}

export function inline(data: Uint8Array): Segment {
  return { at: 'inline', sizeOctets: data.length, data };
}
export function content(id: ContentId, segments: readonly Segment[] = [inline(octets(`body of ${id}`))]): NewContent {
  return {
    id,
    sizeOctets: segments.reduce((sum, segment) => sum + segment.sizeOctets, 0),
    codecs: [],
    bodyOffset: 0,
    meta: {
      envelope: `(NIL "subject ${id}")`,
      structure: `("TEXT" "PLAIN" ${id})`,
      body: `("TEXT" ${id})`,
      preview: `preview ${id}`,
      sentAt: 1_000 + id,
      head: octets(`Subject: ${id}\r\n\r\n`),
      parts: octets(`parts ${id}`),
    },
    segments,
  };
}

export interface Parts {
  readonly contents?: readonly NewContent[];
  readonly dead?: readonly ContentId[];
  readonly records?: readonly RecordWrite[];
  readonly data?: string | Uint8Array;
}
export function proposal(of: AccountId, seq: Seq, parts: Parts = {}): Proposal {
  return {
    account: of,
    entry: entry(seq, parts.data),
    contents: parts.contents ?? [],
    dead: parts.dead ?? [],
    records: parts.records ?? [],
  };
}

/** Commits entries `from` to `to`. */
export async function fill(store: Store, of: AccountId, from: Seq, to: Seq): Promise<void> {
  for (let seq = from; seq <= to; seq++) {
    const outcome = await store.commit(proposal(of, seq));
    if (!outcome.done) throw new Error(`entry ${seq} was refused`);
  }
}

export function chunk(of: MailboxId, n: number, seq: Seq, data: Uint8Array): StoredChunk {
  return { box: of, n, seq, crc: crc32(data), data };
}
export async function saveState(
  store: Store,
  of: AccountId,
  applied: Seq,
  chunks: readonly StoredChunk[] = [],
  unboxed: readonly MailboxId[] = [],
) {
  await store.saveState(of, { snapshot: { account: of, applied, data: octets(`state at ${applied}`) }, chunks, unboxed });
}

export async function* streamOf(...pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}
export async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return Uint8Array.from(Buffer.concat(pieces));
}
export function never(): AbortSignal {
  return new AbortController().signal;
}
export async function all<T>(source: AsyncIterable<T>): Promise<readonly T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}
export function seqs(entries: readonly StoredEntry[]): readonly Seq[] {
  return entries.map(({ seq }) => seq);
}
export function range(from: number, to: number): readonly number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => from + at);
}
