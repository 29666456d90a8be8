/** The real services over a memory store, for tests: plugins are given as they are, time stands still unless it is moved. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { defaultLimits } from '../config/limits.ts';
import { AddressSet } from '../net/address.ts';
import { LoginThrottle } from '../net/throttle.ts';
import { CredentialCache } from '../passwords/credential-cache.ts';
import { Passwords } from '../passwords/passwords.ts';
import { silentLog } from '../plugins/log.ts';
import { PluginHost } from '../plugins/plugin-host.ts';
import type { GivenPlugin } from '../plugins/plugin-loader.ts';
import { MemoryBus } from '../store/memory/memory-bus.ts';
import { MemoryStore } from '../store/memory/memory-store.ts';
import type { AccountId, ContentId, MailboxId } from '../store/store.ts';
import { MailHostServices } from './host-services.ts';
import { StoreAccountMails } from './journal/account-mails.ts';
import { contentAtRow } from './journal/layout.ts';
import { runOf } from './journal/uid-runs.ts';
import type { HookedMailAccess } from './mail-access.ts';
import { createMailServices, type RunningMailServices } from './mail-services.ts';
import type { AccountRecord, DeliveryOutcome, MessageSource } from './services.ts';
import type { MailSettings } from './settings.ts';
import { openSpool } from './spool.ts';
import type { MailResolver } from './submission/routes.ts';

export interface TestHost extends RunningMailServices {
  readonly store: MemoryStore;
  readonly hooks: PluginHost;
  readonly host: MailHostServices;
  readonly logged: string[];
  /** ms that logins were slowed down by */
  readonly delays: number[];
  /** ms since 1970 */
  at: number;
  readonly never: AbortSignal;
  account(username: string, more?: { readonly addresses?: readonly string[]; readonly quotaOctets?: number }): Promise<AccountRecord>;
  login(username: string, password: string): ReturnType<RunningMailServices['accounts']['login']>;
  admin(id: AccountId): Promise<HookedMailAccess>;
  /** Resolves all recipients, then delivers. */
  send(raw: string | Uint8Array, to: readonly string[], options?: { readonly from?: string }): Promise<readonly DeliveryOutcome[]>;
  source(raw: string | Uint8Array): MessageSource;
  box(access: HookedMailAccess, name: string): MailboxId;
  /** The octets of all messages of a mailbox, in order. */
  messages(access: HookedMailAccess, name: string): Promise<readonly Buffer[]>;
  contentIds(access: HookedMailAccess, name: string): Promise<readonly ContentId[]>;
}

export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export const session = { id: 's1', listener: 'lmtp', remoteAddress: '192.0.2.1' };

export async function startMail(
  t: TestContext,
  options: {
    readonly plugins?: readonly GivenPlugin[];
    readonly settings?: Partial<MailSettings>;
    readonly resolver?: MailResolver;
    readonly mxPort?: number;
  } = {},
): Promise<TestHost> {
  const never = new AbortController().signal;
  const directory = await mkdtemp(join(tmpdir(), 'mail-'));
  const logged: string[] = [];
  const delays: number[] = [];
  const note = (details: Readonly<Record<string, unknown>>, message: string) => {
    logged.push(`${message} ${details['err'] instanceof Error ? details['err'].message : ''}`);
  };
  const log = { info: () => {}, warn: note, error: note };
  const clock = { at: Date.UTC(2026, 0, 5) };
  const now = () => clock.at;
  const host = new MailHostServices();
  const hooks = new PluginHost({ log: silentLog, configFolder: directory, services: host });
  const store = new MemoryStore({ now });
  const bus = new MemoryBus({ now });
  let token = 0;
  const mails = new StoreAccountMails({
    store,
    bus,
    clock: { now, after: () => () => {} },
    log: { warn: () => {}, error: (_details, message) => logged.push(message) },
    newToken: () => (++token).toString(16).padStart(16, '0'),
  });
  const passwords = new Passwords({
    argon2: { memoryKib: 7168, passes: 1, parallelism: 1 },
    threads: 1,
    queue: 64,
    allowWeakSchemes: true,
  });
  const settings: MailSettings = {
    hostname: 'mx.test',
    messageOctets: 60 * 1024 * 1024,
    defaultQuotaOctets: undefined,
    recipientDelimiter: '+',
    mailboxes: [
      { name: 'Drafts', specialUse: '\\Drafts' },
      { name: 'Sent', specialUse: '\\Sent' },
      { name: 'Junk', specialUse: '\\Junk' },
      { name: 'Trash', specialUse: '\\Trash' },
      { name: 'Archive', specialUse: '\\Archive' },
    ],
    passwordUpgrade: 'onLogin',
    attachments: { thresholdOctets: 50_000, dedupe: 'account' },
    ...options.settings,
  };
  const services = createMailServices({
    store,
    bus,
    hooks,
    mails,
    passwords,
    credentialCache: new CredentialCache({ maxEntries: 100, ttlMs: 60_000, now }),
    throttle: new LoginThrottle({
      counters: bus,
      limits: defaultLimits,
      trusted: new AddressSet([]),
      sleep: async (ms) => void delays.push(ms),
    }),
    spool: await openSpool({ directory: join(directory, 'spool') }),
    settings,
    log,
    now,
    ...(options.resolver === undefined ? {} : { resolver: options.resolver }),
    ...(options.mxPort === undefined ? {} : { mxPort: options.mxPort }),
    sleep: (_ms, signal) =>
      new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true }))),
    host,
  });
  await hooks.reload(options.plugins ?? []);
  t.after(async () => {
    await services.submissionQueue.stop();
    await services.followers.stop();
    await mails.drain();
    await hooks.close();
    await passwords.close();
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });
  const { accounts, delivery, spool, parts } = services;
  const source = (raw: string | Uint8Array) => spool.fromBytes(typeof raw === 'string' ? Buffer.from(raw) : raw);
  const box = (access: HookedMailAccess, name: string): MailboxId => {
    const info = access.mail.byName(name);
    if (info === undefined) throw new Error(`no mailbox ${name}`);
    return info.id;
  };
  const contentIds = async (access: HookedMailAccess, name: string): Promise<readonly ContentId[]> => {
    const ids: ContentId[] = [];
    (await access.mail.state(box(access, name))).visit(runOf(1, 0xffff_ffff), (words, at) => {
      ids.push(contentAtRow(words, at) as ContentId);
    });
    return ids;
  };
  return {
    ...services,
    store,
    hooks,
    host,
    logged,
    delays,
    never,
    get at() {
      return clock.at;
    },
    set at(ms: number) {
      clock.at = ms;
    },
    account: (username, more = {}) => accounts.create({ username, password: Buffer.from('secret'), ...more }),
    login: (username, password) =>
      accounts.login(
        {
          username,
          secret: Buffer.from(password),
          mechanism: 'PLAIN',
          session: { id: 'i1', protocol: 'imap', listener: 'imap', remoteAddress: '192.0.2.1' },
        },
        never,
      ),
    admin: (id) => accounts.access(id, parts.actors.system),
    async send(raw, to, { from = 'bob@example.org' } = {}) {
      const recipients = [];
      for (const address of to) recipients.push(await delivery.resolve(address, { reversePath: from, declaredOctets: undefined }, session));
      return delivery.deliver({ source: source(raw), reversePath: from, recipients, origin: 'lmtp', helo: 'mta.test' }, session, never);
    },
    source,
    box,
    contentIds,
    async messages(access, name) {
      const opened = await access.content.open(await contentIds(access, name));
      return Promise.all(
        opened.map(async (content) => {
          if (content === undefined) throw new Error('content is gone');
          return collect(content.read(0, content.sizeOctets, never));
        }),
      );
    },
  };
}
