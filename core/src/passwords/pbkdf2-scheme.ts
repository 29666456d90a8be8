import { pbkdf2Sync, timingSafeEqual } from 'node:crypto';

import { costLimits } from './cost-limits.ts';
import { fromAdaptedBase64, fromBase64, fromHex, invalidStored, wholeNumber } from './encodings.ts';
import type { PasswordScheme, SchemeCheck, StoredPassword } from './scheme.ts';

const MIN_HASH_OCTETS = 16;
const MAX_HASH_OCTETS = 256;
/** 389's first form: the count in four octets, a salt, and more of a hash than anyone needs. */
const DIRECTORY_SALT_OCTETS = 64;

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
  ['pbkdf2_sha1', 'sha1'],
  ['pbkdf2_sha256', 'sha256'],
] as const);

/**
 * The spellings in use: `$pbkdf2-sha256$29000$salt$hash` (passlib; WildDuck's PHC with `i=29000,l=32`), `{PBKDF2-SHA256}29000$salt$hash`
 * (OpenLDAP, 389), `{PBKDF2}$1$salt$29000$hex` (Dovecot), `pbkdf2_sha256$29000$salt$hash` (Django), `{PBKDF2_SHA256}base64` (389, older).
 */
function parsePbkdf2(stored: StoredPassword): Pbkdf2Hash {
  const parsed = parseSpelling(stored);
  const { length } = parsed.hash;
  if (length < MIN_HASH_OCTETS || length > MAX_HASH_OCTETS)
    throw invalidStored(stored.name, `a hash of ${MIN_HASH_OCTETS} to ${MAX_HASH_OCTETS} octets is needed`);
  return parsed;
}

function parseSpelling({ name, encoded }: StoredPassword): Pbkdf2Hash {
  if (name === 'PBKDF2_SHA256' && !encoded.includes('$')) return parseDirectory(name, encoded);
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
  const isDjango = spelling?.startsWith('pbkdf2_'); // its salt is text
  return {
    digest,
    iterations,
    salt: isDjango ? Buffer.from(salt, 'utf8') : fromAdaptedBase64(name, salt),
    hash: fromAdaptedBase64(name, hash),
  };
}

/** The first 32 of its 256 octets are a whole PBKDF2 of 32, and cost an eighth. */
function parseDirectory(name: string, encoded: string): Pbkdf2Hash {
  const octets = fromBase64(name, encoded);
  if (octets.length !== 4 + DIRECTORY_SALT_OCTETS + MAX_HASH_OCTETS) throw invalidStored(name, 'not of 324 octets');
  const [salt, hash] = [octets.subarray(4, 4 + DIRECTORY_SALT_OCTETS), octets.subarray(4 + DIRECTORY_SALT_OCTETS)];
  return { digest: 'sha256', iterations: iterationsOf(name, String(octets.readUInt32BE())), salt, hash: hash.subarray(0, 32) };
}

function iterationsOf(name: string, text: string | undefined): number {
  const iterations = wholeNumber(text);
  if (iterations === undefined) throw invalidStored(name, 'no number of iterations, or too high a one');
  if (iterations > costLimits.pbkdf2Iterations) throw invalidStored(name, 'too much work');
  return iterations;
}

export const check: SchemeCheck = (secret, stored) => {
  const { digest, iterations, salt, hash } = parsePbkdf2(stored);
  return timingSafeEqual(pbkdf2Sync(secret, salt, iterations, hash.length, digest), hash);
};

export const pbkdf2Scheme: PasswordScheme = {
  names: ['PBKDF2-SHA256', 'PBKDF2-SHA512', 'PBKDF2-SHA1', 'PBKDF2', 'PBKDF2_SHA256', 'PBKDF2_SHA1'],
  prefixes: ['$pbkdf2-sha256$', '$pbkdf2-sha512$', '$pbkdf2-sha1$', '$pbkdf2$', 'pbkdf2_sha256$', 'pbkdf2_sha1$'],
  strength: 'normal',
  runs: new URL(import.meta.url),
  check,
  validate: parsePbkdf2,
};
