import { createHash, type Hash } from 'node:crypto';
import { BLOB_FILE_OCTETS, blobIdOf, blobIdOfDigest, isBlobId } from '../blob-id.ts';
import type { BlobId, Blobs } from '../store.ts';
import { StoreDamaged } from '../store.ts';
import type { BlobFiles, IncomingBlob } from './blob-files.ts';
import type { BodyReads } from './body-reads.ts';
import type { Reader } from './reader.ts';
import type { Database } from './sqlite.ts';
import { prepare } from './sqlite.ts';
import type { WriteQueue } from './write-queue.ts';

/** Rows up to this size are read on the protocol thread. */
export const READ_AT_ONCE_OCTETS = 64 * 1024;
const SWEEP_PAGE = 256;

/** Lets one task at a time touch a blob: a sweep must not unlink the file that a put has just renamed into place. */
class BlobLocks {
  readonly #tails = new Map<BlobId, Promise<unknown>>();
  async hold<T>(id: BlobId, task: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(id) ?? Promise.resolve();
    const mine = before.then(task, task);
    const settled = mine.catch(() => undefined); // its error is the caller's, not the next one's
    this.#tails.set(id, settled);
    try {
      return await mine;
    } finally {
      if (this.#tails.get(id) === settled) this.#tails.delete(id);
    }
  }
}

export class SqliteBlobs implements Blobs {
  readonly #queue: WriteQueue;
  readonly #files: BlobFiles;
  readonly #reads: BodyReads;
  readonly #reader: Reader;
  readonly #now: () => number;
  readonly #locks = new BlobLocks();
  readonly #touchedBefore;

  constructor(queue: WriteQueue, files: BlobFiles, database: Database, reads: BodyReads, reader: Reader, now: () => number) {
    this.#queue = queue;
    this.#files = files;
    this.#reads = reads;
    this.#reader = reader;
    this.#now = now;
    this.#touchedBefore = prepare<[n: number, id: Uint8Array]>(
      database,
      `SELECT n, id FROM blob WHERE n > ? AND touched < ? AND NOT EXISTS (SELECT 1 FROM segment WHERE segment.blob = blob.n)
       ORDER BY n LIMIT ${SWEEP_PAGE}`,
    );
  }

  idOf(scope: string, data: Uint8Array): BlobId {
    return blobIdOf(scope, data);
  }

  async put(
    scope: string,
    source: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<{ readonly id: BlobId; readonly sizeOctets: number; readonly fresh: boolean }> {
    const hash = createHash('sha256');
    const start: Uint8Array[] = [];
    let sizeOctets = 0;
    let file: IncomingBlob | undefined;
    try {
      for await (const octets of source) {
        signal.throwIfAborted();
        hash.update(octets);
        sizeOctets += octets.length;
        if (file === undefined && sizeOctets < BLOB_FILE_OCTETS) {
          start.push(Uint8Array.from(octets)); // the source may use its buffer again
          continue;
        }
        if (file === undefined) {
          file = await this.#files.create();
          for (const held of start) await file.write(held);
          start.length = 0;
        }
        await file.write(octets);
      }
      signal.throwIfAborted();
    } catch (error) {
      await file?.discard();
      throw error;
    }
    return await this.#keep(scope, hash, sizeOctets, file, start);
  }

  #keep(scope: string, hash: Hash, sizeOctets: number, file: IncomingBlob | undefined, start: readonly Uint8Array[]) {
    const id = blobIdOfDigest(scope, hash.digest());
    return this.#locks.hold(id, async () => {
      if (file === undefined) {
        const fresh = await this.#queue.submit({ op: 'blob', id, size: sizeOctets, data: Buffer.concat(start), at: this.#now() });
        return { id, sizeOctets, fresh };
      }
      if (this.#reads.blobPlace(id) !== undefined) await file.discard();
      else await file.keepAs(this.#files.pathOf(id));
      const fresh = await this.#queue.submit({ op: 'blob', id, size: sizeOctets, data: null, at: this.#now() });
      return { id, sizeOctets, fresh };
    });
  }

  /** Octets in memory that are too big for a row: durable in a file when it resolves. */
  async putFile(id: BlobId, data: Uint8Array): Promise<void> {
    await this.#locks.hold(id, async () => {
      if (this.#reads.blobPlace(id) === undefined) {
        const file = await this.#files.create();
        try {
          await file.write(data);
        } catch (error) {
          await file.discard();
          throw error;
        }
        await file.keepAs(this.#files.pathOf(id));
      }
      await this.#queue.submit({ op: 'blob', id, size: data.length, data: null, at: this.#now() });
    });
  }

  async *read(id: BlobId, from: number, to: number, signal: AbortSignal, lends = false): AsyncGenerator<Uint8Array> {
    signal.throwIfAborted();
    const place = isBlobId(id) ? this.#reads.blobPlace(id) : undefined;
    if (place === undefined) throw new StoreDamaged(`blob ${id} is not stored`);
    const end = Math.min(to, place.sizeOctets);
    if (from >= end) return;
    if (place.at === 'file') {
      yield* this.#files.read(id, from, end, signal, lends);
      return;
    }
    const octets = place.sizeOctets <= READ_AT_ONCE_OCTETS ? this.#reads.body('blob', place.n) : await this.#reader.body('blob', place.n);
    signal.throwIfAborted();
    yield octets.subarray(from, end);
  }

  async sweep(before: number): Promise<number> {
    let gone = 0;
    let after = 0;
    for (let page = this.#touchedBefore.all(after, before); page.length > 0; page = this.#touchedBefore.all(after, before)) {
      const ids: BlobId[] = [];
      for (const [n, id] of page) {
        after = n;
        ids.push(Buffer.from(id).toString('hex') as BlobId);
      }
      const results = await Promise.all(ids.map((id) => this.#locks.hold(id, () => this.#drop(id, before))));
      for (const result of results) gone += result;
    }
    await this.#sweepFiles(before);
    return gone;
  }
  /** Row first: a file without a row is only lost room, a row without its file is lost mail. */
  async #drop(id: BlobId, before: number): Promise<number> {
    const result = await this.#queue.submit({ op: 'drop-blob', id, before });
    if (result === 2) await this.#files.remove(id);
    return result === 0 ? 0 : 1;
  }
  /** Files whose row a crash prevented. */
  async #sweepFiles(before: number): Promise<void> {
    for await (const { id, writtenAt } of this.#files.list()) {
      if (writtenAt >= before || this.#reads.blobPlace(id)?.at === 'file') continue;
      await this.#locks.hold(id, async () => {
        if (this.#reads.blobPlace(id)?.at !== 'file') await this.#files.remove(id);
      });
    }
  }
}
