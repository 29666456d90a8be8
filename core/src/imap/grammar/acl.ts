/** Arguments of the commands on access control lists (RFC 4314 §7). */
import type { Cursor, Reader } from './cursor.ts';
import { astring } from './strings.ts';

/** A change of rights: `lrs` in place of those there were, `+w`, `-t`. */
export interface RightsChange {
  readonly mode: 'replace' | 'add' | 'remove';
  /** Lower-case letters and digits. */
  readonly letters: string;
}

const MAX_IDENTIFIER_LENGTH = 400;

/** Control characters would end up in logs and in front of people. */
function hasForbidden(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return true;
  }
  return false;
}

/** A user, `anyone`, or either with `-` before it. */
export const aclIdentifier: Reader<string> = (cursor: Cursor) => {
  const start = cursor.offset;
  const identifier = astring(cursor);
  if (identifier === '' || identifier === '-' || identifier.length > MAX_IDENTIFIER_LENGTH || hasForbidden(identifier))
    cursor.fail('Not an identifier', start);
  return identifier;
};

/** mod-rights. */
export const rightsChange: Reader<RightsChange> = (cursor: Cursor) => {
  const start = cursor.offset;
  const text = astring(cursor);
  const mode = text.startsWith('+') ? 'add' : text.startsWith('-') ? 'remove' : 'replace';
  const letters = mode === 'replace' ? text : text.slice(1);
  return /^[a-z0-9]{0,36}$/.test(letters) ? { mode, letters } : cursor.fail('Not a set of rights', start);
};
