import { createHash, timingSafeEqual } from 'node:crypto';

import { fromSuffix, invalidStored } from './encodings.ts';
import type { PasswordScheme, SchemeCheck } from './scheme.ts';

const digests = new Map([
  ['SHA', 'sha1'],
  ['SHA1', 'sha1'],
  ['SHA256', 'sha256'],
  ['SHA384', 'sha384'],
  ['SHA512', 'sha512'],
]);

const checkSalted: SchemeCheck = (secret, stored) => {
  const digest = digests.get(stored.name.slice(1));
  if (digest === undefined) throw invalidStored(stored.name, 'no such digest');
  const octets = fromSuffix(stored, undefined);
  const { length } = createHash(digest).digest();
  if (octets.length <= length || octets.length > length + 256) throw invalidStored(stored.name, 'no salt behind the digest');
  const own = createHash(digest).update(secret).update(octets.subarray(length)).digest();
  return timingSafeEqual(own, octets.subarray(0, length));
};

const checkUnsalted: SchemeCheck = (secret, stored) => {
  const own = createHash(digests.get(stored.name) ?? 'sha1')
    .update(secret)
    .digest();
  const octets = fromSuffix(stored, own.length * 2);
  if (octets.length !== own.length) throw invalidStored(stored.name, 'a digest of another length');
  return timingSafeEqual(own, octets);
};

/** Digests of equal length, so that neither content nor length shows in the time. */
const checkPlain: SchemeCheck = (secret, { encoded }) => {
  const [own, stored] = [createHash('sha256').update(secret).digest(), createHash('sha256').update(encoded, 'utf8').digest()];
  return timingSafeEqual(own, stored);
};

/** RFC 2307 `{SSHA}` and its longer relatives: digest, then salt. */
export const saltedDigestScheme: PasswordScheme = {
  names: ['SSHA', 'SSHA256', 'SSHA384', 'SSHA512'],
  prefixes: [],
  strength: 'normal',
  runs: 'inline',
  check: checkSalted,
};

export const digestScheme: PasswordScheme = {
  names: [...digests.keys()],
  prefixes: [],
  strength: 'normal',
  runs: 'inline',
  check: checkUnsalted,
};

export const plainScheme: PasswordScheme = {
  names: ['PLAIN', 'CLEARTEXT', 'CLEAR'],
  prefixes: [],
  strength: 'weak',
  runs: 'inline',
  check: checkPlain,
};
