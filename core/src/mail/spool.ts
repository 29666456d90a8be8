/**
 * Where a message waits between its last octet and its commit. Small ones lie in memory; bigger ones in a file under <data>/spool that
 * nobody but this process can read: AES-256-CTR under a random key per message that is never written (design/encryption.md §5).
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CrlfNormaliser, normaliseCrlf } from '../mime/crlf.ts';
import { MailError } from './errors.ts';
import type { ByteRange, MessageSource, Spool } from './services.ts';
import { BlockPool, HeldBlocks } from './spool-blocks.ts';

/** A message up to this size stays in memory. */
export const MEMORY_OCTETS = 256 * 1024;
/** So does one up to this size while less than half of the budget is in use: a file costs encryption, writes and two reads. */
const ROOMY_OCTETS = 24 * 1024 * 1024;
/** Beyond this size it lies in blocks, not in one piece. */
const JOINED_OCTETS = 2 * 1024 * 1024;
/** Octets of a read or write of a spool file: small, as 50 big deliveries do it at once. */
const BLOCK_OCTETS = 64 * 1024;
const AES_BLOCK = 16;
/** Pieces below this are copied together: one that came as single octets would take a hundred times its size. */
const SMALL_OCTETS = 4 * 1024;

/** What the spool needs of a file; a test puts a full disk here. */
export interface SpoolFile {
  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesWritten: number }>;
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  close(): Promise<void>;
}
export interface SpoolOptions {
  /** Made with mode 0700 when absent; what an earlier process left there is removed. */
  readonly directory: string;
  /** Octets that all messages being received may hold in memory together; beyond it they go to disk earlier. */
  readonly memoryBudgetOctets?: number;
  readonly openFile?: (path: string) => Promise<SpoolFile>;
}

/** Makes the spool's folder ready. @throws the file system's error when it cannot be made or cleaned */
export async function openSpool(options: SpoolOptions): Promise<Spool> {
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  // Keys died with the process that wrote them, so whatever lies here is noise.
  for (const name of await readdir(options.directory)) if (name.endsWith('.spool')) await unlink(join(options.directory, name));
  return new DiskSpool(options);
}

class DiskSpool implements Spool {
  readonly #directory: string;
  readonly #openFile: (path: string) => Promise<SpoolFile>;
  readonly #budget: number;
  #memoryLeft: number;
  readonly #blocks = new BlockPool();

  constructor(options: SpoolOptions) {
    this.#directory = options.directory;
    this.#openFile = options.openFile ?? openUnlinked;
    this.#budget = options.memoryBudgetOctets ?? 64 * 1024 * 1024;
    this.#memoryLeft = this.#budget;
  }

  fromBytes(bytes: Uint8Array): MessageSource {
    return new MemorySource(bytes, undefined);
  }

  hold(pieces: readonly Uint8Array[], octets: number): MessageSource | undefined {
    if (octets > MEMORY_OCTETS || this.#memoryLeft < octets) return undefined;
    const [first] = pieces;
    const bytes = normaliseCrlf(pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces, octets));
    this.#memoryLeft -= bytes.length;
    return new MemorySource(bytes, () => {
      this.#memoryLeft += bytes.length;
    });
  }

  async receive(
    stream: AsyncIterable<Uint8Array>,
    options: { readonly limitOctets: number; readonly signal: AbortSignal; readonly lineEnds?: 'normalise' | 'keep' },
  ): Promise<MessageSource> {
    const { limitOctets, signal, lineEnds = 'normalise' } = options;
    const crlf = new CrlfNormaliser();
    const memory = new HeldChunks();
    let blocks: HeldBlocks | undefined;
    let held = 0; // octets in `memory` or `blocks`, taken from the budget
    let total = 0;
    let file: SpoolWriter | undefined;
    const give = () => {
      this.#memoryLeft += held;
      held = 0;
    };
    const take = async (chunk: Uint8Array): Promise<void> => {
      if (chunk.length === 0) return;
      total += chunk.length;
      if (total > limitOctets) throw new MailError('too-big', `Message is larger than ${limitOctets} octets`);
      if (file === undefined) {
        const most = this.#memoryLeft * 2 > this.#budget ? ROOMY_OCTETS : MEMORY_OCTETS;
        if (total <= most && this.#memoryLeft >= chunk.length) {
          if (total > JOINED_OCTETS) {
            blocks ??= intoBlocks(memory, this.#blocks);
            blocks.push(chunk);
          } else memory.push(chunk);
          held += chunk.length;
          this.#memoryLeft -= chunk.length;
          return;
        }
        file = await SpoolWriter.open(this.#directory, this.#openFile);
        for (const early of blocks?.octets() ?? memory.take()) await file.write(early);
        blocks?.giveBack();
        give();
      }
      await file.write(chunk);
    };
    try {
      for await (const chunk of stream) {
        signal.throwIfAborted();
        await take(lineEnds === 'keep' ? chunk : crlf.push(chunk));
      }
      signal.throwIfAborted();
      if (file !== undefined) return await file.finish();
      // The source owns this share of the budget until it is disposed of.
      if (blocks !== undefined) return blocks.source(total, give);
      const chunks = memory.take();
      const [first] = chunks;
      return new MemorySource(chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, total), give);
    } catch (error) {
      give();
      blocks?.giveBack();
      await file?.abandon();
      throw spoolError(error);
    }
  }
}

/** Chunks in their order; small ones share pages. */
class HeldChunks {
  #chunks: Uint8Array[] = [];
  #page: Buffer | undefined;
  #filled = 0;

  push(chunk: Uint8Array): void {
    if (chunk.length >= SMALL_OCTETS) {
      this.#endPage();
      this.#chunks.push(chunk);
      return;
    }
    if (this.#page !== undefined && this.#filled + chunk.length > this.#page.length) this.#endPage();
    this.#page ??= Buffer.allocUnsafeSlow(4 * SMALL_OCTETS);
    this.#page.set(chunk, this.#filled);
    this.#filled += chunk.length;
  }

  take(): Uint8Array[] {
    this.#endPage();
    return this.#chunks.splice(0);
  }

  #endPage(): void {
    // What is little gets a buffer of its own size: small and large chunks in turn would leave a page for each.
    if (this.#page !== undefined)
      this.#chunks.push(
        this.#filled * 2 < this.#page.length ? Buffer.from(this.#page.subarray(0, this.#filled)) : this.#page.subarray(0, this.#filled),
      );
    this.#page = undefined;
    this.#filled = 0;
  }
}

function intoBlocks(memory: HeldChunks, pool: BlockPool): HeldBlocks {
  const blocks = new HeldBlocks(pool);
  for (const chunk of memory.take()) blocks.push(chunk);
  return blocks;
}

class MemorySource implements MessageSource {
  readonly sizeOctets: number;
  readonly bytes: Uint8Array;
  #release: (() => void) | undefined;

  constructor(bytes: Uint8Array, release: (() => void) | undefined) {
    this.bytes = bytes;
    this.sizeOctets = bytes.length;
    this.#release = release;
  }

  async *open(range?: ByteRange): AsyncGenerator<Uint8Array> {
    const bytes = range === undefined ? this.bytes : this.bytes.subarray(range.start, range.end);
    if (bytes.length > 0) yield bytes;
  }

  async dispose(): Promise<void> {
    this.#release?.();
    this.#release = undefined;
  }
}

/** Encrypts as it writes, a block at a time through one buffer. */
class SpoolWriter {
  readonly #file: SpoolFile;
  readonly #key = randomBytes(32);
  readonly #cipher;
  readonly #buffer = Buffer.allocUnsafeSlow(BLOCK_OCTETS);
  #filled = 0;
  #written = 0;

  private constructor(file: SpoolFile) {
    this.#file = file;
    this.#cipher = createCipheriv('aes-256-ctr', this.#key, counterAt(0));
  }

  static async open(directory: string, openFile: (path: string) => Promise<SpoolFile>): Promise<SpoolWriter> {
    return new SpoolWriter(await openFile(join(directory, `${randomBytes(12).toString('hex')}.spool`)));
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      const length = Math.min(BLOCK_OCTETS - this.#filled, chunk.length - at);
      this.#buffer.set(chunk.subarray(at, at + length), this.#filled);
      this.#filled += length;
      at += length;
      if (this.#filled === BLOCK_OCTETS) await this.#flush();
    }
  }

  async finish(): Promise<MessageSource> {
    await this.#flush();
    return new FileSource(this.#file, this.#key, this.#written);
  }

  async abandon(): Promise<void> {
    this.#key.fill(0);
    await this.#file.close();
  }

  async #flush(): Promise<void> {
    const sealed = this.#cipher.update(this.#buffer.subarray(0, this.#filled));
    for (let at = 0; at < sealed.length; ) {
      const { bytesWritten } = await this.#file.write(sealed, at, sealed.length - at, this.#written);
      if (bytesWritten === 0) throw new MailError('unavailable', 'No room for the message now');
      at += bytesWritten;
      this.#written += bytesWritten;
    }
    this.#filled = 0;
  }
}

class FileSource implements MessageSource {
  readonly sizeOctets: number;
  readonly bytes = undefined;
  readonly #file: SpoolFile;
  readonly #key: Buffer;
  #closed: Promise<void> | undefined;

  constructor(file: SpoolFile, key: Buffer, sizeOctets: number) {
    this.#file = file;
    this.#key = key;
    this.sizeOctets = sizeOctets;
  }

  async *open(range?: ByteRange): AsyncGenerator<Uint8Array> {
    const start = Math.max(0, range?.start ?? 0);
    const end = Math.min(this.sizeOctets, range?.end ?? this.sizeOctets);
    let position = start - (start % AES_BLOCK);
    let skip = start - position;
    if (position >= end) return;
    if (this.#closed !== undefined) throw new Error('message source is disposed of');
    const decipher = createDecipheriv('aes-256-ctr', this.#key, counterAt(position / AES_BLOCK));
    const buffer = Buffer.allocUnsafeSlow(Math.min(BLOCK_OCTETS, end - position));
    while (position < end) {
      const { bytesRead } = await this.#file.read(buffer, 0, Math.min(buffer.length, end - position), position);
      if (bytesRead === 0) throw new MailError('unavailable', 'The spool file is shorter than it was');
      position += bytesRead;
      const plain = decipher.update(buffer.subarray(0, bytesRead)); // a new buffer: who reads may keep it
      yield skip === 0 ? plain : plain.subarray(skip);
      skip = 0;
    }
  }

  dispose(): Promise<void> {
    this.#closed ??= this.#file.close().finally(() => this.#key.fill(0));
    return this.#closed;
  }
}

/** The counter of CTR mode at a block: unique, as each key seals one message. */
function counterAt(block: number): Buffer {
  const counter = Buffer.alloc(AES_BLOCK);
  counter.writeBigUInt64BE(BigInt(block), 8);
  return counter;
}

/** Nobody else can open it, and it goes with the process. */
async function openUnlinked(path: string): Promise<SpoolFile> {
  const file: FileHandle = await open(path, 'wx+', 0o600);
  try {
    await unlink(path);
  } catch (error) {
    const isGone = error instanceof Error && 'code' in error && error.code === 'ENOENT'; // another worker process has cleaned up
    if (isGone) return file;
    await file.close();
    throw error;
  }
  return file;
}

const DISK_CODES = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EMFILE', 'ENFILE', 'EACCES', 'ENOENT']);

function spoolError(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string' || !DISK_CODES.has(error.code)) return error;
  return new MailError('unavailable', 'No room for the message now', { cause: error });
}
