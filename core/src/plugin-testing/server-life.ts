/** One life of the server in memory, from start to drain or kill: the same parts that `server.ts` puts together, on a clock that stands still. */
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { duplexPair } from 'node:stream';
import type { SentMail } from '@pochard/plugin-sdk/testing';
import { defaultLimits } from '../config/limits.ts';
import { createImapServer, type ImapServer } from '../imap/imap-server.ts';
import { MailHostServices } from '../mail/host-services.ts';
import { StoreAccountMails } from '../mail/journal/account-mails.ts';
import { createMailServices, type RunningMailServices } from '../mail/mail-services.ts';
import type { LoggedIn, MailServices } from '../mail/services.ts';
import { openSpool } from '../mail/spool.ts';
import { AddressSet } from '../net/address.ts';
import { Connection, type Session } from '../net/connection.ts';
import { LoginThrottle } from '../net/throttle.ts';
import { TimerWheel } from '../net/timer-wheel.ts';
import { CredentialCache } from '../passwords/credential-cache.ts';
import type { Passwords } from '../passwords/passwords.ts';
import type { HostClock } from '../plugins/clock.ts';
import type { FakeClock } from '../plugins/fake-clock.ts';
import { createActor } from '../plugins/identities.ts';
import type { LogSource } from '../plugins/log.ts';
import type { HookMetrics } from '../plugins/metrics.ts';
import { PluginHost } from '../plugins/plugin-host.ts';
import type { HttpTransport } from '../plugins/plugin-http.ts';
import type { GivenPlugin } from '../plugins/plugin-loader.ts';
import { MemoryBus } from '../store/memory/memory-bus.ts';
import type { MemoryStore } from '../store/memory/memory-store.ts';
import { fencedStore } from './fenced-store.ts';
import { ImapScript } from './imap-script.ts';

export const REMOTE_ADDRESS = '192.0.2.1';

export interface LifeOptions {
  readonly store: MemoryStore;
  readonly clock: FakeClock;
  readonly passwords: Passwords;
  readonly folder: string;
  readonly metrics: HookMetrics;
  readonly http: HttpTransport;
  readonly log: LogSource;
  /** What goes out to other servers. */
  readonly sent: SentMail[];
}

export class ServerLife {
  readonly hooks: PluginHost;
  readonly services: RunningMailServices;
  /** Sessions that logged in, by their id: for reading as them. */
  readonly loggedIn = new Map<string, LoggedIn>();
  readonly #mails: StoreAccountMails;
  readonly #imap: ImapServer;
  readonly #wheel: TimerWheel;
  readonly #clock: OwnTimers;
  readonly #sessions = new Set<{ readonly session: Session; readonly socket: Socket; readonly client: ImapScript }>();
  readonly #die: () => void;
  #connections = 0;

  private constructor(parts: {
    readonly hooks: PluginHost;
    readonly services: RunningMailServices;
    readonly mails: StoreAccountMails;
    readonly clock: OwnTimers;
    readonly log: LogSource;
    readonly die: () => void;
  }) {
    const { hooks, services, mails, clock, log, die } = parts;
    this.hooks = hooks;
    this.services = services;
    this.#mails = mails;
    this.#clock = clock;
    this.#die = die;
    this.#wheel = new TimerWheel({
      now: clock.now,
      every: (ms, tick) => ({ stop: clock.every(ms, tick) }),
    });
    this.#imap = createImapServer({
      services: this.#watched(services),
      hooks,
      actor: createActor({ type: 'system', name: 'system' }),
      limits: defaultLimits,
      cleartextLogin: 'always',
      hostname: 'mx.test',
      version: 'test',
      log: detailsFirst(log),
      wheel: this.#wheel,
      now: clock.epochMs,
    });
  }

  static async start(options: LifeOptions): Promise<ServerLife> {
    const { clock: shared, passwords, folder, metrics, http, log, sent } = options;
    let isDead = false;
    const clock = new OwnTimers(shared);
    const store = fencedStore(options.store, () => isDead);
    const bus = new MemoryBus({ now: clock.epochMs });
    const host = new MailHostServices();
    const hooks = new PluginHost({ log, configFolder: folder, clock, metrics, services: { ...host, http } });
    const coreLog = detailsFirst(log);
    const mails = new StoreAccountMails({
      store,
      bus,
      clock: { now: clock.epochMs, after: clock.after },
      log: coreLog,
      newToken: () => randomBytes(8).toString('hex'),
    });
    const sleep = (ms: number, signal: AbortSignal): Promise<void> =>
      new Promise((resolve) => {
        if (signal.aborted) {
          resolve();
          return;
        }
        const cancel = clock.after(ms, resolve);
        const wake = (): void => {
          cancel();
          resolve();
        };
        signal.addEventListener('abort', wake, { once: true });
      });
    const services = createMailServices({
      store,
      bus,
      hooks,
      mails,
      passwords,
      credentialCache: new CredentialCache({ maxEntries: 1_000, ttlMs: 60_000, now: clock.now }),
      // Nobody waits out a delay of the throttle while the clock stands still.
      throttle: new LoginThrottle({ counters: bus, limits: defaultLimits, trusted: new AddressSet([]), sleep: async () => undefined }),
      spool: await openSpool({ directory: join(folder, 'spool') }),
      settings: {
        hostname: 'mx.test',
        messageOctets: defaultLimits.messageOctets,
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
      },
      log: coreLog,
      now: clock.epochMs,
      sleep,
      resolver: { resolveMx: async (exchange) => [{ exchange, priority: 0 }], resolve4: async () => [], resolve6: async () => [] },
      sendMail: async (_host, { reversePath, recipients, source }) => {
        const pieces: Uint8Array[] = [];
        for await (const piece of source.open()) pieces.push(piece);
        sent.push({ from: reversePath, to: recipients, raw: Buffer.concat(pieces).toString('latin1') });
        return { replies: new Map(recipients.map((to) => [to, { code: 250, status: '2.0.0', text: 'Taken' }])), takesDsn: false };
      },
      host,
    });
    return new ServerLife({
      hooks,
      services,
      mails,
      clock,
      log,
      die: () => {
        isDead = true;
      },
    });
  }

  /** @throws PluginLoadError */
  async begin(plugins: readonly GivenPlugin[]): Promise<void> {
    await this.hooks.reload(plugins);
    await this.services.followers.start();
    this.services.submissionQueue.start();
  }

  /** A connection to the IMAP engine, greeted. */
  async connect(): Promise<{ readonly id: string; readonly client: ImapScript }> {
    const [near, far] = duplexPair();
    // The engine uses of a socket what a Duplex has.
    const socket = far as unknown as Socket;
    this.#connections += 1;
    const connection = new Connection(socket, {
      id: this.#connections,
      protocol: 'imap',
      listener: { address: 'memory', port: 143, tls: 'none' },
      remoteAddress: REMOTE_ADDRESS,
      wheel: this.#wheel,
      loginTimeMs: defaultLimits.loginTimeMs,
      terminator: undefined,
    });
    const client = new ImapScript(near);
    const session = this.#imap.serve(connection);
    connection.serve(session);
    const open = { session, socket, client };
    this.#sessions.add(open);
    socket.once('close', () => this.#sessions.delete(open));
    const greeting = await client.response();
    if (greeting?.startsWith('* OK') !== true) throw new Error(`greeted with ${greeting ?? 'nothing'}`);
    return { id: `imap-${this.#connections}`, client };
  }

  /** As SIGTERM: sessions say goodbye, everything is saved and closed. */
  async drain(): Promise<void> {
    for (const { session } of this.#sessions) session.drain();
    for (let turn = 0; turn < 100 && this.#sessions.size > 0; turn += 1) await new Promise(setImmediate);
    for (const { socket, client } of this.#sessions) {
      client.destroy();
      socket.destroy();
    }
    await this.services.submissionQueue.stop();
    await this.services.followers.stop();
    await this.hooks.close();
    await this.#mails.drain();
    this.#end();
  }
  /** As SIGKILL: what is in memory is lost, and what was under way gets nowhere. */
  kill(): void {
    this.#end();
    for (const { socket, client } of this.#sessions) {
      client.destroy();
      socket.destroy();
    }
  }
  #end(): void {
    this.#die();
    this.#wheel.close();
    this.#clock.cancelAll();
  }

  /** The services as the IMAP engine gets them, with a look at who logs in. */
  #watched(services: RunningMailServices): MailServices {
    const { accounts } = services;
    const login: MailServices['accounts']['login'] = async (request, signal) => {
      const { id } = request.session;
      const session = await accounts.login(request, signal);
      this.loggedIn.set(id, session);
      return session;
    };
    const watched = new Proxy(accounts, {
      get(target, name) {
        if (name === 'login') return login;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    return { ...services, accounts: watched };
  }
}

/** The shared clock, with timers that end with this life. */
class OwnTimers implements HostClock {
  readonly #clock: FakeClock;
  readonly #cancel = new Set<() => void>();
  #isOver = false;
  constructor(clock: FakeClock) {
    this.#clock = clock;
  }
  readonly now = (): number => this.#clock.now();
  readonly date = (): Date => this.#clock.date();
  readonly epochMs = (): number => this.#clock.date().getTime();
  readonly every = (periodMs: number, tick: () => void): (() => void) => this.#own(() => this.#clock.every(periodMs, tick));
  readonly after = (delayMs: number, ring: () => void): (() => void) => {
    const cancel = this.#own(() =>
      this.#clock.after(delayMs, () => {
        this.#cancel.delete(cancel);
        ring();
      }),
    );
    return cancel;
  };
  cancelAll(): void {
    this.#isOver = true;
    for (const cancel of this.#cancel) cancel();
  }
  #own(start: () => () => void): () => void {
    if (this.#isOver) return () => undefined;
    const stop = start();
    const cancel = (): void => {
      this.#cancel.delete(cancel);
      stop();
    };
    this.#cancel.add(cancel);
    return cancel;
  }
}

/** The core names the details first, plugins the message. */
function detailsFirst(log: LogSource) {
  const core = log.child({ plugin: 'core' });
  const say = (level: 'debug' | 'info' | 'warn' | 'error') => (details: object, message: string) =>
    core[level](message, details as Readonly<Record<string, unknown>>);
  return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
}
