import { INLINE_LOAD_OCTETS } from '../blob-id.ts';
import { latin1 } from '../meta-columns.ts';
import type {
  AccountId,
  BlobId,
  ContentId,
  Contents,
  DeadContent,
  MetaColumn,
  MetaColumns,
  NewContent,
  StoredContent,
  StoredEntry,
  StoredMeta,
  StoredSegment,
} from '../store.ts';
import { StoreDamaged, StoreUnavailable } from '../store.ts';
import { type ContentIds, dayOf, firstIdOf } from './content-ids.ts';
import type { Journal } from './journal.ts';
import { accountRange, contentKey, contentOf, pieceKey, under } from './keys.ts';
import type { MongoBlobs } from './mongo-blobs.ts';
import type { BodyDoc, Collections, ContentDoc, SegmentField } from './schema.ts';

/** Inline octets up to this lie in the content itself: one insert for an ordinary message. More would burden lists, which read contents whole. */
const IN_CONTENT_OCTETS = 8 * 1024;
const BODY_PIECE_OCTETS = 255 * 1024;
const PAGE = 500;
const BODY_PAGE = 4;
const SWEEP_PAGE = 500;
const WRITE_PAGE = 100;
const COLUMN_FIELD = {
  envelope: 'e',
  structure: 's',
  body: 'b',
  preview: 'p',
  sentAt: 'at',
  head: 'h',
  parts: 'm',
  headText: 'h',
} as const satisfies Record<MetaColumn, keyof ContentDoc>;

export interface MongoContentsOptions {
  readonly collections: Pick<Collections, 'contents' | 'bodies' | 'dead' | 'accounts'>;
  readonly ids: ContentIds;
  readonly blobs: MongoBlobs;
  readonly journal: Journal;
  readonly now: () => number;
}

export class MongoContents implements Contents {
  readonly #contents: Collections['contents'];
  readonly #bodies: Collections['bodies'];
  readonly #dead: Collections['dead'];
  readonly #accounts: Collections['accounts'];
  readonly #ids: ContentIds;
  readonly #blobs: MongoBlobs;
  readonly #journal: Journal;
  readonly #now: () => number;

  constructor({ collections, ids, blobs, journal, now }: MongoContentsOptions) {
    this.#contents = collections.contents;
    this.#bodies = collections.bodies;
    this.#dead = collections.dead;
    this.#accounts = collections.accounts;
    this.#ids = ids;
    this.#blobs = blobs;
    this.#journal = journal;
    this.#now = now;
  }

  newId(account: AccountId): ContentId {
    return this.#ids.next(account);
  }

  /**
   * Stores what a commit carries, before its slot. Nobody knows these contents until then.
   * @throws StoreUnavailable when one names a blob that is not there; what was stored is gone then, or will be swept
   */
  async add(account: AccountId, contents: readonly NewContent[], entry?: StoredEntry): Promise<void> {
    if (contents.length === 0) return;
    const docs: ContentDoc[] = [];
    const bodies: BodyDoc[] = [];
    for (const content of contents) docs.push(docOf(account, content, bodies, entry));
    const naming = contents
      .filter(({ segments }) => segments.some(({ at }) => at === 'blob'))
      .map(async (content) => {
        const missing = await this.#blobs.nameAll(contentKey(account, content.id), blobsOf(content));
        if (missing !== undefined) throw new StoreUnavailable(`blob ${missing} is not stored`);
      });
    try {
      // What a content names first, so that one which is there is whole, although a crash may leave it to the sweep.
      await settledAll([this.#putBodies(bodies), ...naming]);
      await this.#write(docs);
    } catch (error) {
      await this.discard(account, contents);
      throw error;
    }
  }
  /** Over what an earlier try with another entry may have left. */
  async #write(docs: readonly ContentDoc[]): Promise<void> {
    const [only] = docs;
    if (docs.length === 1 && only !== undefined && (await this.#contents.insert(only))) return;
    for (let at = 0; at < docs.length; at += WRITE_PAGE) await this.#contents.put(docs.slice(at, at + WRITE_PAGE));
  }
  async #putBodies(bodies: readonly BodyDoc[]): Promise<void> {
    for (let at = 0; at < bodies.length; at += BODY_PAGE) await this.#bodies.put(bodies.slice(at, at + BODY_PAGE));
  }
  /** The commit did not come about. What cannot be removed now is swept: nothing names it. */
  async discard(account: AccountId, contents: readonly NewContent[]): Promise<void> {
    if (contents.length === 0) return;
    const keys = contents.map(({ id }) => contentKey(account, id));
    const work = [
      this.#contents.remove({ _id: { $in: keys } }),
      ...contents.filter(needsBodies).map(({ id }) => this.#bodies.remove({ _id: under(`${contentKey(account, id)}/`) })),
      ...contents.map((content) => this.#blobs.unname(contentKey(account, content.id), blobsOf(content).keys())),
    ];
    await Promise.allSettled(work);
  }

  async meta(account: AccountId, ids: readonly ContentId[], columns: readonly MetaColumn[]): Promise<readonly (StoredMeta | undefined)[]> {
    const fields = ['x', ...new Set(columns.map((column) => COLUMN_FIELD[column]))] as const;
    const docs = await this.#docs(account, ids, fields);
    return ids.map((id): StoredMeta | undefined => {
      const doc = docs.get(contentKey(account, id));
      if (doc === undefined) return undefined;
      if (doc.x !== undefined) return { sealed: doc.x };
      const meta: { -readonly [column in MetaColumn]?: unknown } = {};
      for (const column of columns) {
        meta[column] = column === 'headText' ? latin1(doc.h ?? new Uint8Array(0)) : (doc[COLUMN_FIELD[column]] ?? null);
      }
      return meta as Partial<MetaColumns>;
    });
  }
  async #docs(
    account: AccountId,
    ids: readonly ContentId[],
    fields?: readonly Exclude<keyof ContentDoc, '_id'>[],
  ): Promise<Map<string, ContentDoc>> {
    const found = new Map<string, ContentDoc>();
    const keys = [...new Set(ids)].map((id) => contentKey(account, id));
    for (let at = 0; at < keys.length; at += PAGE) {
      const page = keys.slice(at, at + PAGE);
      const docs = await this.#contents.find({ _id: { $in: page } }, { limit: page.length, ...(fields === undefined ? {} : { fields }) });
      for (const doc of docs) found.set(doc._id, doc);
    }
    return found;
  }

  async load(account: AccountId, ids: readonly ContentId[]): Promise<readonly (StoredContent | undefined)[]> {
    const docs = await this.#docs(account, ids);
    const pieces = await this.#piecesOf([...docs.values()]);
    return ids.map((id): StoredContent | undefined => {
      const doc = docs.get(contentKey(account, id));
      if (doc === undefined) return undefined;
      const isSmall = inlineOctets(doc) <= INLINE_LOAD_OCTETS;
      const segments = doc.g.map((segment, n): StoredSegment => {
        if (segment.b !== undefined) {
          return {
            at: 'blob',
            sizeOctets: segment.n,
            blob: segment.b as BlobId,
            blobOctets: segment.o ?? 0,
            recipe: segment.r ?? new Uint8Array(0),
          };
        }
        return { at: 'inline', sizeOctets: segment.n, data: isSmall ? (segment.d ?? joined(doc._id, n, segment, pieces)) : undefined };
      });
      const meta = doc.x === undefined ? { head: doc.h ?? new Uint8Array(0), parts: doc.m ?? new Uint8Array(0) } : { sealed: doc.x };
      return { id, sizeOctets: doc.n, codecs: doc.c ?? [], bodyOffset: doc.o, meta, segments };
    });
  }
  /** Inline octets that lie apart, of contents that are handed out whole. */
  async #piecesOf(docs: readonly ContentDoc[]): Promise<ReadonlyMap<string, Uint8Array>> {
    const keys: string[] = [];
    for (const doc of docs) {
      if (inlineOctets(doc) > INLINE_LOAD_OCTETS) continue;
      for (const [n, { l }] of doc.g.entries()) if (l !== undefined) keys.push(...pieceKeys(doc._id, n, 0, l));
    }
    const found = new Map<string, Uint8Array>();
    for (let at = 0; at < keys.length; at += 64) {
      const page = keys.slice(at, at + 64);
      for (const { _id, d } of await this.#bodies.find({ _id: { $in: page } }, { limit: page.length })) found.set(_id, d);
    }
    return found;
  }

  async segment(account: AccountId, id: ContentId, n: number, from: number, to: number): Promise<Uint8Array> {
    const key = contentKey(account, id);
    const segment = (await this.#contents.get(key, ['g']))?.g[n];
    if (segment === undefined || segment.b !== undefined) throw new StoreDamaged(`content ${id} has no inline segment ${n}`);
    if (segment.d !== undefined) return segment.d.subarray(from, to);
    const end = Math.min(to, segment.l ?? 0);
    if (from >= end) return new Uint8Array(0);
    const keys = pieceKeys(key, n, from, end);
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < keys.length; at += BODY_PAGE) {
      const page = keys.slice(at, at + BODY_PAGE);
      const found = await this.#bodies.find({ _id: { $in: page } }, { limit: page.length });
      if (found.length !== page.length) throw new StoreDamaged(`content ${id} lacks octets of segment ${n}`);
      pieces.push(...found.map(({ d }) => d));
    }
    const start = from - (from % BODY_PIECE_OCTETS);
    return Buffer.concat(pieces).subarray(from - start, end - start);
  }

  async reseal(account: AccountId, id: ContentId, sealed: Uint8Array): Promise<void> {
    await this.#contents.update({ _id: contentKey(account, id) }, { $set: { x: sealed }, $unset: ['e', 's', 'b', 'p', 'at', 'h', 'm'] });
  }

  /** For moves: what is in slots is put together with what is in `dead`. */
  async dead(account: AccountId, after: ContentId | 0, limit: number): Promise<readonly DeadContent[]> {
    const found = new Map<ContentId, number>();
    for (let from = accountRange(account).$gte; ; ) {
      const page = await this.#journal.withDead(account, from, Number.MAX_SAFE_INTEGER, 50);
      for (const slot of page) for (const id of await this.#journal.deadOf(slot)) found.set(id, slot.t);
      const last = page.at(-1);
      if (last === undefined) break;
      from = last._id;
    }
    const range = { $gt: contentKey(account, after), $lt: accountRange(account).$lt };
    for (const { _id, t } of await this.#dead.find({ _id: range }, { limit }))
      found.set(contentOf(_id), Math.max(t, found.get(contentOf(_id)) ?? 0));
    const sorted = [...found].filter(([id]) => id > after).sort(([one], [two]) => one - two);
    return sorted.slice(0, limit).map(([id, at]) => ({ id, at }));
  }
  async bury(account: AccountId, dead: readonly DeadContent[]): Promise<void> {
    await this.#dead.put(
      dead.map(({ id, at }) => ({ _id: contentKey(account, id), t: at })),
      't',
    );
  }
  async list(account: AccountId, after: ContentId | 0, limit: number) {
    const range = { $gt: contentKey(account, after), $lt: accountRange(account).$lt };
    const docs = limit < 1 ? [] : await this.#contents.find({ _id: range }, { limit, fields: ['n'] });
    return docs.map((doc) => ({ id: contentOf(doc._id), sizeOctets: doc.n }));
  }

  /** Candidates lie in the slots that named them or, when those are pruned, in `dead`; and what no entry ever named goes too. */
  async sweep(account: AccountId, live: ReadonlySet<number>, before: number): Promise<number> {
    let gone = 0;
    for (let after = accountRange(account).$gte; ; ) {
      const page = await this.#journal.withDead(account, after, before, 50);
      for (const slot of page) {
        gone += await this.#removeDead(account, await this.#journal.deadOf(slot), live);
        await this.#journal.forgetDead(slot);
      }
      const last = page.at(-1);
      if (last === undefined) break;
      after = last._id;
    }
    for (;;) {
      const page = await this.#dead.find({ _id: accountRange(account), t: { $lt: before } }, { limit: SWEEP_PAGE });
      gone += await this.#removeDead(
        account,
        page.map(({ _id }) => contentOf(_id)),
        live,
      );
      if (page.length > 0) await this.#dead.remove({ _id: { $in: page.map(({ _id }) => _id) }, t: { $lt: before } });
      if (page.length < SWEEP_PAGE) break;
    }
    await this.#sweepUnnamed(account, live, before);
    return gone;
  }
  async #removeDead(account: AccountId, ids: readonly ContentId[], live: ReadonlySet<number>): Promise<number> {
    let gone = 0;
    const dead = ids.filter((id) => !live.has(id));
    for (let at = 0; at < dead.length; at += SWEEP_PAGE)
      gone += await this.#remove(dead.slice(at, at + SWEEP_PAGE).map((id) => contentKey(account, id)));
    return gone;
  }
  /** Of commits that never came about: their ids were given out two days ago or earlier, and their entry is another's, or nobody's. */
  async #sweepUnnamed(account: AccountId, live: ReadonlySet<number>, before: number): Promise<void> {
    const swept = (await this.#accounts.get(account, ['swept']))?.swept ?? 0;
    const until = dayOf(Math.min(before, this.#now())) - 1;
    if (swept >= until) return;
    const head = await this.#journal.head(account);
    const end = contentKey(account, firstIdOf(until));
    for (let after = contentKey(account, Math.max(firstIdOf(swept), firstIdOf(1)) - 1); ; ) {
      const page = await this.#contents.find({ _id: { $gt: after, $lt: end } }, { limit: SWEEP_PAGE, fields: ['w'] });
      const unnamed: string[] = [];
      for (const { _id, w } of page) {
        if (w !== undefined && !live.has(contentOf(_id)) && (await this.#journal.wasNeverMade(account, w, head))) unnamed.push(_id);
      }
      if (unnamed.length > 0) await this.#remove(unnamed);
      const last = page.at(-1);
      if (last === undefined) break;
      after = last._id;
    }
    await this.#accounts.updateMany({ _id: account }, { $max: { swept: until } });
  }

  /** Edges and octets first: a content that is left after a crash is a candidate still. */
  async #remove(keys: readonly string[]): Promise<number> {
    const docs = await this.#contents.find({ _id: { $in: keys } }, { limit: keys.length, fields: ['g'] });
    for (const doc of docs) {
      await this.#blobs.unname(
        doc._id,
        doc.g.flatMap(({ b }) => (b === undefined ? [] : [b])),
      );
      if (doc.g.some(({ l }) => l !== undefined)) await this.#bodies.remove({ _id: under(`${doc._id}/`) });
    }
    if (docs.length > 0) await this.#contents.remove({ _id: { $in: docs.map(({ _id }) => _id) } });
    return docs.length;
  }
  async erase(account: AccountId): Promise<void> {
    for (;;) {
      const page = await this.#contents.find({ _id: accountRange(account) }, { limit: SWEEP_PAGE, fields: ['n'] });
      if (page.length > 0) await this.#remove(page.map(({ _id }) => _id));
      if (page.length < SWEEP_PAGE) break;
    }
    await this.#bodies.remove({ _id: accountRange(account) });
    await this.#dead.remove({ _id: accountRange(account) });
  }
}

/** All have ended when the first error is thrown. */
async function settledAll(work: readonly Promise<void>[]): Promise<void> {
  for (const one of await Promise.allSettled(work)) if (one.status === 'rejected') throw one.reason;
}

function inlineOctets(doc: ContentDoc): number {
  return doc.g.reduce((sum, { d, l }) => sum + (d?.length ?? l ?? 0), 0);
}
function needsBodies(content: NewContent): boolean {
  return content.segments.reduce((sum, segment) => sum + (segment.at === 'inline' ? segment.data.length : 0), 0) > IN_CONTENT_OCTETS;
}
function blobsOf({ segments }: NewContent): ReadonlyMap<BlobId, Uint8Array | undefined> {
  const blobs = new Map<BlobId, Uint8Array | undefined>();
  for (const segment of segments) if (segment.at === 'blob') blobs.set(segment.blob, segment.data ?? blobs.get(segment.blob));
  return blobs;
}
function segmentKey(content: string, n: number): string {
  return pieceKey(content, n);
}
function pieceKeys(content: string, n: number, from: number, to: number): string[] {
  const keys: string[] = [];
  for (let piece = Math.floor(from / BODY_PIECE_OCTETS); piece * BODY_PIECE_OCTETS < to; piece++)
    keys.push(pieceKey(segmentKey(content, n), piece));
  return keys;
}
function joined(content: string, n: number, { l }: SegmentField, pieces: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const parts = pieceKeys(content, n, 0, l ?? 0).map((key) => {
    const piece = pieces.get(key);
    if (piece === undefined) throw new StoreDamaged(`content ${content} lacks octets of segment ${n}`);
    return piece;
  });
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
}

/** @param bodies takes what lies apart */
function docOf(account: AccountId, content: NewContent, bodies: BodyDoc[], entry: StoredEntry | undefined): ContentDoc {
  const key = contentKey(account, content.id);
  const isApart = needsBodies(content);
  const g = content.segments.map((segment, n): SegmentField => {
    if (segment.at === 'blob') return { n: segment.sizeOctets, b: segment.blob, o: segment.blobOctets, r: segment.recipe };
    const { data, sizeOctets } = segment;
    if (!isApart || data.length === 0) return { n: sizeOctets, d: data };
    for (const [at, id] of pieceKeys(key, n, 0, data.length).entries()) {
      bodies.push({ _id: id, d: data.subarray(at * BODY_PIECE_OCTETS, (at + 1) * BODY_PIECE_OCTETS) });
    }
    return { n: sizeOctets, l: data.length };
  });
  const { meta, codecs } = content;
  const base = {
    _id: key,
    n: content.sizeOctets,
    o: content.bodyOffset,
    g,
    ...(entry === undefined ? {} : { w: `${entry.seq.toString(16)}/${entry.token}` }),
    ...(codecs.length === 0 ? {} : { c: codecs }),
  };
  if ('sealed' in meta) return { ...base, x: meta.sealed };
  const { envelope, structure, body, preview, sentAt, head, parts } = meta;
  return { ...base, e: envelope, s: structure, b: body, p: preview, at: sentAt, h: head, m: parts };
}
