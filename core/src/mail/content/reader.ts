/**
 * Stored contents as the messages that they are: any range of octets, from the segments that it needs and no others. Whatever lies
 * encoded is undone here; what cannot be undone is not served.
 */
import type { Account, Actor, ByteRange, Session } from '@pochard/plugin-sdk';
import { LRUCache } from 'lru-cache';
import type { MimePart } from '../../mime/part.ts';
import { decodeParts, PartTableError } from '../../mime/part-table.ts';
import { pickColumns } from '../../store/meta-columns.ts';
import type { AccountId, ContentId, MetaColumn, Store, StoredContent, StoredSegment } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import { asMailError } from '../hook-errors.ts';
import { accountIdOf } from '../sdk-values.ts';
import type { ContentMetaRow, ContentReader, ContentUse, OpenContent, ReadOptions } from '../services.ts';
import { BlobWindows, type WindowedBlob } from './blob-windows.ts';
import { bindingOf, type CodecScope, type Codecs, type Notes } from './codecs.ts';
import { decodeManifest } from './manifest.ts';
import { encodedPieces, encodedRange } from './recoding.ts';
import { decodeRecord, frameSealed, unframeSealed } from './sealed-record.ts';

/** Octets of an inline segment that are asked for at a time when it did not come along. */
const SLICE_OCTETS = 64 * 1024;
/** Of a part: reads up to this size are looked at as pieces of a long one. */
const PIECE_OCTETS = 256 * 1024;

export interface ReaderOptions {
  readonly store: Pick<Store, 'contents' | 'blobs'>;
  readonly codecs: Codecs;
  /** Recently opened contents that lie plain; shared by all accounts. */
  readonly cache: ContentCache;
  readonly account: Account;
  readonly actor: Actor;
  readonly session: Session | undefined;
}

/** Plain contents by account and id, bounded by their octets. What lies sealed is never kept. */
export class ContentCache {
  /** Octets that were read from the store: what a test of "and no others" looks at. */
  readonly octetsRead = { inline: 0, blob: 0 };
  /** Beside the contents: octets of big parts that are being read piece by piece. */
  readonly windows = new BlobWindows();
  readonly #contents: LRUCache<string, StoredContent>;

  constructor(maxOctets: number) {
    this.#contents = new LRUCache({ maxSize: maxOctets, sizeCalculation: octetsOf });
  }
  get(account: AccountId, id: ContentId): StoredContent | undefined {
    return this.#contents.get(`${account} ${id}`);
  }
  set(account: AccountId, content: StoredContent): void {
    if (!('sealed' in content.meta)) this.#contents.set(`${account} ${content.id}`, content);
  }
}

export class AccountContentReader implements ContentReader {
  readonly #options: ReaderOptions;
  readonly #accountId: AccountId;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#accountId = accountIdOf(options.account.id);
  }

  async meta(ids: readonly ContentId[], columns: readonly MetaColumn[]): Promise<readonly (ContentMetaRow | undefined)[]> {
    const rows = await this.#options.store.contents.meta(this.#accountId, ids, columns);
    const sealed: { readonly at: number; readonly id: ContentId; readonly octets: Uint8Array }[] = [];
    const out: (ContentMetaRow | undefined)[] = [];
    for (const [at, row] of rows.entries()) {
      if (row === undefined || !('sealed' in row)) out.push(row);
      else {
        out.push(undefined);
        sealed.push({ at, id: ids[at] as ContentId, octets: row.sealed });
      }
    }
    if (sealed.length === 0) return out;
    const opened = await this.#unseal(sealed);
    for (const [n, { at }] of sealed.entries()) {
      const record = opened[n];
      if (record !== undefined) out[at] = pickColumns(record.meta, columns);
    }
    return out;
  }

  async open(ids: readonly ContentId[], use: ContentUse = 'again'): Promise<readonly (OpenContent | undefined)[]> {
    const { store, cache } = this.#options;
    const found = new Map<ContentId, StoredContent>();
    const missing: ContentId[] = [];
    for (const id of ids) {
      const cached = cache.get(this.#accountId, id);
      if (cached === undefined) missing.push(id);
      else found.set(id, cached);
    }
    if (missing.length > 0) {
      for (const content of await store.contents.load(this.#accountId, missing)) {
        if (content === undefined) continue;
        for (const segment of content.segments) if (segment.at === 'inline') cache.octetsRead.inline += segment.data?.length ?? 0;
        found.set(content.id, content);
        if (use === 'again') cache.set(this.#accountId, content);
      }
    }
    const sealed = [...found.values()].flatMap(({ id, meta }) => ('sealed' in meta ? [{ id, octets: meta.sealed }] : []));
    const records = new Map<ContentId, Awaited<ReturnType<AccountContentReader['unsealed']>>>();
    const opened = sealed.length === 0 ? [] : await this.#unseal(sealed);
    for (const [n, { id }] of sealed.entries()) {
      const record = opened[n];
      if (record !== undefined) records.set(id, record);
    }
    return ids.map((id) => {
      const content = found.get(id);
      if (content === undefined) return undefined;
      if (!('sealed' in content.meta)) return this.#view(content, content.meta, undefined);
      const record = records.get(id);
      return record === undefined ? undefined : this.#view(content, record.meta, record.notes);
    });
  }

  /** One sealed record. */
  async unsealed(id: ContentId, octets: Uint8Array): Promise<ReturnType<typeof decodeRecord>> {
    const [record] = await this.#unseal([{ id, octets }]);
    if (record === undefined) throw new MailError('damaged', 'The stored message is damaged');
    return record;
  }

  #view(content: StoredContent, meta: { readonly head: Uint8Array; readonly parts: Uint8Array }, notes: Notes | undefined): OpenContent {
    return new StoredMessage(this.#options, this.#accountId, content, meta, notes);
  }

  /** One call for each codec that sealed some of them. */
  async #unseal(
    rows: readonly { readonly id: ContentId; readonly octets: Uint8Array }[],
  ): Promise<readonly ReturnType<typeof decodeRecord>[]> {
    const { codecs, account, actor, session, store } = this.#options;
    const framed = rows.map(({ id, octets }) => ({ id, ...unframeSealed(octets) }));
    const records = new Map<number, ReturnType<typeof decodeRecord>>();
    for (const codec of new Set(framed.map((row) => row.codec))) {
      const mine = [...framed.entries()].filter(([, row]) => row.codec === codec);
      const sealed = mine.map(([, { id, sealed: octets }]) => ({ octets, binding: bindingOf(account, id) }));
      const opened = await codecs.unseal(codec, sealed, { account, actor, session });
      for (const [n, [at, { id }]] of mine.entries()) {
        const result = opened[n];
        if (result === undefined) continue;
        records.set(at, decodeRecord(result.plain));
        // An equivalent form: whether it is written changes nothing for anybody, only the price of the next look.
        if (result.replacement !== undefined) await store.contents.reseal(this.#accountId, id, frameSealed(codec, result.replacement));
      }
    }
    return rows.map((_, at) => {
      const record = records.get(at);
      if (record === undefined) throw new MailError('damaged', 'The stored message is damaged');
      return record;
    });
  }
}

/** A segment with its place in the message. */
interface PlacedSegment {
  readonly n: number;
  readonly from: number;
  readonly to: number;
  readonly segment: StoredSegment;
  /** Octets it has decoded, before any recipe. */
  readonly plainOctets: number;
  readonly notes: Notes;
}

class StoredMessage implements OpenContent {
  readonly id: ContentId;
  readonly sizeOctets: number;
  readonly head: Uint8Array;
  readonly #options: ReaderOptions;
  readonly #accountId: AccountId;
  readonly #content: StoredContent;
  readonly #segments: readonly PlacedSegment[];
  readonly #partTable: Uint8Array;
  #parts: MimePart | undefined;

  constructor(
    options: ReaderOptions,
    accountId: AccountId,
    content: StoredContent,
    meta: { readonly head: Uint8Array; readonly parts: Uint8Array },
    notes: Notes | undefined,
  ) {
    this.#options = options;
    this.#accountId = accountId;
    this.#content = content;
    this.id = content.id;
    this.sizeOctets = content.sizeOctets;
    this.head = meta.head;
    this.#partTable = meta.parts;
    this.#segments = placeSegments(content, notes);
  }

  get parts(): MimePart {
    try {
      this.#parts ??= decodeParts(this.#partTable);
      return this.#parts;
    } catch (error) {
      if (error instanceof PartTableError) throw new MailError('damaged', 'The stored message is damaged', { cause: error });
      throw error;
    }
  }

  requireReadable(): void {
    for (const name of this.#content.codecs) this.#options.codecs.byName(name);
  }

  bytes(from: number, to: number): Uint8Array | undefined {
    const pieces = this.pieces(from, to);
    if (pieces === undefined) return undefined;
    return pieces.length > 1 ? Buffer.concat(pieces) : (pieces[0] ?? EMPTY);
  }

  pieces(from: number, to: number): readonly Uint8Array[] | undefined {
    const start = Math.max(0, from);
    const end = Math.min(to, this.sizeOctets);
    if (start >= end) return NO_PIECES;
    if (end <= this.head.length) return [this.head.subarray(start, end)];
    const { bodyOffset, codecs } = this.#content;
    if (codecs.length > 0) return undefined;
    const pieces: Uint8Array[] = [];
    if (start < bodyOffset) pieces.push(this.head.subarray(start, bodyOffset));
    for (const { from: at, to: until, segment } of this.#segments) {
      if (until <= start) continue;
      if (at >= end) break;
      if (segment.at !== 'inline' || segment.data === undefined) return undefined;
      pieces.push(segment.data.subarray(Math.max(0, start - at), Math.min(until, end) - at));
    }
    // What is missing is found, and said, by read.
    let octets = 0;
    for (const piece of pieces) octets += piece.length;
    return octets === end - start ? pieces : undefined;
  }

  lent(from: number, to: number): ((take: (octets: Uint8Array) => void) => void) | undefined {
    const end = Math.min(to, this.sizeOctets);
    let at = Math.max(0, from);
    if (this.#content.codecs.length > 0 || at >= end) return undefined;
    const runs: ((take: (octets: Uint8Array) => void) => void)[] = [];
    const add = (octets: Uint8Array): void => {
      runs.push((take) => take(octets));
      at += octets.length;
    };
    if (at < this.#content.bodyOffset) add(this.head.subarray(at, Math.min(end, this.#content.bodyOffset)));
    for (const { from: start, to: until, segment } of this.#segments) {
      if (until <= at) continue;
      if (at >= end) break;
      const stop = Math.min(until, end);
      if (segment.at === 'inline') {
        if (segment.data === undefined) return undefined;
        add(segment.data.subarray(at - start, stop - start));
      } else if (segment.recipe.length === 0) {
        const pieces = this.#options.cache.windows.peek(this.#windowed(segment), at - start, stop - start);
        if (pieces === undefined) return undefined;
        for (const piece of pieces) add(piece);
      } else {
        const peek = (low: number, high: number) => this.#options.cache.windows.peek(this.#windowed(segment), low, high);
        const run = encodedPieces(segment.recipe, segment.blobOctets, segment.sizeOctets, peek, at - start, stop - start);
        if (run === undefined) return undefined;
        runs.push(run);
        at = stop;
      }
    }
    // What is missing is found, and said, by read.
    if (at !== end) return undefined;
    return (take) => {
      for (const run of runs) run(take);
    };
  }

  #windowed({ blob, blobOctets }: Extract<StoredSegment, { at: 'blob' }>): WindowedBlob {
    const { store, cache } = this.#options;
    return {
      id: blob,
      octets: blobOctets,
      async *read(from, to) {
        // For whoever comes: no one reader's end may break it off.
        for await (const chunk of store.blobs.read(blob, from, to, new AbortController().signal, true)) {
          cache.octetsRead.blob += chunk.length;
          yield chunk;
        }
      },
    };
  }

  async *read(from: number, to: number, signal: AbortSignal, { lends }: ReadOptions = KEPT): AsyncGenerator<Uint8Array> {
    const end = Math.min(to, this.sizeOctets);
    let at = Math.max(0, from);
    try {
      if (at < Math.min(end, this.#content.bodyOffset)) {
        const piece = this.head.subarray(at, Math.min(end, this.#content.bodyOffset));
        at += piece.length;
        yield piece;
      }
      for (const placed of this.#segments) {
        if (at >= end) return;
        if (placed.to <= at) continue;
        for await (const chunk of this.#segmentRange(placed, at - placed.from, Math.min(end, placed.to) - placed.from, signal, lends)) {
          signal.throwIfAborted();
          if (at + chunk.length > placed.to) throw damaged('a segment is longer than its record says');
          at += chunk.length;
          if (chunk.length > 0) yield chunk;
        }
        if (at < Math.min(end, placed.to)) throw damaged('a segment is shorter than its record says');
      }
      if (at < end) throw damaged('segments are missing');
    } catch (error) {
      throw asMailError(error);
    }
  }

  /** Octets [from, to) of a segment, as they stood in the message. */
  #segmentRange(placed: PlacedSegment, from: number, to: number, signal: AbortSignal, lends: boolean): AsyncIterable<Uint8Array> {
    const { segment, plainOctets } = placed;
    if (segment.at === 'inline' || segment.recipe.length === 0) return this.#plainRange(placed, { start: from, end: to }, signal, lends);
    const plain = (start: number, end: number) => this.#plainRange(placed, { start, end }, signal, true);
    return encodedRange(segment.recipe, plainOctets, plain, from, to, lends);
  }

  /** The same with its codecs undone. */
  #plainRange(placed: PlacedSegment, range: ByteRange, signal: AbortSignal, lends: boolean): AsyncIterable<Uint8Array> {
    const { codecs: names } = this.#content;
    if (names.length === 0) return this.#storedRange(placed, range, signal, lends);
    // What a codec keeps of a chunk is its own business.
    const stored = (wanted: ByteRange | undefined) => this.#storedRange(placed, wanted, signal, false);
    const { account, actor, session, codecs } = this.#options;
    const scope: CodecScope = { account, actor, session, signal, binding: bindingOf(account, this.id), notes: placed.notes };
    const role = placed.segment.at === 'inline' || names.length === 0 ? 'message' : this.#roleOfBlob();
    const decoded = codecs.decode(names, { role, plainOctets: placed.plainOctets, open: stored }, scope);
    const isAll = range.start === 0 && range.end >= placed.plainOctets;
    return decoded.open(isAll ? undefined : range);
  }

  #roleOfBlob(): 'message' | 'attachment' {
    return 'sealed' in this.#content.meta ? 'message' : 'attachment';
  }

  async *#storedRange(
    placed: PlacedSegment,
    range: ByteRange | undefined,
    signal: AbortSignal,
    lends: boolean,
  ): AsyncGenerator<Uint8Array> {
    const { segment, n } = placed;
    const { store, cache } = this.#options;
    if (segment.at === 'blob') {
      const start = range?.start ?? 0;
      const end = Math.min(segment.blobOctets, range?.end ?? segment.blobOctets);
      if (start >= end) return;
      if (lends && this.#content.codecs.length === 0 && end - start <= PIECE_OCTETS && end - start < segment.blobOctets) {
        yield* cache.windows.read(this.#windowed(segment), start, end);
        return;
      }
      for await (const chunk of store.blobs.read(segment.blob, start, end, signal, lends)) {
        cache.octetsRead.blob += chunk.length;
        yield chunk;
      }
      return;
    }
    if (segment.data !== undefined) {
      const piece = range === undefined ? segment.data : segment.data.subarray(range.start, range.end);
      if (piece.length > 0) yield piece;
      return;
    }
    // Encoded segments always came along, so this one has the size that it stands for.
    const end = Math.min(segment.sizeOctets, range?.end ?? segment.sizeOctets);
    for (let at = range?.start ?? 0; at < end; ) {
      const piece = await store.contents.segment(this.#accountId, this.id, n, at, Math.min(end, at + SLICE_OCTETS));
      if (piece.length === 0) throw damaged('an inline segment is shorter than its record says');
      cache.octetsRead.inline += piece.length;
      at += piece.length;
      yield piece;
    }
  }
}

const EMPTY = new Uint8Array(0);
const NO_PIECES: readonly Uint8Array[] = [];
const KEPT: ReadOptions = { lends: false };

/** Where each segment stands, and what the manifest says of it. */
function placeSegments(content: StoredContent, notes: Notes | undefined): readonly PlacedSegment[] {
  const hasManifest = content.codecs.length > 0 && notes === undefined;
  const [first] = content.segments;
  if (hasManifest && (first?.at !== 'inline' || first.data === undefined || first.sizeOctets !== 0)) throw damaged('no manifest');
  const manifest = hasManifest && first?.at === 'inline' && first.data !== undefined ? decodeManifest(first.data) : [];
  const placed: PlacedSegment[] = [];
  let at = content.bodyOffset;
  for (let n = hasManifest ? 1 : 0; n < content.segments.length; n += 1) {
    const segment = content.segments[n];
    if (segment === undefined) break;
    const row = hasManifest ? manifest[n - 1] : undefined;
    if (hasManifest && row === undefined) throw damaged('the manifest is too short');
    const isAsItIs = content.codecs.length > 0 || segment.at === 'inline' || segment.recipe.length === 0;
    const plainOctets = row?.plainOctets ?? (isAsItIs ? segment.sizeOctets : segment.blobOctets);
    placed.push({ n, from: at, to: at + segment.sizeOctets, segment, plainOctets, notes: row?.notes ?? notes ?? new Map() });
    at += segment.sizeOctets;
  }
  return placed;
}

function octetsOf(content: StoredContent): number {
  let octets = 512;
  if (!('sealed' in content.meta)) octets += content.meta.head.length + content.meta.parts.length;
  for (const segment of content.segments) octets += 64 + (segment.at === 'inline' ? (segment.data?.length ?? 0) : segment.recipe.length);
  return octets;
}

function damaged(what: string): MailError {
  return new MailError('damaged', 'The stored message is damaged', { cause: new Error(what) });
}
