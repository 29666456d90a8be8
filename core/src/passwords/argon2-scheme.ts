import { argon2Sync, timingSafeEqual } from 'node:crypto';

import { costLimits } from './cost-limits.ts';
import { fromBase64, invalidStored, wholeNumber } from './encodings.ts';
import type { PasswordScheme, SchemeCheck } from './scheme.ts';

export interface Argon2Parameters {
  /** KiB. */
  readonly memoryKib: number;
  readonly passes: number;
  readonly parallelism: number;
}

interface Argon2Hash extends Argon2Parameters {
  readonly algorithm: 'argon2id' | 'argon2i' | 'argon2d';
  readonly salt: Buffer;
  readonly hash: Buffer;
}

const algorithms = new Map([
  ['ARGON2ID', 'argon2id'],
  ['ARGON2I', 'argon2i'],
  ['ARGON2D', 'argon2d'],
] as const);

/** @throws PasswordError unless `encoded` is a PHC string of Argon2 1.3 within the bounds (RFC 9106) */
export function parseArgon2(name: string, encoded: string): Argon2Hash {
  const [before, algorithm, version, costs = '', salt = '', hash = '', ...more] = encoded.split('$');
  const expected = name === 'ARGON2' ? algorithm : algorithms.get(name as 'ARGON2ID');
  const isKnown = algorithm === 'argon2id' || algorithm === 'argon2i' || algorithm === 'argon2d';
  if (before !== '' || !isKnown || algorithm !== expected || more.length > 0) throw invalidStored(name, 'not a PHC string');
  if (version !== 'v=19') throw invalidStored(name, 'only version 19 is known');

  const cost = new Map(costs.split(',').map((pair) => [pair.slice(0, 2), wholeNumber(pair.slice(2))]));
  const [memoryKib, passes, parallelism] = [cost.get('m='), cost.get('t='), cost.get('p=')];
  if (memoryKib === undefined || passes === undefined || parallelism === undefined || cost.size !== 3)
    throw invalidStored(name, 'm, t or p is missing');
  const { argon2Parallelism, argon2MemoryKib, argon2WorkKib } = costLimits;
  if (parallelism > argon2Parallelism || memoryKib > argon2MemoryKib || memoryKib * passes > argon2WorkKib)
    throw invalidStored(name, 'too much work');
  if (memoryKib < 8 * parallelism) throw invalidStored(name, 'too little memory');

  const saltOctets = fromBase64(name, salt);
  const hashOctets = fromBase64(name, hash);
  if (saltOctets.length < 8 || saltOctets.length > 64) throw invalidStored(name, 'a salt of 8 to 64 octets is needed');
  if (hashOctets.length < 16 || hashOctets.length > 128) throw invalidStored(name, 'a hash of 16 to 128 octets is needed');
  return { algorithm, memoryKib, passes, parallelism, salt: saltOctets, hash: hashOctets };
}

/** The PHC string of a new hash, with its `{ARGON2ID}`. Takes tens of milliseconds of the calling thread. */
export function argon2Hash(secret: Uint8Array, salt: Uint8Array, { memoryKib, passes, parallelism }: Argon2Parameters): string {
  const hash = argon2Sync('argon2id', { message: secret, nonce: salt, memory: memoryKib, passes, parallelism, tagLength: 32 });
  const text = (octets: Uint8Array) => Buffer.from(octets).toString('base64').replaceAll('=', '');
  return `{ARGON2ID}$argon2id$v=19$m=${memoryKib},t=${passes},p=${parallelism}$${text(salt)}$${text(hash)}`;
}

export const check: SchemeCheck = (secret, { name, encoded }) => {
  const { algorithm, memoryKib, passes, parallelism, salt, hash } = parseArgon2(name, encoded);
  const own = argon2Sync(algorithm, { message: secret, nonce: salt, memory: memoryKib, passes, parallelism, tagLength: hash.length });
  return timingSafeEqual(own, hash);
};

export const argon2Scheme: PasswordScheme = {
  names: ['ARGON2ID', 'ARGON2I', 'ARGON2D', 'ARGON2'],
  prefixes: ['$argon2id$', '$argon2i$', '$argon2d$'],
  strength: 'normal',
  runs: new URL(import.meta.url),
  check,
  validate: ({ name, encoded }) => parseArgon2(name, encoded),
};
