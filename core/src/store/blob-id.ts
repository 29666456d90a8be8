import { createHmac, hash } from 'node:crypto';
import type { BlobId } from './store.ts';

/** Blobs of this many octets or more lie in a file of their own, shorter ones in a row (design/dependencies.md B.5). */
export const BLOB_FILE_OCTETS = 256 * 1024;
/** `Contents.load` hands out inline data up to this many octets in total. */
export const INLINE_LOAD_OCTETS = 256 * 1024;

/**
 * The id of a blob from the SHA-256 digest of its octets. With a scope (an account) it is an HMAC over the digest under the scope, so that
 * no octets can be made whose plain id equals the id of others within a scope.
 */
export function blobIdOfDigest(scope: string, digest: Uint8Array): BlobId {
  if (scope === '') return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString('hex') as BlobId;
  return createHmac('sha256', scope).update(digest).digest('hex') as BlobId;
}

export function blobIdOf(scope: string, data: Uint8Array): BlobId {
  return blobIdOfDigest(scope, hash('sha256', data, 'buffer'));
}

const BLOB_ID = /^[0-9a-f]{64}$/;
/** Guards paths that are built from ids. */
export function isBlobId(id: string): id is BlobId {
  return BLOB_ID.test(id);
}
