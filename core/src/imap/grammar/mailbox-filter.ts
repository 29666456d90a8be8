/** filter-mailboxes: which mailboxes an event or a search is about (RFC 5465 §6, RFC 7377 §2.2). */
import { type Cursor, list, OPEN, type Reader } from './cursor.ts';
import { mailboxName } from './mailbox-name.ts';

export type FilterKind = 'SELECTED' | 'SELECTED-DELAYED' | 'INBOXES' | 'PERSONAL' | 'SUBSCRIBED' | 'SUBTREE' | 'SUBTREE-ONE' | 'MAILBOXES';

export interface MailboxFilter {
  readonly kind: FilterKind;
  /** Of SUBTREE, SUBTREE-ONE and MAILBOXES; else empty. */
  readonly names: readonly string[];
}

/** Names of one filter, each of which is compared with every mailbox. */
export const MAX_FILTER_NAMES = 256;

const nameList = list(mailboxName, 1);

function names(cursor: Cursor): readonly string[] {
  cursor.space();
  if (cursor.peek() !== OPEN) return [mailboxName(cursor)];
  const start = cursor.offset;
  const found = [...new Set(nameList(cursor))];
  return found.length > MAX_FILTER_NAMES ? cursor.fail('Too many mailboxes', start) : found;
}

const NAMED: ReadonlySet<FilterKind> = new Set(['SUBTREE', 'SUBTREE-ONE', 'MAILBOXES']);

/** One of these kinds, with its names. */
export function mailboxFilter(kinds: readonly FilterKind[]): Reader<MailboxFilter> {
  const known = new Map<string, FilterKind>(kinds.map((kind) => [kind, kind]));
  return (cursor) => {
    const start = cursor.offset;
    const kind = known.get(cursor.takeWord());
    if (kind === undefined) return cursor.fail('Unknown mailbox filter', start);
    return { kind, names: NAMED.has(kind) ? names(cursor) : [] };
  };
}
