/** What the user may in a mailbox: MYRIGHTS (RFC 4314 §3.8), also of LIST (RFC 8440). */
import { ALL_RIGHTS, type RightSet, shownLetters } from '../mail/journal/acl.ts';
import { ImapNo } from './errors.ts';
import { mailbox } from './grammar/write.ts';
import { type Found, nameIn } from './mailboxes.ts';
import type { ImapSession } from './session.ts';

/** One of them is needed to ask (RFC 4314 §4). */
const MAY_ASK = /[lrikxa]/;

export function rightsIn({ access, info }: Found): RightSet {
  return access.guest?.rights(info.id) ?? ALL_RIGHTS;
}

/** @throws ImapNo NONEXISTENT to one who may not ask */
export function myRightsLine({ names }: ImapSession, found: Found): string {
  const letters = shownLetters(rightsIn(found));
  if (!MAY_ASK.test(letters)) throw new ImapNo('NONEXISTENT', 'No such mailbox');
  return `MYRIGHTS ${mailbox(nameIn(found.access, found.info.name), names)} ${letters}`;
}
