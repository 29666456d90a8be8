/** Mailboxes by name, as commands need them: one's own, and behind `user/<username>/` those that others share (RFC 4314, RFC 2342). */
import type { MailboxInfo } from '../mail/journal/account-mail.ts';
import type { MailAccess } from '../mail/services.ts';
import type { Others } from '../mail/sharing/sharing.ts';
import { ImapBad, ImapNo } from './errors.ts';
import type { ImapSession } from './session.ts';

export const DELIMITER = '/';
/** The namespace of other users' mailboxes. */
export const OTHERS = 'user/';

/** A name in the words of the account whose mailbox it is. */
export interface Place {
  readonly access: MailAccess;
  readonly name: string;
}
/** A mailbox and whose. */
export interface Found {
  readonly access: MailAccess;
  readonly info: MailboxInfo;
}

function own({ login }: ImapSession): MailAccess {
  if (login === undefined) throw new ImapBad('Log in first');
  return login.access;
}

export function othersOf({ login, env }: ImapSession): Others {
  if (login === undefined) throw new ImapBad('Log in first');
  return env.services.sharing.of(login);
}

/** Owner and name of a name in the others' namespace. */
export function splitOthers(name: string): { readonly owner: string; readonly name: string } | undefined {
  if (!name.startsWith(OTHERS)) return undefined;
  const end = name.indexOf(DELIMITER, OTHERS.length);
  return end < 0 ? { owner: name.slice(OTHERS.length), name: '' } : { owner: name.slice(OTHERS.length, end), name: name.slice(end + 1) };
}

/** Undefined: nobody of this name shares anything with the user. One's own mailbox of just this name, made elsewhere, is found first. */
export async function placeOf(session: ImapSession, name: string): Promise<Place | undefined> {
  const access = own(session);
  const other = splitOthers(name);
  if (other === undefined || access.mail.byName(name) !== undefined) return { access, name };
  const theirs = other.name === '' ? undefined : await othersOf(session).of(other.owner);
  return theirs === undefined ? undefined : { access: theirs, name: other.name };
}

/** The name of a mailbox as this user writes it. */
export function nameIn({ guest }: MailAccess, name: string): string {
  return guest === undefined ? name : `${OTHERS}${guest.owner}${DELIMITER}${name}`;
}

/** Ids are unique in an account only; of others' accounts they carry the account (RFC 8474 §4, §5.1). */
export function idIn({ guest, mail }: MailAccess, id: string): string {
  return guest === undefined ? id : `${id}-${mail.account}`;
}

/** The other way round; empty when it is no id of this account. */
export function ownIdIn({ guest, mail }: MailAccess, id: string): string {
  if (guest === undefined) return id;
  const suffix = `-${mail.account}`;
  return id.endsWith(suffix) ? id.slice(0, -suffix.length) : '';
}

async function named(session: ImapSession, name: string): Promise<Found | undefined> {
  const place = await placeOf(session, name);
  const info = place?.access.mail.byName(place.name);
  return place === undefined || info === undefined ? undefined : { access: place.access, info };
}

/** Also a name that only has children. @throws ImapNo NONEXISTENT */
export async function findName(session: ImapSession, name: string): Promise<Found> {
  const found = await named(session, name);
  if (found === undefined) throw new ImapNo('NONEXISTENT', 'No such mailbox');
  return found;
}

/**
 * @param rights that a guest needs
 * @throws ImapNo NONEXISTENT, also for a name that only has children; MailError no-such-mailbox, forbidden
 */
export async function findMailbox(session: ImapSession, name: string, rights = ''): Promise<Found> {
  const found = await findName(session, name);
  if (!found.info.selectable) throw new ImapNo('NONEXISTENT', 'This name holds no messages');
  found.access.guest?.require(found.info.id, rights);
  return found;
}

/** As the target of APPEND, COPY or MOVE. @throws ImapNo TRYCREATE; MailError no-such-target, forbidden */
export async function findTarget(session: ImapSession, name: string): Promise<Found> {
  const found = await named(session, name);
  if (found?.info.selectable !== true) throw new ImapNo('TRYCREATE', 'No such mailbox');
  found.access.guest?.require(found.info.id, 'i', 'no-such-target');
  return found;
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
