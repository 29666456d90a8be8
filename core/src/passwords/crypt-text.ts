import { timingSafeEqual } from 'node:crypto';

import type { StoredPassword } from './scheme.ts';

const alphabet = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** libxcrypt's CRYPT_MAX_PASSPHRASE_SIZE: a longer secret has no hash, and would make each of many rounds slow. */
const MAX_KEY_OCTETS = 512;

/** The value of one character of crypt(3)'s base64; -1 if it is none. */
export function crypt64Value(character: string): number {
  return character.length === 1 ? alphabet.indexOf(character) : -1;
}

/**
 * `length` characters of crypt(3)'s base64, low bits first. `order` names octets of `digest` in threes, the high one first; -1 is a zero octet.
 */
export function toCrypt64(digest: Uint8Array, order: readonly number[], length: number): string {
  let text = '';
  for (let at = 0; at < order.length; at += 3) {
    const [high = -1, middle = -1, low = -1] = order.slice(at, at + 3);
    let value = ((digest[high] ?? 0) << 16) | ((digest[middle] ?? 0) << 8) | (digest[low] ?? 0);
    for (let digit = 0; digit < 4; digit++, value >>>= 6) text += alphabet.charAt(value & 63);
  }
  return text.slice(0, length);
}

/**
 * Compares in constant time what `hash` makes of the secret. crypt(3) ends a password at its first NUL; here one that has a NUL never
 * matches, else "secret\0anything" would be right. It is hashed all the same, so that the time tells nothing.
 */
export function matchesCrypt(secret: Uint8Array, expected: string, hash: (key: Uint8Array) => string): boolean {
  const nul = secret.indexOf(0);
  const key = secret.subarray(0, Math.min(nul < 0 ? secret.length : nul, MAX_KEY_OCTETS));
  const own = hash(key);
  return timingSafeEqual(Buffer.from(own, 'latin1'), Buffer.from(expected, 'latin1')) && key.length === secret.length;
}

/** What `pattern` finds in a stored crypt string, which is printable ASCII without spaces. */
export function matchStored({ encoded }: StoredPassword, pattern: RegExp): RegExpExecArray | undefined {
  return /^[!-~]*$/.test(encoded) ? (pattern.exec(encoded) ?? undefined) : undefined;
}
