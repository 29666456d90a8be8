import { hash as digestOf } from 'node:crypto';

import { costLimits } from './cost-limits.ts';
import { matchesCrypt, matchStored, toCrypt64 } from './crypt-text.ts';
import { invalidStored, wholeNumber } from './encodings.ts';
import type { PasswordScheme, SchemeCheck, StoredPassword } from './scheme.ts';

interface ShaCryptHash {
  readonly digest: 'sha256' | 'sha512';
  readonly rounds: number;
  readonly salt: Buffer;
  readonly hash: string;
}

const MIN_ROUNDS = 1000;
const DEFAULT_ROUNDS = 5000;

/** The order of the digest's octets in the text: threes that rotate, then the odd ones. */
const orders = {
  sha256: [...rotatingThrees(10, ([a, b, c]) => [c + 1, a + 1, b + 1]), -1, 31, 30],
  sha512: [...rotatingThrees(21, ([a, b, c]) => [b + 1, c + 1, a + 1]), -1, -1, 63],
};

type Three = readonly [number, number, number];

function rotatingThrees(count: number, next: (three: Three) => Three): number[] {
  const order: number[] = [];
  let three: Three = [0, count, 2 * count];
  for (let done = 0; done < count; done++, three = next(three)) order.push(...three);
  return order;
}

/** @throws PasswordError unless it is a whole `$5$` or `$6$` string within the limit of rounds */
function parseShaCrypt(stored: StoredPassword): ShaCryptHash {
  const found = matchStored(stored, /^\$([56])\$(?:rounds=(\d{1,10})\$)?([^$]{0,16})\$([./0-9A-Za-z]{43}|[./0-9A-Za-z]{86})$/);
  const [, id, costs, salt = '', hash = ''] = found ?? [];
  if (found === undefined || hash.length !== (id === '5' ? 43 : 86)) throw invalidStored(stored.name, 'not a whole crypt string');
  const rounds = costs === undefined ? DEFAULT_ROUNDS : wholeNumber(costs);
  if (rounds === undefined || rounds > costLimits.shaCryptRounds) throw invalidStored(stored.name, 'too much work');
  if (rounds < MIN_ROUNDS) throw invalidStored(stored.name, `fewer than ${MIN_ROUNDS} rounds`);
  return { digest: id === '5' ? 'sha256' : 'sha512', rounds, salt: Buffer.from(salt, 'latin1'), hash };
}

/** U. Drepper, "Unix crypt using SHA-256 and SHA-512", 0.6: the numbered steps. Takes octets, where packages of npm take text only. */
function shaCrypt(key: Uint8Array, { digest, rounds, salt }: ShaCryptHash): string {
  const sum = (...parts: readonly Uint8Array[]) => digestOf(digest, Buffer.concat(parts), 'buffer');
  const repeat = (octets: Uint8Array, length: number) => Buffer.alloc(length, length === 0 ? 0 : octets);

  const b = sum(key, salt, key); // 4-8
  const bits: Uint8Array[] = [];
  for (let length = key.length; length > 0; length >>>= 1) bits.push(length & 1 ? b : key); // 11
  let c = sum(key, salt, repeat(b, key.length), ...bits); // 1-12
  const p = repeat(sum(repeat(key, key.length * key.length)), key.length); // 13-16
  const s = repeat(sum(repeat(salt, salt.length * (16 + (c[0] ?? 0)))), salt.length); // 17-20

  const message = Buffer.alloc(c.length + 2 * p.length + s.length);
  for (let round = 0; round < rounds; round++) {
    const isOdd = (round & 1) === 1;
    let length = add(message, 0, isOdd ? p : c);
    if (round % 3 !== 0) length = add(message, length, s);
    if (round % 7 !== 0) length = add(message, length, p);
    length = add(message, length, isOdd ? c : p);
    c = digestOf(digest, message.subarray(0, length), 'buffer');
  }
  message.fill(0);
  p.fill(0);
  return toCrypt64(c, orders[digest], digest === 'sha256' ? 43 : 86);
}

function add(message: Buffer, at: number, part: Uint8Array): number {
  message.set(part, at);
  return at + part.length;
}

export const check: SchemeCheck = (secret, stored) => {
  const parsed = parseShaCrypt(stored);
  return matchesCrypt(secret, parsed.hash, (key) => shaCrypt(key, parsed));
};

export const sha512CryptScheme: PasswordScheme = {
  names: ['SHA512-CRYPT'],
  prefixes: ['$6$'],
  strength: 'normal',
  runs: new URL(import.meta.url),
  check,
  validate: parseShaCrypt,
};

export const sha256CryptScheme: PasswordScheme = { ...sha512CryptScheme, names: ['SHA256-CRYPT'], prefixes: ['$5$'] };
