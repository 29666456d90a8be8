/** SORT and THREAD (RFC 5256, 5957, 5267). */
import { type Cursor, list, oneOf, type Reader } from './cursor.ts';
import { charset, searchKeys, takeReturns } from './search.ts';
import { upperAtom } from './strings.ts';
import type { SortCriterion, SortKeyName, SortProgram, ThreadProgram } from './syntax-tree.ts';

const SORT_KEYS = [
  'ARRIVAL',
  'CC',
  'DATE',
  'DISPLAYFROM',
  'DISPLAYTO',
  'FROM',
  'RELEVANCY',
  'SIZE',
  'SUBJECT',
  'TO',
] as const satisfies readonly SortKeyName[];

const sortWord = oneOf<SortKeyName | 'REVERSE'>(
  [['REVERSE', 'REVERSE'], ...SORT_KEYS.map((key) => [key, key] as const)],
  'Unknown sort key',
);

const criterion: Reader<SortCriterion> = (cursor) => {
  const word = sortWord(cursor);
  if (word !== 'REVERSE') return { key: word, reverse: false };
  cursor.space();
  const key = sortWord(cursor);
  return key === 'REVERSE' ? cursor.fail('Sort key expected') : { key, reverse: true };
};

const criteria = list(criterion, 1);
/** Each key once each way, at the most: what is repeated decides nothing. */
const MAX_CRITERIA = 2 * SORT_KEYS.length;

function sortCriteria(cursor: Cursor): readonly SortCriterion[] {
  const found = criteria(cursor);
  return found.length > MAX_CRITERIA ? cursor.fail('Too many sort keys') : found;
}

/** The arguments of SORT and UID SORT. @throws ImapSyntaxError, BadCharset */
export const sortProgram: Reader<SortProgram> = (cursor) => {
  const returns = takeReturns(cursor);
  const order = sortCriteria(cursor);
  cursor.space();
  const { name, decode } = charset(cursor);
  cursor.space();
  return { returns, criteria: order, charset: name, key: searchKeys(cursor, decode) };
};

/** The arguments of THREAD and UID THREAD. @throws ImapSyntaxError, BadCharset */
export const threadProgram: Reader<ThreadProgram> = (cursor) => {
  const algorithm = upperAtom(cursor);
  cursor.space();
  const { name, decode } = charset(cursor);
  cursor.space();
  return { algorithm, charset: name, key: searchKeys(cursor, decode) };
};
