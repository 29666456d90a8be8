import { type Static, type TObject, type TProperties, Type } from 'typebox';

import { limitsSchema } from './limits.ts';
import type { Secret } from './secret.ts';

/** A section: every key known, every key defaulted, so that an absent section equals an empty one. */
function section<Properties extends TProperties>(description: string, properties: Properties): TObject<Properties> {
  return Type.Object(properties, { additionalProperties: false, default: {}, description });
}

/** A file or folder; relative to the configuration file that names it, else to the working directory. */
function path(description: string) {
  return Type.String({ path: 'always', minLength: 1, description });
}

/** A secret; `<key>File` names a file that holds it instead. Readers of the effective configuration see `[secret]`. */
function secret(description: string) {
  return Type.Unsafe<Secret>({ type: 'string', secret: true, minLength: 1, description });
}

export const tlsModes = ['none', 'starttls', 'implicit'] as const;

const listener = Type.Object(
  {
    address: Type.String({ default: '127.0.0.1', minLength: 1, description: 'IP address or host name to listen on; "*" is every address' }),
    port: Type.Integer({ minimum: 0, maximum: 65535, description: 'TCP port; 0 takes a free one' }),
    tls: Type.Enum(tlsModes, {
      default: 'none',
      description: 'none, starttls (the client asks), implicit (from the first octet, RFC 8314)',
    }),
  },
  { additionalProperties: false, description: 'One listening socket' },
);

type ListenerDefault = { address: string; port: number; tls: (typeof tlsModes)[number] };

function listeners(defaults: readonly ListenerDefault[]) {
  return Type.Array(listener, { default: [...defaults], maxItems: 64, description: 'Sockets; a list here replaces the default list' });
}

const pluginEntry = Type.Object(
  {
    use: Type.String({ path: 'dotted', minLength: 1, description: 'package name, or a path that begins with ./ or /' }),
    scope: Type.Optional(
      Type.Object(
        {
          domains: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { description: 'only accounts of these domains' })),
          accounts: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { description: 'only these accounts' })),
          listeners: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { description: 'only these protocols, e.g. submission' })),
        },
        { additionalProperties: false, description: 'where the plugin applies; everywhere when absent' },
      ),
    ),
    shadow: Type.Boolean({ default: false, description: 'run beside the live result and report differences, change nothing' }),
    sealedAccounts: Type.Optional(
      Type.Enum(['allow'] as const, { description: 'allow: let taps that see plaintext run for encrypted accounts too' }),
    ),
    privateNetworks: Type.Array(Type.String({ minLength: 1, format: 'cidr' }), {
      default: [],
      description: 'CIDR ranges of private networks that the plugin may call',
    }),
    deadlineMs: Type.Record(Type.String(), Type.Integer({ minimum: 1, maximum: 600_000 }), {
      default: {},
      description: 'ms, by hook name, e.g. auth.verify: 2000',
    }),
    config: Type.Unknown({ default: {}, description: "the plugin's own configuration, checked by its schema" }),
  },
  { additionalProperties: false, description: 'One plugin entry' },
);

/** The whole configuration. Defaults here and in config/default.yaml are the same, which a test proves. */
export const configSchema = Type.Object(
  {
    hostname: Type.String({ default: '', description: "name in greetings, HELO and Received; empty: the machine's name" }),
    data: Type.String({
      path: 'always',
      default: 'data',
      minLength: 1,
      description: 'folder of everything that the server keeps (flag --data)',
    }),
    workers: Type.Integer({
      default: 1,
      minimum: 1,
      maximum: 128,
      description:
        'count: processes that share the listeners of this machine; more than one needs store.driver mongodb and bus.driver redis',
    }),
    imap: section('IMAP4rev1 and rev2', {
      listeners: listeners([
        { address: '*', port: 1143, tls: 'starttls' },
        { address: '*', port: 1993, tls: 'implicit' },
      ]),
    }),
    smtp: section('SMTP for mail from other servers (MX)', {
      listeners: listeners([{ address: '*', port: 1025, tls: 'starttls' }]),
    }),
    lmtp: section('LMTP for mail from a mail transfer agent of yours (RFC 2033)', {
      listeners: listeners([{ address: '127.0.0.1', port: 1024, tls: 'none' }]),
    }),
    submission: section('SMTP for mail from your users (RFC 6409)', {
      listeners: listeners([]),
      relay: section('Where mail for other servers goes', {
        host: Type.String({ default: '', maxLength: 255, description: "a relay that takes all of it; empty: each domain's MX" }),
        port: Type.Integer({ default: 587, minimum: 1, maximum: 65535, description: 'TCP port of the relay' }),
        tls: Type.Enum(['none', 'opportunistic', 'starttls', 'implicit'] as const, {
          default: 'starttls',
          description: 'none, opportunistic (when offered, any certificate), starttls and implicit (always, certificate checked)',
        }),
        caFile: Type.Optional(path("PEM certificates that the relay's must descend from; absent: those of Node")),
        user: Type.Optional(Type.String({ minLength: 1, maxLength: 512, description: 'name for AUTH; absent: none' })),
        password: Type.Optional(secret('password of user')),
        passwordFile: Type.Optional(path('file that holds password')),
      }),
      queue: section('What could not be sent yet', {
        retryFirstMs: Type.Integer({
          default: 60_000,
          minimum: 10,
          maximum: 86_400_000,
          description: 'ms to the second attempt; each later one waits twice as long',
        }),
        retryMaxMs: Type.Integer({ default: 3_600_000, minimum: 10, maximum: 86_400_000, description: 'ms between attempts at most' }),
        lifetimeMs: Type.Integer({
          default: 432_000_000,
          minimum: 10,
          maximum: 2_592_000_000,
          description: 'ms after which the sender is told that it failed; RFC 5321 §4.5.4.1 wants four to five days',
        }),
        delayNoticeMs: Type.Integer({
          default: 14_400_000,
          minimum: 0,
          maximum: 2_592_000_000,
          description: 'ms after which the sender is told of the delay; 0: never',
        }),
        connections: Type.Integer({ default: 20, minimum: 1, maximum: 1000, description: 'count: open at once to other servers' }),
        connectionsPerDomain: Type.Integer({ default: 4, minimum: 1, maximum: 1000, description: 'count: of them for one domain' }),
      }),
    }),
    http: section('HTTP API', {
      listeners: listeners([{ address: '127.0.0.1', port: 8080, tls: 'none' }]),
      apiToken: Type.Optional(secret('bearer token of the administrator; absent: one is made on first start and kept in the data folder')),
      apiTokenFile: Type.Optional(path('file that holds apiToken')),
    }),
    tls: section('TLS of all listeners', {
      certificateFile: Type.Optional(path('PEM chain; absent: a self-signed certificate is made on first start')),
      keyFile: Type.Optional(path('PEM private key of certificateFile')),
      minimumVersion: Type.Enum(['TLSv1.2', 'TLSv1.3'] as const, { default: 'TLSv1.2', description: 'oldest TLS version spoken' }),
      reloadCheckMs: Type.Integer({
        default: 30_000,
        minimum: 1000,
        maximum: 86_400_000,
        description: 'ms between looks for changed files',
      }),
    }),
    auth: section('Logins', {
      cleartextLogin: Type.Enum(['never', 'loopback', 'always'] as const, {
        default: 'loopback',
        description: 'from where a password may come without TLS; elsewhere LOGINDISABLED',
      }),
      scram: Type.Enum(['off', 'on'] as const, {
        default: 'off',
        description:
          'on: IMAP offers SCRAM-SHA-256; keys for it (PBKDF2) are kept beside the Argon2id hash, and who steals them may guess faster',
      }),
      tokens: Type.Enum(['off', 'on'] as const, {
        default: 'off',
        description: 'on: a plugin of yours judges tokens, so IMAP and submission offer OAUTHBEARER and XOAUTH2',
      }),
      quotaAdministrators: Type.Array(Type.String({ minLength: 1 }), {
        default: [],
        description: "usernames that may set anybody's quota over IMAP (SETQUOTA, RFC 9208)",
      }),
      trustedNetworks: Type.Array(Type.String({ minLength: 1, format: 'cidr' }), {
        default: ['127.0.0.0/8', '::1/128'],
        description: 'CIDR ranges without limits by address (webmail, proxies); limits by user stay',
      }),
      rememberMs: Type.Integer({
        default: 60_000,
        minimum: 0,
        maximum: 3_600_000,
        description: 'ms that a checked password is known again without hashing (as an HMAC, in memory); 0: never',
      }),
      rememberEntries: Type.Integer({
        default: 20_000,
        minimum: 0,
        maximum: 1_000_000,
        description: 'count: most passwords remembered so',
      }),
    }),
    passwords: section('How new passwords are hashed', {
      memoryKib: Type.Integer({ default: 47_104, minimum: 7_168, maximum: 1_048_576, description: 'KiB of memory of Argon2id' }),
      passes: Type.Integer({ default: 1, minimum: 1, maximum: 64, description: 'count: passes of Argon2id' }),
      parallelism: Type.Integer({ default: 1, minimum: 1, maximum: 16, description: 'count: lanes of Argon2id' }),
      threads: Type.Integer({ default: 2, minimum: 1, maximum: 64, description: 'count: threads that hash' }),
      queue: Type.Integer({
        default: 64,
        minimum: 1,
        maximum: 10_000,
        description: 'count: checks that may wait; more are answered UNAVAILABLE',
      }),
      upgrade: Type.Enum(['onLogin', 'never'] as const, {
        default: 'onLogin',
        description: 'onLogin: a weaker or older hash is made anew when its owner logs in; never: it stays',
      }),
      allowWeakSchemes: Type.Boolean({ default: false, description: 'accept {PLAIN} and its like in imported accounts' }),
    }),
    store: section('Where mail is kept', {
      driver: Type.Enum(['sqlite', 'mongodb', 'memory'] as const, {
        default: 'sqlite',
        description: 'sqlite (one process), mongodb (any number of instances over one database) or memory (gone on exit)',
      }),
      synchronous: Type.Enum(['full', 'normal'] as const, {
        default: 'full',
        description: 'of sqlite: full: acknowledged is on disk; normal: a power cut may lose the last second',
      }),
      mongodb: section('MongoDB, for driver mongodb', {
        url: Type.Optional(secret('mongodb://[user:password@]host[:port],host/?replicaSet=name or mongodb+srv://host')),
        urlFile: Type.Optional(path('file that holds url')),
        database: Type.String({
          default: 'pochard',
          pattern: '^[A-Za-z0-9_-]{1,38}$',
          description: 'database of this server; instances with the same one are one server',
        }),
        writeConcern: Type.Union([Type.Literal('majority'), Type.Integer({ minimum: 1, maximum: 50 })], {
          default: 'majority',
          description: 'members that have a change before it is acknowledged; fewer than the majority may lose acknowledged mail',
        }),
        timeoutMs: Type.Integer({
          default: 5_000,
          minimum: 100,
          maximum: 60_000,
          description: 'ms that a server has to answer before it is asked again, or another one',
        }),
        retryMs: Type.Integer({
          default: 8_000,
          minimum: 0,
          maximum: 120_000,
          description: 'ms that an operation is tried again while the database is away (an election takes some seconds)',
        }),
        connections: Type.Integer({
          default: 50,
          minimum: 1,
          maximum: 1_000,
          description: 'count: most connections of one process to each server',
        }),
      }),
      attachments: section('Big parts of messages', {
        thresholdOctets: Type.Integer({
          default: 50_000,
          minimum: 1024,
          maximum: 1_073_741_824,
          description: 'octets: parts from this size are stored once and apart',
        }),
        dedupe: Type.Enum(['account', 'global'] as const, {
          default: 'account',
          description: 'equal parts are stored once per account or once',
        }),
      }),
    }),
    bus: section('How instances tell each other what is new', {
      driver: Type.Enum(['memory', 'redis'] as const, {
        default: 'memory',
        description: 'memory (one instance) or redis (any number of them, with store.driver mongodb)',
      }),
      redis: section('Redis, for driver redis', {
        url: Type.Optional(
          secret(
            'redis://[user:password@]host[:port][/database], redis+sentinel://host,host/master or redis+cluster://host,host; rediss... is TLS',
          ),
        ),
        urlFile: Type.Optional(path('file that holds url')),
        keyPrefix: Type.String({
          default: 'pochard:',
          pattern: '^[!-~]{0,64}$',
          description: 'before every key and channel: instances with the same prefix are one server',
        }),
      }),
    }),
    search: section('Search', {
      index: Type.Enum(['on', 'off'] as const, {
        default: 'on',
        description:
          'on: text of mail is indexed behind its delivery, for accounts with more than a few hundred messages; off: every search reads',
      }),
    }),
    mail: section('Accounts and mailboxes', {
      domains: Type.Array(Type.String({ minLength: 1, maxLength: 255 }), {
        default: [],
        description: 'domains of this server; empty: those of its accounts and addresses',
      }),
      recipientDelimiter: Type.String({ default: '+', maxLength: 1, description: 'ada+label@ is delivered to ada@; empty: no labels' }),
      defaultQuotaOctets: Type.Integer({ default: 0, minimum: 0, description: 'octets a new account may hold; 0: no limit' }),
      specialUse: section('Mailboxes of a new account (RFC 6154)', {
        archive: Type.String({ default: 'Archive', description: 'name of \\Archive; empty: none' }),
        drafts: Type.String({ default: 'Drafts', description: 'name of \\Drafts; empty: none' }),
        junk: Type.String({ default: 'Junk', description: 'name of \\Junk; empty: none' }),
        sent: Type.String({ default: 'Sent', description: 'name of \\Sent; empty: none' }),
        trash: Type.String({ default: 'Trash', description: 'name of \\Trash; empty: none' }),
      }),
    }),
    plugins: Type.Array(pluginEntry, { default: [], maxItems: 256, description: 'Plugins, in the order in which they are loaded' }),
    limits: limitsSchema,
    log: section('Logging, one JSON object a line on standard output', {
      level: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const, {
        default: 'info',
        description: 'least level',
      }),
      pretty: Type.Boolean({ default: false, description: 'lines for people instead of JSON' }),
    }),
  },
  { additionalProperties: false },
);

type DeepReadonly<Value> = Value extends Secret
  ? Value
  : Value extends readonly (infer Item)[]
    ? readonly DeepReadonly<Item>[]
    : Value extends object
      ? { readonly [Key in keyof Value]: DeepReadonly<Value[Key]> }
      : Value;

export type Config = DeepReadonly<Static<typeof configSchema>>;
export type ListenerConfig = Config['imap']['listeners'][number];
export type PluginConfig = Config['plugins'][number];
export type Protocol = 'imap' | 'smtp' | 'lmtp' | 'submission' | 'http';
