import { hash as digestOf } from 'node:crypto';

import { costLimits } from './cost-limits.ts';
import { crypt64Value, matchesCrypt, matchStored, toCrypt64 } from './crypt-text.ts';
import { invalidStored } from './encodings.ts';
import type { PasswordScheme, SchemeCheck, StoredPassword } from './scheme.ts';

interface PhpassHash {
  readonly rounds: number;
  readonly salt: Buffer;
  readonly hash: string;
}

const MIN_COST = 7;
const order = [2, 1, 0, 5, 4, 3, 8, 7, 6, 11, 10, 9, 14, 13, 12, -1, -1, 15];

function parsePhpass(stored: StoredPassword): PhpassHash {
  const [, costText = '', salt = '', hash = ''] =
    matchStored(stored, /^\$[PH]\$([./0-9A-Za-z])([./0-9A-Za-z]{8})([./0-9A-Za-z]{22})$/) ?? [];
  const cost = crypt64Value(costText);
  if (hash === '' || cost < MIN_COST) throw invalidStored(stored.name, 'not a portable hash of phpass');
  if (cost > costLimits.phpassCost) throw invalidStored(stored.name, 'too much work');
  return { rounds: 2 ** cost, salt: Buffer.from(salt, 'latin1'), hash };
}

function phpass(key: Uint8Array, { rounds, salt }: PhpassHash): string {
  let state = digestOf('md5', Buffer.concat([salt, key]), 'buffer');
  const message = Buffer.alloc(state.length + key.length);
  message.set(key, state.length);
  for (let round = 0; round < rounds; round++) {
    message.set(state);
    state = digestOf('md5', message, 'buffer');
  }
  message.fill(0);
  return toCrypt64(state, order, 22);
}

export const check: SchemeCheck = (secret, stored) => {
  const parsed = parsePhpass(stored);
  return matchesCrypt(secret, parsed.hash, (key) => phpass(key, parsed));
};

/** The "portable hashes" of Openwall's phpass: WordPress and others (`$P$`), phpBB (`$H$`). */
export const phpassScheme: PasswordScheme = {
  names: ['PHPASS'],
  prefixes: ['$P$', '$H$'],
  strength: 'normal',
  runs: new URL(import.meta.url),
  check,
  validate: parsePhpass,
};
