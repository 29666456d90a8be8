/**
 * Access control lists (RFC 4314) as they lie in the owner's notes: `acl/<mailbox>/<identifier>` holds rights and, for a user, the account
 * that the name meant when it was written, so that who gets a freed name later gets no rights with it. Read at the head, for each command.
 */
import type { AccountId, MailboxId } from '../../store/store.ts';
import { MailError } from '../errors.ts';

/** In the order in which they are shown. */
export const RIGHTS = 'lrswipkxtea';
export type Right = 'l' | 'r' | 's' | 'w' | 'i' | 'p' | 'k' | 'x' | 't' | 'e' | 'a';
/** One bit a right, by its place in `RIGHTS`. */
export type RightSet = number;

export const NO_RIGHTS: RightSet = 0;
export const ALL_RIGHTS: RightSet = (1 << RIGHTS.length) - 1;
export const ANYONE = 'anyone';
export const ACL = 'acl/';
/** Identifiers of one mailbox. */
export const MAX_ACL_ENTRIES = 250;

/** Somebody who acts in an account that is not his own. */
export interface Guest {
  readonly id: AccountId;
  /** His username. */
  readonly name: string;
}
type Notes = ReadonlyMap<string, string> | undefined;

export function aclNotes(box: MailboxId): string {
  return `${ACL}${box}/`;
}

/** The mailbox of a note that is an entry of an access control list, else `undefined`. */
export function aclMailbox(note: string): MailboxId | undefined {
  if (!note.startsWith(ACL)) return undefined;
  return Number(note.slice(ACL.length, note.indexOf('/', ACL.length))) as MailboxId;
}

/** Of letters that are all rights; `c` and `d` of RFC 2086 stand for those that took their place (RFC 4314 §2.1.1). Undefined: some letter is no right. */
export function rightSet(letters: string): RightSet | undefined {
  let set = NO_RIGHTS;
  for (const letter of letters) {
    const bit = RIGHTS.indexOf(letter);
    if (bit >= 0) set |= 1 << bit;
    else if (letter === 'c') set |= CREATE;
    else if (letter === 'd') set |= DELETE;
    else return undefined;
  }
  return set;
}

const CREATE = rightsOfLetters('k');
const DELETE = rightsOfLetters('xte');

function rightsOfLetters(letters: string): RightSet {
  let set = NO_RIGHTS;
  for (const letter of letters) set |= 1 << RIGHTS.indexOf(letter);
  return set;
}

export function hasRight(set: RightSet, right: Right): boolean {
  return (set & (1 << RIGHTS.indexOf(right))) !== 0;
}

/** Letters in order, without the obsolete ones. */
export function lettersOf(set: RightSet): string {
  let letters = '';
  for (let bit = 0; bit < RIGHTS.length; bit++) if ((set & (1 << bit)) !== 0) letters += RIGHTS.charAt(bit);
  return letters;
}

/** The same for ACL and MYRIGHTS, which show `c` and `d` to clients of RFC 2086 (RFC 4314 §2.1.1). */
export function shownLetters(set: RightSet): string {
  return `${lettersOf(set)}${(set & CREATE) === 0 ? '' : 'c'}${(set & DELETE) === 0 ? '' : 'd'}`;
}

export function aclValue(set: RightSet, who: AccountId | undefined): string {
  return `${lettersOf(set)} ${who ?? ''}`;
}

/** Rights of a note's value; none when the name meant another account then. */
function entryRights(value: string | undefined, who: AccountId | ''): RightSet {
  if (value === undefined) return NO_RIGHTS;
  const space = value.indexOf(' ');
  return value.slice(space + 1) === who ? (rightSet(value.slice(0, space)) ?? NO_RIGHTS) : NO_RIGHTS;
}

/** What the guest may: what he and anyone are given, less what is taken from either (RFC 4314 §2). */
export function rightsOf(notes: Notes, box: MailboxId, { id, name }: Guest): RightSet {
  if (notes === undefined) return NO_RIGHTS;
  const prefix = aclNotes(box);
  const given = entryRights(notes.get(prefix + name), id) | entryRights(notes.get(prefix + ANYONE), '');
  if (given === NO_RIGHTS) return NO_RIGHTS;
  return given & ~(entryRights(notes.get(`${prefix}-${name}`), id) | entryRights(notes.get(`${prefix}-${ANYONE}`), ''));
}

/**
 * @throws MailError `missing` to one who may not even look the mailbox up, so that nobody learns of it (RFC 4314 §8), else forbidden
 */
export function requireRights(
  set: RightSet,
  needed: RightSet | string,
  missing: 'no-such-mailbox' | 'no-such-target' = 'no-such-mailbox',
): void {
  const bits = typeof needed === 'number' ? needed : rightsOfLetters(needed);
  if ((set & bits) === bits) return;
  if (!hasRight(set, 'l')) throw new MailError(missing, 'No such mailbox');
  throw new MailError('forbidden', 'The access control list does not allow it');
}

/** Entries of a mailbox: identifier (negative ones with `-`) and rights, in order of identifier. */
export function aclEntries(notes: Notes, box: MailboxId): readonly (readonly [identifier: string, rights: RightSet])[] {
  const prefix = aclNotes(box);
  const found: [string, RightSet][] = [];
  for (const [note, value] of notes ?? []) {
    if (note.startsWith(prefix)) found.push([note.slice(prefix.length), rightSet(value.slice(0, value.indexOf(' '))) ?? NO_RIGHTS]);
  }
  return found.sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Rows of who shares with whom: a list to begin a search with, never what decides. Keys: `<identifier> <owner>`. */
export const SHARES = 'shares';
export function shareKey(identifier: string, owner: AccountId): string {
  return `${identifier} ${owner}`;
}
