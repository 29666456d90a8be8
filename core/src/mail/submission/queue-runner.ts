/**
 * Works the queue off: one instance at a time, which holds the lease. Mail for accounts here goes through mail/delivery, the rest to other
 * servers. What an attempt brought is one entry of the sender's journal: until it is durable the message stays due, so it may be sent twice
 * and is never lost.
 */
import { randomUUID } from 'node:crypto';
import type { Account } from '@pochard/plugin-sdk';
import { type Bus, type Lease, RecordConflict } from '../../store/store.ts';
import { AccountContentReader } from '../content/reader.ts';
import { MailError } from '../errors.ts';
import type { SubmissionChange } from '../journal/account-mail.ts';
import { accountOf, type MailParts } from '../mail-parts.ts';
import { accountIdOf } from '../sdk-values.ts';
import type { Delivery, DeliverySession, MessageSource, OpenContent, QueuedSubmission, Spool, SubmissionQueue } from '../services.ts';
import type { SubmissionSettings } from '../settings.ts';
import { type AttemptOutcome, afterAttempts, afterReport, backoffMs, isFinished, newsOf, outcomeOfError } from './attempt-outcome.ts';
import { deliveryReport } from './delivery-report.ts';
import { Lanes } from './lanes.ts';
import { dueAt, type QueuedMessage, type QueueRows, type ReportAction, type VersionedMessage } from './queue-rows.ts';
import { relayGroup, type SendMail } from './relay-group.ts';
import type { Routes } from './routes.ts';

export interface QueueRunnerOptions {
  readonly parts: MailParts;
  readonly delivery: Delivery;
  readonly spool: Spool;
  readonly rows: QueueRows;
  readonly bus: Bus;
  readonly routes: Routes;
  readonly settings: SubmissionSettings;
  /** One transaction with another server. */
  readonly send: SendMail;
  /** Settles after `ms`, or at once when the signal aborts; never rejects. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

const LEASE = 'submission-queue';
const LEASE_MS = 30_000;
/** Between tries to become the one. */
const LEASE_RETRY_MS = 5_000;
/** Between looks when nobody calls {@link QueueRunner.poke}: what another instance has queued. */
const LOOK_MS = 5_000;
const PAGE = 200;
/** Recipients of one transaction: what every server must take (RFC 5321 §4.5.3.1.8). */
const MAX_RECIPIENTS = 100;
/** A message whose attempt failed here, in the store say, rests that long: else the next attempt would come at once. */
const REST_MS = 30_000;
const COMMIT_ATTEMPTS = 5;
const COMMIT_RETRY_MS = 1_000;
/** Attempts in flight may finish for this long when the server stops. */
const GRACE_MS = 5_000;

/** Recipients of one way: here, or one domain with equal wishes. */
interface Group {
  readonly domain: string;
  readonly lane: string;
  readonly members: readonly number[];
}
/** A message that is being worked on. */
interface Work {
  readonly versioned: VersionedMessage;
  readonly account: Account;
  readonly content: OpenContent;
  readonly source: MessageSource;
  readonly signal: AbortSignal;
}

export class QueueRunner implements SubmissionQueue {
  readonly #options: QueueRunnerOptions;
  readonly #lanes: Lanes;
  readonly #stop = new AbortController();
  readonly #cut = new AbortController();
  readonly #inFlight = new Map<string, Promise<void>>();
  readonly #resting = new Map<string, number>();
  /** Due and not begun yet, earliest last: what a look has found beyond what could be begun. */
  #ahead: { readonly id: string; readonly key: string }[] = [];
  #poked = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: QueueRunnerOptions) {
    this.#options = options;
    const { connections, connectionsPerDomain } = options.settings.queue;
    this.#lanes = new Lanes({ total: connections, perLane: connectionsPerDomain });
  }

  get gauges(): { readonly messages: number; readonly connections: number } {
    return { messages: this.#inFlight.size, connections: this.#lanes.open };
  }

  start(): void {
    this.#running ??= this.#run(this.#stop.signal);
  }

  /** Attempts in flight end first, within a grace; what they cannot tell any more is tried again after the next start. */
  async stop(): Promise<void> {
    this.#stop.abort();
    const { sleep } = this.#options;
    const done = new AbortController();
    const all = Promise.all([...this.#inFlight.values()]).finally(() => done.abort());
    await Promise.race([all, sleep(GRACE_MS, done.signal)]);
    this.#cut.abort(new Error('the server is shutting down'));
    await Promise.all([...this.#inFlight.values()]);
    await this.#running;
  }

  /** There is something new. */
  poke(): void {
    this.#poked.abort();
    this.#poked = new AbortController();
  }

  /* ── What the administrator does ── */

  async list(options: { readonly after?: string; readonly limit: number }): Promise<readonly QueuedSubmission[]> {
    const messages = await this.#options.rows.list(options);
    return messages.map((message) => {
      const { id, username, reversePath, sizeOctets, submittedAt, recipients } = message;
      const waiting = recipients.filter(({ state }) => state === 'waiting');
      return {
        id,
        username,
        reversePath,
        sizeOctets,
        submittedAt,
        dueAt: dueAt(message) ?? submittedAt,
        recipients: waiting.map(({ address, attempts, reply }) => ({ address, attempts, reply })),
      };
    });
  }

  async retry(id: string): Promise<boolean> {
    const { rows, parts } = this.#options;
    const now = parts.now();
    this.#resting.delete(id);
    const isThere = await this.#changeRow(id, (versioned) => {
      const recipients = versioned.message.recipients.map((recipient) =>
        recipient.state === 'waiting' ? { ...recipient, dueAt: now } : recipient,
      );
      return rows.write(
        rows.changed(versioned, { ...versioned.message, recipients, reportDueAt: Math.min(now, versioned.message.reportDueAt) }),
      );
    });
    this.poke();
    return isThere;
  }

  delete(id: string): Promise<boolean> {
    const { rows, parts } = this.#options;
    return this.#changeRow(id, async (versioned) => {
      const { message } = versioned;
      const record = await parts.directory.get(message.account);
      if (record === undefined) return rows.write(rows.removed(versioned));
      const account = await accountOf(parts, record);
      const outcomes = message.recipients
        .filter(({ state }) => state === 'waiting')
        .map(({ address }) => ({ submission: id, recipient: account.sealed ? '' : address, outcome: 'failed' as const, reply: '' }));
      await this.#submit(account, { outcomes, keeps: [], drops: [message.content], records: rows.removed(versioned) });
    });
  }

  /** @returns false when there is no such row */
  async #changeRow(id: string, change: (versioned: VersionedMessage) => Promise<void>): Promise<boolean> {
    for (let attempt = 1; ; attempt += 1) {
      const versioned = await this.#options.rows.get(id);
      if (versioned === undefined) return false;
      try {
        await change(versioned);
        return true;
      } catch (error) {
        if (!(error instanceof RecordConflict) || attempt === COMMIT_ATTEMPTS) throw error;
      }
    }
  }

  /* ── The loop ── */

  /** Never rejects. */
  async #run(signal: AbortSignal): Promise<void> {
    const { bus, parts, sleep } = this.#options;
    while (!signal.aborted) {
      let lease: Lease | undefined;
      try {
        lease = await bus.lease(LEASE, LEASE_MS);
        if (lease !== undefined) await this.#work(lease, signal);
      } catch (error) {
        parts.log.error({ err: error }, 'the queue of submissions could not be worked off');
      }
      await Promise.all([...this.#inFlight.values()]);
      await lease?.release().catch((error: unknown) => parts.log.warn({ err: error }, 'a lease could not be released'));
      if (!signal.aborted) await sleep(LEASE_RETRY_MS, signal);
    }
  }

  async #work(lease: Lease, signal: AbortSignal): Promise<void> {
    const { parts, sleep } = this.#options;
    while (!signal.aborted && lease.held) {
      const poked = this.#poked.signal;
      const later = await this.#startDue(lease, signal);
      const now = parts.now();
      let next = Math.min(now + LOOK_MS, later ?? Number.POSITIVE_INFINITY);
      for (const until of this.#resting.values()) next = Math.min(next, until);
      await sleep(Math.max(1, next - now), AbortSignal.any([signal, poked]));
    }
  }

  /** @returns when the first is due that is not yet, as far as this look has come */
  async #startDue(lease: Lease, signal: AbortSignal): Promise<number | undefined> {
    const { rows, parts, settings } = this.#options;
    const now = parts.now();
    for (const [id, until] of this.#resting) if (until <= now) this.#resting.delete(id);
    // A look may take longer than the lease lasts: the process stood still, or the store did not answer.
    const isFree = (): boolean => !signal.aborted && lease.held && this.#inFlight.size < settings.queue.connections;
    for (let after: string | undefined; isFree(); ) {
      for (let next = this.#ahead.pop(); next !== undefined; next = this.#ahead.pop()) {
        if (this.#isIdle(next.id)) this.#begin(next.id, next.key);
        if (!isFree()) return undefined; // who ends will poke
      }
      const page = await rows.due(now, after, PAGE);
      this.#ahead = page.rows.filter(({ id }) => this.#isIdle(id)).reverse();
      if (page.next === undefined && this.#ahead.length === 0) return page.later;
      after = page.next;
    }
    return undefined;
  }

  #isIdle(id: string): boolean {
    return !this.#inFlight.has(id) && !this.#resting.has(id) && !this.#lanes.isWaiting(id);
  }

  #begin(id: string, key: string): void {
    const { parts } = this.#options;
    const work = this.#process(id, key)
      .catch((error: unknown) => {
        if (this.#cut.signal.aborted) return;
        parts.log.error({ submission: id, err: error }, 'a submission could not be worked on');
        this.#resting.set(id, parts.now() + REST_MS);
      })
      .finally(() => {
        this.#inFlight.delete(id);
        this.poke();
      });
    this.#inFlight.set(id, work);
  }

  async #process(id: string, key: string): Promise<void> {
    const { rows, parts } = this.#options;
    const versioned = await rows.get(id);
    if (versioned === undefined || (dueAt(versioned.message) ?? 0) > parts.now()) {
      if (versioned === undefined) await rows.forgetDue(key);
      return;
    }
    const { message } = versioned;
    const record = await parts.directory.get(message.account);
    if (record === undefined) {
      // Its content went with the account.
      parts.log.warn({ submission: id }, 'the sender of a submission has been deleted, and the submission with it');
      return rows.write(rows.removed(versioned));
    }
    const account = await accountOf(parts, record);
    const content = await this.#open(account, message);
    if (content === undefined) {
      parts.log.error({ submission: id }, 'the content of a submission is missing');
      if (parts.now() > message.submittedAt + this.#options.settings.queue.lifetimeMs) return rows.write(rows.removed(versioned));
      throw new MailError('damaged', 'The content of a submission is missing');
    }
    const signal = this.#cut.signal;
    const work: Work = { versioned, account, content, source: sourceOf(content, signal), signal };
    const after = await this.#attempt(work);
    if (after !== undefined) await this.#report(after, work);
  }

  async #open(account: Account, { content }: QueuedMessage): Promise<OpenContent | undefined> {
    const { store, codecs, cache, actors } = this.#options.parts;
    const reader = new AccountContentReader({ store, codecs, cache, account, actor: actors.delivery, session: undefined });
    const [found] = await reader.open([content]);
    return found;
  }

  /* ── Attempts ── */

  /** @returns the row after it; `undefined` when it is gone, or waits for a free connection */
  async #attempt(work: Work): Promise<VersionedMessage | undefined> {
    const { parts, settings } = this.#options;
    const { versioned, account } = work;
    const { message } = versioned;
    const groups = this.#dueGroups(message, parts.now());
    if (groups.length === 0) return versioned;
    const outcomes = new Map<number, AttemptOutcome>();
    const settles: (() => void)[] = [];
    const tries: Promise<void>[] = [];
    let waitsFor: string | undefined;
    for (const group of groups) {
      if (group.lane === '') tries.push(this.#deliver(group, work, outcomes, settles));
      else if (this.#lanes.enter(group.lane, group.lane === '*' ? settings.queue.connections : undefined))
        tries.push(this.#relay(group, work, outcomes).finally(() => this.#lanes.leave(group.lane)));
      else waitsFor ??= group.lane;
    }
    if (tries.length === 0 && waitsFor !== undefined) {
      this.#lanes.wait(message.id, waitsFor);
      return message.recipients.some(({ report }) => report !== undefined) ? versioned : undefined;
    }
    await Promise.all(tries);
    const after = await this.#commit(message.id, account, outcomes);
    for (const settle of settles) settle();
    return after;
  }

  #dueGroups(message: QueuedMessage, now: number): readonly Group[] {
    const { routes } = this.#options;
    const groups = new Map<string, { domain: string; lane: string; members: number[] }>();
    for (const [n, recipient] of message.recipients.entries()) {
      const { state, address, goes, notify, originalRecipient } = recipient;
      if (state !== 'waiting' || recipient.dueAt > now) continue;
      const domain = address.slice(address.lastIndexOf('@') + 1).toLowerCase();
      const lane = goes === 'here' ? '' : routes.isOneWay ? '*' : domain;
      // Through one relay all domains are one transaction; what is asked for is said once in it (smtp-client).
      const name = goes === 'here' ? '' : JSON.stringify([lane, notify ?? null, originalRecipient ?? null]);
      const group = groups.get(name);
      if (group === undefined || group.members.length >= MAX_RECIPIENTS) groups.set(name, { domain, lane, members: [n] });
      else group.members.push(n);
    }
    return [...groups.values()];
  }

  async #deliver(group: Group, work: Work, outcomes: Map<number, AttemptOutcome>, settles: (() => void)[]): Promise<void> {
    const { delivery, parts } = this.#options;
    const { message } = work.versioned;
    const session = localSession();
    const recipients: { readonly n: number; readonly recipient: Awaited<ReturnType<Delivery['resolve']>> }[] = [];
    for (const n of group.members) {
      const { address = '' } = message.recipients[n] ?? {};
      try {
        const envelope = { reversePath: message.reversePath, declaredOctets: undefined };
        recipients.push({ n, recipient: await delivery.resolve(address, envelope, session) });
      } catch (error) {
        this.#failedHere(n, error, message, outcomes);
      }
    }
    if (recipients.length === 0) return;
    try {
      const request = {
        source: work.source,
        reversePath: message.reversePath,
        recipients: recipients.map(({ recipient }) => recipient),
        origin: 'lmtp',
        helo: parts.settings.hostname,
      } as const;
      const results = await delivery.deliver(request, session, work.signal);
      for (const [at, result] of results.entries()) {
        const n = recipients[at]?.n;
        if (n === undefined) continue;
        if (!result.stored) this.#failedHere(n, result.error, message, outcomes);
        else {
          if (result.settle !== undefined) settles.push(result.settle);
          outcomes.set(n, { result: 'sent', reply: { code: 250, status: '2.1.5', text: 'Stored' }, host: undefined, isTold: false });
        }
      }
    } catch (error) {
      for (const { n } of recipients) this.#failedHere(n, error, message, outcomes);
    }
  }

  #failedHere(n: number, error: unknown, message: QueuedMessage, outcomes: Map<number, AttemptOutcome>): void {
    const { log } = this.#options.parts;
    if (!(error instanceof MailError) || error.code === 'bug' || error.code === 'damaged')
      log.error({ submission: message.id, err: error }, 'a submission could not be delivered here');
    outcomes.set(n, outcomeOfError(error));
  }

  async #relay(group: Group, work: Work, outcomes: Map<number, AttemptOutcome>): Promise<void> {
    const { routes, parts, send } = this.#options;
    const { message } = work.versioned;
    const members = group.members.flatMap((n) => {
      const recipient = message.recipients[n];
      return recipient === undefined ? [] : [{ n, recipient }];
    });
    const { source, account, signal } = work;
    const results = await relayGroup({ domain: group.domain, members, message, source, account, signal, routes, parts, send });
    for (const [n, outcome] of results) outcomes.set(n, outcome);
  }

  /** The outcomes are laid over the row as it is now: the administrator may have touched it meanwhile. */
  async #commit(id: string, account: Account, outcomes: ReadonlyMap<number, AttemptOutcome>): Promise<VersionedMessage | undefined> {
    const { parts, settings } = this.#options;
    const lies = account.sealed ? 'sealed' : 'open';
    return this.#put(id, account, (before) => {
      const after = afterAttempts(before, outcomes, settings.queue, parts.now());
      return { after, outcomes: newsOf(before, after, outcomes, lies) };
    });
  }

  /** One entry. Tried again while the store does not answer: what was sent must be remembered. */
  async #put(
    id: string,
    account: Account,
    change: (before: QueuedMessage) => { readonly after: QueuedMessage; readonly outcomes: SubmissionChange['outcomes'] },
  ): Promise<VersionedMessage | undefined> {
    const { rows, sleep } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const versioned = await rows.get(id);
        if (versioned === undefined) return undefined;
        const { after, outcomes } = change(versioned.message);
        const isOver = isFinished(after);
        const records = isOver ? rows.removed(versioned) : rows.changed(versioned, after);
        await this.#submit(account, { outcomes, keeps: [], drops: isOver ? [after.content] : [], records });
        return isOver ? undefined : { message: after, version: versioned.version + 1 };
      } catch (error) {
        const isPassing = error instanceof RecordConflict || (error instanceof MailError && error.code === 'unavailable');
        if (!isPassing || attempt === COMMIT_ATTEMPTS) throw error;
        await sleep(COMMIT_RETRY_MS, this.#cut.signal);
      }
    }
  }

  async #submit(account: Account, change: SubmissionChange): Promise<void> {
    const { parts } = this.#options;
    const mail = await parts.mails.get(accountIdOf(account.id));
    await mail.submission(change, { by: 'submission', actor: parts.actors.delivery.name });
    parts.committed();
  }

  /* ── Reports ── */

  async #report(versioned: VersionedMessage, work: Work): Promise<void> {
    const { parts } = this.#options;
    let { message } = versioned;
    if (message.reportDueAt > parts.now()) return;
    for (const action of ['failed', 'delayed', 'delivered', 'relayed'] as const) {
      const recipients = message.recipients.filter(({ report }) => report === action);
      if (recipients.length === 0) continue;
      const told = await this.#tell(message, recipients, action, work);
      const after = await this.#put(message.id, work.account, (before) => ({
        after: this.#afterTelling(before, action, told),
        outcomes: [],
      }));
      if (told.result === 'sent') told.settle?.();
      if (after === undefined || told.result === 'deferred') return;
      message = after.message;
    }
  }

  #afterTelling(before: QueuedMessage, action: ReportAction, { result }: { readonly result: AttemptOutcome['result'] }): QueuedMessage {
    const { parts, settings } = this.#options;
    if (result !== 'deferred') return afterReport(before, action);
    const reportAttempts = before.reportAttempts + 1;
    return { ...before, reportAttempts, reportDueAt: parts.now() + backoffMs(reportAttempts, settings.queue) };
  }

  async #tell(
    message: QueuedMessage,
    recipients: QueuedMessage['recipients'],
    action: ReportAction,
    { account, content, source, signal }: Work,
  ): Promise<{ readonly result: AttemptOutcome['result']; readonly settle?: (() => void) | undefined }> {
    const { delivery, parts, spool, settings } = this.#options;
    const session = localSession();
    const { hostname, messageOctets } = parts.settings;
    const options = { message, recipients, action, to: message.reversePath, hostname, lifetimeMs: settings.queue.lifetimeMs };
    const report = await spool.receive(deliveryReport({ ...options, content: { head: content.head, source } }), {
      limitOctets: messageOctets + MAX_REPORT_OCTETS,
      signal,
    });
    try {
      const to = await delivery.resolve(account.username, { reversePath: '', declaredOctets: undefined }, session);
      const request = { source: report, reversePath: '', recipients: [to], origin: 'lmtp', helo: hostname } as const;
      const [outcome] = await delivery.deliver(request, session, signal);
      if (outcome?.stored === true) return { result: 'sent', settle: outcome.settle };
      throw outcome?.error ?? new MailError('bug', 'a delivery had no outcome');
    } catch (error) {
      const { result } = outcomeOfError(error);
      const isTooOld = parts.now() > message.reportMadeAt + settings.queue.lifetimeMs;
      parts.log.warn({ submission: message.id, action, err: error }, 'a report could not be delivered to the sender');
      return { result: isTooOld ? 'failed' : result };
    } finally {
      await report.dispose();
    }
  }
}

/** What a report adds to the header block or message that it returns. */
const MAX_REPORT_OCTETS = 2 * 1024 * 1024;

function localSession(): DeliverySession {
  return { id: randomUUID(), listener: 'submission', remoteAddress: '127.0.0.1' };
}

function sourceOf(content: OpenContent, signal: AbortSignal): MessageSource {
  const { sizeOctets } = content;
  return {
    sizeOctets,
    bytes: content.bytes(0, sizeOctets),
    open: (range) => content.read(range?.start ?? 0, range?.end ?? sizeOctets, signal),
    dispose: async () => {},
  };
}
