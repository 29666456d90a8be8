import { hash as digestOf } from 'node:crypto';

import { matchesCrypt, matchStored, toCrypt64 } from './crypt-text.ts';
import { invalidStored } from './encodings.ts';
import type { PasswordScheme, SchemeCheck, StoredPassword } from './scheme.ts';

interface Md5CryptHash {
  readonly magic: '$1$' | '$apr1$';
  readonly salt: Buffer;
  readonly hash: string;
}

const ROUNDS = 1000;
const order = [0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 4, 10, 5, -1, -1, 11];

function parseMd5Crypt(stored: StoredPassword): Md5CryptHash {
  const [, id, salt, hash] = matchStored(stored, /^\$(1|apr1)\$([^$]{0,8})\$([./0-9A-Za-z]{22})$/) ?? [];
  if (id === undefined || salt === undefined || hash === undefined) throw invalidStored(stored.name, 'not a whole crypt string');
  return { magic: id === '1' ? '$1$' : '$apr1$', salt: Buffer.from(salt, 'latin1'), hash };
}

/** P.-H. Kamp's crypt of FreeBSD 2.0; Apache's differs in the magic only. */
function md5Crypt(key: Uint8Array, { magic, salt }: Md5CryptHash): string {
  const sum = (...parts: readonly Uint8Array[]) => digestOf('md5', Buffer.concat(parts), 'buffer');
  const inner = sum(key, salt, key);
  const bits: Uint8Array[] = [];
  // Its author meant something else for the odd bits; this is what everyone has done since.
  for (let length = key.length; length > 0; length >>>= 1) bits.push(length & 1 ? Uint8Array.of(0) : key.subarray(0, 1));
  let state = sum(key, Buffer.from(magic, 'latin1'), salt, Buffer.alloc(key.length, key.length === 0 ? 0 : inner), ...bits);
  for (let round = 0; round < ROUNDS; round++) {
    const parts = [round & 1 ? key : state];
    if (round % 3 !== 0) parts.push(salt);
    if (round % 7 !== 0) parts.push(key);
    parts.push(round & 1 ? state : key);
    state = sum(...parts);
  }
  return toCrypt64(state, order, 22);
}

export const check: SchemeCheck = (secret, stored) => {
  const parsed = parseMd5Crypt(stored);
  return matchesCrypt(secret, parsed.hash, (key) => md5Crypt(key, parsed));
};

export const md5CryptScheme: PasswordScheme = {
  names: ['MD5-CRYPT', 'APR1'],
  prefixes: ['$1$', '$apr1$'],
  strength: 'normal',
  runs: new URL(import.meta.url),
  check,
  validate: parseMd5Crypt,
};
