/** The arguments of ESEARCH (RFC 7377 §5): mailboxes, and then those of SEARCH. */
import { CLOSE, type Cursor, OPEN, type Reader } from './cursor.ts';
import { type FilterKind, type MailboxFilter, mailboxFilter } from './mailbox-filter.ts';
import { searchProgram } from './search.ts';
import type { SearchProgram } from './syntax-tree.ts';

export interface MultisearchRequest {
  /** Undefined without IN: the selected mailbox. */
  readonly sources: readonly MailboxFilter[] | undefined;
  readonly program: SearchProgram;
}

export const MAX_SEARCH_SOURCES = 64;

const FILTERS: readonly FilterKind[] = ['SELECTED', 'INBOXES', 'PERSONAL', 'SUBSCRIBED', 'SUBTREE', 'SUBTREE-ONE', 'MAILBOXES'];
const source = mailboxFilter(FILTERS);

/** `(mailboxes "a" subtree ("b" "c"))`. Scope options are an extension point that holds nothing yet. */
function sources(cursor: Cursor): readonly MailboxFilter[] {
  const start = cursor.offset;
  cursor.expect(OPEN, 'List expected');
  cursor.skipSpaces();
  const found = [source(cursor)];
  while (cursor.takeSeparator() && cursor.peek() !== CLOSE) {
    if (cursor.peek() === OPEN) cursor.fail('Scope options are not supported');
    found.push(source(cursor));
  }
  cursor.expect(CLOSE, 'Closing parenthesis expected');
  return found.length > MAX_SEARCH_SOURCES ? cursor.fail('Too many mailbox filters', start) : found;
}

export const multisearchRequest: Reader<MultisearchRequest> = (cursor) => {
  const start = cursor.offset;
  if (cursor.takeWord() !== 'IN') {
    cursor.offset = start;
    return { sources: undefined, program: searchProgram(cursor) };
  }
  cursor.space();
  const found = sources(cursor);
  cursor.space();
  return { sources: found, program: searchProgram(cursor) };
};
