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

/** The annotation that makes \Seen of a mailbox everybody's, when it is `true`; else each user has his own. */
export const SHARED_SEEN_ENTRY = '/shared/vendor/pochard/sharedseen';

export function isSeenShared(note: (name: string) => string | undefined, box: MailboxId): boolean {
  return note(annotationNotes(box) + SHARED_SEEN_ENTRY)?.toLowerCase() === 'ttrue'; // `t`: text (mail/annotations)
}

/** The mailbox of a note that says whose \Seen is. */
export function sharedSeenMailbox(note: string): MailboxId | undefined {
  if (!note.startsWith(ANNOTATIONS) || !note.endsWith(SHARED_SEEN_ENTRY)) return undefined;
  return Number(note.slice(ANNOTATIONS.length, -SHARED_SEEN_ENTRY.length)) as MailboxId;
}
