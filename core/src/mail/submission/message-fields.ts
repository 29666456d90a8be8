/** What a submitted message says of itself, and what is added where it does not: RFC 5322 §3.6, RFC 6409 §8. */
import { domainToASCII } from 'node:url';
import { parseAddressList } from '../../mime/address.ts';
import { headerFieldRanges } from '../../mime/header-fields.ts';
import { asBuffer } from '../../mime/octets.ts';
import { formatDate } from '../delivery/rfc5322-date.ts';
import { MailError } from '../errors.ts';

/** Fields that name recipients whom the others must not know of. */
export const BLIND_FIELDS = ['Bcc', 'Resent-Bcc'] as const;

/** Addresses of From: each is looked up. */
const MAX_FROM = 50;

export interface MessageFields {
  /** Addresses of From, at least one. */
  readonly from: readonly string[];
  readonly hasDate: boolean;
  readonly hasMessageId: boolean;
  readonly hasBlindCopies: boolean;
  /** Octets above 127 in the header block: only SMTPUTF8 carries them (RFC 6531 §3.7.1). */
  readonly isUtf8: boolean;
}

/** @throws MailError invalid when it does not say whom it is from, or would say it otherwise to others */
export function messageFields(head: Uint8Array): MessageFields {
  const octets = asBuffer(head);
  requireCommonLines(octets);
  let from: readonly string[] | undefined;
  let hasDate = false;
  let hasMessageId = false;
  let hasBlindCopies = false;
  for (const { start, end, nameEnd, valueStart } of headerFieldRanges(octets)) {
    if (nameEnd - start > 16) continue;
    switch (octets.toString('latin1', start, nameEnd).toLowerCase()) {
      case 'from':
        // Two of them: one is shown, the other is checked (RFC 5322 §3.6 allows one).
        if (from !== undefined) throw new MailError('invalid', 'The message has more than one From field');
        from = addressesOf(octets.toString('latin1', valueStart, end));
        break;
      case 'date':
        hasDate = true;
        break;
      case 'message-id':
        hasMessageId = true;
        break;
      case 'bcc':
      case 'resent-bcc':
        hasBlindCopies = true;
        break;
      default:
    }
  }
  if (from === undefined || from.length === 0) throw new MailError('invalid', 'The message has no From field with an address');
  return { from, hasDate, hasMessageId, hasBlindCopies, isUtf8: octets.some((octet) => octet > 0x7f) };
}

/** Date and Message-ID where they are missing; '' when neither is. */
export function missingFields(
  { hasDate, hasMessageId }: Pick<MessageFields, 'hasDate' | 'hasMessageId'>,
  made: { readonly id: string; readonly hostname: string; readonly at: Date },
): string {
  const date = hasDate ? '' : `Date: ${formatDate(made.at)}\r\n`;
  return hasMessageId ? date : `${date}Message-ID: <${made.id}@${domainToASCII(made.hostname) || 'localhost'}>\r\n`;
}

/**
 * What others read as a line that is none here would hide a From or a Bcc from the checks: a CR without LF, a NUL, a fold before the first
 * field, which would go on with the field that is put in front. @throws MailError invalid
 */
function requireCommonLines(octets: Buffer): void {
  if (octets[0] === 0x20 || octets[0] === 0x09) throw new MailError('invalid', 'The message begins with a folded line');
  if (octets.includes(0)) throw new MailError('invalid', 'The header of the message contains a NUL');
  for (let at = octets.indexOf(0x0d); at >= 0; at = octets.indexOf(0x0d, at + 1)) {
    if (octets[at + 1] !== 0x0a) throw new MailError('invalid', 'The header of the message contains a bare CR');
  }
}

/** @throws MailError invalid: an address that cannot be read cannot be checked */
function addressesOf(value: string): readonly string[] {
  const addresses: string[] = [];
  const list = parseAddressList(value);
  if (list.length > MAX_FROM) throw new MailError('invalid', 'The From field has too many addresses');
  for (const { mailbox, host } of list) {
    if (mailbox === undefined || host === undefined) continue; // the ends of a group
    if (mailbox === 'MISSING_MAILBOX' || host === 'MISSING_DOMAIN' || host === 'SYNTAX_ERROR')
      throw new MailError('invalid', 'The From field cannot be read');
    addresses.push(`${mailbox}@${host}`);
  }
  const shown = withoutQuotes(value)
    .split(/[\s<>,;:]/)
    .filter((word) => word.includes('@'));
  // The list ends at the first thing that is no address; what others show may stand behind it, or be a name in their eyes.
  if (shown.reduce((count, word) => count + word.split('@').length - 1, 0) !== addresses.length) {
    if (shown.length > MAX_FROM || !shown.every(isAddress)) throw new MailError('invalid', 'The From field cannot be read');
    addresses.push(...shown);
  }
  return [...new Set(addresses)].map((address) => Buffer.from(address, 'latin1').toString('utf8'));
}

/** The value without what stands in quotes and comments. @throws MailError invalid where readers may disagree on where those end */
function withoutQuotes(value: string): string {
  let kept = '';
  let isQuoted = false;
  let depth = 0;
  for (let at = 0; at < value.length; at += 1) {
    const character = value.charAt(at);
    if (isQuoted || depth > 0) {
      if (character === '\\') at += 1;
      else if (isQuoted) isQuoted = character !== '"';
      else if (character === '(') depth += 1;
      else if (character === ')') depth -= 1;
    } else if (character === '"') isQuoted = true;
    else if (character === '(') depth = 1;
    else if (character === '\\') throw new MailError('invalid', 'The From field cannot be read');
    else kept += character;
  }
  if (isQuoted || depth > 0) throw new MailError('invalid', 'The From field cannot be read');
  return kept;
}
/** One `@` with something on both sides. */
function isAddress(word: string): boolean {
  const at = word.indexOf('@');
  return at > 0 && at === word.lastIndexOf('@') && at < word.length - 1;
}
