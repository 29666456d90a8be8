import { hash as digestOf, timingSafeEqual } from 'node:crypto';

import { fromSuffix, invalidStored, wholeNumber } from './encodings.ts';
import { hmacMd5States, md4 } from './md-blocks.ts';
import type { PasswordScheme, SchemeCheck, StoredPassword } from './scheme.ts';

const MAX_SALT_OCTETS = 256;

type Digest = (...parts: readonly Uint8Array[]) => Buffer;

interface StoredDigest {
  readonly digest: Digest;
  readonly hash: Buffer;
  readonly salt: Buffer;
}

function byNode(algorithm: string): Digest {
  return (...parts) => digestOf(algorithm, Buffer.concat(parts), 'buffer');
}

const salted = new Map([
  ['SSHA', byNode('sha1')],
  ['SSHA256', byNode('sha256')],
  ['SSHA384', byNode('sha384')],
  ['SSHA512', byNode('sha512')],
]);
const saltedMd5 = new Map([['SMD5', byNode('md5')]]);
const unsalted = new Map([
  ['SHA', byNode('sha1')],
  ['SHA1', byNode('sha1')],
  ['SHA256', byNode('sha256')],
  ['SHA384', byNode('sha384')],
  ['SHA512', byNode('sha512')],
  ['PLAIN-MD5', byNode('md5')],
  ['LDAP-MD5', byNode('md5')],
  ['MD5', byNode('md5')],
  ['PLAIN-MD4', (...parts: readonly Uint8Array[]) => md4(Buffer.concat(parts))],
  // What a server of CRAM-MD5 has to keep instead of the password; both names are of one form.
  ['CRAM-MD5', (...parts: readonly Uint8Array[]) => hmacMd5States(Buffer.concat(parts))],
  ['HMAC-MD5', (...parts: readonly Uint8Array[]) => hmacMd5States(Buffer.concat(parts))],
]);
const all = new Map<string, Digest>([...salted, ...saltedMd5, ...unsalted]);

/** @throws PasswordError when it is not a digest, with a salt behind it where there has to be one */
function parseDigest(stored: StoredPassword): StoredDigest {
  const { name } = stored;
  const digest = all.get(name);
  if (digest === undefined) throw invalidStored(name, 'no such digest');
  const { length } = digest();
  const isSalted = !unsalted.has(name);
  const octets = fromSuffix(stored, isSalted ? undefined : length * 2);
  if (isSalted && octets.length <= length) throw invalidStored(name, 'no salt behind the digest');
  if (octets.length > length + (isSalted ? MAX_SALT_OCTETS : 0) || octets.length < length)
    throw invalidStored(name, 'a digest of another length');
  return { digest, hash: octets.subarray(0, length), salt: octets.subarray(length) };
}

const check: SchemeCheck = (secret, stored) => {
  const { digest, hash, salt } = parseDigest(stored);
  return timingSafeEqual(digest(secret, salt), hash);
};

/** RFC 2307 `{SSHA}` and its longer relatives: digest, then salt. */
export const saltedDigestScheme: PasswordScheme = {
  names: [...salted.keys()],
  prefixes: [],
  strength: 'normal',
  runs: 'inline',
  check,
  validate: parseDigest,
};

export const saltedMd5Scheme: PasswordScheme = { ...saltedDigestScheme, names: [...saltedMd5.keys()], strength: 'weak' };

/** One table of digests opens all of them, so they are as good as readable. */
export const digestScheme: PasswordScheme = { ...saltedDigestScheme, names: [...unsalted.keys()], strength: 'weak' };

/** Dovecot's `{PLAIN-TRUNC}8-12345678`: of that many octets, and what follows them in the secret does not count. */
function parsePlain(stored: StoredPassword): { readonly text: Buffer; readonly isCut: boolean } {
  const { name, encoding, encoded } = stored;
  const octets = encoding === undefined ? Buffer.from(encoded, 'utf8') : fromSuffix(stored, undefined);
  if (octets.length === 0) throw invalidStored(name, 'nothing is stored');
  if (name !== 'PLAIN-TRUNC') return { text: octets, isCut: false };
  const dash = octets.indexOf('-');
  const length = wholeNumber(octets.toString('latin1', 0, Math.max(dash, 0)));
  if (length === undefined) throw invalidStored(name, 'no length before it');
  const text = octets.subarray(dash + 1);
  return { text, isCut: text.length === length };
}

/** Digests of equal length, so that neither content nor length shows in the time. */
const checkPlain: SchemeCheck = (secret, stored) => {
  const { text, isCut } = parsePlain(stored);
  const own = isCut ? secret.subarray(0, text.length) : secret;
  return timingSafeEqual(digestOf('sha256', own, 'buffer'), digestOf('sha256', text, 'buffer'));
};

export const plainScheme: PasswordScheme = {
  names: ['PLAIN', 'CLEARTEXT', 'CLEAR', 'PLAIN-TRUNC'],
  prefixes: [],
  strength: 'weak',
  runs: 'inline',
  check: checkPlain,
  validate: parsePlain,
};
