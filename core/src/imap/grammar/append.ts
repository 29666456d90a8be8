/** APPEND (RFC 9051 §6.3.12; RFC 3502 MULTIAPPEND, RFC 4469 CATENATE, RFC 9755 UTF8), and the message argument of REPLACE (RFC 8508). */
import type { Literal } from '../../net/line-reader.ts';
import { CLOSE, type Cursor, OPEN, QUOTE, type Reader } from './cursor.ts';
import { dateTime } from './dates.ts';
import { flagList } from './flags.ts';
import { mailboxName } from './mailbox-name.ts';
import { anyLiteral, astring } from './strings.ts';
import type { AppendMessage, AppendRequest, CatenatePart, DateTime, FlagName } from './syntax-tree.ts';

/** Messages of one APPEND; each has a literal, and those are counted too. */
export const MAX_APPEND_MESSAGES = 256;

/** Parts of one message; each URL is looked up. */
export const MAX_CATENATE_PARTS = 256;

const NO_FLAGS: readonly FlagName[] = Object.freeze([]);

/**
 * `so far`: the command stops at a literal that is only announced, so the end of the text closes whatever is open.
 * `complete`: nothing may be missing.
 */
type Extent = 'complete' | 'so far';

function close(cursor: Cursor, extent: Extent): void {
  cursor.skipSpaces();
  if (extent === 'so far' && cursor.atEnd) return;
  cursor.expect(CLOSE, 'Closing parenthesis expected');
}

/** Takes a literal that is only announced, so that nobody can know yet what it holds. */
function isAnnounced(cursor: Cursor, extent: Extent): boolean {
  if (extent === 'complete') return false;
  const start = cursor.offset;
  const literal = cursor.takeLiteral();
  if (literal !== undefined && literal.octets === undefined && cursor.atEnd) return true;
  cursor.offset = start;
  return false;
}

/** `(~{n}...)` after UTF8 (RFC 6855 §4). */
function utf8Literal(cursor: Cursor, extent: Extent): Literal {
  cursor.expect(OPEN, 'List expected');
  cursor.skipSpaces();
  const content = anyLiteral(cursor);
  close(cursor, extent);
  return content;
}

function catenate(cursor: Cursor, extent: Extent): CatenatePart[] {
  const parts: CatenatePart[] = [];
  cursor.expect(OPEN, 'List expected');
  cursor.skipSpaces();
  do {
    const start = cursor.offset;
    const kind = cursor.takeWord();
    if (kind !== 'URL' && kind !== 'TEXT' && kind !== 'UTF8') cursor.fail('URL or TEXT expected', start);
    if (parts.length === MAX_CATENATE_PARTS) cursor.fail('Too many parts', start);
    cursor.space();
    if (kind === 'URL') parts.push({ url: isAnnounced(cursor, extent) ? '' : astring(cursor) });
    else if (kind === 'TEXT') parts.push({ literal: anyLiteral(cursor), utf8: false });
    else parts.push({ literal: utf8Literal(cursor, extent), utf8: true });
  } while (cursor.takeSeparator() && cursor.peek() !== CLOSE);
  close(cursor, extent);
  return parts;
}

function message(cursor: Cursor, extent: Extent): AppendMessage {
  let flags = NO_FLAGS;
  let internalDate: DateTime | undefined;
  if (cursor.peek() === OPEN) {
    flags = flagList(cursor);
    cursor.space();
  }
  if (cursor.peek() === QUOTE) {
    internalDate = dateTime(cursor);
    cursor.space();
  }
  const literal = cursor.takeLiteral();
  if (literal !== undefined) return { flags, internalDate, utf8: false, content: literal };
  const start = cursor.offset;
  switch (cursor.takeWord()) {
    case 'UTF8':
      cursor.space();
      return { flags, internalDate, utf8: true, content: utf8Literal(cursor, extent) };
    case 'CATENATE':
      cursor.space();
      return { flags, internalDate, utf8: false, content: catenate(cursor, extent) };
    default:
      return cursor.fail('Literal expected', start);
  }
}

function append(cursor: Cursor, extent: Extent): AppendRequest {
  const mailbox = mailboxName(cursor);
  cursor.space();
  const messages = [message(cursor, extent)];
  while (cursor.takeSeparator()) {
    messages.push(message(cursor, extent));
    if (messages.length > MAX_APPEND_MESSAGES) cursor.fail('Too many messages');
  }
  return { mailbox, messages };
}

/** The arguments of APPEND. */
export const appendRequest: Reader<AppendRequest> = (cursor) => append(cursor, 'complete');

/** The arguments of APPEND as far as the literal just announced, the last of the command so far: to judge it before it is sent. */
export const appendSoFar: Reader<AppendRequest> = (cursor) => append(cursor, 'so far');

/** The message of REPLACE. */
export const appendMessage: Reader<AppendMessage> = (cursor) => message(cursor, 'complete');
export const appendMessageSoFar: Reader<AppendMessage> = (cursor) => message(cursor, 'so far');
