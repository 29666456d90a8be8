/** The users of the database, page by page. Neither passwords nor hashes are asked for. */
import { Refusal } from '@pochard/plugin-sdk';
import type { Database, Row } from './database.ts';
import type { Directory, DirectoryUser, DomainState } from './directory.ts';
import { type DomainForm, lookupDomain, lookupName, storedDomain } from './names.ts';
import { domainPattern, type ListStatement, PAGE_ROWS, prefixPattern } from './statements.ts';

/** States of domains that one listing remembers. */
const MAX_DOMAINS = 1_000;

export interface ListedAccount {
  /** As they are stored: any character may be in them. */
  readonly login: string;
  readonly address: string;
  /** `undefined`: what is stored is no name, and nobody can log in or get mail by it. */
  readonly user: DirectoryUser | undefined;
  readonly domain: DomainState;
}
export interface ListFilter {
  /** Login names behind this one. */
  readonly after: string | undefined;
  /** How login names begin, whatever the case. */
  readonly like: string | undefined;
  /** Of addresses, as `lookupDomain` has it. */
  readonly domain: string | undefined;
}

export class AccountListing {
  readonly #database: Pick<Database, 'list'>;
  readonly #directory: Pick<Directory, 'userIn' | 'domainState'>;
  readonly #statement: ListStatement;
  readonly #domainForm: DomainForm;

  constructor(
    database: Pick<Database, 'list'>,
    directory: Pick<Directory, 'userIn' | 'domainState'>,
    statement: ListStatement,
    domainForm: DomainForm,
  ) {
    this.#database = database;
    this.#directory = directory;
    this.#statement = statement;
    this.#domainForm = domainForm;
  }

  /**
   * In the order of the login names that the database has; one page is in memory.
   * @throws DatabaseUnavailable, Refusal when the query does not come forward
   */
  async *accounts(filter: ListFilter, signal: AbortSignal): AsyncGenerator<ListedAccount> {
    const { after: start, like, domain } = filter;
    const patterns = {
      login: prefixPattern(like ?? ''),
      address: domain === undefined ? '%' : domainPattern(storedDomain(domain, this.#domainForm)),
    };
    const domains = new Map<string, DomainState>();
    let after = start ?? '';
    // A page begins with all that the collation takes for equal to the last name, so that none of them is left out.
    let former: ReadonlySet<string> = new Set();
    for (;;) {
      const rows = await this.#database.list(this.#statement, { after, ...patterns }, signal);
      const page = new Set(rows.map(keyOf));
      for (const row of rows) {
        const login = textOf(row['username']);
        if (former.has(keyOf(row)) || login === start || !isWanted(row, filter)) continue;
        yield await this.#listed(row, domains, signal);
      }
      if (rows.length < PAGE_ROWS) return;
      const last = textOf(rows.at(-1)?.['username']);
      if (last === '' || page.isSubsetOf(former))
        throw new Refusal('unsupported', 'The listing does not come forward: too many equal names');
      after = last;
      former = page;
    }
  }

  async #listed(row: Row, domains: Map<string, DomainState>, signal: AbortSignal): Promise<ListedAccount> {
    const login = textOf(row['username']);
    const address = addressOf(row);
    const user = lookupName(login) === undefined ? undefined : this.#directory.userIn(row);
    const name = user && lookupName(user.seed.username);
    if (name === undefined) return { login, address, user: undefined, domain: 'active' };
    let domain = domains.get(name.domain);
    if (domain === undefined) {
      domain = await this.#directory.domainState(name.domain, signal);
      if (domains.size >= MAX_DOMAINS) domains.clear();
      domains.set(name.domain, domain);
    }
    return { login, address, user, domain };
  }
}

/** The collation of the database takes more for equal than we do, and own queries do not filter. */
function isWanted(row: Row, { like, domain }: ListFilter): boolean {
  if (like !== undefined && !folded(textOf(row['username'])).startsWith(folded(like))) return false;
  if (domain === undefined) return true;
  const address = addressOf(row);
  return lookupDomain(address.slice(address.lastIndexOf('@') + 1)) === domain;
}
function folded(text: string): string {
  return text.toLowerCase().normalize('NFC');
}
function keyOf(row: Row): string {
  return JSON.stringify([textOf(row['username']), addressOf(row)]);
}
function addressOf(row: Row): string {
  return textOf(row['address'] ?? row['username']);
}
function textOf(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
  return value === null || value === undefined ? '' : String(value);
}
