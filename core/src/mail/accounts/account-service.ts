/** Accounts as protocols and administrators use them: the directory with its hooks, credentials, sessions. */
import type { Actor, Session } from '@pochard/plugin-sdk';
import { type AccountId, RecordConflict } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import { asMailError, guarded } from '../hook-errors.ts';
import { runOf } from '../journal/uid-runs.ts';
import { HookedMailAccess } from '../mail-access.ts';
import { accountOf, type MailParts } from '../mail-parts.ts';
import type {
  AccountChange,
  AccountRecord,
  Accounts,
  AppPassword,
  LoggedIn,
  LoginRequest,
  MadeAppPassword,
  NewAccount,
  NewAppPassword,
} from '../services.ts';
import { type AccountCreation, checkedAddress } from './account-creation.ts';
import type { AccountRemovals } from './account-removals.ts';
import type { CredentialService } from './credential-service.ts';
import type { VersionedAccount } from './directory.ts';
import type { Logins } from './login.ts';
import { normalizeAddress } from './names.ts';
import { checkedQuota } from './quota.ts';
import type { Sessions } from './sessions.ts';

/** Accounts in the making at a time: as many share one sync of the store. */
const BULK_AT_ONCE = 128;
const MAX_ATTEMPTS = 5;
const MAX_ALIAS_TARGETS = 1000;

export class AccountService implements Accounts {
  readonly #parts: MailParts;
  readonly #passwords: CredentialService;
  readonly #creation: AccountCreation;
  readonly #removals: AccountRemovals;
  readonly #sessions: Sessions;
  readonly #logins: Logins;

  constructor(options: {
    readonly parts: MailParts;
    readonly passwords: CredentialService;
    readonly creation: AccountCreation;
    readonly removals: AccountRemovals;
    readonly sessions: Sessions;
    readonly logins: Logins;
  }) {
    this.#parts = options.parts;
    this.#passwords = options.passwords;
    this.#creation = options.creation;
    this.#removals = options.removals;
    this.#sessions = options.sessions;
    this.#logins = options.logins;
  }

  login(request: LoginRequest, signal: AbortSignal): Promise<LoggedIn> {
    return this.#logins.login(request, signal);
  }

  create(account: NewAccount): Promise<AccountRecord> {
    return this.#creation.create(account);
  }

  async *createMany(
    accounts: AsyncIterable<NewAccount>,
  ): AsyncGenerator<{ readonly username: string; readonly account?: AccountRecord; readonly error?: Error }> {
    const running: Promise<{ readonly username: string; readonly account?: AccountRecord; readonly error?: Error }>[] = [];
    const start = async (account: NewAccount) => {
      const { username } = account;
      try {
        return { username, account: await this.#creation.create(account) };
      } catch (error) {
        return { username, error: error instanceof Error ? error : new Error('not an error', { cause: error }) };
      }
    };
    for await (const account of accounts) {
      running.push(start(account));
      const oldest = running.length >= BULK_AT_ONCE ? running.shift() : undefined;
      if (oldest !== undefined) yield await oldest;
    }
    for (const one of running) yield await one;
  }

  get(id: AccountId): Promise<AccountRecord | undefined> {
    return this.#parts.directory.get(id);
  }

  async find(usernameOrAddress: string): Promise<AccountRecord | undefined> {
    const { directory, hooks, actors } = this.#parts;
    let name: string;
    try {
      name = normalizeAddress(usernameOrAddress).full;
    } catch (error) {
      if (error instanceof MailError && error.code === 'invalid') return undefined;
      throw error;
    }
    const known = await directory.find(name);
    if (known !== undefined || !hooks.has('account.lookup')) return known;
    const seed = await guarded(() => hooks.decide('account.lookup', { username: name }, { actor: actors.system }));
    return seed === undefined ? undefined : (await this.#creation.fromSeed(seed, undefined)).record;
  }

  list(options: { readonly after?: string; readonly limit: number }): Promise<readonly AccountRecord[]> {
    return this.#parts.directory.list(options);
  }

  async update(id: AccountId, change: AccountChange): Promise<AccountRecord> {
    const { displayName, quotaOctets, allow, disabled } = change;
    const record = await this.#change(id, (record) => ({
      ...record,
      displayName: displayName === undefined ? record.displayName : (displayName ?? undefined),
      quotaOctets: quotaOctets === undefined ? record.quotaOctets : checkedQuota(quotaOctets ?? undefined),
      allow: allow ?? record.allow,
      disabled: disabled ?? record.disabled,
    }));
    if (disabled === true || allow !== undefined) await this.#sessions.revoke(id);
    return record;
  }

  async delete(id: AccountId): Promise<void> {
    const { directory, store, hooks, codecs, mails, actors, committed } = this.#parts;
    const fresh = await directory.fresh(id);
    if (fresh === undefined) throw new MailError('no-such-account', 'No such account');
    if (hooks.has('expunge.before')) await this.#requireNothingHeld(id, actors.system);
    const waiting = hooks.followers().flatMap((follower) => (follower.types.has('account.deleted') ? [follower.id] : []));
    try {
      if (waiting.length === 0) await store.records.write(directory.removal(fresh));
      else {
        const rows = [...directory.removal(fresh), this.#removals.beginning(fresh.record, waiting)];
        await (await mails.get(id)).writeRecords(rows, { by: 'api', actor: actors.system.name }, 'deleted');
      }
    } catch (error) {
      throw asMailError(error);
    }
    await Promise.all([directory.forget(fresh.record), this.#sessions.revoke(id), codecs.forget(id)]);
    if (waiting.length === 0) await this.#removals.erase(id);
    else committed();
  }

  setPassword(id: AccountId, password: { readonly password: Uint8Array } | { readonly passwordHash: string }): Promise<void> {
    return this.#passwords.setPassword(id, password);
  }

  changePassword(login: LoggedIn, former: Uint8Array, password: Uint8Array): Promise<void> {
    return this.#passwords.changePassword(login, former, password);
  }

  createAppPassword(id: AccountId, wanted: NewAppPassword, by?: LoggedIn): Promise<MadeAppPassword> {
    return this.#passwords.createAppPassword(id, wanted, by);
  }

  appPasswords(id: AccountId): Promise<readonly AppPassword[]> {
    return this.#passwords.appPasswords(id);
  }

  revokeAppPassword(id: AccountId, appPasswordId: string, by?: LoggedIn): Promise<void> {
    return this.#passwords.revokeAppPassword(id, appPasswordId, by);
  }

  addAddress(id: AccountId, address: string): Promise<AccountRecord> {
    const added = checkedAddress(address);
    return this.#change(id, (record) => {
      if (record.addresses.includes(added) || record.username === added) throw new MailError('taken', `${added} is taken`);
      return { ...record, addresses: [...record.addresses, added] };
    });
  }

  removeAddress(id: AccountId, address: string): Promise<AccountRecord> {
    const removed = checkedAddress(address);
    return this.#change(id, (record) => {
      if (!record.addresses.includes(removed)) throw new MailError('invalid', 'The account has no such address');
      return { ...record, addresses: record.addresses.filter((other) => other !== removed) };
    });
  }

  async setAlias(address: string, to: readonly string[] | undefined): Promise<void> {
    if (to !== undefined && (to.length === 0 || to.length > MAX_ALIAS_TARGETS))
      throw new MailError('invalid', 'An alias has 1 to 1000 addresses');
    const targets = to?.map((target) => normalizeAddress(target).full);
    try {
      await this.#parts.directory.setAlias(checkedAddress(address), targets);
    } catch (error) {
      throw asMailError(error);
    }
  }

  async access(id: AccountId, actor: Actor, session?: Session): Promise<HookedMailAccess> {
    const record = await this.#parts.directory.get(id);
    if (record === undefined) throw new MailError('no-such-account', 'No such account');
    const account = await accountOf(this.#parts, record);
    const mail = await this.#parts.mails.get(id);
    await mail.refresh();
    return new HookedMailAccess(this.#parts, { account, mail, actor, session, by: originOf(actor, session) });
  }

  async #change(id: AccountId, change: (record: AccountRecord) => AccountRecord): Promise<AccountRecord> {
    const { directory, mails, actors, committed } = this.#parts;
    for (let attempt = 1; ; attempt += 1) {
      const from: VersionedAccount | undefined = await directory.fresh(id);
      if (from === undefined) throw new MailError('no-such-account', 'No such account');
      const to = change(from.record);
      for (const name of to.addresses) {
        if (!from.record.addresses.includes(name) && (await directory.isTaken(name))) throw new MailError('taken', `${name} is taken`);
      }
      const word = to.disabled && !from.record.disabled ? 'suspended' : 'updated';
      try {
        await (await mails.get(id)).writeRecords(directory.change(from, to), { by: 'api', actor: actors.system.name }, word);
        await directory.forget(from.record, to);
        committed();
        return to;
      } catch (error) {
        if (!(error instanceof RecordConflict) || attempt === MAX_ATTEMPTS) throw asMailError(error);
      }
    }
  }

  async #requireNothingHeld(id: AccountId, actor: Actor): Promise<void> {
    const access = await this.access(id, actor);
    for (const info of [...access.mail.mailboxes()]) {
      if (!info.selectable || info.messages === 0) continue;
      const { kept, text } = await access.keptOf(info, runOf(1, 0xffff_ffff), 'account-deleted', 'all');
      if (kept.length > 0) throw new MailError('held', text ?? 'Mail of the account may not be removed');
    }
  }
}

function originOf(actor: Actor, session: Session | undefined): string {
  if (session !== undefined) return session.protocol === 'http' ? 'api' : session.protocol;
  return actor.type === 'plugin' ? `plugin:${actor.name}` : 'api';
}
