/** Mailbox names: '/' between levels, Unicode NFC, INBOX without case also as first level (RFC 9051 §5.1). Names are data, never paths. */
import { MailError } from '../errors.ts';

export const MAX_NAME_OCTETS = 1_000;
export const MAX_LEVEL_OCTETS = 255;
export const MAX_LEVELS = 64;

/** C0, DEL, C1, LINE SEPARATOR, PARAGRAPH SEPARATOR: RFC 9051 §5.1 lets a server refuse them all. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

/** The form in which names are kept and compared. Does not judge: a name that cannot exist is simply not found. */
export function canonicalName(name: string): string {
  const composed = name.normalize('NFC');
  if (composed.length < 5 || (composed.length > 5 && composed[5] !== '/')) return composed;
  const first = composed.slice(0, 5);
  return first !== 'INBOX' && first.toUpperCase() === 'INBOX' ? `INBOX${composed.slice(5)}` : composed;
}

/** For a name that is to be created. @throws MailError invalid-name */
export function checkedName(name: string): string {
  // Checked before normalising, which is not free for long input.
  if (name.length > MAX_NAME_OCTETS || !name.isWellFormed()) throw new MailError('invalid-name', 'Mailbox name is too long or not Unicode');
  const canonical = canonicalName(name);
  if (CONTROL.test(canonical)) throw new MailError('invalid-name', 'Mailbox name has a control character');
  checkLength(canonical);
  const levels = canonical.split('/');
  for (const level of levels) {
    if (level.length === 0) throw new MailError('invalid-name', 'Mailbox name has an empty level');
    if (Buffer.byteLength(level) > MAX_LEVEL_OCTETS) throw new MailError('invalid-name', 'Mailbox name has a level that is too long');
  }
  return canonical;
}

/** Also for the new names of what lies below a renamed mailbox. @throws MailError invalid-name */
export function checkLength(name: string): void {
  if (Buffer.byteLength(name) > MAX_NAME_OCTETS) throw new MailError('invalid-name', 'Mailbox name is too long');
  let levels = 1;
  for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) levels++;
  if (levels > MAX_LEVELS) throw new MailError('invalid-name', 'Mailbox name has too many levels');
}

export function leafOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

/** Empty at the top level. */
export function parentOf(name: string): string {
  const at = name.lastIndexOf('/');
  return at < 0 ? '' : name.slice(0, at);
}
