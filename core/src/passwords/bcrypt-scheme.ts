import { timingSafeEqual } from 'node:crypto';

import { bcrypt } from './bcrypt.ts';
import { costLimits } from './cost-limits.ts';
import { matchStored } from './crypt-text.ts';
import { invalidStored } from './encodings.ts';
import type { PasswordScheme, SchemeCheck, StoredPassword } from './scheme.ts';

interface BcryptHash {
  readonly cost: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

const KEY_OCTETS = 72;
const MIN_COST = 4;
const ownAlphabet = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function parseBcrypt(stored: StoredPassword): BcryptHash {
  const found = matchStored(stored, /^\$2[aby]\$(\d\d)\$([./A-Za-z0-9]{22})([./A-Za-z0-9]{31})$/);
  const [, costText, salt = '', hash = ''] = found ?? [];
  const cost = Number(costText);
  if (found === undefined || cost < MIN_COST) throw invalidStored(stored.name, 'not a whole $2a$, $2b$ or $2y$ string');
  if (cost > costLimits.bcryptCost) throw invalidStored(stored.name, 'too much work');
  return { cost, salt: fromBcrypt64(salt), hash: fromBcrypt64(hash) };
}

function fromBcrypt64(text: string): Buffer {
  return Buffer.from(
    text.replace(/./g, (character) => alphabet.charAt(ownAlphabet.indexOf(character))),
    'base64',
  );
}

/** The three letters name bugs of the past; today's writers mean the same by them. What is behind octet 72 does not count. */
export const check: SchemeCheck = (secret, stored) => {
  const { cost, salt, hash } = parseBcrypt(stored);
  const key = secret.subarray(0, KEY_OCTETS);
  const nul = key.indexOf(0); // see matchesCrypt
  return timingSafeEqual(bcrypt(nul < 0 ? key : key.subarray(0, nul), salt, cost), hash) && nul < 0;
};

export const bcryptScheme: PasswordScheme = {
  names: ['BLF-CRYPT', 'BCRYPT'],
  prefixes: ['$2a$', '$2b$', '$2y$'],
  strength: 'normal',
  runs: new URL(import.meta.url),
  check,
  validate: parseBcrypt,
};
