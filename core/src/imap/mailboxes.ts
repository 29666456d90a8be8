/** Mailboxes by name, as commands need them. */
import type { MailboxInfo } from '../mail/journal/account-mail.ts';
import type { MailAccess } from '../mail/services.ts';
import { ImapNo } from './errors.ts';

export const DELIMITER = '/';

/** @throws ImapNo NONEXISTENT, also for a name that only has children */
export function findMailbox(access: MailAccess, name: string): MailboxInfo {
  const info = access.mail.byName(name);
  if (info === undefined) throw new ImapNo('NONEXISTENT', 'No such mailbox');
  if (!info.selectable) throw new ImapNo('NONEXISTENT', 'This name holds no messages');
  return info;
}

/** As the target of APPEND, COPY or MOVE. @throws ImapNo TRYCREATE */
export function findTarget(access: MailAccess, name: string): MailboxInfo {
  const info = access.mail.byName(name);
  if (info === undefined || !info.selectable) throw new ImapNo('TRYCREATE', 'No such mailbox');
  return info;
}

/** `Work/` announces that children will follow; the name is the same (RFC 9051 §6.3.4). */
export function withoutTrailingDelimiter(name: string): string {
  return name.length > 1 && name.endsWith(DELIMITER) ? name.slice(0, -1) : name;
}

/** Names of all superiors, nearest last: `a`, `a/b` of `a/b/c`. */
export function superiors(name: string): string[] {
  const found: string[] = [];
  for (let at = name.indexOf(DELIMITER); at > 0; at = name.indexOf(DELIMITER, at + 1)) found.push(name.slice(0, at));
  return found;
}
