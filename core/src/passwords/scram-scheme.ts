import { createHmac, hash as digestOf, pbkdf2Sync, timingSafeEqual } from 'node:crypto';

import { costLimits } from './cost-limits.ts';
import { fromBase64, invalidStored, wholeNumber } from './encodings.ts';
import type { PasswordScheme, SchemeCheck, StoredPassword } from './scheme.ts';

interface ScramVerifier {
  readonly digest: 'sha1' | 'sha256' | 'sha512';
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

const digests = new Map([
  ['SCRAM-SHA-1', ['sha1', 20]],
  ['SCRAM-SHA-256', ['sha256', 32]],
  ['SCRAM-SHA-512', ['sha512', 64]],
] as const);

/** Dovecot's `iterations,salt,StoredKey,ServerKey`, or `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey` (RFC 5803, PostgreSQL). */
function parseScram({ name, encoded }: StoredPassword): ScramVerifier {
  const known = digests.get(name as 'SCRAM-SHA-1');
  const fields = encoded.startsWith(`${name}$`) ? encoded.slice(name.length + 1).split(/[:$]/) : encoded.split(',');
  const [costs, saltText = '', storedText = '', serverText = ''] = fields;
  const iterations = wholeNumber(costs);
  if (known === undefined || fields.length !== 4 || iterations === undefined) throw invalidStored(name, 'not a verifier');
  if (iterations > costLimits.scramIterations) throw invalidStored(name, 'too much work');
  const [digest, length] = known;
  const [salt, storedKey, serverKey] = [fromBase64(name, saltText), fromBase64(name, storedText), fromBase64(name, serverText)];
  if (salt.length === 0) throw invalidStored(name, 'no salt');
  if (storedKey.length !== length || serverKey.length !== length) throw invalidStored(name, 'a key of another length');
  return { digest, iterations, salt, storedKey, serverKey };
}

/** RFC 5802 §3. Both keys have to fit. */
export const check: SchemeCheck = (secret, stored) => {
  const { digest, iterations, salt, storedKey, serverKey } = parseScram(stored);
  const salted = pbkdf2Sync(secret, salt, iterations, storedKey.length, digest);
  const clientKey = createHmac(digest, salted).update('Client Key').digest();
  const isStored = timingSafeEqual(digestOf(digest, clientKey, 'buffer'), storedKey);
  const isServer = timingSafeEqual(createHmac(digest, salted).update('Server Key').digest(), serverKey);
  return isStored && isServer;
};

export const scramScheme: PasswordScheme = {
  names: [...digests.keys()],
  prefixes: [...digests.keys()].map((name) => `${name}$`),
  strength: 'normal',
  runs: new URL(import.meta.url),
  check,
  validate: parseScram,
};
