/** The statements that are prepared: built by knex from a mapping, which never runs them, or the administrator's own. */
import knexModule, { type Knex } from 'knex';
import type { Config } from './config.ts';
import { type CatchAllForm, type Flag, merged, type QuotaUnit, type Tables } from './mapping.ts';
import { presets } from './presets.ts';

export type Value = string;
export const PAGE_ROWS = 200;

export interface Statement {
  readonly name: 'user' | 'mailbox' | 'alias' | 'domain' | 'domainAlias';
  readonly sql: string;
  /** What is bound when `key` is looked up. */
  values(key: string): readonly Value[];
}
/** Users in the order of their login names, at most {@link PAGE_ROWS}. */
export interface ListStatement {
  readonly sql: string;
  values(page: ListPage): readonly Value[];
}
export interface ListPage {
  /** Not before this login name; rows that the collation takes for equal come again. */
  readonly after: string;
  /** Patterns of LIKE, made by `prefixPattern` and `domainPattern`. Own queries do without them. */
  readonly login: string;
  readonly address: string;
}
export interface UpdateStatement {
  readonly sql: string;
  values(hash: string, username: string, former: string): readonly Value[];
}

/** Everything that the directory asks, and how it reads the answers. */
export interface Statements {
  readonly user: Statement;
  readonly mailbox: Statement;
  readonly alias: Statement | undefined;
  readonly domain: Statement | undefined;
  readonly domainAlias: Statement | undefined;
  readonly rehash: UpdateStatement | undefined;
  /** `undefined`: own queries without one. */
  readonly list: ListStatement | undefined;
  /** By the names that the rows have, `active`, `imap`...; a flag without an entry is a plain column. */
  readonly flags: ReadonlyMap<string, Flag>;
  readonly aliasFlag: Flag | undefined;
  readonly domainFlag: Flag | undefined;
  readonly domainAliasFlag: Flag | undefined;
  readonly quotaUnit: QuotaUnit;
  readonly catchAll: readonly CatchAllForm[];
  readonly domainAliasForm: 'domain' | '@domain';
  /** One column says who logs in and who gets mail, by different values. */
  readonly isReceivesApart: boolean;
}

export function statementsOf(config: Config): Statements {
  const { queries } = config;
  if (queries === undefined)
    return tableStatements(merged(config.preset === undefined ? {} : presets[config.preset], config.tables), config);
  const own = (name: Statement['name'], sql: string): Statement => ({ name, sql, values: everywhere(sql) });
  const maybe = (name: Statement['name'], sql: string | undefined) => (sql === undefined ? undefined : own(name, sql));
  const { rehash, list } = queries;
  return {
    user: own('user', queries.user),
    mailbox: own('mailbox', queries.mailbox ?? queries.user),
    alias: maybe('alias', queries.alias),
    domain: maybe('domain', queries.domain),
    domainAlias: maybe('domainAlias', queries.domainAlias),
    rehash:
      rehash === undefined || !writesBack(config)
        ? undefined
        : { sql: rehash, values: (hash, username, former) => [hash, username, former] },
    list: list === undefined ? undefined : ownList(list),
    flags: new Map(),
    aliasFlag: undefined,
    domainFlag: undefined,
    domainAliasFlag: undefined,
    quotaUnit: config.quotaUnit,
    catchAll: config.catchAll,
    domainAliasForm: 'domain',
    isReceivesApart: false,
  };
}

/** Each ? outside of quotes is the name; the check has refused those within. */
function everywhere(sql: string): (key: string) => readonly Value[] {
  const count = sql.replace(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`/g, '').split('?').length - 1;
  return (key) => Array.from({ length: count }, () => key);
}
function ownList(sql: string): ListStatement {
  const values = everywhere(sql);
  return { sql: `${sql} LIMIT ${PAGE_ROWS}`, values: ({ after }) => values(after) };
}

/** For LIKE ... ESCAPE '|': a backslash means something else in every SQL mode. */
export function prefixPattern(prefix: string): string {
  return `${prefix.replace(/[|%_]/g, '|$&')}%`;
}
/** Addresses of the domain, as the database writes it. */
export function domainPattern(domain: string): string {
  return `%@${domain.replace(/[|%_]/g, '|$&')}`;
}

function writesBack({ rehash, passwordChange }: Config): boolean {
  return rehash === 'writeBack' || passwordChange === 'writeBack';
}

const KEY = '\u0000key';
const HASH = '\u0000hash';
const FORMER = '\u0000former';
const LOGIN = '\u0000login';
const ADDRESS = '\u0000address';

function tableStatements(tables: Tables, config: Config): Statements {
  // Without a connection: knex writes the text and the list of values, and could not run it.
  const builder = knexModule({ client: 'mysql2' });
  const { users = {}, aliases, domains, domainAliases } = tables;
  const columns = users.columns ?? {};
  const address = columns.address ?? '';
  const login = columns.login ?? address;
  const flags = new Map<string, Flag>();
  const wanted: Record<string, string> = { username: login, address };
  for (const [name, column] of Object.entries(columns)) {
    if (name === 'address' || name === 'login' || column === undefined) continue;
    wanted[name] = typeof column === 'string' ? column : column.column;
    if (typeof column !== 'string') flags.set(name, column);
  }
  const user = (name: 'user' | 'mailbox', by: string): Statement => prepared(name, selection(builder, users, wanted, by));
  const { password: _, displayName: __, ...listed } = wanted;
  const other = (name: 'alias' | 'domainAlias', from: typeof aliases | typeof domainAliases): Statement | undefined => {
    if (from?.table === undefined || from.columns === undefined) return undefined;
    const { target, active } = from.columns;
    const by = 'address' in from.columns ? from.columns.address : 'name' in from.columns ? from.columns.name : undefined;
    return prepared(name, selection(builder, from, { found: by, target, active: columnOf(active) }, by ?? ''));
  };
  const domain =
    domains?.table === undefined
      ? undefined
      : prepared(
          'domain',
          selection(
            builder,
            domains,
            { found: domains.columns?.name, active: columnOf(domains.columns?.active) },
            domains.columns?.name ?? '',
          ),
        );
  return {
    user: user('user', login),
    mailbox: user('mailbox', address),
    alias: other('alias', aliases),
    domain,
    domainAlias: other('domainAlias', domainAliases),
    rehash: !writesBack(config) ? undefined : rehashing(builder, users.table ?? '', login, columns.password ?? ''),
    list: listing(restricted(selected(builder, users, listed), users), login, address),
    flags,
    aliasFlag: aliases?.columns?.active,
    domainFlag: domains?.columns?.active,
    domainAliasFlag: domainAliases?.columns?.active,
    quotaUnit: tables.quotaUnit ?? 'octets',
    catchAll: aliases?.catchAll ?? ['@domain'],
    domainAliasForm: domainAliases?.form ?? 'domain',
    isReceivesApart: columns.active !== undefined && columnOf(columns.receives) === columnOf(columns.active),
  };
}

interface From {
  readonly table?: string;
  readonly joins?: NonNullable<Tables['users']>['joins'];
  readonly where?: Readonly<Record<string, readonly string[]>>;
}

function selection(builder: Knex, from: From, wanted: Readonly<Record<string, string | undefined>>, by: string): Knex.QueryBuilder {
  return restricted(selected(builder, from, wanted).where(by, KEY), from);
}
function selected(builder: Knex, from: From, wanted: Readonly<Record<string, string | undefined>>): Knex.QueryBuilder {
  const aliases = Object.fromEntries(Object.entries(wanted).filter(([, column]) => column !== undefined)) as Record<string, string>;
  return builder(from.table ?? '').select(aliases);
}
function restricted(selection: Knex.QueryBuilder, from: From): Knex.QueryBuilder {
  let query = selection;
  for (const { table, left, right, kind = 'inner' } of from.joins ?? []) {
    query = kind === 'left' ? query.leftJoin(table, left, right) : query.innerJoin(table, left, right);
  }
  for (const [column, values] of Object.entries(from.where ?? {})) query = query.whereIn(column, [...values]);
  return query;
}
function prepared(name: Statement['name'], query: Knex.QueryBuilder): Statement {
  const { sql, bindings } = query.toSQL().toNative();
  const constants = bindings.map(String);
  return { name, sql, values: (key) => constants.map((value) => (value === KEY ? key : value)) };
}
function listing(query: Knex.QueryBuilder, login: string, address: string): ListStatement {
  const { sql, bindings } = query
    .where(login, '>=', KEY)
    .whereRaw("?? like ? escape '|'", [login, LOGIN])
    .whereRaw("coalesce(??, ??) like ? escape '|'", [address, login, ADDRESS])
    .orderBy('username') // the name in the list of columns, which a column of the table cannot take from it
    .limit(PAGE_ROWS, { skipBinding: true }) // as a bound value its type depends on the server
    .toSQL()
    .toNative();
  const order = bindings.map(String);
  return {
    sql,
    values: ({ after, login: names, address: addresses }) =>
      order.map((value) => (value === KEY ? after : value === LOGIN ? names : value === ADDRESS ? addresses : value)),
  };
}
function rehashing(builder: Knex, table: string, login: string, password: string): UpdateStatement {
  const bare = password.slice(password.lastIndexOf('.') + 1);
  const { sql, bindings } = builder(table)
    .where(login, KEY)
    .where(password, FORMER)
    .update({ [bare]: HASH })
    .toSQL()
    .toNative();
  const order = bindings.map(String);
  return {
    sql,
    values: (hash, username, former) =>
      order.map((value) => (value === KEY ? username : value === HASH ? hash : value === FORMER ? former : value)),
  };
}
function columnOf(flag: Flag | undefined): string | undefined {
  return typeof flag === 'object' ? flag.column : flag;
}
