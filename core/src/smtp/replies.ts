/** From a domain error to an SMTP reply: RFC 5321 §4.2, enhanced codes of RFC 3463. In doubt 4xx: the sender still has the mail. */
import { MailError, type MailErrorCode } from '../mail/errors.ts';

export interface Reply {
  readonly code: number;
  readonly enhanced: string;
  readonly text: string;
}

const replies = {
  credentials: [535, '5.7.8', 'Authentication credentials invalid'],
  disabled: [550, '5.2.1', 'Mailbox disabled'],
  unavailable: [451, '4.3.0', 'Temporarily unavailable, try again later'],
  locked: [451, '4.3.0', 'Temporarily unavailable, try again later'],
  'no-such-account': [550, '5.1.1', 'No such recipient here'],
  'no-such-recipient': [550, '5.1.1', 'No such recipient here'],
  'no-such-mailbox': [550, '5.1.1', 'No such mailbox'],
  'no-such-target': [550, '5.1.1', 'No such mailbox'],
  'mailbox-exists': [451, '4.3.0', 'Temporarily unavailable, try again later'],
  taken: [451, '4.3.0', 'Temporarily unavailable, try again later'],
  'invalid-name': [553, '5.1.3', 'Bad address syntax'],
  'not-selectable': [451, '4.3.0', 'Temporarily unavailable, try again later'],
  'has-children': [451, '4.3.0', 'Temporarily unavailable, try again later'],
  'read-only': [451, '4.3.0', 'Temporarily unavailable, try again later'],
  'over-quota': [452, '4.2.2', 'Mailbox full'],
  'too-big': [552, '5.3.4', 'Message too big'],
  limit: [452, '4.5.3', 'Limit reached'],
  rate: [450, '4.7.1', 'Too many requests, try again later'],
  forbidden: [550, '5.7.1', 'Not permitted'],
  policy: [550, '5.7.1', 'Refused by policy'],
  held: [550, '5.7.1', 'Not permitted'],
  unsupported: [504, '5.5.4', 'Not supported'],
  expunged: [451, '4.3.0', 'Temporarily unavailable, try again later'],
  invalid: [554, '5.6.0', 'Message refused'],
  damaged: [451, '4.3.0', 'Temporarily unavailable, try again later'],
  bug: [451, '4.3.0', 'Local error in processing'],
} as const satisfies Record<MailErrorCode, readonly [code: number, enhanced: string, text: string]>;

/** Codes whose own words were made for the sender (a plugin's refusal, a limit that is named); the others get the fixed text. */
const spoken: ReadonlySet<MailErrorCode> = new Set(['policy', 'forbidden', 'limit', 'invalid', 'too-big', 'rate', 'held']);

export function replyTo(error: unknown): Reply {
  if (!(error instanceof MailError)) return toReply(replies.bug);
  const reply = toReply(replies[error.code]);
  return spoken.has(error.code) && error.message !== '' ? { ...reply, text: error.message } : reply;
}

function toReply([code, enhanced, text]: readonly [number, string, string]): Reply {
  return { code, enhanced, text };
}
