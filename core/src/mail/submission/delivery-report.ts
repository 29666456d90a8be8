/**
 * What the sender is told of recipients who did not get a message, or not yet, or did and it was asked for: multipart/report with
 * message/delivery-status (RFC 3462, RFC 3464; RFC 6533 for internationalised addresses). The same row gives the same octets, so that a
 * report that was delivered just before a crash is known again.
 */
import { createHash } from 'node:crypto';
import { domainToASCII } from 'node:url';
import { formatDate } from '../delivery/rfc5322-date.ts';
import type { MessageSource } from '../services.ts';
import type { QueuedMessage, QueuedRecipient, ReportAction } from './queue-rows.ts';

/** A whole message goes back up to this size; of a larger one the header block. */
const MAX_RETURNED_OCTETS = 1024 * 1024;

export interface ReportOptions {
  readonly message: QueuedMessage;
  /** Of one action. */
  readonly recipients: readonly QueuedRecipient[];
  readonly action: ReportAction;
  /** Whom it goes to. */
  readonly to: string;
  readonly hostname: string;
  readonly lifetimeMs: number;
  readonly content: { readonly head: Uint8Array; readonly source: MessageSource };
}

const SUBJECTS = {
  failed: 'Undelivered mail returned to sender',
  delayed: 'Mail delivery is delayed',
  delivered: 'Mail was delivered',
  relayed: 'Mail was passed on',
} as const satisfies Record<ReportAction, string>;

export async function* deliveryReport(options: ReportOptions): AsyncGenerator<Uint8Array, void, undefined> {
  const { message, recipients, action, to, content } = options;
  const isUtf8 =
    message.isUtf8 || [message.reversePath, ...recipients.map(({ address }) => address)].some((text) => /[^\0-\x7f]/.test(text));
  const boundary = createHash('sha256').update(`${message.id} ${message.reports}`).digest('hex').slice(0, 40);
  const host = domainToASCII(options.hostname) || 'localhost';
  // Of a failure the message comes along when it was asked for; of the rest only what it is known by.
  const isWhole = action === 'failed' && message.returns === 'full' && content.source.sizeOctets <= MAX_RETURNED_OCTETS;
  const returned = isWhole ? (isUtf8 ? 'message/global' : 'message/rfc822') : isUtf8 ? 'message/global-headers' : 'text/rfc822-headers';
  const status = isUtf8 ? 'message/global-delivery-status' : 'message/delivery-status';
  yield text(
    `From: Mail Delivery System <MAILER-DAEMON@${host}>\r\nTo: <${to}>\r\nSubject: ${SUBJECTS[action]}\r\n` +
      `Date: ${formatDate(new Date(message.reportMadeAt))}\r\nMessage-ID: <${message.id}.${message.reports}@${host}>\r\n` +
      `Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n` +
      `Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="${boundary}"\r\n\r\n` +
      `--${boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${explanation(options)}\r\n` +
      `--${boundary}\r\nContent-Type: ${status}\r\n${isUtf8 ? 'Content-Transfer-Encoding: 8bit\r\n' : ''}\r\n${statusFields(options, host)}` +
      `--${boundary}\r\nContent-Type: ${returned}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n`,
  );
  if (isWhole) yield* content.source.open();
  else yield content.head;
  yield text(`\r\n--${boundary}--\r\n`);
}

function explanation({ message, recipients, action, hostname, lifetimeMs }: ReportOptions): string {
  const until = formatDate(new Date(message.submittedAt + lifetimeMs));
  const first = {
    failed: 'Your message could not be delivered to:',
    delayed: `Your message could not be delivered yet. It will be tried until ${until}; you need not send it again. It waits for:`,
    delivered: 'Your message was delivered to:',
    relayed: 'Your message was passed on to a server that tells nothing of its further way, for:',
  }[action];
  const lines = recipients.map(({ address, reply, host }) => {
    const why =
      reply === undefined || action === 'delivered' || action === 'relayed'
        ? ''
        : `\r\n    ${host === undefined ? '' : `${host} said: `}${reply}`;
    return `  <${plain(address)}>${why}\r\n`;
  });
  return `This is the mail system at ${plain(hostname)}.\r\n\r\n${first}\r\n\r\n${lines.join('')}`;
}

/** RFC 3464 §2.2, §2.3. */
function statusFields({ message, recipients, action, lifetimeMs }: ReportOptions, host: string): string {
  const envelopeId = message.envelopeId === undefined ? '' : `Original-Envelope-Id: ${plain(message.envelopeId)}\r\n`;
  const fields = recipients.map((recipient) => {
    const { address, originalRecipient, status, reply, host: remote } = recipient;
    const final = /[^\0-\x7f]/.test(address) ? `utf-8; ${plain(address)}` : `rfc822; ${plain(address)}`;
    const isGood = action === 'delivered' || action === 'relayed';
    return (
      `\r\n${originalRecipient === undefined ? '' : `Original-Recipient: ${plain(originalRecipient).replace(';', '; ')}\r\n`}` +
      `Final-Recipient: ${final}\r\nAction: ${action}\r\nStatus: ${isGood ? '2.0.0' : (status ?? (action === 'failed' ? '5.0.0' : '4.0.0'))}\r\n` +
      `${remote === undefined ? '' : `Remote-MTA: dns; ${plain(remote)}\r\n`}` +
      `${reply === undefined || isGood || remote === undefined ? '' : `Diagnostic-Code: smtp; ${plain(reply).replaceAll(/[^\0-\x7f]/gu, '?')}\r\n`}` +
      `${action === 'delayed' ? `Will-Retry-Until: ${formatDate(new Date(message.submittedAt + lifetimeMs))}\r\n` : ''}`
    );
  });
  return `${envelopeId}Reporting-MTA: dns; ${host}\r\nArrival-Date: ${formatDate(new Date(message.submittedAt))}\r\n${fields.join('')}\r\n`;
}

/** What others wrote cannot end a field. */
function plain(value: string): string {
  return value.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();
}
function text(value: string): Uint8Array {
  return Buffer.from(value, 'utf8');
}
