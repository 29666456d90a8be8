/** Octets of big blobs as GridFS lays them out, so that MongoDB's own tools read them: `blobdata.files` and `blobdata.chunks`. */
import { createHash } from 'node:crypto';
import { StoreDamaged } from '../store.ts';
import { pieceKey, under } from './keys.ts';
import type { Collections } from './schema.ts';

/** The chunk size that GridFS has by default. */
export const GRID_CHUNK_OCTETS = 255 * 1024;
/** Chunks that one read fetches: 1 MiB. */
const READ_CHUNKS = 4;

export class GridFiles {
  readonly #files: Collections['files'];
  readonly #pieces: Collections['pieces'];
  readonly #uploads: Collections['uploads'];
  readonly #now: () => number;
  constructor(collections: Pick<Collections, 'files' | 'pieces' | 'uploads'>, now: () => number) {
    this.#files = collections.files;
    this.#pieces = collections.pieces;
    this.#uploads = collections.uploads;
    this.#now = now;
  }

  /** Announced first, so that {@link sweep} finds what a crash leaves. */
  async begin(sid: string): Promise<void> {
    await this.#uploads.insert({ _id: sid, t: this.#now() });
  }
  /** Chunks in the order in which they come; one is under way while the next is filled. Returns length and SHA-256. */
  async write(
    sid: string,
    source: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<{ readonly length: number; readonly digest: Uint8Array }> {
    const hash = createHash('sha256');
    let chunk = Buffer.allocUnsafeSlow(GRID_CHUNK_OCTETS);
    let filled = 0;
    let n = 0;
    let length = 0;
    let under: Promise<unknown> = Promise.resolve();
    const flush = async (): Promise<void> => {
      await under;
      under = this.#pieces.put([{ _id: pieceKey(sid, n), files_id: sid, n, data: chunk.subarray(0, filled) }]);
      under.catch(() => undefined); // awaited before the next chunk and at the end
      chunk = Buffer.allocUnsafeSlow(GRID_CHUNK_OCTETS);
      filled = 0;
      n++;
    };
    for await (const octets of source) {
      signal.throwIfAborted();
      hash.update(octets);
      length += octets.length;
      for (let at = 0; at < octets.length; ) {
        const part = octets.subarray(at, at + GRID_CHUNK_OCTETS - filled);
        chunk.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === GRID_CHUNK_OCTETS) await flush();
      }
    }
    if (filled > 0) await flush();
    await under;
    signal.throwIfAborted();
    return { length, digest: hash.digest() };
  }
  async name(sid: string, filename: string, length: number): Promise<void> {
    await this.#files.put([{ _id: sid, length, chunkSize: GRID_CHUNK_OCTETS, uploadDate: new Date(this.#now()), filename }]);
  }
  /** A header names the file now. */
  async end(sid: string): Promise<void> {
    await this.#uploads.remove({ _id: sid });
  }
  async remove(sid: string): Promise<void> {
    await this.#pieces.remove({ _id: under(`${sid}/`) });
    await this.#files.remove({ _id: sid });
    await this.#uploads.remove({ _id: sid });
  }

  /** Octets [from, to), which lie within the file. @throws StoreDamaged */
  async *read(sid: string, from: number, to: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const last = Math.floor((to - 1) / GRID_CHUNK_OCTETS);
    for (let first = Math.floor(from / GRID_CHUNK_OCTETS); first <= last; first += READ_CHUNKS) {
      signal.throwIfAborted();
      const ids = Array.from({ length: Math.min(READ_CHUNKS, last - first + 1) }, (_, at) => pieceKey(sid, first + at));
      const chunks = await this.#pieces.find({ _id: { $in: ids } }, { limit: ids.length });
      if (chunks.length !== ids.length) throw new StoreDamaged(`file ${sid} lacks a chunk`);
      for (const { n, data } of chunks) {
        const start = n * GRID_CHUNK_OCTETS;
        yield data.subarray(Math.max(0, from - start), Math.min(data.length, to - start));
      }
    }
  }
  /** Octets of the chunks that are there. */
  async lengthOf(sid: string): Promise<number> {
    const last = (await this.#pieces.find({ _id: under(`${sid}/`) }, { limit: 1, order: 'descending' }))[0];
    return last === undefined ? 0 : last.n * GRID_CHUNK_OCTETS + last.data.length;
  }

  /** Uploads that began before `before` and that no header names. */
  async sweep(before: number, isNamed: (sid: string, filename: string) => Promise<boolean>): Promise<void> {
    for (;;) {
      const page = await this.#uploads.find({ t: { $lt: before } }, { limit: 100 });
      for (const { _id: sid } of page) {
        const file = await this.#files.get(sid);
        if (file !== undefined && (await isNamed(sid, file.filename))) await this.end(sid);
        else await this.remove(sid);
      }
      if (page.length < 100) return;
    }
  }
}
