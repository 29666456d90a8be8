/** SEARCH: keys, CHARSET and RETURN options (RFC 9051 §6.4.4; RFC 4731, 5032, 5182, 5267, 6203, 7162, 8474, 8514, 9394). */
import { CHARSETS, type CharsetDecoder, charsetNamed, decodeUtf8 } from './charset.ts';
import { CLOSE, type Cursor, list, nameOf, OPEN, QUOTE, type Reader } from './cursor.ts';
import { date } from './dates.ts';
import { flag, keyword } from './flags.ts';
import { number64, nzNumber } from './numbers.ts';
import { partialRange, sequenceSet, startsSet } from './sequence-set.ts';
import { astring, astringOctets, headerFieldName, stringOctets, utf8Text } from './strings.ts';
import { BadCharset, ImapSyntaxError } from './syntax-error.ts';
import type { ModSeqEntry, SearchKey, SearchProgram, SearchReturn, SearchTextField } from './syntax-tree.ts';

/** A key may cost a look into every message. */
export const MAX_SEARCH_KEYS = 1_000;
/** objectid (RFC 8474 §7). */
const MAX_OBJECT_ID_OCTETS = 255;

/** What a key needs to know of the command around it. */
interface Search {
  readonly decode: CharsetDecoder;
  /** Keys so far, of any kind. */
  keys: number;
}

type KeyReader = (cursor: Cursor, search: Search) => SearchKey;

function constant(key: SearchKey): KeyReader {
  Object.freeze(key);
  return () => key;
}

function flagKeys(name: string): (readonly [string, KeyReader])[] {
  const word = name.slice(1).toUpperCase();
  return [
    [word, constant({ op: 'flag', flag: name, set: true })],
    [`UN${word}`, constant({ op: 'flag', flag: name, set: false })],
  ];
}

/** Text in the command's charset. */
function searchText(cursor: Cursor, search: Search): string {
  const start = cursor.offset;
  return search.decode(astringOctets(cursor)) ?? cursor.fail('Text is not in the given charset', start);
}

function textKey(op: SearchTextField): readonly [string, KeyReader] {
  return [
    op.toUpperCase(),
    (cursor, search) => {
      cursor.space();
      return { op, contains: searchText(cursor, search) };
    },
  ];
}

function dateKeys(prefix: string, field: 'internal' | 'sent' | 'saved'): (readonly [string, KeyReader])[] {
  return (['before', 'on', 'since'] as const).map((relation) => [
    prefix + relation.toUpperCase(),
    (cursor) => {
      cursor.space();
      return { op: 'date', field, relation, day: date(cursor) };
    },
  ]);
}

function keywordKey(name: string, set: boolean): readonly [string, KeyReader] {
  return [
    name,
    (cursor) => {
      cursor.space();
      return { op: 'flag', flag: keyword(cursor), set };
    },
  ];
}

function numberKey(name: string, make: (value: number) => SearchKey, reader: Reader<number>): readonly [string, KeyReader] {
  return [
    name,
    (cursor) => {
      cursor.space();
      return make(reader(cursor));
    },
  ];
}

/** objectid: letters, digits, `_` and `-`. */
function objectIdKey(name: string, op: 'emailId' | 'threadId'): readonly [string, KeyReader] {
  return [
    name,
    (cursor) => {
      cursor.space();
      const start = cursor.offset;
      const is = astring(cursor);
      const isId = is.length <= MAX_OBJECT_ID_OCTETS && /^[A-Za-z0-9_-]+$/.test(is);
      return isId ? { op, is } : cursor.fail('Wrong object id', start);
    },
  ];
}

/** One key, one level deeper: the operand of NOT, OR and FUZZY. */
function operand(cursor: Cursor, search: Search): SearchKey {
  cursor.space();
  cursor.enter();
  const key = searchKey(cursor, search);
  cursor.leave();
  return key;
}

const entryTypes = nameOf(['PRIV', 'SHARED', 'ALL'], 'Unknown entry type');

/** `"/flags/\\Seen" all` (RFC 7162 §3.1.5). */
function modSeqEntry(cursor: Cursor): ModSeqEntry {
  const start = cursor.offset;
  const name = utf8Text(cursor, stringOctets(cursor), start);
  const prefix = '/flags/';
  if (name.slice(0, prefix.length).toLowerCase() !== prefix) cursor.fail('Unknown entry name', start);
  const flagName = entryFlag(cursor, name.slice(prefix.length), start);
  cursor.space();
  const type = entryTypes(cursor);
  return { flag: flagName, type: type === 'PRIV' ? 'priv' : type === 'SHARED' ? 'shared' : 'all' };
}

function entryFlag(cursor: Cursor, name: string, start: number): string {
  // The name was quoted in a string; as a flag it has a syntax of its own, with its own offsets.
  const inner = cursor.within(Buffer.from(name, 'utf8'));
  try {
    const value = flag(inner);
    inner.end();
    return value;
  } catch (error) {
    if (error instanceof ImapSyntaxError) return cursor.fail('Unknown entry name', start);
    throw error;
  }
}

const keys: ReadonlyMap<string, KeyReader> = new Map<string, KeyReader>([
  ['ALL', constant({ op: 'all' })],
  ...['\\Answered', '\\Deleted', '\\Draft', '\\Flagged', '\\Seen'].flatMap(flagKeys),
  ['RECENT', constant({ op: 'recent', set: true })],
  ['OLD', constant({ op: 'recent', set: false })],
  [
    'NEW',
    constant({
      op: 'and',
      of: [
        { op: 'recent', set: true },
        { op: 'flag', flag: '\\Seen', set: false },
      ],
    }),
  ],
  keywordKey('KEYWORD', true),
  keywordKey('UNKEYWORD', false),
  ...(['text', 'body', 'subject', 'from', 'to', 'cc', 'bcc'] as const).map(textKey),
  [
    'HEADER',
    (cursor, search) => {
      cursor.space();
      const name = headerFieldName(cursor);
      cursor.space();
      return { op: 'header', name, contains: searchText(cursor, search) };
    },
  ],
  ...dateKeys('', 'internal'),
  ...dateKeys('SENT', 'sent'),
  ...dateKeys('SAVED', 'saved'),
  ['SAVEDATESUPPORTED', constant({ op: 'saveDateSupported' })],
  numberKey('LARGER', (octets) => ({ op: 'larger', octets }), number64),
  numberKey('SMALLER', (octets) => ({ op: 'smaller', octets }), number64),
  numberKey('OLDER', (seconds) => ({ op: 'older', seconds }), nzNumber),
  numberKey('YOUNGER', (seconds) => ({ op: 'younger', seconds }), nzNumber),
  objectIdKey('EMAILID', 'emailId'),
  objectIdKey('THREADID', 'threadId'),
  [
    'MODSEQ',
    (cursor) => {
      cursor.space();
      let entry: ModSeqEntry | undefined;
      if (cursor.peek() === QUOTE) {
        entry = modSeqEntry(cursor);
        cursor.space();
      }
      return { op: 'modSeq', atLeast: number64(cursor), entry };
    },
  ],
  [
    'UID',
    (cursor) => {
      cursor.space();
      return { op: 'uid', in: sequenceSet(cursor) };
    },
  ],
  ['NOT', (cursor, search) => ({ op: 'not', of: operand(cursor, search) })],
  ['FUZZY', (cursor, search) => ({ op: 'fuzzy', of: operand(cursor, search) })],
  ['OR', (cursor, search) => ({ op: 'or', of: [operand(cursor, search), operand(cursor, search)] })],
]);

function searchKey(cursor: Cursor, search: Search): SearchKey {
  search.keys += 1;
  if (search.keys > MAX_SEARCH_KEYS) cursor.fail('Too many search keys');
  const octet = cursor.peek();
  if (startsSet(octet)) return { op: 'sequence', in: sequenceSet(cursor) };
  const start = cursor.offset;
  if (cursor.take(OPEN)) {
    cursor.enter();
    cursor.skipSpaces();
    const key = keyList(cursor, search);
    cursor.leave();
    cursor.expect(CLOSE, 'Closing parenthesis expected');
    return key;
  }
  const read = keys.get(cursor.takeWord());
  return read === undefined ? cursor.fail('Unknown search key', start) : read(cursor, search);
}

/** Keys up to a closing parenthesis or the end of the command; all of them must hold. */
function keyList(cursor: Cursor, search: Search): SearchKey {
  const first = searchKey(cursor, search);
  if (!takesAnother(cursor)) return first;
  const of = [first];
  do of.push(searchKey(cursor, search));
  while (takesAnother(cursor));
  return { op: 'and', of };
}

function takesAnother(cursor: Cursor): boolean {
  return cursor.takeSeparator() && cursor.peek() !== CLOSE;
}

/** The keys of a whole command. */
export function searchKeys(cursor: Cursor, decode: CharsetDecoder): SearchKey {
  return keyList(cursor, { decode, keys: 0 });
}

/** A charset by name. @throws BadCharset */
export function charset(cursor: Cursor): { readonly name: string; readonly decode: CharsetDecoder } {
  const start = cursor.offset;
  const known = charsetNamed(astring(cursor));
  if (known === undefined) throw new BadCharset(start, CHARSETS);
  return known;
}

const NO_RETURNS: SearchReturn = Object.freeze({
  min: false,
  max: false,
  all: false,
  count: false,
  save: false,
  relevancy: false,
  update: false,
  context: false,
  partial: undefined,
});
const returnOptions = nameOf(['MIN', 'MAX', 'ALL', 'COUNT', 'SAVE', 'RELEVANCY', 'UPDATE', 'CONTEXT', 'PARTIAL'], 'Unknown RETURN option');

/** `RETURN (...)` and the space after it, if it is there. */
export function takeReturns(cursor: Cursor): SearchReturn | undefined {
  const start = cursor.offset;
  if (cursor.takeWord() !== 'RETURN') {
    cursor.offset = start;
    return undefined;
  }
  cursor.space();
  let returns = NO_RETURNS;
  list((at) => {
    const option = returnOptions(at);
    if (option === 'PARTIAL') {
      at.space();
      returns = { ...returns, partial: partialRange(at) };
    } else {
      returns = { ...returns, [option.toLowerCase()]: true };
    }
  })(cursor);
  const namesResult = returns.min || returns.max || returns.all || returns.count || returns.partial !== undefined;
  // RETURN () is ALL; SAVE, UPDATE and CONTEXT alone ask for no result (RFC 5182 §2.1, RFC 5267 §4.3).
  if (!namesResult && !returns.save && !returns.update && !returns.context) returns = { ...returns, all: true };
  if (returns.all && returns.partial !== undefined) cursor.fail('ALL and PARTIAL exclude each other', start);
  cursor.space();
  return returns;
}

/** The arguments of SEARCH and UID SEARCH. @throws ImapSyntaxError, BadCharset */
export const searchProgram: Reader<SearchProgram> = (cursor) => {
  const returns = takeReturns(cursor);
  const start = cursor.offset;
  let decode: CharsetDecoder = decodeUtf8;
  let name: string | undefined;
  if (cursor.takeWord() === 'CHARSET') {
    cursor.space();
    ({ name, decode } = charset(cursor));
    cursor.space();
  } else {
    cursor.offset = start;
  }
  return { returns, charset: name, key: searchKeys(cursor, decode) };
};
