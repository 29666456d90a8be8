/** Annotations of mailboxes and of the server (RFC 5464) as they lie in the notes of an account: octets under a name in lower case. */
import { isUtf8 } from 'node:buffer';
import type { AccountMail, MailboxInfo } from './journal/account-mail.ts';
import { annotationNotes } from './journal/annotation-notes.ts';

/** A value, in octets: as base64 it still fits into a note. */
export const MAX_ANNOTATION_OCTETS = 32 * 1024;
/** Entries of one mailbox, or of the server. */
export const MAX_ANNOTATIONS = 250;

/** The annotation that is the mailbox's own special use (RFC 6154 §4). */
export const SPECIAL_USE_ENTRY = '/private/specialuse';

/** Text lies readable, anything else as base64. */
export function annotationValue(octets: Uint8Array): string {
  const bytes = Buffer.from(octets.buffer, octets.byteOffset, octets.length);
  return isUtf8(bytes) ? `t${bytes.toString('utf8')}` : `b${bytes.toString('base64')}`;
}

function octetsOf(value: string): Buffer {
  return Buffer.from(value.slice(1), value.startsWith('b') ? 'base64' : 'utf8');
}

/** `box` undefined: the server. `entry` in lower case. */
export function annotation(mail: AccountMail, box: MailboxInfo | undefined, entry: string): Buffer | undefined {
  if (box !== undefined && entry === SPECIAL_USE_ENTRY) return specialUse(box);
  const value = mail.note(annotationNotes(box?.id ?? 0) + entry);
  return value === undefined ? undefined : octetsOf(value);
}

/** Those below `entry`, in order of name: its children only, or all. */
export function annotationsBelow(
  mail: AccountMail,
  box: MailboxInfo | undefined,
  entry: string,
  depth: 'children' | 'all',
): readonly (readonly [entry: string, octets: Buffer])[] {
  const notes = annotationNotes(box?.id ?? 0);
  const prefix = `${notes}${entry}/`;
  const found: [string, Buffer][] = [];
  for (const [name, value] of mail.notes(prefix)) {
    if (depth === 'all' || !name.includes('/', prefix.length)) found.push([name.slice(notes.length), octetsOf(value)]);
  }
  if (box !== undefined && SPECIAL_USE_ENTRY.startsWith(`${entry}/`)) {
    const uses = specialUse(box);
    if (uses !== undefined) found.push([SPECIAL_USE_ENTRY, uses]);
  }
  return found.sort(([a], [b]) => (a < b ? -1 : 1));
}

function specialUse({ specialUse: uses }: MailboxInfo): Buffer | undefined {
  return uses.length === 0 ? undefined : Buffer.from(uses.join(' '), 'latin1');
}
