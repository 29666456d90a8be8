/** Arguments of AUTHENTICATE, ID, ENABLE, COMPRESS (RFC 9051 §6.2.2, §6.3.1; RFC 4959, RFC 2971), and the head of every command. */
import { CLOSE, type Cursor, OPEN, type Reader } from './cursor.ts';
import { nstring, string, tag, takeNil, upperAtom } from './strings.ts';
import type { AuthenticateRequest, IdFields } from './syntax-tree.ts';

/** Who and what: the tag, and the command's name in upper case. */
export interface CommandHead {
  readonly tag: string;
  readonly name: string;
  /** `UID` stood before the name. */
  readonly uid: boolean;
}

/** Tags longer than this are not repeated to the client. */
export const MAX_TAG_OCTETS = 256;

/** The tag and the space after it. Read it apart from the name, so that an error in the name has a tag to answer. */
export const commandTag: Reader<string> = (cursor) => {
  const start = cursor.offset;
  const value = tag(cursor);
  if (value.length > MAX_TAG_OCTETS) cursor.fail('Tag too long', start);
  cursor.space();
  return value;
};

/** The name after the tag; the cursor is left before the space of the first argument. */
export const commandName: Reader<Omit<CommandHead, 'tag'>> = (cursor) => {
  const name = cursor.word('Command expected');
  if (name !== 'UID') return { name, uid: false };
  cursor.space();
  return { name: cursor.word('Command expected'), uid: true };
};

export const commandHead: Reader<CommandHead> = (cursor) => {
  const value = commandTag(cursor);
  return { tag: value, ...commandName(cursor) };
};

const EQUALS = 0x3d;

function isBase64(octet: number): boolean {
  return (octet >= 0x41 && octet <= 0x5a) || (octet >= 0x61 && octet <= 0x7a) || (octet >= 0x2f && octet <= 0x39) || octet === 0x2b;
}

/** base64 with its padding, up to a space or the end. Also for the lines of a SASL exchange. */
export const base64: Reader<Buffer> = (cursor) => {
  const start = cursor.offset;
  const { text } = cursor;
  let offset = start;
  while (isBase64(text[offset] ?? 0)) offset += 1;
  const letters = offset - start;
  while (text[offset] === EQUALS && offset - start - letters < 2) offset += 1;
  cursor.offset = offset;
  if (letters === 0 || (offset - start) % 4 !== 0) cursor.fail('Wrong base64', start);
  return Buffer.from(text.toString('latin1', start, offset), 'base64');
};

/** mechanism and, after a space, the initial response: base64, or `=` for an empty one. */
export const authenticateRequest: Reader<AuthenticateRequest> = (cursor) => {
  const mechanism = upperAtom(cursor);
  if (!cursor.takeSeparator()) return { mechanism, initialResponse: undefined };
  if (cursor.take(EQUALS)) return { mechanism, initialResponse: Buffer.alloc(0) };
  return { mechanism, initialResponse: base64(cursor) };
};

/** RFC 2971 §3.3. */
const MAX_ID_FIELDS = 30;
const MAX_ID_NAME = 30;
const MAX_ID_VALUE = 1024;

/** `NIL`, or `("name" "pochard" "version" NIL)`. Of a name that stands twice the last counts. */
export const idFields: Reader<IdFields> = (cursor) => {
  const fields = new Map<string, string | null>();
  if (takeNil(cursor)) return fields;
  cursor.expect(OPEN, 'List expected');
  cursor.skipSpaces();
  let count = 0;
  while (!cursor.take(CLOSE)) {
    idField(cursor, fields);
    count += 1;
    if (count > MAX_ID_FIELDS) cursor.fail('Too many fields');
    if (!cursor.takeSeparator() && cursor.peek() !== CLOSE) cursor.fail('Closing parenthesis expected');
  }
  return fields;
};

function idField(cursor: Cursor, fields: Map<string, string | null>): void {
  const start = cursor.offset;
  const name = string(cursor);
  if (name.length > MAX_ID_NAME) cursor.fail('Field name too long', start);
  cursor.space();
  const at = cursor.offset;
  const value = nstring(cursor);
  if (value !== null && value.length > MAX_ID_VALUE) cursor.fail('Field value too long', at);
  fields.set(name.toLowerCase(), value);
}

/** `CONDSTORE QRESYNC`: one or more names in upper case, up to the end. Unknown ones are legal (RFC 5161). */
export const capabilityNames: Reader<readonly string[]> = (cursor) => {
  const names = [upperAtom(cursor)];
  while (cursor.takeSeparator()) names.push(upperAtom(cursor));
  return [...new Set(names)];
};
