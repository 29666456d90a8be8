import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isBlobId } from '../blob-id.ts';
import type { BlobId } from '../store.ts';
import { StoreDamaged, StoreUnavailable } from '../store.ts';

/** Octets that a read yields at a time, and that a read which lends its chunks does: there it is one buffer. */
const READ_OCTETS = 64 * 1024;
const LENT_OCTETS = 256 * 1024;
/** Octets that are written at a time. */
const WRITE_OCTETS = LENT_OCTETS;

/** Buffers of 256 KiB between two reads or writes: fresh ones would each bring the next full garbage collection nearer. */
const spareBuffers: Buffer[] = [];
const SPARE_BUFFERS = 16;

function takeBuffer(): Buffer {
  return spareBuffers.pop() ?? Buffer.allocUnsafeSlow(LENT_OCTETS);
}
function giveBuffer(buffer: Buffer): void {
  if (spareBuffers.length < SPARE_BUFFERS) spareBuffers.push(buffer);
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
/** A full disk is a passing trouble with a name; other errors stay what they are. */
function asStoreError(error: unknown): unknown {
  const code = codeOf(error);
  return code === 'ENOSPC' || code === 'EDQUOT' ? new StoreUnavailable('the disk is full', { cause: error }) : error;
}

/** A blob on its way: octets in `blobs/incoming/`, without a name yet. While one buffer is written the next is filled. */
export class IncomingBlob {
  readonly #path: string;
  readonly #handle: FileHandle;
  #buffer: Buffer | undefined;
  #filled = 0;
  /** The write under way; its error is the next caller's. */
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }
  /** The octets are copied. */
  async write(octets: Uint8Array): Promise<void> {
    for (let at = 0; at < octets.length; ) {
      const buffer = (this.#buffer ??= takeBuffer());
      const count = Math.min(octets.length - at, WRITE_OCTETS - this.#filled);
      buffer.set(octets.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled === WRITE_OCTETS) await this.#flush();
    }
  }
  /** Durable under its name when it resolves. */
  async keepAs(target: string): Promise<void> {
    try {
      await this.#flush();
      await this.#writing;
      await this.#handle.datasync(); // its size too; the times do not matter
      await this.#handle.close();
      const folder = dirname(target);
      const made = await mkdir(folder, { recursive: true });
      await rename(this.#path, target);
      await syncDirectory(folder);
      // New folders: their names are entries of their parents.
      if (made !== undefined) {
        await syncDirectory(dirname(folder));
        await syncDirectory(dirname(dirname(folder)));
      }
    } catch (error) {
      await this.discard();
      throw asStoreError(error);
    }
  }
  /** Safe to call twice. */
  async discard(): Promise<void> {
    // A write into a file that goes away may fail as it likes.
    await Promise.allSettled([this.#writing]);
    if (this.#buffer !== undefined) giveBuffer(this.#buffer);
    this.#buffer = undefined;
    this.#filled = 0;
    await this.#handle.close();
    await rm(this.#path, { force: true });
  }

  /** Begins to write what is there, behind the write under way. */
  async #flush(): Promise<void> {
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    try {
      await this.#writing;
    } catch (error) {
      throw asStoreError(error);
    }
    this.#buffer = undefined;
    const octets = this.#filled;
    this.#filled = 0;
    this.#writing = this.#writeAll(buffer, octets).finally(() => giveBuffer(buffer));
    this.#writing.catch(seenLater);
  }
  async #writeAll(buffer: Buffer, octets: number): Promise<void> {
    for (let at = 0; at < octets; ) {
      const { bytesWritten } = await this.#handle.write(buffer, at, octets - at);
      at += bytesWritten;
    }
  }
}

/** Who writes next, or keeps the file, awaits the same promise. */
function seenLater(): void {}

/** Blobs from 256 KiB: `blobs/ab/cd/<id>`, written beside, synced, renamed, the folder synced: all before the row that names them. */
export class BlobFiles {
  readonly #folder: string;
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Empties what a crash left half written. */
  async prepare(): Promise<void> {
    await rm(join(this.#folder, 'incoming'), { recursive: true, force: true });
    await mkdir(join(this.#folder, 'incoming'), { recursive: true });
    await syncDirectory(this.#folder);
  }

  pathOf(id: BlobId): string {
    return join(this.#folder, id.slice(0, 2), id.slice(2, 4), id);
  }

  async create(): Promise<IncomingBlob> {
    const path = join(this.#folder, 'incoming', randomBytes(12).toString('hex'));
    try {
      return new IncomingBlob(path, await open(path, 'wx'));
    } catch (error) {
      throw asStoreError(error);
    }
  }

  /** Size in octets; undefined when there is no such file. */
  async sizeOf(id: BlobId): Promise<number | undefined> {
    try {
      return (await stat(this.pathOf(id))).size;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  async remove(id: BlobId): Promise<void> {
    await rm(this.pathOf(id), { force: true });
  }

  /** Octets [from, to). `lends`: a chunk changes when the next is asked for. @throws StoreDamaged when the file is gone or short */
  async *read(id: BlobId, from: number, to: number, signal: AbortSignal, lends = false): AsyncGenerator<Uint8Array> {
    let handle: FileHandle;
    try {
      handle = await open(this.pathOf(id), 'r');
    } catch (error) {
      throw codeOf(error) === 'ENOENT' ? new StoreDamaged(`the file of blob ${id} is gone`, { cause: error }) : error;
    }
    const lent = lends ? takeBuffer() : undefined;
    try {
      for (let at = from; at < to; ) {
        signal.throwIfAborted();
        const length = Math.min(lends ? LENT_OCTETS : READ_OCTETS, to - at);
        const octets = lent ?? Buffer.allocUnsafeSlow(length);
        const { bytesRead } = await handle.read(octets, 0, length, at);
        if (bytesRead === 0) throw new StoreDamaged(`the file of blob ${id} is too short`);
        at += bytesRead;
        yield octets.subarray(0, bytesRead);
      }
    } finally {
      if (lent !== undefined) giveBuffer(lent);
      await handle.close();
    }
  }

  /** All blobs that have a file, with the time of their last write in ms. */
  async *list(): AsyncGenerator<{ readonly id: BlobId; readonly writtenAt: number }> {
    for (const first of await readdir(this.#folder)) {
      if (first.length !== 2) continue;
      for (const second of await readdir(join(this.#folder, first))) {
        for (const id of await readdir(join(this.#folder, first, second))) {
          if (!isBlobId(id)) continue;
          try {
            yield { id, writtenAt: (await stat(this.pathOf(id))).mtimeMs };
          } catch (error) {
            if (codeOf(error) !== 'ENOENT') throw error; // gone since it was listed
          }
        }
      }
    }
  }
}

/** Removes a file; true when it was there. */
export async function removeIfThere(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}
