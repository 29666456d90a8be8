/** Opens the store and builds the mail services over it: for the server, for commands that work without one, and for tests. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname as machineName } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '@pochard/plugin-sdk';
import type { Logger } from './config/logger.ts';
import type { Config } from './config/schema.ts';
import { normalizeDomain } from './mail/accounts/names.ts';
import { MailHostServices } from './mail/host-services.ts';
import { StoreAccountMails } from './mail/journal/account-mails.ts';
import { createMailServices, type RunningMailServices } from './mail/mail-services.ts';
import type { MailSettings, SubmissionSettings } from './mail/settings.ts';
import { openSpool } from './mail/spool.ts';
import { isHalfMoved } from './mail/store-move.ts';
import { AddressSet } from './net/address.ts';
import { LoginThrottle } from './net/throttle.ts';
import { CredentialCache } from './passwords/credential-cache.ts';
import { Passwords } from './passwords/passwords.ts';
import type { LogSource } from './plugins/log.ts';
import type { HookMetrics } from './plugins/metrics.ts';
import { PluginHost } from './plugins/plugin-host.ts';
import { MemoryBus } from './store/memory/memory-bus.ts';
import { MemoryStore } from './store/memory/memory-store.ts';
import { openMongoStore } from './store/mongodb/mongo-store.ts';
import { RedisBus } from './store/redis/redis-bus.ts';
import { openSqliteStore } from './store/sqlite/sqlite-store.ts';
import { type Bus, type Store, StoreUnavailable } from './store/store.ts';

export interface OpenMail {
  readonly store: Store;
  readonly bus: Bus;
  readonly hooks: PluginHost;
  readonly mails: StoreAccountMails;
  readonly services: RunningMailServices;
  readonly hostname: string;
  /** Saves what is not saved yet and lets the store go. Nothing may be in flight. */
  close(): Promise<void>;
}
export interface OpenMailOptions {
  readonly config: Config;
  readonly log: Logger;
  /** Where relative plugin paths and packages are looked up. */
  readonly configFolder: string;
  readonly metrics?: HookMetrics;
  /** An I/O error ended the store: the process should end. */
  readonly onStoreFailure?: (error: Error) => void;
}

export async function openMail(options: OpenMailOptions): Promise<OpenMail> {
  // The folder may be there already with any mode, and SQLite makes its files with the process's own: mail is for this user only.
  process.umask(process.umask() | 0o077);
  const { config, log, configFolder, metrics } = options;
  const submission = await submissionSettings(config);
  const now = Date.now;
  const store = await openStore(options);
  if (await isHalfMoved(store)) {
    await store.close();
    throw new Error('the store is the target of a move that did not end: call "pochard store move" again');
  }
  const bus = await openBus(options, () => {
    // Beacons of the time without Redis may be lost.
    mails.poll().catch((error: unknown) => log.error({ err: error }, 'accounts could not be polled'));
  });
  const clock = {
    now,
    after(ms: number, run: () => void): () => void {
      const timer = setTimeout(run, ms);
      return () => clearTimeout(timer);
    },
  };
  const mails = new StoreAccountMails({ store, bus, clock, log, newToken: randomTokens() });
  const host = new MailHostServices();
  const hooks = new PluginHost({ log: pluginLog(log), configFolder, services: host, ...(metrics === undefined ? {} : { metrics }) });
  const { memoryKib, passes, parallelism, threads, queue, allowWeakSchemes } = config.passwords;
  const passwords = new Passwords({ argon2: { memoryKib, passes, parallelism }, threads, queue, allowWeakSchemes });
  const hostname = config.hostname === '' ? machineName() : config.hostname;
  const spool = await openSpool({ directory: join(config.data, 'spool') });
  const sleep = async (ms: number, signal: AbortSignal): Promise<void> => {
    try {
      await delay(ms, undefined, { signal, ref: false });
    } catch (error) {
      if (!signal.aborted) throw error; // woken early is what the signal is for
    }
  };
  const services = createMailServices({
    store,
    bus,
    hooks,
    mails,
    passwords,
    credentialCache: new CredentialCache({ maxEntries: config.auth.rememberEntries, ttlMs: config.auth.rememberMs, now }),
    throttle: new LoginThrottle({ counters: bus, limits: config.limits, trusted: new AddressSet(config.auth.trustedNetworks), sleep }),
    spool,
    settings: { ...mailSettings(config, hostname), submission },
    log,
    now,
    sleep,
    host,
  });
  try {
    await hooks.reload(config.plugins);
  } catch (error) {
    await passwords.close();
    await bus.close();
    await store.close();
    throw error;
  }
  return {
    store,
    bus,
    hooks,
    mails,
    services,
    hostname,
    async close() {
      await hooks.close();
      await mails.drain();
      await passwords.close();
      await bus.close();
      await store.close();
    },
  };
}

/** The store that the configuration names. */
export async function openStore({
  config,
  log,
  onStoreFailure,
}: Pick<OpenMailOptions, 'config' | 'log' | 'onStoreFailure'>): Promise<Store> {
  if (config.store.driver === 'memory') return new MemoryStore({});
  if (config.store.driver === 'mongodb') {
    const { url, database, writeConcern, timeoutMs, retryMs, connections } = config.store.mongodb;
    try {
      return await openMongoStore({
        url: url?.reveal() ?? '',
        database,
        writeConcern,
        timeoutMs,
        retryMs,
        connections,
        onTidyFailure: (error) => log.error({ err: error }, 'the store could not be tidied up'),
      });
    } catch (error) {
      throw error instanceof StoreUnavailable ? new StoreUnavailable(`store.mongodb: ${error.message}`, { cause: error }) : error;
    }
  }
  return openSqliteStore({
    folder: config.data,
    synchronous: config.store.synchronous,
    onFailure: (error) => {
      log.fatal({ err: error }, 'the store has failed');
      onStoreFailure?.(error);
    },
  });
}

/** `onConnected`: Redis is reached, perhaps again; not before the first turn of the loop. */
async function openBus({ config, log }: OpenMailOptions, onConnected: () => void): Promise<Bus> {
  const { driver, redis } = config.bus;
  if (driver === 'memory') return new MemoryBus({ now: Date.now });
  return RedisBus.open({
    url: redis.url?.reveal() ?? '',
    keyPrefix: redis.keyPrefix,
    onConnected: () => {
      log.info({}, 'Redis is connected');
      setImmediate(onConnected);
    },
    onLost: (error) =>
      log.warn({ err: error }, 'Redis (bus.redis.url) is lost: other instances hear of changes by polling, limits count by instance'),
    onRefused: (error) => log.error({ err: error }, 'Redis (bus.redis.url) refuses commands'),
  });
}

function mailSettings({ mail, store, search, limits, passwords, auth }: Config, hostname: string): MailSettings {
  const { archive, drafts, junk, sent, trash } = mail.specialUse;
  const named = [
    { name: drafts, specialUse: '\\Drafts' },
    { name: sent, specialUse: '\\Sent' },
    { name: junk, specialUse: '\\Junk' },
    { name: trash, specialUse: '\\Trash' },
    { name: archive, specialUse: '\\Archive' },
  ] as const;
  return {
    hostname,
    messageOctets: limits.messageOctets,
    defaultQuotaOctets: mail.defaultQuotaOctets === 0 ? undefined : mail.defaultQuotaOctets,
    recipientDelimiter: mail.recipientDelimiter,
    domains: mail.domains.map(normalizeDomain),
    mailboxes: named.filter(({ name }) => name !== ''),
    passwordUpgrade: passwords.upgrade,
    scram: auth.scram,
    search,
    attachments: store.attachments,
  };
}

async function submissionSettings({ submission, limits }: Config): Promise<SubmissionSettings> {
  const { host, port, tls, caFile, user, password } = submission.relay;
  const ca = caFile === undefined ? undefined : await readFile(caFile, 'utf8');
  const auth = user === undefined || password === undefined ? undefined : { user, password: password.reveal() };
  return {
    relay: host === '' ? undefined : { host, port, tls, ca, auth },
    queue: submission.queue,
    recipientsPerHour: limits.submissionRecipientsPerHour,
  };
}

/** 16 hex digits each. Random octets are fetched by the page: a call for eight costs as much as one for thousands. */
function randomTokens(): () => string {
  let page = Buffer.alloc(0);
  let at = 0;
  return () => {
    if (at >= page.length) {
      page = randomBytes(4096);
      at = 0;
    }
    at += 8;
    return page.toString('hex', at - 8, at);
  };
}

/** Plugins name the message first; pino the details. */
function pluginLog(log: Logger): LogSource {
  const methods = (to: Logger): Log => ({
    debug: (message, fields = {}) => to.debug(fields, message),
    info: (message, fields = {}) => to.info(fields, message),
    warn: (message, fields = {}) => to.warn(fields, message),
    error: (message, fields = {}) => to.error(fields, message),
  });
  return { child: (fields) => methods(log.child(fields)) };
}
