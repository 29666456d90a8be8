import { pbkdf2Sync, timingSafeEqual } from 'node:crypto';

import { fromAdaptedBase64, fromHex, invalidStored, wholeNumber } from './encodings.ts';
import type { PasswordScheme, SchemeCheck, StoredPassword } from './scheme.ts';

const MAX_ITERATIONS = 10_000_000;

interface Pbkdf2Hash {
  readonly digest: 'sha1' | 'sha256' | 'sha512';
  readonly iterations: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

const digests = new Map([
  ['pbkdf2', 'sha1'],
  ['pbkdf2-sha1', 'sha1'],
  ['pbkdf2-sha256', 'sha256'],
  ['pbkdf2-sha512', 'sha512'],
  ['pbkdf2_sha256', 'sha256'],
] as const);

/**
 * The spellings in use: `$pbkdf2-sha256$29000$salt$hash` (passlib; PHC with `i=29000,l=32`), `{PBKDF2-SHA256}29000$salt$hash` (OpenLDAP,
 * 389), `{PBKDF2}$1$salt$29000$hex` (Dovecot) and `pbkdf2_sha256$29000$salt$hash` (Django).
 */
function parsePbkdf2({ name, encoded }: StoredPassword): Pbkdf2Hash {
  const fields = encoded.split('$');
  if (name === 'PBKDF2' && fields[0] === '' && fields[1] === '1') {
    const [, , salt = '', iterations, hex = ''] = fields;
    return { digest: 'sha1', iterations: iterationsOf(name, iterations), salt: Buffer.from(salt, 'utf8'), hash: fromHex(name, hex) };
  }
  if (fields[0] === '') fields.shift();
  const isFirstName = fields.length === 4;
  const spelling = isFirstName ? fields.shift() : name.toLowerCase();
  const digest = digests.get(spelling as 'pbkdf2');
  const [costs = '', salt = '', hash = ''] = fields;
  if (digest === undefined || fields.length !== 3) throw invalidStored(name, 'not a known form of PBKDF2');
  const iterations = iterationsOf(name, /^i=(\d{1,9})(?:,l=\d{1,3})?$/.exec(costs)?.[1] ?? costs);
  const isDjango = spelling === 'pbkdf2_sha256'; // its salt is text
  return {
    digest,
    iterations,
    salt: isDjango ? Buffer.from(salt, 'utf8') : fromAdaptedBase64(name, salt),
    hash: fromAdaptedBase64(name, hash),
  };
}

function iterationsOf(name: string, text: string | undefined): number {
  const iterations = wholeNumber(text);
  if (iterations === undefined) throw invalidStored(name, 'no number of iterations');
  if (iterations > MAX_ITERATIONS) throw invalidStored(name, 'too much work');
  return iterations;
}

export const check: SchemeCheck = (secret, stored) => {
  const { digest, iterations, salt, hash } = parsePbkdf2(stored);
  if (hash.length < 16 || hash.length > 128) throw invalidStored(stored.name, 'a hash of 16 to 128 octets is needed');
  return timingSafeEqual(pbkdf2Sync(secret, salt, iterations, hash.length, digest), hash);
};

export const pbkdf2Scheme: PasswordScheme = {
  names: ['PBKDF2-SHA256', 'PBKDF2-SHA512', 'PBKDF2-SHA1', 'PBKDF2', 'PBKDF2_SHA256'],
  prefixes: ['$pbkdf2-sha256$', '$pbkdf2-sha512$', '$pbkdf2$', 'pbkdf2_sha256$'],
  strength: 'normal',
  runs: new URL(import.meta.url),
  check,
};
