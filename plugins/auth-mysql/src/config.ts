/** The plugin's configuration, and what a schema cannot say of it. */
import { isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import { type Static, Type } from '@pochard/plugin-sdk';
import { presetNames, tablesSchema } from './mapping.ts';
import { type QueryKind, queryMistakes } from './query-check.ts';

const optional = Type.Optional;
const ms = (fallback: number, description: string) => Type.Integer({ default: fallback, minimum: 1, maximum: 600_000, description });
const cacheMs = (fallback: number, description: string) => Type.Integer({ default: fallback, minimum: 0, maximum: 3_600_000, description });
const place = {
  host: optional(Type.String({ minLength: 1, description: 'name or address; 127.0.0.1 when neither host nor socket is given' })),
  port: optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
  socket: optional(Type.String({ minLength: 1, description: 'path of a Unix socket, in place of host and port' })),
};
const sql = (description: string) => optional(Type.String({ minLength: 1, description }));

const queriesSchema = Type.Object({
  user: Type.String({
    minLength: 1,
    description:
      'by login name: username, password and, as there are, address, active, receives, quota, displayName, imap, submission, http',
  }),
  mailbox: sql('by address: the same columns; `user` when left out'),
  alias: sql('by address, or @domain for a catch-all: column target, a row or a list each, and active'),
  domain: sql('by domain: column active; no row: not our domain'),
  domainAlias: sql('by domain: column target, and active'),
  rehash: sql('UPDATE with three ?: new hash, username, former hash'),
  list: sql('the users after a login name, in the order of their login names: the columns of `user` without password; no LIMIT'),
});

export const configSchema = Type.Object({
  connection: Type.Object({
    ...place,
    user: Type.String({ minLength: 1 }),
    password: optional(Type.String()),
    passwordFile: optional(
      Type.String({ minLength: 1, description: 'file that holds the password; a line end at its end does not count' }),
    ),
    database: Type.String({ minLength: 1 }),
    tls: optional(
      Type.Object({
        caFile: optional(Type.String({ description: 'PEM; else the authorities of the system' })),
        certificateFile: optional(Type.String({ description: 'PEM, of this client' })),
        keyFile: optional(Type.String({ description: 'PEM, of this client' })),
        serverName: optional(
          Type.Enum(['verify', 'any'] as const, { description: 'any: the certificate may be of another name, its authority still counts' }),
        ),
      }),
    ),
    poolSize: Type.Integer({ default: 8, minimum: 1, maximum: 200, description: 'connections to each server' }),
    queueSize: Type.Integer({ default: 256, minimum: 0, maximum: 10_000, description: 'lookups that may wait for a connection' }),
    connectTimeoutMs: ms(2_000, 'milliseconds to connect'),
    queryTimeoutMs: ms(2_000, 'milliseconds for one query, waiting for a connection included'),
    idleTimeoutMs: ms(60_000, 'milliseconds that an unused connection is kept'),
    retryMs: Type.Integer({
      default: 1_000,
      minimum: 50,
      maximum: 5_000,
      description: 'milliseconds that a server which failed is left alone',
    }),
  }),
  readReplicas: Type.Array(Type.Object(place), {
    default: [],
    maxItems: 16,
    description: 'asked in turn, the primary when none answers; user, database and TLS as above',
  }),
  preset: optional(Type.Enum(presetNames, { description: 'tables of a product' })),
  tables: optional(tablesSchema),
  queries: optional(queriesSchema),
  quotaUnit: Type.Enum(['octets', 'KiB', 'MiB'] as const, { default: 'octets', description: 'of the quota column of `queries`' }),
  catchAll: Type.Array(Type.Enum(['@domain', 'domain', '*@domain'] as const), {
    default: ['@domain'],
    maxItems: 3,
    description: 'how `queries.alias` is asked for a catch-all',
  }),
  domainForm: Type.Enum(['a-label', 'u-label'] as const, {
    default: 'a-label',
    description: 'how the database writes domains that are not ASCII',
  }),
  defaultDomain: optional(Type.String({ minLength: 1, maxLength: 255, description: 'added to a login name without @' })),
  delimiter: Type.String({ default: '+', maxLength: 1, description: 'ada+label@ is ada@; empty: no labels' }),
  ignoreTargets: Type.Array(Type.String({ minLength: 1, maxLength: 255 }), {
    default: [],
    maxItems: 100,
    description: 'domains of alias targets that are left out: vacation responders',
  }),
  passwordScheme: optional(
    Type.String({ pattern: '^[A-Za-z0-9_-]{1,32}(\\.[A-Za-z0-9]{1,8})?$', description: 'of stored passwords that say none: PLAIN-MD5' }),
  ),
  rehash: Type.Enum(['never', 'writeBack'] as const, {
    default: 'never',
    description: 'writeBack: after a login, replace hashes that are not Argon2id',
  }),
  passwordChange: Type.Enum(['refuse', 'writeBack'] as const, {
    default: 'refuse',
    description: 'when a user or the administrator sets a password; writeBack: store it in the database as Argon2id',
  }),
  cache: Type.Object(
    {
      acceptedMs: cacheMs(60_000, 'milliseconds that a right password is remembered, and so good after a change; 0: not at all'),
      rejectedMs: cacheMs(5_000, 'milliseconds that a wrong password is not hashed again; a changed password counts at once'),
      entries: Type.Integer({ default: 10_000, minimum: 1, maximum: 1_000_000, description: 'users in each cache' }),
      quotaMs: cacheMs(60_000, 'milliseconds that a quota is believed'),
    },
    { default: {} },
  ),
});
export type Config = Static<typeof configSchema>;

/** What is wrong with a configuration that its schema lets pass, a sentence each. */
export function configMistakes(config: Config): readonly string[] {
  const mistakes: string[] = [];
  const { connection, queries, tables, preset } = config;
  for (const [name, { host, socket, port }] of [
    ['connection', connection],
    ...config.readReplicas.map((one, at) => [`readReplicas[${at}]`, one] as const),
  ] as const) {
    if (socket !== undefined && (host !== undefined || port !== undefined))
      mistakes.push(`${name}: has a socket and a host or port; give one`);
    if (name !== 'connection' && socket === undefined && host === undefined && port === undefined)
      mistakes.push(`${name}: needs host, port or socket`);
  }
  for (const { host = '127.0.0.1', socket } of [connection, ...config.readReplicas]) {
    // The TLS library of the driver would compare the certificate with "localhost" instead.
    if (connection.tls !== undefined && connection.tls.serverName !== 'any' && (socket !== undefined || isIP(host) !== 0))
      mistakes.push(`connection.tls: a certificate names a host, and ${socket ?? host} is none: give host a name, or serverName: any`);
  }
  if (connection.password !== undefined && connection.passwordFile !== undefined)
    mistakes.push('connection: has password and passwordFile; give one');
  const { certificateFile, keyFile } = connection.tls ?? {};
  if ((certificateFile === undefined) !== (keyFile === undefined)) mistakes.push('connection.tls: certificateFile and keyFile go together');
  // It would count from wherever the server was started.
  for (const [name, file] of [
    ['passwordFile', connection.passwordFile],
    ['tls.caFile', connection.tls?.caFile],
    ['tls.certificateFile', certificateFile],
    ['tls.keyFile', keyFile],
  ] as const)
    if (file !== undefined && !isAbsolute(file)) mistakes.push(`connection.${name}: give the whole path of ${file}, from / on`);
  if (queries !== undefined && (preset !== undefined || tables !== undefined))
    mistakes.push('queries: leave out preset and tables beside it');
  if (queries === undefined && preset === undefined && tables === undefined) mistakes.push('one of preset, tables, queries must be there');
  if (tables !== undefined && preset === undefined) {
    const { users, aliases, domains, domainAliases } = tables;
    if (users?.table === undefined || users.columns?.address === undefined || users.columns.password === undefined)
      mistakes.push('tables.users: needs table, columns.address and columns.password');
    if (
      aliases !== undefined &&
      (aliases.table === undefined || aliases.columns?.address === undefined || aliases.columns.target === undefined)
    )
      mistakes.push('tables.aliases: needs table, columns.address and columns.target');
    if (domains !== undefined && (domains.table === undefined || domains.columns?.name === undefined))
      mistakes.push('tables.domains: needs table and columns.name');
    if (
      domainAliases !== undefined &&
      (domainAliases.table === undefined || domainAliases.columns?.name === undefined || domainAliases.columns.target === undefined)
    )
      mistakes.push('tables.domainAliases: needs table, columns.name and columns.target');
  }
  for (const [name, text] of Object.entries(queries ?? {})) {
    const kind: QueryKind = name === 'rehash' ? 'update' : name === 'list' ? 'list' : 'select';
    for (const mistake of queryMistakes(text, kind, kind === 'update' ? 3 : undefined)) mistakes.push(`queries.${name}: ${mistake}`);
  }
  for (const key of ['rehash', 'passwordChange'] as const) {
    if (config[key] === 'writeBack' && queries !== undefined && queries.rehash === undefined)
      mistakes.push(`${key}: writeBack needs queries.rehash`);
  }
  return mistakes;
}
