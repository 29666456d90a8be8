/** Where annotations (RFC 5464) lie among the notes of an account. */
import type { AccountId, MailboxId } from '../../store/store.ts';

export const ANNOTATIONS = 'meta/';

/**
 * What the names of the notes begin with that are annotations of a mailbox, or of the server (0); the entry's name follows. `who`: private
 * ones of somebody other than the owner.
 */
export function annotationNotes(box: MailboxId | 0, who?: AccountId): string {
  return who === undefined ? ANNOTATIONS + box : `${ANNOTATIONS}${box}!${who}`;
}
