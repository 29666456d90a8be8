/** The composition root: picks drivers, builds the services, opens the listeners of every protocol, drains them. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type RunFile, TOKEN_FILE } from './cli/administration.ts';
import type { Logger } from './config/logger.ts';
import type { Config, Protocol } from './config/schema.ts';
import { HttpClients, httpSessions } from './http/http-listener.ts';
import { createHttpServer } from './http/http-server.ts';
import { createImapServer } from './imap/imap-server.ts';
import { PluginAdministration } from './mail/plugin-administration.ts';
import { createMetrics, type ServerMetrics } from './metrics.ts';
import { AddressSet } from './net/address.ts';
import type { Connection, Session } from './net/connection.ts';
import { ConnectionGate } from './net/connection-gate.ts';
import { ListenerGroup, type ListenerGroupOptions } from './net/listener.ts';
import { TimerWheel } from './net/timer-wheel.ts';
import { Tls } from './net/tls.ts';
import { type OpenMail, openMail } from './open-mail.ts';
import { createActor } from './plugins/identities.ts';
import { removeRunFile, writeRunFile } from './run-file.ts';
import { LmtpConnection, type LmtpOptions } from './smtp/lmtp-connection.ts';
import { createMaildrop, type Maildrop } from './smtp/maildrop.ts';
import { createSubmission, type SubmissionListener } from './smtp/submission.ts';
import { VERSION } from './version.ts';

/** Lost beacons cost at most this long. */
const POLL_MS = 20_000;
const TOO_MANY = '421 4.7.0 Too many connections\r\n';

export interface RunningServer {
  readonly mail: OpenMail;
  readonly listeners: RunFile['listeners'];
  readonly token: string;
  readonly metrics: ServerMetrics;
  /** Reads certificates and plugin configuration again. */
  reload(config: Config): Promise<void>;
  /** Stops accepting, lets sessions finish, saves everything. Resolves when the store is closed. */
  drain(): Promise<void>;
}
export interface ServerOptions {
  readonly config: Config;
  readonly configFolder: string;
  readonly log: Logger;
  /** The store has failed: the process should end, a supervisor starts it anew. */
  readonly onFailure: (error: Error) => void;
  /** One of several worker processes: the parent keeps run.json, and metrics are those of all. */
  readonly worker?: { metricsOfAll(): Promise<string> };
}

export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { config, log, configFolder, onFailure } = options;
  await mkdir(config.data, { recursive: true, mode: 0o700 });
  const metrics = createMetrics();
  const mail = await openMail({ config, log, configFolder, metrics: metrics.hooks, onStoreFailure: onFailure });
  const parts = new ServerParts(options, mail, metrics);
  try {
    await parts.open();
  } catch (error) {
    await parts.close();
    throw error;
  }
  return parts;
}

class ServerParts implements RunningServer {
  readonly mail: OpenMail;
  readonly listeners: RunFile['listeners'][number][] = [];
  readonly metrics: ServerMetrics;
  readonly #options: ServerOptions;
  readonly #wheel = new TimerWheel();
  readonly #gate: ConnectionGate;
  readonly #groups: ListenerGroup[] = [];
  readonly #maildrops: (Maildrop | SubmissionListener)[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  #tls: Tls | undefined;
  #token = '';
  #connections = 0;
  #state: 'opening' | 'ready' | 'draining' = 'opening';
  #drained: Promise<void> | undefined;

  constructor(options: ServerOptions, mail: OpenMail, metrics: ServerMetrics) {
    const { config } = options;
    this.#options = options;
    this.mail = mail;
    this.metrics = metrics;
    const trusted = new AddressSet(config.auth.trustedNetworks);
    this.#gate = new ConnectionGate({ limits: config.limits, trusted, now: () => performance.now() });
  }

  get token(): string {
    return this.#token;
  }

  async open(): Promise<void> {
    const { config, log } = this.#options;
    this.#token = config.http.apiToken?.reveal() ?? (await tokenFile(config.data, log));
    if (protocols.some((protocol) => config[protocol].listeners.some(({ tls }) => tls !== 'none'))) this.#tls = await this.#openTls();
    await this.mail.services.followers.start();
    await this.mail.services.searchIndexer.start();
    this.mail.services.housekeeping.start();
    await this.#openImap();
    await this.#openSmtp();
    await this.#openLmtp();
    await this.#openSubmission();
    await this.#openHttp();
    this.mail.services.submissionQueue.start();
    this.#measure();
    this.#every(POLL_MS, 'accounts could not be polled', () => this.mail.mails.poll());
    this.#every(POLL_MS, 'moves between accounts could not be looked through', () => this.mail.services.sharing.transfers.resume());
    this.#state = 'ready';
    if (this.#options.worker === undefined) await writeRunFile(config.data, this.listeners);
    for (const listener of this.listeners) log.info({ ...listener }, 'listening');
  }

  async reload(config: Config): Promise<void> {
    await this.#tls?.reload();
    await this.mail.hooks.reload(config.plugins);
  }

  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<void> {
    const { config, log } = this.#options;
    this.#state = 'draining';
    log.info({ connections: this.#gate.openConnections }, 'draining');
    const graceMs = config.limits.shutdownTimeMs;
    await Promise.all([...this.#groups.map((group) => group.drain(graceMs)), ...this.#maildrops.map((drop) => drop.close(graceMs))]);
    await this.close();
    log.info({}, 'stopped');
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#groups.map((group) => group.stopAccepting()));
    await this.mail.services.submissionQueue.stop();
    await this.mail.services.searchIndexer.stop();
    await this.mail.services.housekeeping.stop();
    await this.mail.services.followers.stop();
    await this.mail.close();
    this.#wheel.close();
    if (this.#options.worker === undefined) await removeRunFile(this.#options.config.data);
  }

  async #openTls(): Promise<Tls> {
    const { config, log } = this.#options;
    const { certificateFile, keyFile, minimumVersion, reloadCheckMs } = config.tls;
    const files = certificateFile === undefined || keyFile === undefined ? undefined : { certificateFile, keyFile };
    const tls = await Tls.open({
      files,
      dataDirectory: config.data,
      hostname: this.mail.hostname,
      minVersion: minimumVersion,
      handshakeTimeMs: config.limits.loginTimeMs,
      log,
      now: Date.now,
    });
    this.#every(reloadCheckMs, 'the certificate could not be read again', () => tls.reloadIfChanged());
    return tls;
  }

  async #openImap(): Promise<void> {
    const { config, log } = this.#options;
    const imap = createImapServer({
      services: this.mail.services,
      hooks: this.mail.hooks,
      actor: createActor({ type: 'system', name: 'system' }),
      limits: config.limits,
      cleartextLogin: config.auth.cleartextLogin,
      tokens: config.auth.tokens,
      scram: config.auth.scram,
      quotaAdministrators: config.auth.quotaAdministrators,
      hostname: this.mail.hostname,
      version: VERSION,
      log,
      wheel: this.#wheel,
    });
    await this.#listen('imap', (connection) => imap.serve(connection), { refusalLine: () => imap.refusalLine(), halfOpen: 'allow' });
  }

  #maildropOptions(): Omit<LmtpOptions, 'wheel'> {
    const { config, log } = this.#options;
    const { limits } = config;
    return {
      hostname: this.mail.hostname,
      delivery: this.mail.services.delivery,
      spool: this.mail.services.spool,
      limits: {
        messageOctets: limits.messageOctets,
        recipients: limits.smtpRecipients,
        commandLineOctets: limits.smtpCommandLineOctets,
        idleMs: limits.smtpIdleTimeMs,
      },
      log,
    };
  }

  async #openLmtp(): Promise<void> {
    const options: LmtpOptions = { ...this.#maildropOptions(), wheel: this.#wheel };
    await this.#listen('lmtp', (connection) => new LmtpConnection(options, connection), { refusalLine: () => TOO_MANY, halfOpen: 'allow' });
  }

  async #openSmtp(): Promise<void> {
    const { config } = this.#options;
    for (const [index, { tls }] of config.smtp.listeners.entries()) {
      const material = tls === 'none' ? undefined : this.#tls?.material;
      const drop = createMaildrop({
        listener: 'smtp',
        tls,
        ...(material === undefined ? {} : { certificate: { key: material.key, cert: material.certificate } }),
        ...this.#maildropOptions(),
      });
      this.#tls?.onReplace(({ key, certificate }) => drop.useCertificate({ key, cert: certificate }));
      this.#maildrops.push(drop);
      const serve = (connection: Connection): Session => {
        connection.loggedIn(); // nobody logs in here; smtp-server's own time limit holds
        drop.connect(connection.socket);
        return { drain: () => undefined, loginTimedOut: () => connection.socket.destroy() };
      };
      await this.#listen('smtp', serve, { refusalLine: () => TOO_MANY }, index);
    }
  }

  async #openSubmission(): Promise<void> {
    const { config, log } = this.#options;
    const { limits } = config;
    const { accounts, submissions, spool } = this.mail.services;
    const { hooks } = this.mail;
    for (const [index, { tls }] of config.submission.listeners.entries()) {
      const material = tls === 'none' ? undefined : this.#tls?.material;
      const submission = createSubmission({
        listener: 'submission',
        tls,
        ...(material === undefined ? {} : { certificate: { key: material.key, cert: material.certificate } }),
        hostname: this.mail.hostname,
        cleartextLogin: config.auth.cleartextLogin,
        // Core knows no tokens: somebody else must, and the administrator must say so.
        takesTokens: () => config.auth.tokens === 'on' && hooks.explain('auth.verify').some(({ plugin }) => plugin !== 'core'),
        accounts,
        submissions,
        spool,
        limits: {
          messageOctets: limits.messageOctets,
          recipients: limits.smtpRecipients,
          commandLineOctets: limits.smtpCommandLineOctets,
          authLineOctets: limits.smtpAuthLineOctets,
          idleMs: limits.smtpIdleTimeMs,
          loginFailures: limits.loginFailuresPerSession,
        },
        log,
      });
      this.#tls?.onReplace(({ key, certificate }) => submission.useCertificate({ key, cert: certificate }));
      this.#maildrops.push(submission);
      const serve = (connection: Connection): Session => {
        submission.connect(connection.socket, () => connection.loggedIn());
        return { drain: () => undefined, loginTimedOut: () => connection.socket.destroy() };
      };
      await this.#listen('submission', serve, { refusalLine: () => TOO_MANY }, index);
    }
  }

  async #openHttp(): Promise<void> {
    const { config, log } = this.#options;
    if (config.http.listeners.length === 0) return;
    const { accounts, delivery, submissions, submissionQueue, spool, events, sharing } = this.mail.services;
    const { hooks, services } = this.mail;
    const administrator = createActor({ type: 'admin', name: 'api' });
    const clients = new HttpClients();
    const api = await createHttpServer({
      clients,
      cleartextLogin: config.auth.cleartextLogin,
      accounts,
      delivery,
      submissions,
      submissionQueue,
      sharing,
      spool,
      administrator,
      hooks,
      plugins: new PluginAdministration({ hooks, services, administrator }),
      messageOctets: config.limits.messageOctets,
      bodyOctets: config.limits.httpBodyOctets,
      token: this.#token,
      version: VERSION,
      translate: async (account, entry) => events.of(account, (await accounts.get(account.account))?.username ?? '', entry),
      ready: () => {
        if (this.#state !== 'ready') throw new Error(this.#state);
      },
      metrics: () => (this.#options.worker ?? { metricsOfAll: () => this.metrics.text() }).metricsOfAll(),
      log,
    });
    await api.ready();
    await this.#listen('http', httpSessions(api, clients), { halfOpen: 'allow' });
  }

  /** One group for all listeners of a protocol, or for the one with `index`. */
  async #listen(
    protocol: Protocol,
    serve: ListenerGroupOptions['serve'],
    more: Pick<ListenerGroupOptions, 'refusalLine' | 'halfOpen'>,
    index?: number,
  ): Promise<void> {
    const { config, log } = this.#options;
    const all = config[protocol].listeners;
    const listeners = index === undefined ? all : all.slice(index, index + 1);
    if (listeners.length === 0) return;
    const group = new ListenerGroup({
      protocol,
      listeners,
      gate: this.#gate,
      wheel: this.#wheel,
      terminator: this.#tls?.terminator,
      loginTimeMs: config.limits.loginTimeMs,
      serve,
      log,
      nextId: () => ++this.#connections,
      ...more,
    });
    this.#groups.push(group);
    const bound: AddressInfo[] = await group.open();
    for (const [i, { tls }] of listeners.entries()) {
      const { address, port } = bound[i] ?? { address: '', port: 0 };
      this.listeners.push({ protocol, name: protocol, address, port, tls });
    }
  }

  #measure(): void {
    const { gauge } = this.metrics;
    gauge('pochard_processes', 'Server processes of this machine', () => 1);
    gauge('pochard_connections', 'Open connections, all protocols', () => this.#gate.openConnections);
    gauge('pochard_bus_connected', '0: other instances are not heard for now', () => (this.mail.bus.isConnected ? 1 : 0));
    gauge('pochard_accounts_loaded', 'Accounts in memory', () => this.mail.mails.gauges.accounts);
    gauge('pochard_accounts_unsaved', 'Accounts with entries that are in the journal only', () => this.mail.mails.gauges.unsaved);
    const { submissionQueue } = this.mail.services;
    gauge('pochard_submissions_in_flight', 'Submissions being sent or delivered', () => submissionQueue.gauges.messages);
    gauge('pochard_submission_connections', 'Open connections to other mail servers', () => submissionQueue.gauges.connections);
    gauge('pochard_packed_octets', 'Octets of packed mailbox state in memory', () => this.mail.mails.gauges.packedOctets);
  }

  #every(ms: number, failure: string, work: () => Promise<unknown>): void {
    const { log } = this.#options;
    const timer = setInterval(() => {
      work().catch((error: unknown) => log.error({ err: error }, failure));
    }, ms);
    timer.unref();
    this.#timers.push(timer);
  }
}

const protocols = ['imap', 'smtp', 'lmtp', 'submission', 'http'] as const satisfies readonly Protocol[];

/** The administrator's token: made on first start. */
async function tokenFile(data: string, log: Logger): Promise<string> {
  const file = join(data, TOKEN_FILE);
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  const token = `pch_${randomBytes(24).toString('base64url')}`;
  await writeFile(file, `${token}\n`, { mode: 0o600, flag: 'wx' });
  log.info({ file }, 'API token made');
  return token;
}
