/** Which mailboxes a filter means (RFC 5465 §6, RFC 7377 §2.2), by what the tree and the subscriptions are when it is asked. */
import type { MailAccess } from '../mail/services.ts';
import type { MailboxFilter } from './grammar/mailbox-filter.ts';
import { DELIMITER } from './mailboxes.ts';

export interface FilterWorld {
  readonly access: MailAccess;
  /** Deliveries may be filed anywhere, so that INBOXES are all mailboxes (RFC 5465 §6.2). */
  readonly isRouted: boolean;
}

/** A test of names, whether or not there is such a mailbox. SELECTED and SELECTED-DELAYED match none: who asks knows the selected mailbox. */
export function nameFilter({ kind, names }: MailboxFilter, { access, isRouted }: FilterWorld): (name: string) => boolean {
  switch (kind) {
    case 'SELECTED':
    case 'SELECTED-DELAYED':
      return () => false;
    case 'INBOXES':
      return isRouted ? () => true : (name) => name === 'INBOX';
    case 'PERSONAL':
      return () => true;
    case 'SUBSCRIBED': {
      const subscribed = new Set(access.mail.subscriptions());
      return (name) => subscribed.has(name);
    }
    case 'SUBTREE':
      return (name) => names.some((top) => top === '' || name === top || name.startsWith(top + DELIMITER));
    case 'SUBTREE-ONE':
      return (name) => names.some((top) => name === top || isChild(name, top));
    case 'MAILBOXES': {
      const exact = new Set(names);
      return (name) => exact.has(name);
    }
  }
}

/** The same for mailboxes of other users, by the name that this user writes: only filters with names, and subscriptions, reach there. */
export function othersFilter(filter: MailboxFilter, access: MailAccess): (name: string) => boolean {
  return filter.kind === 'INBOXES' || filter.kind === 'PERSONAL' ? () => false : nameFilter(filter, { access, isRouted: false });
}

function isChild(name: string, top: string): boolean {
  const above = top === '' ? '' : top + DELIMITER;
  return name.startsWith(above) && !name.includes(DELIMITER, above.length);
}
