/** Where large parts and index segments lie. */
import type { Awaitable } from './brand.ts';
import type { ByteRange, Bytes, Stream } from './bytes.ts';
import type { Call } from './calls.ts';

/** Sees encoded octets only. What the core does not know the size of it cuts into pieces of at most 8 MiB, so `put` always has a size and may open again. */
export interface BlobDriver {
  readonly name: string; // `store.blobs: s3` in the configuration
  put(key: string, content: Bytes, call: Call): Awaitable<void>; // durable when it returns; the same key again is no error
  open(key: string, range: ByteRange | undefined, call: Call): Awaitable<Stream>;
  delete(keys: readonly string[], call: Call): Awaitable<void>;
  list(prefix: string, call: Call): AsyncIterable<{ readonly key: string; readonly sizeOctets: number; readonly storedAt: Date }>; // for the sweeper and fsck
}
