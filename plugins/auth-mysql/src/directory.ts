/** What the database says of a name: users, aliases, domains. Nothing here remembers anything. */
import { type AccountSeed, type Protocol, Unavailable } from '@pochard/plugin-sdk';
import type { Config } from './config.ts';
import type { Database, Row } from './database.ts';
import { flagValue, quotaOctets } from './mapping.ts';
import { isSameName, type LookupName, lookupDomain, lookupName, storedDomain, storedName, withoutLabel } from './names.ts';
import type { Statement, Statements } from './statements.ts';

const MAX_TARGETS = 1000;
const MAX_TARGET_CHARS = 1_000_000;
const MAX_STEPS = 20;
const PROTOCOLS: readonly Protocol[] = ['imap', 'submission', 'http'];

export interface DirectoryUser {
  /** What an update finds the row by, as it is stored. */
  readonly login: string;
  readonly password: string | undefined;
  readonly mayLogIn: boolean;
  readonly receives: boolean;
  readonly seed: AccountSeed;
}
export type DomainState = 'active' | 'disabled' | 'unlisted';
export type AliasMeaning = { readonly state: 'active'; readonly to: readonly string[] } | { readonly state: 'disabled' };
export type AddressMeaning =
  | { readonly is: 'user'; readonly user: DirectoryUser }
  | { readonly is: 'alias'; readonly to: readonly string[] }
  | { readonly is: 'disabled' };

/** Rows that cannot be told apart: which of them is meant is not ours to guess. Of this name alone, so no fault that counts against all. */
export class AmbiguousName extends Unavailable {
  override readonly name = 'AmbiguousName';
}

export class Directory {
  readonly #database: Database;
  readonly #statements: Statements;
  readonly #config: Pick<Config, 'domainForm' | 'delimiter' | 'ignoreTargets'>;
  readonly #ignored: ReadonlySet<string>;

  constructor(database: Database, statements: Statements, config: Pick<Config, 'domainForm' | 'delimiter' | 'ignoreTargets'>) {
    this.#database = database;
    this.#statements = statements;
    this.#config = config;
    this.#ignored = new Set(config.ignoreTargets.map((domain) => lookupDomain(domain) ?? domain));
  }

  /** By login name; `primary`: as it is now, not as a replica has it. @throws DatabaseUnavailable, AmbiguousName */
  async login(name: LookupName, signal: AbortSignal, from: 'any' | 'primary' = 'any'): Promise<DirectoryUser | undefined> {
    const user = await this.#user(this.#statements.user, 'username', name, signal, from);
    if (user === undefined) return undefined;
    const home = lookupName(user.seed.username) ?? name;
    const domain = await this.domainState(home.domain, signal);
    if (domain === 'unlisted') return undefined;
    return domain === 'active' ? user : { ...user, mayLogIn: false, receives: false };
  }
  /** By address, the domain's state not looked at. @throws DatabaseUnavailable, AmbiguousName */
  mailbox(name: LookupName, signal: AbortSignal): Promise<DirectoryUser | undefined> {
    return this.#user(this.#statements.mailbox, 'address', name, signal, 'any');
  }
  /** The mailbox as it is when its domain counts too. */
  async mailboxInForce(name: LookupName, signal: AbortSignal): Promise<DirectoryUser | undefined> {
    const [user, domain] = await Promise.all([this.mailbox(name, signal), this.domainState(name.domain, signal)]);
    if (user === undefined || domain === 'active') return user;
    return domain === 'unlisted' ? undefined : { ...user, mayLogIn: false, receives: false };
  }

  /** One step: aliases, mailboxes, +labels, domain aliases, the catch-all, in this order. @throws DatabaseUnavailable, AmbiguousName */
  async meaning(name: LookupName, signal: AbortSignal): Promise<AddressMeaning | undefined> {
    const state = await this.domainState(name.domain, signal);
    if (state === 'disabled') return { is: 'disabled' };
    if (state === 'active') {
      const base = withoutLabel(name, this.#config.delimiter);
      for (const one of base === undefined ? [name] : [name, base]) {
        const found = await this.#exact(one, signal);
        if (found !== undefined) return found;
      }
    }
    if (name.domain === '') return undefined;
    const other = await this.#domainAlias(name.domain, signal);
    if (other === 'disabled') return { is: 'disabled' };
    if (other !== undefined) return { is: 'alias', to: [`${name.local}@${other}`] };
    return state === 'active' ? this.#catchAll(name, signal) : undefined;
  }

  /** Where mail for an existing mailbox goes: itself, or what its alias row says. Targets of domains that are ignored are left out. */
  async forwards(name: LookupName, signal: AbortSignal): Promise<readonly string[] | undefined> {
    const base = withoutLabel(name, this.#config.delimiter);
    for (const one of base === undefined ? [name] : [name, base]) {
      const alias = await this.#alias(storedName(one, this.#config.domainForm), one, signal);
      if (alias === undefined) continue;
      if (alias.state === 'disabled') return undefined;
      const to = alias.to.map((target) => (target === one.full ? name.full : target));
      return to.length === 0 || (to.length === 1 && to[0] === name.full) ? undefined : to;
    }
    return undefined;
  }

  /** Whether mail for `name` reaches the account, through any number of aliases up to a limit. */
  async reaches(name: LookupName, username: string, signal: AbortSignal): Promise<boolean> {
    const seen = new Set<string>();
    const open = [name];
    for (let step = 0; step < MAX_STEPS; step += 1) {
      const next = open.shift();
      if (next === undefined) return false;
      if (seen.has(next.full)) continue;
      seen.add(next.full);
      const found = await this.meaning(next, signal);
      if (found?.is === 'user' && found.user.seed.username === username) return true;
      if (found?.is !== 'alias') continue;
      for (const target of found.to) {
        const targetName = lookupName(target);
        if (targetName !== undefined) open.push(targetName);
      }
    }
    return false;
  }

  async #exact(name: LookupName, signal: AbortSignal): Promise<AddressMeaning | undefined> {
    const [alias, user] = await Promise.all([
      this.#alias(storedName(name, this.#config.domainForm), name, signal),
      this.mailbox(name, signal),
    ]);
    const isUser = user !== undefined;
    if (isUser && !user.receives) return { is: 'disabled' };
    if (alias?.state === 'active' && alias.to.length > 0 && !(isUser && alias.to.includes(name.full))) return { is: 'alias', to: alias.to };
    if (isUser) return { is: 'user', user };
    return alias?.state === 'disabled' ? { is: 'disabled' } : undefined;
  }
  async #catchAll(name: LookupName, signal: AbortSignal): Promise<AddressMeaning | undefined> {
    const domain = storedDomain(name.domain, this.#config.domainForm);
    for (const form of this.#statements.catchAll) {
      const key = form.replace('domain', domain);
      const alias = await this.#alias(key, name, signal);
      if (alias === undefined || alias.state === 'disabled') continue;
      // A domain may be sent on as a whole: @other.example.
      const to = alias.to.filter((target) => target !== name.full);
      if (to.length > 0) return { is: 'alias', to };
    }
    return undefined;
  }

  async #user(
    statement: Statement,
    column: 'username' | 'address',
    name: LookupName,
    signal: AbortSignal,
    from: 'any' | 'primary',
  ): Promise<DirectoryUser | undefined> {
    const rows = await this.#database.query(statement, storedName(name, this.#config.domainForm), signal, from);
    const own = rows.filter((row) => isSameName(row[column] ?? row['username'], name));
    const [row, other] = own;
    if (other !== undefined) throw new AmbiguousName(`${own.length} rows of the ${statement.name} query have one name`);
    return row === undefined ? undefined : this.userIn(row);
  }
  /** What a row says of a user; `undefined`: its address is none. */
  userIn(row: Row): DirectoryUser | undefined {
    const login = String(row['username']);
    const address = lookupName(String(row['address'] ?? row['username']));
    if (address === undefined) return undefined;
    const { flags, quotaUnit, isReceivesApart } = this.#statements;
    const is = (column: string) => !(column in row) || flagValue(row[column], flags.get(column));
    const mayLogIn = is('active');
    const quota = quotaOctets(row['quota'], quotaUnit);
    const displayName = row['displayName'];
    const password = row['password'];
    return {
      login,
      password:
        password instanceof Uint8Array ? Buffer.from(password).toString('latin1') : typeof password === 'string' ? password : undefined,
      mayLogIn,
      receives: 'receives' in row ? is('receives') && (mayLogIn || isReceivesApart) : mayLogIn,
      seed: {
        username: address.full,
        allow: PROTOCOLS.filter((protocol) => is(protocol)),
        ...(quota === undefined ? {} : { quotaOctets: quota }),
        ...(typeof displayName === 'string' && displayName !== '' ? { displayName: displayName.slice(0, 200) } : {}),
      },
    };
  }

  /** `key` as the database writes it, for the address `name`. */
  async #alias(key: string, name: LookupName, signal: AbortSignal): Promise<AliasMeaning | undefined> {
    const { alias, aliasFlag } = this.#statements;
    if (alias === undefined) return undefined;
    const rows = await this.#database.query(alias, key, signal);
    const own = rows.filter((row) => !('found' in row) || isSameKey(row['found'], key));
    if (own.length === 0) return undefined;
    const active = own.filter((row) => !('active' in row) || flagValue(row['active'], aliasFlag));
    if (active.length === 0) return { state: 'disabled' };
    const to = new Set<string>();
    for (const row of active) {
      for (const target of String(row['target'] ?? '')
        .slice(0, MAX_TARGET_CHARS)
        .split(/[,\s]+/)) {
        const address = this.#target(target, name);
        if (address !== undefined && to.size < MAX_TARGETS) to.add(address);
      }
    }
    return { state: 'active', to: [...to] };
  }
  /** Commands and files are not addresses, and are left out. */
  #target(text: string, { local }: LookupName): string | undefined {
    if (text === '' || /^[|/:"]/.test(text)) return undefined;
    const name = lookupName(text.startsWith('@') ? `${local}${text}` : text);
    return name === undefined || name.domain === '' || this.#ignored.has(name.domain) ? undefined : name.full;
  }

  /** Unlisted: not a domain of ours. @throws DatabaseUnavailable */
  async domainState(domain: string, signal: AbortSignal): Promise<DomainState> {
    const { domain: statement, domainFlag } = this.#statements;
    if (statement === undefined || domain === '') return 'active';
    const rows = await this.#database.query(statement, storedDomain(domain, this.#config.domainForm), signal);
    const row = rows.find((one) => !('found' in one) || lookupDomain(String(one['found'])) === domain);
    if (row === undefined) return 'unlisted';
    return !('active' in row) || flagValue(row['active'], domainFlag) ? 'active' : 'disabled';
  }
  async #domainAlias(domain: string, signal: AbortSignal): Promise<string | 'disabled' | undefined> {
    const { domainAlias, domainAliasForm, domainAliasFlag } = this.#statements;
    if (domainAlias === undefined) return undefined;
    const stored = storedDomain(domain, this.#config.domainForm);
    const rows = await this.#database.query(domainAlias, domainAliasForm === 'domain' ? stored : `@${stored}`, signal);
    const row = rows.find((one) => !('found' in one) || lookupDomain(String(one['found']).replace(/^@/, '')) === domain);
    if (row === undefined) return undefined;
    if ('active' in row && !flagValue(row['active'], domainAliasFlag)) return 'disabled';
    const target = lookupDomain(String(row['target']).replace(/^@/, ''));
    return target === domain ? undefined : target;
  }
}

function isSameKey(stored: unknown, key: string): boolean {
  return typeof stored === 'string' && stored.normalize('NFC').toLowerCase() === key.normalize('NFC').toLowerCase();
}
