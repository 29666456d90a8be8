/** The arguments of NOTIFY (RFC 5465 §8). */
import { CLOSE, type Cursor, list, OPEN, type Reader } from './cursor.ts';
import { fetchItemList } from './fetch.ts';
import { type FilterKind, type MailboxFilter, mailboxFilter } from './mailbox-filter.ts';
import { atom } from './strings.ts';
import type { FetchItem } from './syntax-tree.ts';

export interface NotifyGroup {
  readonly filter: MailboxFilter;
  /** Upper case; may be ones that we do not know. Empty: NONE. */
  readonly events: ReadonlySet<string>;
  /** Of MessageNew; empty if there are none. */
  readonly fetchItems: readonly FetchItem[];
}

export interface NotifyRequest {
  /** STATUS of the mailboxes is wanted now. */
  readonly status: boolean;
  /** Undefined: NOTIFY NONE. */
  readonly groups: readonly NotifyGroup[] | undefined;
}

export const MAX_NOTIFY_GROUPS = 64;

const FILTERS: readonly FilterKind[] = ['SELECTED', 'SELECTED-DELAYED', 'INBOXES', 'PERSONAL', 'SUBSCRIBED', 'SUBTREE', 'MAILBOXES'];
const filter = mailboxFilter(FILTERS);

interface Event {
  readonly name: string;
  readonly fetchItems: readonly FetchItem[];
}

/** `MessageNew (UID FLAGS)`: the list belongs to the event before it. */
const event: Reader<Event> = (cursor) => {
  const name = atom(cursor).toUpperCase();
  if (name !== 'MESSAGENEW') return { name, fetchItems: [] };
  const end = cursor.offset;
  cursor.skipSpaces();
  if (cursor.offset > end && cursor.peek() === OPEN) return { name, fetchItems: fetchItemList(cursor) };
  cursor.offset = end;
  return { name, fetchItems: [] };
};
const eventList = list(event, 1);

function hasAll(events: ReadonlySet<string>, ...names: readonly string[]): boolean {
  return names.every((name) => events.has(name));
}

/** Rules of RFC 5465 §3.1 and §5 that make a request senseless rather than unsupported. */
function checked(cursor: Cursor, group: NotifyGroup, start: number): NotifyGroup {
  const { events, fetchItems } = group;
  const isSelected = group.filter.kind.startsWith('SELECTED');
  if (events.has('MESSAGENEW') !== events.has('MESSAGEEXPUNGE')) cursor.fail('MessageNew and MessageExpunge go together', start);
  if ((events.has('FLAGCHANGE') || events.has('ANNOTATIONCHANGE')) && !hasAll(events, 'MESSAGENEW', 'MESSAGEEXPUNGE'))
    cursor.fail('FlagChange needs MessageNew and MessageExpunge', start);
  if (fetchItems.length > 0 && !isSelected) cursor.fail('Only the selected mailbox can be fetched from', start);
  if (isSelected && (events.has('MAILBOXNAME') || events.has('SUBSCRIPTIONCHANGE') || events.has('MAILBOXMETADATACHANGE')))
    cursor.fail('Only message events concern the selected mailbox', start);
  return group;
}

function group(cursor: Cursor): NotifyGroup {
  const start = cursor.offset;
  cursor.expect(OPEN, 'List expected');
  cursor.skipSpaces();
  const found = filter(cursor);
  cursor.space();
  let events: readonly Event[] = [];
  if (cursor.peek() === OPEN) events = eventList(cursor);
  else {
    const at = cursor.offset;
    if (cursor.takeWord() !== 'NONE') cursor.fail('Events expected', at);
  }
  cursor.skipSpaces();
  cursor.expect(CLOSE, 'Closing parenthesis expected');
  const names = new Set(events.map(({ name }) => name));
  return checked(cursor, { filter: found, events: names, fetchItems: events.flatMap(({ fetchItems }) => fetchItems) }, start);
}

/** `NONE`, or `SET [STATUS]` and groups. */
export const notifyRequest: Reader<NotifyRequest> = (cursor) => {
  const start = cursor.offset;
  const word = cursor.takeWord();
  if (word === 'NONE') return { status: false, groups: undefined };
  if (word !== 'SET') return cursor.fail('SET or NONE expected', start);
  cursor.space();
  const at = cursor.offset;
  let status = false;
  if (cursor.peek() !== OPEN) {
    status = cursor.takeWord() === 'STATUS';
    if (!status) cursor.fail('Event group expected', at);
    cursor.space();
  }
  const groups = [group(cursor)];
  while (cursor.takeSeparator()) groups.push(group(cursor));
  if (groups.length > MAX_NOTIFY_GROUPS) cursor.fail('Too many event groups', at);
  if (groups.filter(({ filter: { kind } }) => kind.startsWith('SELECTED')).length > 1)
    cursor.fail('Two groups for the selected mailbox', at);
  return { status, groups };
};
