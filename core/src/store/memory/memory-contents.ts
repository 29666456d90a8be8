import { createHash } from 'node:crypto';
import { blobIdOf, blobIdOfDigest, INLINE_LOAD_OCTETS } from '../blob-id.ts';
import { pickColumns } from '../meta-columns.ts';
import type {
  AccountId,
  BlobId,
  Blobs,
  ContentId,
  Contents,
  MetaColumn,
  NewContent,
  StoredContent,
  StoredMeta,
  StoredSegment,
} from '../store.ts';
import { StoreDamaged, StoreUnavailable } from '../store.ts';
import { octetsIn } from './octets-in.ts';

function copy(data: Uint8Array): Uint8Array {
  return Uint8Array.from(data);
}

export class MemoryBlobs implements Blobs {
  readonly #now: () => number;
  readonly #blobs = new Map<BlobId, { readonly data: Uint8Array; touched: number }>();
  /** Set by the store: is the blob named by a content? */
  isNamed: (id: BlobId) => boolean = () => false;
  constructor(now: () => number) {
    this.#now = now;
  }

  idOf(scope: string, data: Uint8Array): BlobId {
    return blobIdOf(scope, data);
  }
  has(id: BlobId): boolean {
    return this.#blobs.has(id);
  }
  keep(id: BlobId, data: Uint8Array): boolean {
    const found = this.#blobs.get(id);
    if (found !== undefined) found.touched = this.#now();
    else this.#blobs.set(id, { data: copy(data), touched: this.#now() });
    return found === undefined;
  }

  octets(): Generator<Uint8Array> {
    return octetsIn(this.#blobs);
  }

  async put(scope: string, source: AsyncIterable<Uint8Array>, signal: AbortSignal) {
    const pieces: Uint8Array[] = [];
    for await (const piece of source) {
      signal.throwIfAborted();
      pieces.push(copy(piece));
    }
    signal.throwIfAborted();
    const data = Buffer.concat(pieces);
    const id = blobIdOfDigest(scope, createHash('sha256').update(data).digest());
    return { id, sizeOctets: data.length, fresh: this.keep(id, data) };
  }

  async *read(id: BlobId, from: number, to: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    signal.throwIfAborted();
    const found = this.#blobs.get(id);
    if (found === undefined) throw new StoreDamaged(`blob ${id} is not stored`);
    if (from < Math.min(to, found.data.length)) yield found.data.slice(from, to);
  }

  async sweep(before: number): Promise<number> {
    let gone = 0;
    for (const [id, { touched }] of this.#blobs) {
      if (touched >= before || this.isNamed(id)) continue;
      this.#blobs.delete(id);
      gone++;
    }
    return gone;
  }
}

interface Kept {
  readonly account: AccountId;
  readonly content: NewContent;
}

export class MemoryContents implements Contents {
  readonly #now: () => number;
  readonly #blobs: MemoryBlobs;
  readonly #contents = new Map<ContentId, Kept>();
  readonly #dead = new Map<AccountId, Map<ContentId, number>>();
  #next = 1;

  constructor(now: () => number, blobs: MemoryBlobs) {
    this.#now = now;
    this.#blobs = blobs;
    blobs.isNamed = (id) => {
      for (const { content } of this.#contents.values()) {
        for (const segment of content.segments) if (segment.at === 'blob' && segment.blob === id) return true;
      }
      return false;
    };
  }

  newId(_account: AccountId): ContentId {
    return this.#next++ as ContentId;
  }

  /** @throws StoreUnavailable when a content names a blob that is not there */
  requireBlobs(contents: readonly NewContent[]): void {
    for (const { segments } of contents) {
      for (const segment of segments) {
        if (segment.at === 'blob' && segment.data === undefined && !this.#blobs.has(segment.blob)) {
          throw new StoreUnavailable(`blob ${segment.blob} is not stored`);
        }
      }
    }
  }
  add(account: AccountId, content: NewContent): void {
    if (this.#contents.has(content.id)) throw new Error(`content ${content.id} is there already`);
    for (const segment of content.segments) {
      if (segment.at === 'blob' && segment.data !== undefined) this.#blobs.keep(segment.blob, segment.data);
    }
    this.#contents.set(content.id, { account, content: structuredClone(content) });
  }
  adopt(account: AccountId, content: NewContent): void {
    this.#next = Math.max(this.#next, content.id + 1);
    if (!this.#contents.has(content.id)) this.add(account, content);
  }
  bury(account: AccountId, dead: readonly ContentId[], at = this.#now()): void {
    const candidates = this.#dead.get(account) ?? new Map<ContentId, number>();
    for (const id of dead) candidates.set(id, at);
    if (dead.length > 0) this.#dead.set(account, candidates);
  }
  erase(account: AccountId): void {
    this.#dead.delete(account);
    for (const [id, kept] of this.#contents) if (kept.account === account) this.#contents.delete(id);
  }

  octets(): Generator<Uint8Array> {
    return octetsIn(this.#contents);
  }

  #find(account: AccountId, id: ContentId): NewContent | undefined {
    const kept = this.#contents.get(id);
    return kept?.account === account ? kept.content : undefined;
  }

  async meta(account: AccountId, ids: readonly ContentId[], columns: readonly MetaColumn[]) {
    return ids.map((id): StoredMeta | undefined => {
      const meta = this.#find(account, id)?.meta;
      if (meta === undefined) return undefined;
      if ('sealed' in meta) return { sealed: copy(meta.sealed) };
      return pickColumns(meta, columns);
    });
  }

  async load(account: AccountId, ids: readonly ContentId[]) {
    return ids.map((id): StoredContent | undefined => {
      const content = this.#find(account, id);
      if (content === undefined) return undefined;
      let inlineOctets = 0;
      for (const segment of content.segments) if (segment.at === 'inline') inlineOctets += segment.data.length;
      const segments = content.segments.map((segment): StoredSegment => {
        if (segment.at === 'inline') {
          const data = inlineOctets <= INLINE_LOAD_OCTETS ? copy(segment.data) : undefined;
          return { at: 'inline', sizeOctets: segment.sizeOctets, data };
        }
        const { sizeOctets, blob, blobOctets, recipe } = segment;
        return { at: 'blob', sizeOctets, blob, blobOctets, recipe: copy(recipe) };
      });
      const { meta, sizeOctets, codecs, bodyOffset } = content;
      const kept = 'sealed' in meta ? { sealed: copy(meta.sealed) } : { head: copy(meta.head), parts: copy(meta.parts) };
      return { id, sizeOctets, codecs, bodyOffset, meta: kept, segments };
    });
  }

  async segment(account: AccountId, id: ContentId, n: number, from: number, to: number): Promise<Uint8Array> {
    const segment = this.#find(account, id)?.segments[n];
    if (segment?.at !== 'inline') throw new StoreDamaged(`content ${id} has no inline segment ${n}`);
    return segment.data.slice(from, to);
  }

  async reseal(account: AccountId, id: ContentId, sealed: Uint8Array): Promise<void> {
    const content = this.#find(account, id);
    if (content !== undefined) this.#contents.set(id, { account, content: { ...content, meta: { sealed: copy(sealed) } } });
  }

  async sweep(account: AccountId, live: ReadonlySet<number>, before: number): Promise<number> {
    const candidates = this.#dead.get(account);
    let gone = 0;
    for (const [id, at] of candidates ?? []) {
      if (at >= before) continue;
      candidates?.delete(id);
      if (!live.has(id) && this.#find(account, id) !== undefined) {
        this.#contents.delete(id);
        gone++;
      }
    }
    return gone;
  }

  async dead(account: AccountId, after: ContentId | 0, limit: number) {
    return [...(this.#dead.get(account) ?? [])]
      .map(([id, at]) => ({ id, at }))
      .filter(({ id }) => id > after)
      .sort((one, two) => one.id - two.id)
      .slice(0, limit);
  }
  async list(account: AccountId, after: ContentId | 0, limit: number) {
    return [...this.#contents.values()]
      .filter((kept) => kept.account === account && kept.content.id > after)
      .map(({ content }) => ({ id: content.id, sizeOctets: content.sizeOctets }))
      .sort((one, two) => one.id - two.id)
      .slice(0, limit);
  }
}
