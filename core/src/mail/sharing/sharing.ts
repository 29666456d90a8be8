/**
 * Mailboxes of others (RFC 4314): who may be named in an access control list, whose mailboxes a user may look up, and the way into them. What
 * somebody may is read in the owner's journal, for each command; the rows of who shares with whom only say where to look.
 */
import type { Actor, Session } from '@pochard/plugin-sdk';
import { LRUCache } from 'lru-cache';
import type { AccountId, MailboxId } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { AclChange, Relocated } from '../journal/account-mail.ts';
import { ANYONE, type Guest, type RightSet, requireRights, SHARES } from '../journal/acl.ts';
import type { UidRuns } from '../journal/entry.ts';
import { runOf } from '../journal/uid-runs.ts';
import { HookedMailAccess } from '../mail-access.ts';
import { accountOf, type MailParts } from '../mail-parts.ts';
import { accountIdOf } from '../sdk-values.ts';
import type { AccountRecord, AppendMessage, LoggedIn, MailAccess, Spool } from '../services.ts';
import { GuestMail, type GuestNews } from './guest-mail.ts';
import { Transfers } from './transfers.ts';

/** Owners that LIST looks at. */
const MAX_OWNERS = 1_000;
const PAGE = 500;
/** Ways into others' accounts that a session keeps. */
const MAX_KEPT = 64;

/** What is special about another account's mail for one who is not its owner. */
export interface GuestAccess {
  /** Username of the owner. */
  readonly owner: string;
  /** Of the head. */
  rights(box: MailboxId): RightSet;
  /** @throws MailError forbidden, or `missing` to one who may not look the mailbox up */
  require(box: MailboxId, rights: string, missing?: 'no-such-mailbox' | 'no-such-target'): void;
  /** Until the function that it returns is called. */
  hear(news: GuestNews): () => void;
}
/** The mailboxes of others, for one who has logged in. */
export interface Others {
  /** By username. Undefined: there is no such account, or it shares nothing with this user; which of the two is not told. */
  of(owner: string): Promise<MailAccess | undefined>;
  /** By the rows of who shares with whom, in order of username; at most 1000. */
  all(): Promise<readonly MailAccess[]>;
  /** COPY into another account: all or nothing. @throws MailError limit, held, expunged, over-quota ... */
  copy(from: MailAccess, box: MailboxId, uids: UidRuns, to: MailAccess, target: MailboxId, signal: AbortSignal): Promise<Relocated>;
  /** MOVE into another account: never in none; in both only until it has been finished. `seq` is of the source. */
  move(from: MailAccess, box: MailboxId, uids: UidRuns, to: MailAccess, target: MailboxId, signal: AbortSignal): Promise<Relocated>;
  /** REPLACE by a message in another account, with what MOVE promises. `seq` is of the source. @throws MailError expunged, held ... */
  replace(
    from: MailAccess,
    box: MailboxId,
    uid: number,
    to: MailAccess,
    target: MailboxId,
    message: AppendMessage,
    signal: AbortSignal,
  ): Promise<{ readonly seq: number; readonly uidValidity: number; readonly uid: number }>;
}
export interface Sharing {
  of(login: LoggedIn): Others;
  /**
   * What an identifier of an access control list means: `anyone`, a username, or either with `-` before it.
   * @throws MailError no-such-account
   */
  identify(identifier: string): Promise<Pick<AclChange, 'identifier' | 'who'>>;
}

export class SharingService implements Sharing {
  readonly transfers: Transfers;
  readonly #parts: MailParts;
  readonly #find: (name: string) => Promise<AccountRecord | undefined>;
  readonly #byLogin = new WeakMap<LoggedIn, Others>();

  constructor(options: {
    readonly parts: MailParts;
    readonly spool: Spool;
    /** By username or address, normalised; asks the hooks too. */
    readonly find: (name: string) => Promise<AccountRecord | undefined>;
  }) {
    this.#parts = options.parts;
    this.#find = options.find;
    this.transfers = new Transfers(options);
  }

  of(login: LoggedIn): Others {
    let others = this.#byLogin.get(login);
    if (others === undefined) {
      others = new OthersOf(this.#parts, this.transfers, login);
      this.#byLogin.set(login, others);
    }
    return others;
  }

  async identify(identifier: string): Promise<Pick<AclChange, 'identifier' | 'who'>> {
    const sign = identifier.startsWith('-') ? '-' : '';
    const name = identifier.slice(sign.length);
    if (name === ANYONE) return { identifier };
    const record = await this.#find(name);
    if (record === undefined) throw new MailError('no-such-account', 'No such user');
    return { identifier: sign + record.username, who: record.id };
  }
}

class OthersOf implements Others {
  readonly #parts: MailParts;
  readonly #transfers: Transfers;
  readonly #guest: Guest;
  readonly #actor: Actor;
  readonly #session: Session;
  readonly #kept = new LRUCache<AccountId, { readonly access: HookedMailAccess; readonly mail: GuestMail }>({ max: MAX_KEPT });

  constructor(parts: MailParts, transfers: Transfers, login: LoggedIn) {
    this.#parts = parts;
    this.#transfers = transfers;
    this.#guest = { id: accountIdOf(login.account.id), name: login.account.username };
    this.#actor = login.actor;
    this.#session = login.session;
  }

  async of(owner: string): Promise<MailAccess | undefined> {
    const record = await this.#parts.directory.find(owner);
    return record === undefined || record.username !== owner ? undefined : this.#into(record);
  }

  async all(): Promise<readonly MailAccess[]> {
    const { directory, store } = this.#parts;
    const owners = new Set<AccountId>();
    for (const identifier of [this.#guest.name, ANYONE]) {
      const prefix = `${identifier} `;
      for (let after = prefix; owners.size < MAX_OWNERS; ) {
        const rows = await store.records.list(SHARES, { prefix, after, limit: PAGE });
        for (const { key } of rows) owners.add(key.slice(prefix.length) as AccountId);
        const last = rows.at(-1);
        if (last === undefined || rows.length < PAGE) break;
        after = last.key;
      }
    }
    const found: MailAccess[] = [];
    for (const id of owners) {
      const record = await directory.get(id);
      const access = record === undefined ? undefined : await this.#into(record);
      if (access !== undefined) found.push(access);
    }
    return found.sort((a, b) => (a.account.username < b.account.username ? -1 : 1));
  }

  async #into(record: AccountRecord): Promise<MailAccess | undefined> {
    if (record.id === this.#guest.id) return undefined;
    const kept = this.#kept.get(record.id) ?? (await this.#open(record));
    await kept?.mail.refresh();
    if (kept === undefined || !kept.mail.isShared) return undefined;
    this.#kept.set(record.id, kept);
    return kept.access;
  }

  async #open(record: AccountRecord) {
    const account = await accountOf(this.#parts, record);
    // Nobody but its owner can open sealed mail (design/encryption.md §4).
    if (account.sealed) return undefined;
    const mail = new GuestMail(await this.#parts.mails.get(record.id), this.#guest);
    const guest: GuestAccess = {
      owner: record.username,
      rights: (box) => mail.rightsIn(box),
      require: (box, rights, missing) => requireRights(mail.rightsIn(box), rights, missing),
      hear: (news) => mail.hear(news),
    };
    const { protocol } = this.#session;
    const by = protocol === 'http' ? 'api' : protocol;
    const access = new HookedMailAccess(this.#parts, { account, mail, actor: this.#actor, session: this.#session, by, guest });
    return { access, mail };
  }

  copy(from: MailAccess, box: MailboxId, uids: UidRuns, to: MailAccess, target: MailboxId, signal: AbortSignal): Promise<Relocated> {
    return this.#transfers.copy({ from: hooked(from), box, uids, to: hooked(to), target, signal });
  }

  move(from: MailAccess, box: MailboxId, uids: UidRuns, to: MailAccess, target: MailboxId, signal: AbortSignal): Promise<Relocated> {
    return this.#transfers.move({ from: hooked(from), box, uids, to: hooked(to), target, signal });
  }

  replace(
    from: MailAccess,
    box: MailboxId,
    uid: number,
    to: MailAccess,
    target: MailboxId,
    message: AppendMessage,
    signal: AbortSignal,
  ): ReturnType<Others['replace']> {
    return this.#transfers.replace({ from: hooked(from), box, uids: runOf(uid, uid), to: hooked(to), target, signal }, message);
  }
}

function hooked(access: MailAccess): HookedMailAccess {
  if (!(access instanceof HookedMailAccess)) throw new MailError('unsupported', 'Messages cannot be copied from or to there');
  return access;
}
