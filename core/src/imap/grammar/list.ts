/** LIST, basic and extended, and STATUS items (RFC 9051 §6.3.9, §6.3.11; RFC 5258, 5819, 6154, 7889, 8438, 8440, 8474, 9208). */
import { type Cursor, list, nameOf, OPEN, type Reader } from './cursor.ts';
import { listPattern, listReference } from './mailbox-name.ts';
import { metadataEntries } from './metadata.ts';
import type { ListRequest, ListReturn, ListSelection, StatusItem } from './syntax-tree.ts';

/** Patterns of one LIST, each of which is tried on every mailbox. */
export const MAX_PATTERNS = 64;

const STATUS_ITEMS = [
  'MESSAGES',
  'RECENT',
  'UIDNEXT',
  'UIDVALIDITY',
  'UNSEEN',
  'DELETED',
  'DELETED-STORAGE',
  'SIZE',
  'HIGHESTMODSEQ',
  'MAILBOXID',
  'APPENDLIMIT',
] as const satisfies readonly StatusItem[];

const statusList = list(nameOf(STATUS_ITEMS, 'Unknown STATUS item'), 1);

/** `(MESSAGES UNSEEN)`, each item once. */
export const statusItems: Reader<readonly StatusItem[]> = (cursor) => [...new Set(statusList(cursor))];

const selectionList = list(
  nameOf(['SUBSCRIBED', 'REMOTE', 'RECURSIVEMATCH', 'SPECIAL-USE'] as const satisfies readonly ListSelection[], 'Unknown selection option'),
);
const NO_SELECTION: ReadonlySet<ListSelection> = new Set();
const NO_RETURNS: ListReturn = Object.freeze({
  subscribed: false,
  children: false,
  specialUse: false,
  myRights: false,
  metadata: Object.freeze([]),
  status: Object.freeze([]),
});

function selectionOptions(cursor: Cursor): ReadonlySet<ListSelection> {
  const start = cursor.offset;
  const options = new Set(selectionList(cursor));
  // It qualifies another option, and REMOTE is none that it could (RFC 5258 §3.1).
  if (options.has('RECURSIVEMATCH') && !options.has('SUBSCRIBED') && !options.has('SPECIAL-USE')) {
    cursor.fail('RECURSIVEMATCH needs another selection option', start);
  }
  return options;
}

const returnWord = nameOf(['SUBSCRIBED', 'CHILDREN', 'SPECIAL-USE', 'MYRIGHTS', 'METADATA', 'STATUS'], 'Unknown RETURN option');

function returnOptions(cursor: Cursor): ListReturn {
  const start = cursor.offset;
  if (cursor.takeWord() !== 'RETURN') cursor.fail('RETURN expected', start);
  cursor.space();
  let returns = NO_RETURNS;
  list((at) => {
    const option = returnWord(at);
    if (option === 'STATUS') {
      at.space();
      returns = { ...returns, status: statusItems(at) };
    } else if (option === 'METADATA') {
      at.space();
      returns = { ...returns, metadata: metadataEntries(at) };
    } else if (option === 'SPECIAL-USE') {
      returns = { ...returns, specialUse: true };
    } else if (option === 'MYRIGHTS') {
      returns = { ...returns, myRights: true };
    } else {
      returns = { ...returns, [option.toLowerCase()]: true };
    }
  })(cursor);
  return returns;
}

const patternList = list(listPattern, 1);

/** The arguments of LIST. */
export const listRequest: Reader<ListRequest> = (cursor) => {
  let extended = false;
  let selection = NO_SELECTION;
  if (cursor.peek() === OPEN) {
    extended = true;
    selection = selectionOptions(cursor);
    cursor.space();
  }
  const reference = listReference(cursor);
  cursor.space();
  const start = cursor.offset;
  let patterns: readonly string[];
  if (cursor.peek() === OPEN) {
    extended = true;
    patterns = [...new Set(patternList(cursor))];
    if (patterns.length > MAX_PATTERNS) cursor.fail('Too many patterns', start);
  } else {
    patterns = [listPattern(cursor)];
  }
  let returns = NO_RETURNS;
  if (cursor.takeSeparator()) {
    extended = true;
    returns = returnOptions(cursor);
  }
  return { extended, selection, reference, patterns, returns };
};
