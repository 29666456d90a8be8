/** What a guest may do in the mailbox that he has selected, now (RFC 4314 §5.2). */
import { hasRight, type Right } from '../mail/journal/acl.ts';
import type { MailAccess } from '../mail/services.ts';
import type { MailboxId } from '../store/store.ts';

const CHANGES: readonly Right[] = ['s', 'w', 't', 'e', 'i'];

export function mayIn({ guest }: MailAccess, box: MailboxId, right: Right): boolean {
  return guest === undefined || hasRight(guest.rights(box), right);
}

/** READ-ONLY is for those who can change nothing at all. */
export function mayChange(access: MailAccess, box: MailboxId): boolean {
  return access.guest === undefined || CHANGES.some((right) => mayIn(access, box, right));
}

/** Which flags stay when this user sets them: `may` by flag, and whether new keywords are taken. */
export function mayKeep(access: MailAccess, box: MailboxId, flag: string): boolean {
  if (access.guest === undefined) return true;
  return mayIn(access, box, flag === '\\Seen' ? 's' : flag === '\\Deleted' ? 't' : 'w');
}
