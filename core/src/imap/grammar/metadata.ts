/** GETMETADATA and SETMETADATA (RFC 5464 §5), and the entries of LIST RETURN (METADATA ...) (RFC 9590). */
import { CLOSE, type Cursor, list, nameOf, OPEN, type Reader, SPACE } from './cursor.ts';
import { mailboxName } from './mailbox-name.ts';
import { number } from './numbers.ts';
import { astringOctets, stringOctets, takeNil } from './strings.ts';
import type { GetMetadataRequest, MetadataDepth, MetadataEntry, SetMetadataRequest } from './syntax-tree.ts';

/** Entries of one command. */
export const MAX_METADATA_ENTRIES = 256;
const MAX_ENTRY_OCTETS = 1024;
const SLASH = 0x2f;

/** RFC 5464 §3.2: components of printable ASCII but `*` and `%`, none of them empty, the first a scope. */
export const metadataEntry: Reader<MetadataEntry> = (cursor) => {
  const start = cursor.offset;
  const octets = astringOctets(cursor);
  if (octets.length > MAX_ENTRY_OCTETS) cursor.fail('Entry name too long', start);
  let before = 0;
  for (const octet of octets) {
    if (octet < SPACE || octet > 0x7e || octet === 0x2a || octet === 0x25) cursor.fail('Wrong character in an entry name', start);
    if (octet === SLASH && before === SLASH) cursor.fail('Empty component in an entry name', start);
    before = octet;
  }
  const asked = octets.toString('latin1');
  const name = asked.toLowerCase();
  const scope = name.split('/', 2)[1];
  if (!name.startsWith('/') || (scope !== 'private' && scope !== 'shared')) cursor.fail('Entry is neither private nor shared', start);
  return before === SLASH ? cursor.fail('Empty component in an entry name', start) : { name, asked };
};

const entryList = list(metadataEntry, 1);

/** One entry, or several in parentheses. */
export const metadataEntries: Reader<readonly MetadataEntry[]> = (cursor) => {
  if (cursor.peek() !== OPEN) return [metadataEntry(cursor)];
  const start = cursor.offset;
  const entries = new Map(entryList(cursor).map((entry) => [entry.name, entry]));
  return entries.size > MAX_METADATA_ENTRIES ? cursor.fail('Too many entries', start) : [...entries.values()];
};

const optionName = nameOf(['MAXSIZE', 'DEPTH'], 'Unknown option');
const depth = nameOf(['0', '1', 'INFINITY'] as const satisfies readonly MetadataDepth[], 'Unknown DEPTH');

interface Options {
  readonly maxSize: number | undefined;
  readonly depth: MetadataDepth;
}
const NO_OPTIONS: Options = Object.freeze({ maxSize: undefined, depth: '0' });

const options: Reader<Options> = (cursor) => {
  let found = NO_OPTIONS;
  list((at) => {
    const name = optionName(at);
    at.space();
    found = name === 'DEPTH' ? { ...found, depth: depth(at) } : { ...found, maxSize: number(at) };
  }, 1)(cursor);
  return found;
};

/** A parenthesis that holds options: entries begin with a slash, or are strings. */
function atOptions(cursor: Cursor): boolean {
  if (cursor.peek() !== OPEN) return false;
  const start = cursor.offset;
  cursor.offset += 1;
  cursor.skipSpaces();
  const isOption = cursor.takeWord() !== '' || cursor.peek() === CLOSE;
  cursor.offset = start;
  return isOption;
}

/** The grammar has the options before the mailbox, the examples of RFC 5464 §4.2 behind it; both are spoken. */
export const getMetadataRequest: Reader<GetMetadataRequest> = (cursor) => {
  let found = NO_OPTIONS;
  if (cursor.peek() === OPEN) {
    found = options(cursor);
    cursor.space();
  }
  const mailbox = mailboxName(cursor);
  cursor.space();
  if (atOptions(cursor)) {
    found = options(cursor);
    cursor.space();
  }
  return { mailbox, ...found, entries: metadataEntries(cursor) };
};

/** nstring or literal8, in octets. */
const value: Reader<Buffer | null> = (cursor) => {
  if (takeNil(cursor)) return null;
  const start = cursor.offset;
  const literal = cursor.takeLiteral();
  if (literal === undefined) return stringOctets(cursor);
  if (literal.octets === undefined) return cursor.fail('Literal not allowed here', start);
  if (!literal.binary && literal.octets.includes(0)) cursor.fail('NUL in a literal', start);
  return literal.octets;
};

/** Of an entry that stands twice the last value counts. */
export const setMetadataRequest: Reader<SetMetadataRequest> = (cursor) => {
  const mailbox = mailboxName(cursor);
  cursor.space();
  const start = cursor.offset;
  const entries = new Map<string, Buffer | null>();
  list((at) => {
    const from = at.offset;
    const { name } = metadataEntry(at);
    if (name.indexOf('/', 1) < 0) at.fail('Entry name is only a scope', from);
    at.space();
    entries.set(name, value(at));
  }, 1)(cursor);
  return entries.size > MAX_METADATA_ENTRIES ? cursor.fail('Too many entries', start) : { mailbox, entries };
};
