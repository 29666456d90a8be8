/** What an attempt meant for a recipient, and what the queue's row says after it. Pure: no clock, no store. */
import { MailError, type MailErrorCode } from '../errors.ts';
import type { SubmissionOutcome } from '../journal/entry.ts';
import type { SubmissionSettings } from '../settings.ts';
import { dueAt, type QueuedMessage, type QueuedRecipient, type ReportAction } from './queue-rows.ts';
import type { SmtpReply } from './smtp-client.ts';

export interface AttemptOutcome {
  readonly result: 'sent' | 'deferred' | 'failed';
  readonly reply: SmtpReply;
  /** Who replied; `undefined`: this server. */
  readonly host: string | undefined;
  /** Another server tells the sender what was asked for (RFC 3461 §5.2.2). */
  readonly isTold: boolean;
}
export type QueueSettings = SubmissionSettings['queue'];

/** For good, with the enhanced status code (RFC 3463); whatever is not here may be better next time. */
const PERMANENT: Partial<Record<MailErrorCode, string>> = {
  'no-such-account': '5.1.1',
  'no-such-recipient': '5.1.1',
  'invalid-name': '5.1.3',
  disabled: '5.2.1',
  'too-big': '5.3.4',
  invalid: '5.6.0',
  unsupported: '5.6.3',
  forbidden: '5.7.1',
  policy: '5.7.1',
  held: '5.7.1',
};

/** Of a delivery to an account of this server, or of a hook. */
export function outcomeOfError(error: unknown): AttemptOutcome {
  const status = error instanceof MailError ? PERMANENT[error.code] : undefined;
  if (status !== undefined && error instanceof MailError)
    return { result: 'failed', reply: { code: 550, status, text: error.message }, host: undefined, isTold: false };
  const isFull = error instanceof MailError && error.code === 'over-quota';
  const reply = isFull
    ? { code: 452, status: '4.2.2', text: 'Mailbox full' }
    : { code: 451, status: '4.3.0', text: 'Temporarily unavailable' };
  return { result: 'deferred', reply, host: undefined, isTold: false };
}

/** `undefined` for those who were not tried. */
export function afterAttempts(
  message: QueuedMessage,
  outcomes: ReadonlyMap<number, AttemptOutcome>,
  settings: QueueSettings,
  now: number,
): QueuedMessage {
  const recipients = message.recipients.map((recipient, n) => {
    const outcome = outcomes.get(n);
    return outcome === undefined || recipient.state !== 'waiting' ? recipient : afterAttempt(message, recipient, outcome, settings, now);
  });
  const owes = recipients.some(({ report }, n) => report !== undefined && message.recipients[n]?.report === undefined);
  return { ...message, recipients, ...(owes ? { reportMadeAt: now, reportDueAt: now, reportAttempts: 0 } : {}) };
}

function afterAttempt(
  message: QueuedMessage,
  recipient: QueuedRecipient,
  { result, reply, host, isTold }: AttemptOutcome,
  settings: QueueSettings,
  now: number,
): QueuedRecipient {
  const attempts = recipient.attempts + 1;
  const endsAt = message.submittedAt + settings.lifetimeMs;
  const tried = { ...recipient, attempts, status: reply.status, reply: reply.text, ...(host === undefined ? {} : { host }) };
  if (result === 'sent')
    return owing(message, { ...tried, state: 'settled' }, isTold ? undefined : recipient.goes === 'here' ? 'delivered' : 'relayed');
  if (result === 'failed') return owing(message, { ...tried, state: 'settled' }, 'failed');
  if (now >= endsAt) return owing(message, { ...tried, state: 'settled', status: '4.4.7' }, 'failed');
  // Once more at the very end, and never at once.
  const waiting = { ...tried, dueAt: Math.max(now + settings.retryFirstMs, Math.min(now + backoffMs(attempts, settings), endsAt)) };
  const isLong = settings.delayNoticeMs > 0 && now - message.submittedAt >= settings.delayNoticeMs;
  return isLong && recipient.isDelayTold !== true ? { ...owing(message, waiting, 'delayed'), isDelayTold: true } : waiting;
}

/** NOTIFY (RFC 3461 §4.1); who said nothing hears of failures and delays. The null path hears nothing. */
function owing(message: QueuedMessage, recipient: QueuedRecipient, report: ReportAction | undefined): QueuedRecipient {
  const { notify } = recipient;
  if (report === undefined || message.reversePath === '') return recipient;
  const word = report === 'failed' ? 'failure' : report === 'delayed' ? 'delay' : 'success';
  const isWanted = notify === undefined ? word !== 'success' : notify.includes(word);
  return isWanted ? { ...recipient, report } : recipient;
}

/** The reports of one action were told, or nobody will ever take them. */
export function afterReport(message: QueuedMessage, action: ReportAction): QueuedMessage {
  const recipients = message.recipients.map((recipient) => {
    if (recipient.report !== action) return recipient;
    const { report: _told, ...rest } = recipient;
    return rest;
  });
  return { ...message, recipients, reports: message.reports + 1 };
}

export function backoffMs(attempts: number, { retryFirstMs, retryMaxMs }: QueueSettings): number {
  return Math.min(retryMaxMs, retryFirstMs * 2 ** Math.min(30, Math.max(0, attempts - 1)));
}

/** What the journal tells of it: codes, never the other side's words. */
export function newsOf(
  before: QueuedMessage,
  after: QueuedMessage,
  outcomes: ReadonlyMap<number, AttemptOutcome>,
  lies: 'sealed' | 'open',
): SubmissionOutcome[] {
  const news: SubmissionOutcome[] = [];
  for (const [n, { result, reply }] of outcomes) {
    const recipient = after.recipients[n];
    if (recipient === undefined || before.recipients[n]?.state !== 'waiting') continue;
    const outcome = result === 'sent' ? 'delivered' : recipient.state === 'waiting' ? 'deferred' : 'failed';
    const code = reply.code === 0 ? reply.status : `${reply.code} ${reply.status}`;
    news.push({ submission: after.id, recipient: lies === 'sealed' ? '' : recipient.address, outcome, reply: code });
  }
  return news;
}

export function isFinished(message: QueuedMessage): boolean {
  return dueAt(message) === undefined;
}
