/** Makes accounts, for administrators and from what an outside directory says of a user. */
import { randomBytes } from 'node:crypto';
import type { AccountSeed, MailboxPlan } from '@pochard/plugin-sdk';
import { PasswordError } from '../../passwords/password-error.ts';
import { createSecret } from '../../plugins/secrets.ts';
import { type AccountId, RecordConflict } from '../../store/store.ts';
import { commitWith } from '../commit-batch.ts';
import { MailError } from '../errors.ts';
import { asMailError, guarded } from '../hook-errors.ts';
import { accountOf, type MailParts } from '../mail-parts.ts';
import type { AccountRecord, NewAccount, ProtocolName } from '../services.ts';
import { type Credentials, PASSWORD, type StoredPassword } from './credentials.ts';
import { normalizeAddress, normalizeUsername } from './names.ts';
import { checkedQuota } from './quota.ts';

const PROTOCOLS: readonly ProtocolName[] = ['imap', 'submission', 'http'];
const MAX_ADDRESSES = 1000;

export class AccountCreation {
  readonly #parts: MailParts;
  readonly #credentials: Credentials;

  constructor(parts: MailParts, credentials: Credentials) {
    this.#parts = parts;
    this.#credentials = credentials;
  }

  /** @throws MailError invalid, policy, unavailable */
  async create(account: NewAccount): Promise<AccountRecord> {
    const { password, passwordHash, ...seed } = account;
    try {
      if (password !== undefined && passwordHash !== undefined) throw new MailError('invalid', 'Give a password or a hash, not both');
      const record = this.#recordOf(seed);
      return await this.#make(record, seed, password, passwordHash);
    } finally {
      password?.fill(0);
    }
  }

  /**
   * The account of a user whom a plugin vouches for: made at first sight, else brought up to date. `secret` is the password of the login
   * that is going on, for `account.creating`; nothing of it is kept.
   */
  async fromSeed(given: AccountSeed, secret: Uint8Array | undefined): Promise<{ readonly record: AccountRecord; readonly first: boolean }> {
    const { hooks, actors, directory } = this.#parts;
    let seed = given;
    if (hooks.has('account.provision')) {
      seed = await guarded(() => hooks.transform('account.provision', given, { actor: actors.system }));
    }
    const record = this.#recordOf(seed);
    const known = await directory.find(record.username);
    if (known !== undefined) return { record: await this.#refresh(known, seed), first: false };
    try {
      return { record: await this.#make(record, seed, undefined, undefined, secret), first: true };
    } catch (error) {
      // Two first logins at once: one of them has made it.
      const other = await directory.find(record.username);
      if (other === undefined) throw error;
      return { record: other, first: false };
    }
  }

  #recordOf(seed: AccountSeed): AccountRecord {
    const username = normalizeUsername(seed.username);
    const addresses = [...new Set((seed.addresses ?? []).map((address) => checkedAddress(address)))];
    if (addresses.length > MAX_ADDRESSES) throw new MailError('invalid', `More than ${MAX_ADDRESSES} addresses`);
    const at = username.lastIndexOf('@');
    return Object.freeze({
      id: randomBytes(10).toString('hex') as AccountId,
      username,
      domain: at < 0 ? '' : username.slice(at + 1),
      displayName: seed.displayName,
      addresses: Object.freeze(addresses),
      quotaOctets: checkedQuota(seed.quotaOctets),
      allow: Object.freeze(PROTOCOLS.filter((name) => seed.allow?.includes(name) ?? true)),
      disabled: false,
      createdAt: this.#parts.now(),
    });
  }

  async #make(
    record: AccountRecord,
    seed: AccountSeed,
    password: Uint8Array | undefined,
    passwordHash: string | undefined,
    loginSecret?: Uint8Array,
  ): Promise<AccountRecord> {
    const { hooks, actors, directory, mails } = this.#parts;
    await this.#requireFree(record);
    const hash = await this.#hashOf(password, passwordHash);
    const account = await accountOf(this.#parts, record);
    const context = { actor: actors.system, account };
    let plans: readonly MailboxPlan[] = this.#parts.settings.mailboxes;
    if (hooks.has('account.mailboxes')) plans = await guarded(() => hooks.transform('account.mailboxes', plans, context));
    const gate = async ({ commit }: { readonly commit: Parameters<typeof hooks.gate<'account.creating'>>[1]['commit'] }) => {
      if (!hooks.has('account.creating')) return;
      const octets = password ?? loginSecret;
      // Lent to the gate and wiped after it; the caller's own octets are the caller's.
      const secret = octets === undefined ? undefined : createSecret(Uint8Array.from(octets));
      try {
        await guarded(() => hooks.gate('account.creating', { seed, secret, commit }, context));
      } finally {
        secret?.[Symbol.dispose]();
      }
    };
    const mail = await mails.get(record.id);
    const origin = { by: 'api', actor: actors.system.name };
    const boxes = [planOf({ name: 'INBOX' }), ...plans.map(planOf)].filter(
      ({ name }, at, all) => mail.byName(name) === undefined && all.findIndex((other) => other.name === name) === at,
    );
    try {
      await commitWith(gate, async (writes) => {
        const rows = hash === undefined ? [] : [this.#credentials.setting(record.id, PASSWORD, hash)];
        await this.#requireFree(record);
        await mail.createMailboxes(boxes, origin, [...directory.creation(record), ...rows, ...writes]);
      });
    } catch (error) {
      await directory.forget(record);
      if (error instanceof RecordConflict) throw new MailError('taken', `${error.key} is taken`, { cause: error });
      throw asMailError(error);
    }
    // What was written with it may be the key that seals its mail: no codec's earlier "no" counts any more.
    await Promise.all([directory.forget(record), this.#parts.codecs.forget(record.id)]);
    this.#parts.committed();
    return record;
  }

  async #hashOf(password: Uint8Array | undefined, passwordHash: string | undefined): Promise<StoredPassword | undefined> {
    try {
      if (passwordHash !== undefined) this.#credentials.requireUsable(passwordHash);
      if (passwordHash !== undefined) return { hash: passwordHash };
      return password === undefined ? undefined : await this.#credentials.hash(password, new AbortController().signal);
    } catch (error) {
      if (!(error instanceof PasswordError)) throw error;
      const isBusy = error.code === 'unavailable' || error.code === 'closed';
      throw new MailError(isBusy ? 'unavailable' : 'invalid', isBusy ? 'Try again later' : error.message, { cause: error });
    }
  }

  /** A clear answer in nearly all cases; the commit decides in the others. */
  async #requireFree(record: AccountRecord): Promise<void> {
    for (const name of [record.username, ...record.addresses]) {
      if (await this.#parts.directory.isTaken(name)) throw new MailError('taken', `${name} is taken`);
    }
  }

  async #refresh(known: AccountRecord, seed: AccountSeed): Promise<AccountRecord> {
    const { directory, mails, actors, log, committed } = this.#parts;
    const fresh = await directory.fresh(known.id);
    if (fresh === undefined) throw new MailError('unavailable', 'The account was just deleted');
    const said = this.#recordOf(seed);
    const { record } = fresh;
    const wanted: AccountRecord = {
      ...record,
      displayName: seed.displayName ?? record.displayName,
      quotaOctets: seed.quotaOctets === undefined ? record.quotaOctets : said.quotaOctets,
      allow: seed.allow === undefined ? record.allow : said.allow,
      addresses: seed.addresses === undefined ? record.addresses : said.addresses,
    };
    if (JSON.stringify(wanted) === JSON.stringify(record)) return record;
    try {
      const origin = { by: 'api', actor: actors.system.name };
      await (await mails.get(record.id)).writeRecords(directory.change(fresh, wanted), origin, 'updated');
      committed();
      return wanted;
    } catch (error) {
      // Another login is bringing it up to date, or an address belongs to somebody else: the account is good as it is.
      log.warn({ account: record.id, err: error }, 'account was not brought up to date from its directory');
      return record;
    } finally {
      await directory.forget(record, wanted);
    }
  }
}

export function checkedAddress(address: string): string {
  const { full, domain } = normalizeAddress(address);
  if (full.startsWith('*') && (full !== `*@${domain}` || domain === '')) throw new MailError('invalid', 'Not a valid address');
  return full;
}

function planOf(plan: MailboxPlan): { readonly name: string; readonly specialUse?: readonly string[]; readonly subscribed: boolean } {
  return { name: plan.name, subscribed: true, ...(plan.specialUse === undefined ? {} : { specialUse: [plan.specialUse] }) };
}
