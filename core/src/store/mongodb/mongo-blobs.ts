import { createHash } from 'node:crypto';
import { BLOB_FILE_OCTETS, blobIdOf, blobIdOfDigest, isBlobId } from '../blob-id.ts';
import type { BlobId, Blobs } from '../store.ts';
import { StoreDamaged } from '../store.ts';
import { GridFiles } from './grid-files.ts';
import { edgeKey, under } from './keys.ts';
import type { BlobDoc, Collections } from './schema.ts';

export interface MongoBlobsOptions {
  readonly collections: Pick<Collections, 'blobs' | 'edges' | 'files' | 'pieces' | 'uploads' | 'contents'>;
  readonly newToken: () => string;
  readonly now: () => number;
}
const SWEEP_PAGE = 100;
/** Edges that a sweep looks at before it takes a blob for named. */
const EDGES_LOOKED_AT = 20;

/**
 * A header for each blob; short ones lie in it, long ones in GridFS. Who names a blob is a document of its own (an edge), so that nothing
 * is counted and nothing can drift. A header's token changes whenever it is touched: a sweep that saw it untouched and without an edge
 * cannot take it from under a commit, which writes its edge first and touches afterwards.
 */
export class MongoBlobs implements Blobs {
  readonly files: GridFiles;
  readonly #blobs: Collections['blobs'];
  readonly #edges: Collections['edges'];
  readonly #contents: Collections['contents'];
  readonly #newToken: () => string;
  readonly #now: () => number;

  constructor({ collections, newToken, now }: MongoBlobsOptions) {
    this.files = new GridFiles(collections, now);
    this.#blobs = collections.blobs;
    this.#edges = collections.edges;
    this.#contents = collections.contents;
    this.#newToken = newToken;
    this.#now = now;
  }

  idOf(scope: string, data: Uint8Array): BlobId {
    return blobIdOf(scope, data);
  }

  async put(scope: string, source: AsyncIterable<Uint8Array>, signal: AbortSignal) {
    const iterator = source[Symbol.asyncIterator]();
    const start: Uint8Array[] = [];
    let octets = 0;
    try {
      while (octets < BLOB_FILE_OCTETS) {
        const next = await iterator.next();
        signal.throwIfAborted();
        if (next.done) {
          const data = Buffer.concat(start);
          const id = blobIdOfDigest(scope, createHash('sha256').update(data).digest());
          return { id, sizeOctets: data.length, fresh: await this.#keepShort(id, data) };
        }
        start.push(Uint8Array.from(next.value));
        octets += next.value.length;
      }
      return await this.#putLong(scope, resumed(start, iterator), signal);
    } finally {
      await iterator.return?.();
    }
  }
  async #putLong(scope: string, source: AsyncIterable<Uint8Array>, signal: AbortSignal) {
    const sid = this.#newToken() + this.#newToken();
    await this.files.begin(sid);
    try {
      const { length, digest } = await this.files.write(sid, source, signal);
      const id = blobIdOfDigest(scope, digest);
      const fresh = !(await this.touch(id)) && (await this.#claim(id, sid, length));
      if (!fresh) await this.files.remove(sid);
      return { id, sizeOctets: length, fresh };
    } catch (error) {
      await this.files.remove(sid).catch(() => undefined); // a sweep finds it by its announcement
      throw error;
    }
  }
  /** `false`: somebody else stored the same octets first. */
  async #claim(id: BlobId, sid: string, length: number): Promise<boolean> {
    await this.files.name(sid, id, length);
    for (;;) {
      if (await this.#blobs.insert({ _id: id, n: length, t: this.#now(), k: this.#newToken(), sid })) {
        await this.files.end(sid);
        return true;
      }
      if (await this.touch(id)) return false;
    }
  }
  async #keepShort(id: BlobId, d: Uint8Array): Promise<boolean> {
    for (;;) {
      if (await this.touch(id)) return false;
      if (await this.#blobs.insert({ _id: id, n: d.length, t: this.#now(), k: this.#newToken(), d })) return true;
    }
  }
  /** `false`: it is not stored. */
  touch(id: BlobId): Promise<boolean> {
    return this.#blobs.update({ _id: id }, { $max: { t: this.#now() }, $set: { k: this.#newToken() } });
  }

  /**
   * For a commit: the content will name these blobs. Those that come with their octets are stored if they are not there.
   * Returns the first that is missing.
   */
  async nameAll(content: string, blobs: ReadonlyMap<BlobId, Uint8Array | undefined>): Promise<BlobId | undefined> {
    const t = this.#now();
    await this.#edges.put([...blobs.keys()].map((id) => ({ _id: edgeKey(id, content), t })));
    for (const [id, data] of blobs) {
      if (data === undefined ? !(await this.touch(id)) : !(await this.#keep(id, data))) return id;
    }
    return undefined;
  }
  async #keep(id: BlobId, data: Uint8Array): Promise<boolean> {
    if (await this.touch(id)) return true;
    if (data.length < BLOB_FILE_OCTETS) {
      await this.#keepShort(id, data);
      return true;
    }
    const sid = this.#newToken() + this.#newToken();
    await this.files.begin(sid);
    await this.files.write(sid, once(data), new AbortController().signal);
    if (!(await this.#claim(id, sid, data.length))) await this.files.remove(sid);
    return true;
  }
  async unname(content: string, blobs: Iterable<string>): Promise<void> {
    const ids = [...new Set(blobs)].map((id) => edgeKey(id as BlobId, content));
    if (ids.length > 0) await this.#edges.remove({ _id: { $in: ids } });
  }

  async *read(id: BlobId, from: number, to: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    signal.throwIfAborted();
    const found = isBlobId(id) ? await this.#blobs.get(id) : undefined;
    if (found === undefined) throw new StoreDamaged(`blob ${id} is not stored`);
    const end = Math.min(to, found.n);
    if (from >= end) return;
    if (found.d !== undefined) yield found.d.subarray(from, end);
    else yield* this.files.read(found.sid ?? '', from, end, signal);
  }

  async sweep(before: number): Promise<number> {
    let gone = 0;
    for (let after = ''; ; ) {
      const page = await this.#blobs.find({ _id: { $gt: after }, t: { $lt: before } }, { limit: SWEEP_PAGE, fields: ['k', 'sid'] });
      for (const header of page) if (!(await this.#isNamed(header._id, before)) && (await this.#drop(header))) gone++;
      const last = page.at(-1);
      if (last === undefined) break;
      after = last._id;
    }
    await this.files.sweep(before, async (sid, filename) => (await this.#blobs.get(filename, ['sid']))?.sid === sid);
    return gone;
  }
  async #drop({ _id, k, sid }: BlobDoc): Promise<boolean> {
    // After a failure in between the count may be 0 although it went by this hand.
    const isGone = (await this.#blobs.remove({ _id, k })) > 0 || (await this.#blobs.get(_id, ['k'])) === undefined;
    if (isGone && sid !== undefined) await this.files.remove(sid);
    return isGone;
  }
  /** Edges of commits that never came about go on the way. */
  async #isNamed(id: string, before: number): Promise<boolean> {
    for (const edge of await this.#edges.find({ _id: under(`${id}/`) }, { limit: EDGES_LOOKED_AT })) {
      if (edge.t >= before) return true;
      const content = edge._id.slice(id.length + 1);
      if ((await this.#contents.get(content, ['n'])) !== undefined) return true;
      await this.#edges.remove({ _id: edge._id });
    }
    return (await this.#edges.find({ _id: under(`${id}/`) }, { limit: 1 })).length > 0;
  }
}

async function* resumed(start: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* start;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}
async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data;
}
