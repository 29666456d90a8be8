/** For tests: an IMAP server on loopback over the real services, journal and plugin host, in a store in memory that is thrown away. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { defaultLimits, type Limits } from '../config/limits.ts';
import { StoreAccountMails } from '../mail/journal/account-mails.ts';
import { createMailServices, type RunningMailServices } from '../mail/mail-services.ts';
import type { AccountRecord, MailAccess, MailServices } from '../mail/services.ts';
import { openSpool } from '../mail/spool.ts';
import { AddressSet } from '../net/address.ts';
import type { ListenerAddress } from '../net/connection.ts';
import { ConnectionGate } from '../net/connection-gate.ts';
import { FakeClock } from '../net/fake-clock.ts';
import { ListenerGroup } from '../net/listener.ts';
import { LoginThrottle } from '../net/throttle.ts';
import { TimerWheel } from '../net/timer-wheel.ts';
import { Tls } from '../net/tls.ts';
import { CredentialCache } from '../passwords/credential-cache.ts';
import { Passwords } from '../passwords/passwords.ts';
import { createActor } from '../plugins/identities.ts';
import { silentLog } from '../plugins/log.ts';
import { PluginHost } from '../plugins/plugin-host.ts';
import { MemoryBus } from '../store/memory/memory-bus.ts';
import { MemoryStore } from '../store/memory/memory-store.ts';
import { createImapServer } from './imap-server.ts';
import { WireClient } from './wire-client.fixture.ts';

export interface HouseOptions {
  readonly limits?: Partial<Limits>;
  readonly tls?: ListenerAddress['tls'];
  readonly cleartextLogin?: 'never' | 'loopback' | 'always';
  readonly tokens?: 'off' | 'on';
  readonly scram?: 'off' | 'on';
  readonly quotaOctets?: number;
  readonly quotaAdministrators?: readonly string[];
  /** Packed mailboxes kept in memory that no session uses right now. */
  readonly packedOctets?: number;
  /** Makes services fail in ways that they do not by themselves. */
  readonly spoil?: (services: RunningMailServices) => MailServices;
}

const USER = 'ada@example.test';
const PASSWORD = 'secret';

export class ImapHouse {
  readonly services: RunningMailServices;
  readonly store: MemoryStore;
  readonly mails: StoreAccountMails;
  readonly hooks: PluginHost;
  readonly clock: FakeClock;
  readonly group: ListenerGroup;
  readonly account: AccountRecord;
  readonly port: number;
  /** Log lines: level, details, sentence. */
  readonly lines: (readonly [level: string, details: object, message: string])[];
  readonly #clients: WireClient[] = [];

  constructor(parts: Omit<ImapHouse, 'connect' | 'login' | 'select' | 'access' | 'closeClients' | 'lastClient'>) {
    this.services = parts.services;
    this.store = parts.store;
    this.mails = parts.mails;
    this.hooks = parts.hooks;
    this.clock = parts.clock;
    this.group = parts.group;
    this.account = parts.account;
    this.port = parts.port;
    this.lines = parts.lines;
  }

  /** After the greeting. */
  async connect(): Promise<WireClient> {
    const client = await WireClient.open(this.port);
    this.#clients.push(client);
    await client.response();
    return client;
  }

  async login(): Promise<WireClient> {
    const client = await this.connect();
    const [reply] = (await client.run(`LOGIN ${USER} ${PASSWORD}`)).slice(-1);
    if (reply?.startsWith('$ OK') !== true) throw new Error(`login: ${reply}`);
    return client;
  }

  async select(mailbox = 'INBOX'): Promise<WireClient> {
    const client = await this.login();
    await client.run(`SELECT ${mailbox}`);
    return client;
  }

  /** The account's mail without IMAP: what "somebody else" does. */
  access(): Promise<MailAccess> {
    return this.services.accounts.access(this.account.id, createActor({ type: 'admin', name: 'test' }));
  }

  closeClients(): void {
    for (const client of this.#clients) client.destroy();
  }
}

/** A house with one account, `ada@example.test`, whose password is `secret`. Everything is closed when the test ends. */
export async function imapHouse(t: TestContext, options: HouseOptions = {}): Promise<ImapHouse> {
  const folder = await mkdtemp(join(tmpdir(), 'pochard-imap-'));
  const lines: ImapHouse['lines'] = [];
  const say = (level: string) => (details: object, message: string) => {
    lines.push([level, details, message]);
  };
  const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
  const limits: Limits = { ...defaultLimits, ...options.limits };
  const clock = new FakeClock();
  const wheel = new TimerWheel({ tickMs: 1000, now: clock.now, every: clock.every });
  const store = new MemoryStore();
  const bus = new MemoryBus();
  const hooks = new PluginHost({ log: silentLog, configFolder: folder });
  const mails = new StoreAccountMails({
    store,
    bus,
    clock: {
      now: Date.now,
      after: (ms, run) => {
        const timer = setTimeout(run, ms);
        timer.unref();
        return () => clearTimeout(timer);
      },
    },
    log,
    newToken: () => randomBytes(8).toString('hex'),
    ...(options.packedOctets === undefined ? {} : { maxPackedOctets: options.packedOctets }),
  });
  const passwords = new Passwords({
    argon2: { memoryKib: 7168, passes: 1, parallelism: 1 },
    threads: 1,
    queue: 64,
    allowWeakSchemes: true,
  });
  const sleep = async (): Promise<void> => undefined;
  const services = createMailServices({
    store,
    bus,
    hooks,
    mails,
    passwords,
    credentialCache: new CredentialCache({ maxEntries: 100, ttlMs: 60_000, now: () => performance.now() }),
    throttle: new LoginThrottle({
      counters: bus,
      limits,
      trusted: new AddressSet([]),
      sleep,
    }),
    spool: await openSpool({ directory: join(folder, 'spool') }),
    settings: {
      hostname: 'mx.example.test',
      messageOctets: limits.messageOctets,
      defaultQuotaOctets: options.quotaOctets,
      recipientDelimiter: '+',
      mailboxes: [
        { name: 'Drafts', specialUse: '\\Drafts' },
        { name: 'Sent', specialUse: '\\Sent' },
      ],
      passwordUpgrade: 'onLogin',
      scram: options.scram ?? 'off',
      attachments: { thresholdOctets: 50_000, dedupe: 'account' },
    },
    log,
    now: Date.now,
    sleep,
  });
  const account = await services.accounts.create({ username: USER, passwordHash: `{PLAIN}${PASSWORD}` });
  const server = createImapServer({
    services: options.spoil?.(services) ?? services,
    hooks,
    actor: createActor({ type: 'system', name: 'system' }),
    limits,
    cleartextLogin: options.cleartextLogin ?? 'loopback',
    tokens: options.tokens ?? 'off',
    scram: options.scram ?? 'off',
    quotaAdministrators: options.quotaAdministrators ?? [],
    hostname: 'mx.example.test',
    version: '0.0.0-test',
    log,
    wheel,
  });
  const tls =
    options.tls === undefined || options.tls === 'none'
      ? undefined
      : await Tls.open({
          files: undefined,
          dataDirectory: folder,
          hostname: 'mx.example.test',
          minVersion: 'TLSv1.2',
          handshakeTimeMs: 10_000,
          log,
          now: Date.now,
        });
  let id = 0;
  const group = new ListenerGroup({
    protocol: 'imap',
    listeners: [{ address: '127.0.0.1', port: 0, tls: options.tls ?? 'none' }],
    gate: new ConnectionGate({
      limits: { ...limits, connectionsPerAddress: 1000, connectionsPerAddressMinute: 10_000 },
      trusted: new AddressSet([]),
      now: clock.now,
    }),
    wheel,
    terminator: tls?.terminator,
    loginTimeMs: limits.loginTimeMs,
    refusalLine: () => server.refusalLine(),
    serve: (connection) => server.serve(connection),
    halfOpen: 'allow',
    log,
    nextId: () => (id += 1),
  });
  const [address] = await group.open();
  const house = new ImapHouse({ services, store, mails, hooks, clock, group, account, port: address?.port ?? 0, lines });
  t.after(async () => {
    house.closeClients();
    await group.drain(0);
    wheel.close();
    await mails.drain();
    await hooks.close();
    await passwords.close();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });
  return house;
}

/** A small message, LF written as CRLF. */
export function mail(text: string): string {
  return text.replaceAll('\n', '\r\n');
}

export const HELLO = mail(
  'From: Bob <bob@example.org>\nTo: ada@example.test\nSubject: hello\nDate: Mon, 5 Jan 2026 10:00:00 +0100\n\nHi Ada\n',
);
