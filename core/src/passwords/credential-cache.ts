import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

import { LRUCache } from 'lru-cache';

/** Of SHA-256. */
const BLOCK_OCTETS = 64;

export interface CredentialCacheOptions {
  readonly maxEntries: number;
  /** From the last full check; 0 remembers nothing. */
  readonly ttlMs: number;
  /** Monotonic ms. */
  readonly now: () => number;
}

/**
 * Which secrets were right a moment ago, so that a client with eight connections pays for one hash. Kept is an HMAC under a key that lives
 * as long as this object and is written nowhere. `version` is that of the credential (account and app password), so that a change of the
 * password makes what was remembered useless.
 */
export class CredentialCache {
  /** Inner and outer key of RFC 2104: two one-shot hashes cost a third of an HMAC object. */
  readonly #inner = Buffer.alloc(BLOCK_OCTETS);
  readonly #outer = Buffer.alloc(BLOCK_OCTETS);
  readonly #entries: LRUCache<string, Buffer> | undefined;

  constructor({ maxEntries, ttlMs, now }: CredentialCacheOptions) {
    for (const [at, octet] of randomBytes(BLOCK_OCTETS).entries()) {
      this.#inner[at] = octet ^ 0x36;
      this.#outer[at] = octet ^ 0x5c;
    }
    this.#entries =
      maxEntries > 0 && ttlMs > 0 ? new LRUCache({ max: maxEntries, ttl: ttlMs, ttlResolution: 0, perf: { now } }) : undefined;
  }

  /** After a full check that matched. */
  remember(account: string, version: string, secret: Uint8Array): void {
    this.#entries?.set(entryName(account, version), this.#mac(account, version, secret));
  }

  /** `false` says only that a full check is due. */
  isRemembered(account: string, version: string, secret: Uint8Array): boolean {
    const known = this.#entries?.get(entryName(account, version));
    return known !== undefined && timingSafeEqual(known, this.#mac(account, version, secret));
  }

  /** When the account is disabled, or its sessions are revoked. */
  forget(account: string, version: string): void {
    this.#entries?.delete(entryName(account, version));
  }

  clear(): void {
    this.#entries?.clear();
  }

  #mac(account: string, version: string, secret: Uint8Array): Buffer {
    const text = Buffer.concat([this.#inner, Buffer.from(`${entryName(account, version)}\0`), secret]);
    const inner = hash('sha256', text, 'buffer');
    text.fill(0);
    return hash('sha256', Buffer.concat([this.#outer, inner]), 'buffer');
  }
}

/** The length keeps "a", "bc" apart from "ab", "c". */
function entryName(account: string, version: string): string {
  return `${account.length}:${account}${version}`;
}
