import type { AccountId, ContentId, Contents, DeadContent, MetaColumn, StoredContent, StoredMeta } from '../store.ts';
import { StoreDamaged } from '../store.ts';
import type { BlobFiles } from './blob-files.ts';
import type { BodyReads } from './body-reads.ts';
import type { Reader } from './reader.ts';
import type { Reads } from './reads.ts';
import { READ_AT_ONCE_OCTETS } from './sqlite-blobs.ts';
import type { WriteQueue } from './write-queue.ts';

/** Rows that one synchronous read takes: about a millisecond. */
const PAGE_ROWS = 500;
const SWEEP_PAGE = 256;

export class SqliteContents implements Contents {
  readonly #queue: WriteQueue;
  readonly #reads: Reads;
  readonly #bodies: BodyReads;
  readonly #reader: Reader;
  readonly #files: BlobFiles;
  #next: number;

  constructor(queue: WriteQueue, reads: Reads, bodies: BodyReads, reader: Reader, files: BlobFiles, next: number) {
    this.#queue = queue;
    this.#reads = reads;
    this.#bodies = bodies;
    this.#reader = reader;
    this.#files = files;
    this.#next = next;
  }

  newId(_account: AccountId): ContentId {
    return this.#next++ as ContentId;
  }
  async dead(account: AccountId, after: ContentId | 0, limit: number): Promise<readonly DeadContent[]> {
    return this.#reads.deadList(account, after, limit);
  }
  /** Ids up to this one were given out by another store. */
  passId(id: number): void {
    this.#next = Math.max(this.#next, id + 1);
  }

  async meta(account: AccountId, ids: readonly ContentId[], columns: readonly MetaColumn[]): Promise<readonly (StoredMeta | undefined)[]> {
    if (ids.length <= PAGE_ROWS) return this.#reads.meta(account, ids, columns);
    const found: (StoredMeta | undefined)[] = [];
    for (let at = 0; at < ids.length; at += PAGE_ROWS) {
      found.push(...this.#reads.meta(account, ids.slice(at, at + PAGE_ROWS), columns));
      await new Promise((resolve) => setImmediate(resolve));
    }
    return found;
  }

  async load(account: AccountId, ids: readonly ContentId[]): Promise<readonly (StoredContent | undefined)[]> {
    const { contents, bodies, files } = this.#bodies.load(account, ids, READ_AT_ONCE_OCTETS);
    if (bodies.length === 0 && files.length === 0) return contents;
    const fill = (at: number, n: number, data: Uint8Array): void => {
      const content = contents[at];
      if (content === undefined) return;
      const segments = content.segments.map((segment, index) => (index === n ? { ...segment, data } : segment));
      contents[at] = { ...content, segments };
    };
    for (const { at, n, from, row } of bodies) fill(at, n, await this.#reader.body(from, row));
    for (const { at, n, blob, sizeOctets } of files) fill(at, n, await this.#fromFile(blob, 0, sizeOctets));
    return contents;
  }

  async segment(account: AccountId, id: ContentId, n: number, from: number, to: number): Promise<Uint8Array> {
    const place = this.#bodies.inlinePlace(account, id, n);
    if (place === undefined) throw new StoreDamaged(`content ${id} has no inline segment ${n}`);
    const end = Math.min(to, place.sizeOctets);
    if (from >= end) return new Uint8Array(0);
    if (place.at === 'file') return await this.#fromFile(place.blob, from, end);
    const octets =
      place.sizeOctets <= READ_AT_ONCE_OCTETS ? this.#bodies.body(place.at, place.row) : await this.#reader.body(place.at, place.row);
    return octets.subarray(from, end);
  }
  async #fromFile(blob: Parameters<BlobFiles['read']>[0], from: number, to: number): Promise<Uint8Array> {
    const octets = new Uint8Array(to - from);
    let at = 0;
    for await (const piece of this.#files.read(blob, from, to, new AbortController().signal)) {
      octets.set(piece, at);
      at += piece.length;
    }
    return octets;
  }

  async reseal(account: AccountId, id: ContentId, sealed: Uint8Array): Promise<void> {
    await this.#queue.submit({ op: 'reseal', account, id, sealed });
  }

  async sweep(account: AccountId, live: ReadonlySet<number>, before: number): Promise<number> {
    let gone = 0;
    let after = 0;
    for (;;) {
      const page = this.#reads.deadContents(account, after, before, SWEEP_PAGE);
      const last = page.at(-1);
      if (last === undefined) return gone;
      after = last;
      // A candidate that lives on in another mailbox is named again by the entry that removes it there.
      const go = page.filter((content) => !live.has(content));
      const stay = page.filter((content) => live.has(content));
      gone += await this.#queue.submit({ op: 'sweep-contents', account, go, stay, before });
    }
  }

  async list(account: AccountId, after: ContentId | 0, limit: number) {
    return this.#reads.listContents(account, after, limit);
  }
}
