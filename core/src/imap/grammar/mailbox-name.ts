/** mailbox and list-mailbox (RFC 9051 §5.1, §9; RFC 3501 §5.1.3): on the wire modified UTF-7, or UTF-8 once that is agreed. */
import { ASTRING_CHAR, type Cursor, LIST_CHAR, type Reader } from './cursor.ts';
import { decodeModifiedUtf7 } from './modified-utf7.ts';
import { stringOr, utf8Text } from './strings.ts';

/** C0, DEL, C1, and the two line separators (RFC 9051 §5.1): they end up in logs and in front of people. */
function hasForbidden(name: string): boolean {
  for (let index = 0; index < name.length; index += 1) {
    const code = name.charCodeAt(index);
    if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code === 0x2028 || code === 0x2029) return true;
  }
  return false;
}

function decode(cursor: Cursor, octets: Buffer, offset: number): string {
  let name: string;
  if (cursor.context.utf8) {
    name = utf8Text(cursor, octets, offset);
  } else {
    const decoded = decodeModifiedUtf7(octets);
    if (typeof decoded !== 'string') return cursor.fail(decoded.message, offset);
    name = decoded;
  }
  return hasForbidden(name) ? cursor.fail('Wrong character in a mailbox name', offset) : name;
}

const nameOctets = stringOr(ASTRING_CHAR);
const patternOctets = stringOr(LIST_CHAR);

/** A mailbox name in Unicode; INBOX in any case is `INBOX`. May be empty, may end with a delimiter: the command judges that. */
export const mailboxName: Reader<string> = (cursor) => {
  const start = cursor.offset;
  const name = decode(cursor, nameOctets(cursor), start);
  return name.length === 5 && name.toUpperCase() === 'INBOX' ? 'INBOX' : name;
};

/** The reference of LIST: as a name, but INBOX is nothing special in it. */
export const listReference: Reader<string> = (cursor) => {
  const start = cursor.offset;
  return decode(cursor, nameOctets(cursor), start);
};

/** A pattern of LIST and LSUB. */
export const listPattern: Reader<string> = (cursor) => {
  const start = cursor.offset;
  return decode(cursor, patternOctets(cursor), start);
};
