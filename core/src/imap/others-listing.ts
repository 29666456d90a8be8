/** Mailboxes of other users that LIST may show: found only when a pattern can name them, as that reads other accounts. */
import type { MailAccess } from '../mail/services.ts';
import type { MailboxFilter } from './grammar/mailbox-filter.ts';
import { othersFilter } from './mailbox-filters.ts';
import { type Found, nameIn, OTHERS, othersOf, splitOthers, superiors } from './mailboxes.ts';
import type { ImapSession } from './session.ts';

/** What all names begin with that `reference + pattern` can match. */
function literalStart(whole: string): string {
  const end = whole.search(/[*%]/);
  return end < 0 ? whole : whole.slice(0, end);
}

/** `user/bob/...` names one owner; a wildcard before that all of them. */
async function owners(session: ImapSession, wholes: readonly string[]): Promise<readonly MailAccess[]> {
  const others = othersOf(session);
  const found = new Map<string, MailAccess>();
  for (const whole of wholes) {
    const start = literalStart(whole);
    const isWhole = start.length === whole.length;
    const named = splitOthers(start);
    const isAbove = isWhole ? `${start}/` === OTHERS : OTHERS.startsWith(start);
    if (named === undefined && !isAbove) continue;
    const end = start.indexOf('/', OTHERS.length);
    if (named === undefined || (end < 0 && !isWhole)) {
      for (const access of await others.all()) found.set(access.account.username, access);
      return [...found.values()];
    }
    const access = await others.of(named.owner);
    if (access !== undefined) found.set(access.account.username, access);
  }
  return [...found.values()];
}

/** What filters name in the others' namespace, as patterns. */
function patternsOf(access: MailAccess, filters: readonly MailboxFilter[]): readonly string[] {
  const isOthers = (name: string): boolean => splitOthers(`${name}/`) !== undefined;
  const patterns = filters.flatMap(({ names }) => names.filter(isOthers).map((name) => `${name}*`));
  if (filters.some(({ kind }) => kind === 'SUBSCRIBED')) {
    // One's own mailbox of such a name is found first (decision 12).
    for (const name of access.mail.subscriptions()) if (isOthers(name) && access.mail.byName(name) === undefined) patterns.push(name);
  }
  return patterns;
}

/** Accounts in which the filters name mailboxes that this user may see. */
export async function ownersOf(
  session: ImapSession,
  access: MailAccess,
  filters: readonly MailboxFilter[],
): Promise<readonly MailAccess[]> {
  const patterns = patternsOf(access, filters);
  return patterns.length === 0 ? [] : owners(session, patterns);
}

/** Of other users, those that one of the filters means, by the name that this user writes. */
export async function othersMeant(
  session: ImapSession,
  access: MailAccess,
  filters: readonly MailboxFilter[],
): Promise<readonly (readonly [name: string, found: Found])[]> {
  const tests = filters.map((filter) => othersFilter(filter, access));
  const found: (readonly [string, Found])[] = [];
  for (const other of await ownersOf(session, access, filters)) {
    for (const info of other.mail.mailboxes()) {
      const name = nameIn(other, info.name);
      if (tests.some((matches) => matches(name))) found.push([name, { access: other, info }]);
    }
  }
  return found;
}

/**
 * By the name that this user writes: mailboxes that he may look up, and `undefined` for the names above them, which hold nothing.
 * @param wholes reference and pattern as one
 */
export async function othersMailboxes(session: ImapSession, wholes: readonly string[]): Promise<ReadonlyMap<string, Found | undefined>> {
  const found = new Map<string, Found | undefined>();
  for (const access of await owners(session, wholes)) {
    for (const info of access.mail.mailboxes()) {
      const name = nameIn(access, info.name);
      for (const above of superiors(name)) if (!found.has(above)) found.set(above, undefined);
      found.set(name, { access, info });
    }
  }
  return found;
}
