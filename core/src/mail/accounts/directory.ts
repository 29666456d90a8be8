/**
 * Accounts and addresses as records of the store. All names of the server share one table (`address`), so that one write with
 * `ifVersion: 0` makes a username or an address unique, whoever else is creating it now.
 */
import { LRUCache } from 'lru-cache';
import type { AccountId, Bus, Records, RecordWrite } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { AccountRecord, ProtocolName } from '../services.ts';
import { type AddressName, normalizeAddress } from './names.ts';

const ACCOUNTS = 'account';
const NAMES = 'account-name';
const ADDRESSES = 'address';
const ALL_PROTOCOLS: readonly ProtocolName[] = ['imap', 'submission', 'http'];

export interface DirectoryOptions {
  readonly records: Records;
  /** Between local part and label; '' for no labels. */
  readonly delimiter: string;
  /** How long a row that another instance may have changed is believed. */
  readonly cacheMs?: number;
  readonly bus?: Pick<Bus, 'tell' | 'hear'>;
}
const NEWS = 'directory';
/** An account and the version of its row, for the next write. */
export interface VersionedAccount {
  readonly record: AccountRecord;
  readonly version: number;
}
/** What one address means, a level deep. */
export type AddressMeaning =
  | { readonly to: 'account'; readonly id: AccountId; readonly address: string; readonly label: string | undefined }
  | { readonly to: 'alias'; readonly addresses: readonly string[] };

type AddressValue = { readonly account: AccountId } | { readonly alias: readonly string[] };

export class Directory {
  readonly #records: Records;
  readonly #delimiter: string;
  readonly #accounts: LRUCache<AccountId, VersionedAccount>;
  readonly #addresses: LRUCache<string, AddressValue>;
  readonly #bus: DirectoryOptions['bus'];

  constructor(options: DirectoryOptions) {
    this.#records = options.records;
    this.#delimiter = options.delimiter;
    const ttl = options.cacheMs ?? 5_000;
    this.#accounts = new LRUCache({ max: 10_000, ttl });
    this.#addresses = new LRUCache({ max: 20_000, ttl });
    this.#bus = options.bus;
    // Account and names, none of which holds a space.
    options.bus?.hear(NEWS, (about) => {
      const [id, ...names] = about.split(' ');
      this.#drop(id as AccountId, names);
    });
  }

  /** At once when it is cached, so that the way of a delivery has no promise here. */
  cached(id: AccountId): AccountRecord | undefined {
    return this.#accounts.get(id)?.record;
  }

  async get(id: AccountId): Promise<AccountRecord | undefined> {
    return this.#accounts.get(id)?.record ?? (await this.fresh(id))?.record;
  }

  /** Past the cache: what a write is computed from. */
  async fresh(id: AccountId): Promise<VersionedAccount | undefined> {
    const row = await this.#records.get(ACCOUNTS, id);
    if (row === undefined) {
      this.#accounts.delete(id);
      return undefined;
    }
    const account = { record: readAccount(row.value), version: row.version };
    this.#accounts.set(id, account);
    return account;
  }

  /** By username or address, normalised already; aliases are not followed. */
  async find(name: string): Promise<AccountRecord | undefined> {
    const value = await this.#address(name);
    return value !== undefined && 'account' in value ? this.get(value.account) : undefined;
  }

  /** By an account or an alias; a normalised name. */
  async isTaken(name: string): Promise<boolean> {
    return (await this.#records.get(ADDRESSES, name)) !== undefined;
  }

  /** Exact, then without its +label, then the domain's catch-all. */
  async meaning(address: AddressName): Promise<AddressMeaning | undefined> {
    const exact = await this.#address(address.full);
    if (exact !== undefined) return meaningOf(exact, address.full, undefined);
    const at = this.#delimiter === '' ? -1 : address.local.indexOf(this.#delimiter);
    if (at > 0) {
      const local = address.local.slice(0, at);
      const base = await this.#address(address.domain === '' ? local : `${local}@${address.domain}`);
      if (base !== undefined) return meaningOf(base, address.full, address.local.slice(at + this.#delimiter.length));
    }
    if (address.domain === '') return undefined;
    const all = await this.#address(`*@${address.domain}`);
    return all === undefined ? undefined : meaningOf(all, address.full, undefined);
  }

  async list(options: { readonly after?: string; readonly limit: number }): Promise<readonly AccountRecord[]> {
    const rows = await this.#records.list(NAMES, options);
    const accounts = await Promise.all(rows.map((row) => this.get(readId(row.value))));
    return accounts.filter((account) => account !== undefined);
  }

  /** The rows that make an account; they land in the commit of its first mailboxes. */
  creation(record: AccountRecord): readonly RecordWrite[] {
    return [
      { table: ACCOUNTS, key: record.id, value: writeAccount(record), ifVersion: 0 },
      { table: NAMES, key: record.username, value: { account: record.id }, ifVersion: 0 },
      ...namesOf(record).map((key) => ({ table: ADDRESSES, key, value: { account: record.id }, ifVersion: 0 })),
    ];
  }

  /** The rows that change an account from what `from` says, addresses included. */
  change(from: VersionedAccount, to: AccountRecord): readonly RecordWrite[] {
    const before = new Set(namesOf(from.record));
    const after = new Set(namesOf(to));
    return [
      { table: ACCOUNTS, key: to.id, value: writeAccount(to), ifVersion: from.version },
      ...[...after].filter((name) => !before.has(name)).map((key) => ({ table: ADDRESSES, key, value: { account: to.id }, ifVersion: 0 })),
      ...[...before].filter((name) => !after.has(name)).map((key) => ({ table: ADDRESSES, key, value: undefined })),
    ];
  }

  removal(from: VersionedAccount): readonly RecordWrite[] {
    return [
      { table: ACCOUNTS, key: from.record.id, value: undefined, ifVersion: from.version },
      { table: NAMES, key: from.record.username, value: undefined },
      ...namesOf(from.record).map((key) => ({ table: ADDRESSES, key, value: undefined })),
    ];
  }

  /** An alias takes a free name, or replaces an alias. @throws MailError invalid when an account has the name */
  async setAlias(address: string, to: readonly string[] | undefined): Promise<void> {
    const row = await this.#records.get(ADDRESSES, address);
    if (row !== undefined && !('alias' in readAddress(row.value))) throw new MailError('taken', 'The address belongs to an account');
    if (row === undefined && to === undefined) return;
    await this.#records.write([
      { table: ADDRESSES, key: address, value: to === undefined ? undefined : { alias: to }, ifVersion: row?.version ?? 0 },
    ]);
    this.#addresses.delete(address);
    await this.#bus?.tell(NEWS, `- ${address}`);
  }

  /** After a write: what the caches knew of these names is old, here and elsewhere. */
  async forget(...records: readonly AccountRecord[]): Promise<void> {
    const told = records.map((record) => {
      const names = namesOf(record);
      this.#drop(record.id, names);
      return this.#bus?.tell(NEWS, [record.id, ...names].join(' '));
    });
    await Promise.all(told);
  }
  #drop(id: AccountId, names: readonly string[]): void {
    this.#accounts.delete(id);
    for (const name of names) this.#addresses.delete(name);
  }

  async #address(key: string): Promise<AddressValue | undefined> {
    const cached = this.#addresses.get(key);
    if (cached !== undefined) return cached;
    const row = await this.#records.get(ADDRESSES, key);
    if (row === undefined) return undefined;
    const value = readAddress(row.value);
    this.#addresses.set(key, value);
    return value;
  }
}

/** The username is an address too (of a server without domains even when it has no @). */
function namesOf(record: AccountRecord): readonly string[] {
  return [...new Set([record.username, ...record.addresses.map((address) => normalizeAddress(address).full)])];
}

function meaningOf(value: AddressValue, address: string, label: string | undefined): AddressMeaning {
  return 'account' in value ? { to: 'account', id: value.account, address, label } : { to: 'alias', addresses: value.alias };
}

/* Rows are JSON that this file wrote; they are read with the care that a database edited by hand deserves. */

function fields(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw new MailError('damaged', 'An account record is damaged');
  return { ...value };
}
function readId(value: unknown): AccountId {
  const { account } = fields(value);
  if (typeof account !== 'string') throw new MailError('damaged', 'An account record is damaged');
  return account as AccountId;
}
function readStrings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
function readAddress(value: unknown): AddressValue {
  const { alias } = fields(value);
  return alias === undefined ? { account: readId(value) } : { alias: readStrings(alias) };
}
export function readAccount(value: unknown): AccountRecord {
  const row = fields(value);
  if (typeof row['id'] !== 'string' || typeof row['username'] !== 'string') throw new MailError('damaged', 'An account record is damaged');
  return Object.freeze({
    id: row['id'] as AccountId,
    username: row['username'],
    domain: typeof row['domain'] === 'string' ? row['domain'] : '',
    displayName: typeof row['displayName'] === 'string' ? row['displayName'] : undefined,
    addresses: Object.freeze(readStrings(row['addresses'])),
    quotaOctets: typeof row['quotaOctets'] === 'number' ? row['quotaOctets'] : undefined,
    allow: Object.freeze(ALL_PROTOCOLS.filter((name) => readStrings(row['allow'] ?? ALL_PROTOCOLS).includes(name))),
    disabled: row['disabled'] === true,
    createdAt: typeof row['createdAt'] === 'number' ? row['createdAt'] : 0,
  });
}
export function writeAccount(record: AccountRecord): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}
