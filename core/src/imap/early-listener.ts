import type { MailboxListener } from '../mail/journal/account-mail.ts';
import type { Entry, UidRuns } from '../mail/journal/entry.ts';

/** Hears what happens between the opening of a mailbox and the making of its view: the view starts at the head, so all but the end is in it. */
export class EarlyListener implements MailboxListener {
  view: MailboxListener | undefined;
  isClosed = false;

  added(uids: UidRuns, entry: Entry): void {
    this.view?.added(uids, entry);
  }
  flagged(uids: UidRuns, entry: Entry): void {
    this.view?.flagged(uids, entry);
  }
  gone(uids: UidRuns, rows: Uint32Array, entry: Entry): void {
    this.view?.gone(uids, rows, entry);
  }
  keywords(): void {
    this.view?.keywords();
  }
  closed(): void {
    if (this.view === undefined) this.isClosed = true;
    else this.view.closed();
  }
  reloaded(): void {
    this.view?.reloaded();
  }
}
