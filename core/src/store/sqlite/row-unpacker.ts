/**
 * Octets of a row as they were stored. `zstdDecompressSync` makes a stream and a decompression context for each call, which costs more than
 * a mail of some KiB does; one context kept does not. Node has no public way to keep one, so this uses what its streams use themselves
 * (`writeSync` of the handle) where it looks as it does in Node 24, and the public function everywhere else, and for whatever is damaged.
 */
import { constants, createZstdDecompress, type ZstdDecompress, zstdDecompressSync } from 'node:zlib';
import { StoreDamaged } from '../store.ts';
import { CODEC_ZSTD } from './write-contents.ts';

/** Another major version may give `writeSync` other arguments, and checks them by ending the process. */
const KNOWN_NODE = /^24\./;
/** A context that met a larger row keeps memory for it. */
const KEPT_OCTETS = 256 * 1024;

interface Handle {
  writeSync(flush: number, from: Uint8Array, fromAt: number, fromOctets: number, to: Uint8Array, toAt: number, toOctets: number): void;
}
interface Context {
  /** Holds the handle alive. */
  readonly stream: ZstdDecompress;
  readonly handle: Handle;
  /** What `writeSync` left: room in the output, octets of the input. */
  readonly left: Uint32Array;
}

/** Not to be shared by threads. */
export class RowUnpacker {
  #context: Context | undefined;

  /** Undoes the codec octet of a row whose octets were `size`. @throws StoreDamaged */
  unpack(codec: number, data: Uint8Array, size: number): Uint8Array {
    if (codec !== CODEC_ZSTD) return data;
    return this.#fast(data, size) ?? unpackAlone(data, size);
  }

  /** Undefined: not possible here, or damaged. */
  #fast(data: Uint8Array, size: number): Uint8Array | undefined {
    if (size === 0 || size > KEPT_OCTETS) return undefined;
    this.#context ??= openContext();
    if (this.#context === undefined) return undefined;
    const { handle, left } = this.#context;
    // Of its own, as it may be kept for long or handed to another thread.
    const octets = Buffer.allocUnsafeSlow(size);
    left.fill(1);
    handle.writeSync(constants.ZSTD_e_end, data, 0, data.length, octets, 0, size);
    if (left[0] === 0 && left[1] === 0) return octets;
    this.#context = undefined; // in the middle of a frame, or its stream destroyed
    return undefined;
  }
}

function unpackAlone(data: Uint8Array, size: number): Uint8Array {
  let octets: Buffer;
  try {
    // One chunk that holds all of it: by default each row would take, and as long as it is cached keep, 64 KiB.
    octets = zstdDecompressSync(data, { maxOutputLength: Math.max(1, size), chunkSize: Math.max(64, size + 1) });
  } catch (error) {
    throw new StoreDamaged('a compressed row cannot be unpacked', { cause: error });
  }
  if (octets.length !== size) throw new StoreDamaged('a compressed row has another length than when it was stored');
  return octets;
}

function openContext(): Context | undefined {
  if (!KNOWN_NODE.test(process.versions.node)) return undefined;
  const stream = createZstdDecompress({ chunkSize: 64 });
  const { _handle: handle, _writeState: left } = stream as { readonly _handle?: unknown; readonly _writeState?: unknown };
  if (!isHandle(handle) || !(left instanceof Uint32Array) || left.length !== 2) {
    stream.destroy();
    return undefined;
  }
  // Said by the call that failed.
  stream.on('error', ignoreError);
  return { stream, handle, left };
}

function isHandle(handle: unknown): handle is Handle {
  return typeof handle === 'object' && handle !== null && 'writeSync' in handle && typeof handle.writeSync === 'function';
}

function ignoreError(): void {}
