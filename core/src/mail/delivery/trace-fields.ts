/** The trace header fields that the server prepends to what it delivers: RFC 5321 §4.4, RFC 3848 and RFC 6531 §4.3 for `with`. */
import { formatDate } from './rfc5322-date.ts';

/** RFC 5321 §6.3: more Received fields than this are a loop. */
export const MAX_RECEIVED_FIELDS = 100;

export interface Trace {
  readonly hostname: string;
  readonly id: string;
  readonly origin: 'smtp' | 'lmtp' | 'submission' | 'api';
  readonly helo: string | undefined;
  readonly remoteAddress: string;
  readonly esmtp: { readonly utf8: boolean; readonly tls: boolean } | undefined;
  readonly reversePath: string;
  /** In angle brackets after `for`, only when the transaction has this one recipient: else one recipient would learn of another. */
  readonly onlyRecipient: string | undefined;
  readonly at: Date;
}

/** `Return-Path`, `Delivered-To` and `Received`, for one recipient. */
export function traceFields(trace: Trace, recipient: string): string {
  return `Return-Path: <${word(trace.reversePath)}>\r\nDelivered-To: ${word(recipient)}\r\n${receivedField(trace)}`;
}

export function receivedField(trace: Trace): string {
  const { helo, remoteAddress, hostname, origin, id, esmtp, onlyRecipient, at } = trace;
  const address = addressLiteral(remoteAddress);
  // Where a user sits while writing is nobody's business.
  const from = origin === 'api' || origin === 'submission' ? '' : `from ${domain(helo) ?? address} (${address})\r\n\t`;
  const recipient = onlyRecipient === undefined ? '' : `\r\n\tfor <${word(onlyRecipient)}>`;
  return `Received: ${from}by ${domain(hostname) ?? 'localhost'} with ${protocolOf(origin, esmtp)} id ${word(id)}${recipient};\r\n\t${formatDate(at)}\r\n`;
}

function protocolOf(origin: Trace['origin'], esmtp: Trace['esmtp']): string {
  if (origin === 'api') return 'HTTP';
  const base = origin === 'lmtp' ? 'LMTP' : esmtp === undefined ? 'SMTP' : 'ESMTP';
  if (esmtp === undefined) return base;
  const name = esmtp.utf8 ? (origin === 'lmtp' ? 'UTF8LMTP' : 'UTF8SMTP') : base;
  const spoken = esmtp.tls ? `${name}S` : name;
  return origin === 'submission' ? `${spoken}A` : spoken;
}

function addressLiteral(address: string): string {
  const bare = address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
  if (!/^[0-9a-fA-F.:%]{2,64}$/.test(bare)) return '[unknown]';
  return bare.includes(':') ? `[IPv6:${bare}]` : `[${bare}]`;
}

/** What a client said of itself, if it is a domain or an address literal; a comment or a quote in it would end the clause. */
function domain(name: string | undefined): string | undefined {
  return name !== undefined && name.length <= 255 && /^[\p{L}\p{N}\p{M}._:[\]-]+$/u.test(name) ? name : undefined;
}

/** No control character and no angle bracket gets into a field. */
function word(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029<>]/gu, '').slice(0, 512);
}
