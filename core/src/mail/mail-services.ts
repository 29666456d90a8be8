/** Puts the mail services together: what `main` calls after it has a store, a bus and a plugin host. */
import { randomBytes } from 'node:crypto';
import dns from 'node:dns/promises';
import type { LoginThrottle } from '../net/throttle.ts';
import type { CredentialCache } from '../passwords/credential-cache.ts';
import type { Passwords } from '../passwords/passwords.ts';
import type { HookCalls } from '../plugins/hook-calls.ts';
import { createActor } from '../plugins/identities.ts';
import type { AccountId, Bus, Store } from '../store/store.ts';
import { AccountCreation } from './accounts/account-creation.ts';
import { AccountRemovals } from './accounts/account-removals.ts';
import { AccountService } from './accounts/account-service.ts';
import { CredentialService } from './accounts/credential-service.ts';
import { Credentials } from './accounts/credentials.ts';
import { Directory } from './accounts/directory.ts';
import { Logins } from './accounts/login.ts';
import { Sessions } from './accounts/sessions.ts';
import { Codecs } from './content/codecs.ts';
import { Ingest } from './content/ingest.ts';
import { ContentCache } from './content/reader.ts';
import { DeliveryService } from './delivery/delivery-service.ts';
import { Recipients } from './delivery/recipients.ts';
import type { MailHostServices } from './host-services.ts';
import { Housekeeping } from './housekeeping.ts';
import { JournalEvents } from './journal-events.ts';
import { JournalFollowers } from './journal-followers.ts';
import type { MailLog } from './log.ts';
import type { MailParts } from './mail-parts.ts';
import { MatchWindow } from './match-window.ts';
import { SearchIndex } from './search-index/search-index.ts';
import { OBSERVER, SearchIndexer } from './search-index/search-indexer.ts';
import type { LoggedIn, MailServices, Spool } from './services.ts';
import { defaultSubmission, type MailSettings } from './settings.ts';
import { SharingService } from './sharing/sharing.ts';
import { QueueRows } from './submission/queue-rows.ts';
import { QueueRunner } from './submission/queue-runner.ts';
import type { SendMail } from './submission/relay-group.ts';
import { type MailResolver, Routes } from './submission/routes.ts';
import { sendBySmtp } from './submission/smtp-client.ts';
import { SubmissionService } from './submission/submission-service.ts';

/** Plain contents that were lately opened: some 3,000 ordinary messages. */
const CONTENT_CACHE_OCTETS = 32 * 1024 * 1024;

export interface MailServicesOptions {
  readonly store: Store;
  readonly bus: Bus;
  readonly hooks: HookCalls;
  readonly mails: MailParts['mails'];
  readonly passwords: Passwords;
  readonly credentialCache: CredentialCache;
  readonly throttle: LoginThrottle;
  readonly spool: Spool;
  readonly settings: MailSettings;
  readonly log: MailLog;
  /** ms since 1970. */
  readonly now: () => number;
  /** Settles after `ms`, or at once when the signal aborts; never rejects. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Of the name system; Node's own when absent. `mxPort` is another one than 25 in tests only. */
  readonly resolver?: MailResolver;
  readonly mxPort?: number;
  /** How mail goes to other servers; by SMTP when absent. */
  readonly sendMail?: SendMail;
  /** What the plugin host was made with: bound here. */
  readonly host?: MailHostServices;
}

export interface RunningMailServices extends MailServices {
  readonly accounts: AccountService;
  readonly delivery: DeliveryService;
  /** The `journal` taps: start before listeners open, stop after they have closed. */
  readonly followers: JournalFollowers;
  /** Makes the search index: start and stop as `followers`. */
  readonly searchIndexer: Pick<SearchIndexer, 'start' | 'stop'>;
  /** Removes what nobody needs any more: start and stop as `followers`. */
  readonly housekeeping: Housekeeping;
  readonly sharing: SharingService;
  readonly submissions: SubmissionService;
  /** Sends what is queued: start when everything else runs, stop before the store closes. */
  readonly submissionQueue: QueueRunner;
  /** Entries as the SDK's events, for SSE and push. */
  readonly events: JournalEvents;
  /** For what else is built on the same parts (search, fsck, import). */
  readonly parts: MailParts;
}

export function createMailServices(options: MailServicesOptions): RunningMailServices {
  const { store, bus, hooks, mails, passwords, spool, settings, log, now } = options;
  const actors = { system: createActor({ type: 'system', name: 'system' }), delivery: createActor({ type: 'delivery', name: 'delivery' }) };
  const codecs = new Codecs({ hooks, actor: actors.system, bus });
  const directory = new Directory({ records: store.records, delimiter: settings.recipientDelimiter, bus });
  const { thresholdOctets, dedupe } = settings.attachments;
  const searchIndex = settings.search?.index === 'on' ? new SearchIndex({ store, log }) : undefined;
  const parts: MailParts = {
    store,
    hooks,
    mails,
    directory,
    codecs,
    ingest: new Ingest({ contents: store.contents, blobs: store.blobs, codecs, thresholdOctets, dedupe }),
    cache: new ContentCache(CONTENT_CACHE_OCTETS),
    matches: new MatchWindow(now),
    searchIndex,
    settings,
    digestKey: randomBytes(32),
    log,
    now,
    actors,
    committed: () => followers.poke(),
  };
  const credentials = new Credentials({
    records: store.records,
    passwords,
    cache: options.credentialCache,
    log,
    upgrade: settings.passwordUpgrade,
    scram: settings.scram ?? 'off',
  });
  const creation = new AccountCreation(parts, credentials);
  const opened = (id: AccountId, { account, session }: LoggedIn) => {
    if (!account.sealed) return;
    const tell = async () => {
      if (await codecs.canOpen(account, session)) await followers.unlocked(id);
    };
    tell().catch((error: unknown) => log.error({ account: id, err: error }, 'followers were not told of an unlock'));
  };
  const sessions = new Sessions({ hooks, now, opened, bus });
  const logins = new Logins({ parts, credentials, creation, sessions, throttle: options.throttle });
  const passwordService = new CredentialService({ parts, credentials, sessions });
  const removals = new AccountRemovals({ store, mails });
  const accounts = new AccountService({ parts, removals, passwords: passwordService, creation, sessions, logins });
  const delivery = new DeliveryService(parts, new Recipients(parts, creation), spool);
  const quotaOf = async (id: AccountId) => (await directory.get(id))?.quotaOctets ?? settings.defaultQuotaOctets;
  const events = new JournalEvents({ quotaOf });
  const followers = new JournalFollowers({ parts, events, removals, bus, sessionsOf: (id) => sessions.of(id), sleep: options.sleep });
  const searchIndexer =
    searchIndex === undefined
      ? // Switched off, nobody reads on: the journal must not wait for it.
        { start: () => store.feed.unregister(OBSERVER), stop: async () => {} }
      : new SearchIndexer({ parts, bus, index: searchIndex, sleep: options.sleep });
  options.host?.bind({ parts, accounts, spool, passwords, bus });
  const housekeeping = new Housekeeping({ parts, bus, sleep: options.sleep });
  const rows = new QueueRows(store.records);
  const submissionQueue = new QueueRunner({
    parts,
    delivery,
    spool,
    rows,
    bus,
    routes: new Routes({
      parts,
      resolver: options.resolver ?? dns,
      random: Math.random,
      ...(options.mxPort === undefined ? {} : { port: options.mxPort }),
    }),
    settings: settings.submission ?? defaultSubmission,
    send: options.sendMail ?? sendBySmtp,
    sleep: options.sleep,
  });
  const submissions = new SubmissionService({
    parts,
    delivery,
    spool,
    rows,
    count: (key, by, windowMs) => bus.count(key, by, windowMs),
    queued: () => submissionQueue.poke(),
  });
  const sharing = new SharingService({ parts, spool, find: (name) => accounts.find(name) });
  return { accounts, delivery, submissions, submissionQueue, spool, sharing, followers, searchIndexer, housekeeping, events, parts };
}
