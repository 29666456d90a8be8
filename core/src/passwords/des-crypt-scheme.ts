import unixCrypt from 'unix-crypt-td-js';

import { matchesCrypt, matchStored } from './crypt-text.ts';
import { invalidStored } from './encodings.ts';
import type { PasswordScheme, SchemeCheck, StoredPassword } from './scheme.ts';

const KEY_OCTETS = 8;
const desText = /^[./0-9A-Za-z]{13}$/;

function parseDesCrypt(stored: StoredPassword): string {
  if (matchStored(stored, desText) === undefined) throw invalidStored(stored.name, 'not a whole crypt string');
  return stored.encoded;
}

/** Only eight octets, and of each only seven bits, count. */
export const check: SchemeCheck = (secret, stored) => {
  const expected = parseDesCrypt(stored);
  return matchesCrypt(secret.subarray(0, KEY_OCTETS), expected, (key) => unixCrypt(Array.from(key), expected.slice(0, 2)));
};

/** The crypt(3) of 1979. */
export const desCryptScheme: PasswordScheme = {
  names: ['DES-CRYPT'],
  prefixes: [],
  bareForm: desText,
  strength: 'weak',
  runs: new URL(import.meta.url),
  check,
  validate: parseDesCrypt,
};
