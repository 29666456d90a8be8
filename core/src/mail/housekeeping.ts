/**
 * What nobody waits for, account by account, slowly and around the clock: journal entries that nobody needs any more, contents that no
 * message points at, blobs that no content names. Of several instances one does it.
 */
import { performance } from 'node:perf_hooks';
import type { AccountId, Bus, ContentId, Lease } from '../store/store.ts';
import type { MailParts } from './mail-parts.ts';
import type { AccountRecord } from './services.ts';

/** Between two rounds. */
const ROUND_MS = 6 * 3_600_000;
/** The first one waits, so that a restart is not slowed by it. */
const FIRST_MS = 10 * 60_000;
/** Between two accounts; longer while the protocol thread is busier than {@link BUSY} (0 to 1). */
const PAUSE_MS = 20;
const BUSY_PAUSE_MS = 500;
const BUSY = 0.5;
/**
 * What died is kept for so long: a session that was not told of an expunge still shows the message, and a command under way on another
 * instance is over by then.
 */
export const GRACE_MS = 86_400_000;
const LEASE_MS = 60_000;
const PAGE = 100;

export interface HousekeepingOptions {
  readonly parts: MailParts;
  readonly bus: Pick<Bus, 'lease'>;
  /** Settles after `ms`, or at once when the signal aborts; never rejects. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** How much one round removed; entries are not counted. */
export interface Swept {
  readonly contents: number;
  readonly blobs: number;
}

export class Housekeeping {
  readonly #options: HousekeepingOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run(this.#stop.signal);
  }

  /** The account under way is finished first. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Never rejects. */
  async #run(signal: AbortSignal): Promise<void> {
    const { parts, bus, sleep } = this.#options;
    await sleep(FIRST_MS, signal);
    while (!signal.aborted) {
      let lease: Lease | undefined;
      try {
        lease = await bus.lease('housekeeping', LEASE_MS);
        if (lease !== undefined) {
          const swept = await this.round(signal);
          parts.log.info({ ...swept }, 'housekeeping: contents and blobs that nobody needs are gone');
        }
      } catch (error) {
        if (!signal.aborted) parts.log.error({ err: error }, 'housekeeping was cut short');
      } finally {
        await lease?.release().catch((error: unknown) => parts.log.warn({ err: error }, 'the lease of housekeeping was not given back'));
      }
      await sleep(ROUND_MS, signal);
    }
  }

  /** All accounts once, then the blobs. @throws what the store throws about blobs; an account that fails is logged and left */
  async round(signal: AbortSignal): Promise<Swept> {
    const { parts, sleep } = this.#options;
    let contents = 0;
    let after: string | undefined;
    for (;;) {
      const page: readonly AccountRecord[] = await parts.directory.list(after === undefined ? { limit: PAGE } : { after, limit: PAGE });
      for (const { id } of page) {
        if (signal.aborted) return { contents, blobs: 0 };
        const since = performance.eventLoopUtilization();
        try {
          contents += await this.account(id);
        } catch (error) {
          parts.log.warn({ err: error, account: id }, 'housekeeping left an account for the next round');
        }
        await sleep(PAUSE_MS, signal);
        if (performance.eventLoopUtilization(since).utilization > BUSY) await sleep(BUSY_PAUSE_MS, signal);
      }
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE) break;
      after = last.username;
    }
    const blobs = await parts.store.blobs.sweep(parts.now() - GRACE_MS);
    return { contents, blobs };
  }

  /** One account; returns how many contents went. @throws what the store throws */
  async account(id: AccountId): Promise<number> {
    const { store, mails, now } = this.#options.parts;
    await mails.prune(id);
    const before = now() - GRACE_MS;
    if (!(await this.#hasDead(id, before))) return 0;
    const mail = await mails.get(id);
    return store.contents.sweep(id, await mail.liveContents(), before);
  }

  /** Most accounts have none, and need not be loaded. */
  async #hasDead(id: AccountId, before: number): Promise<boolean> {
    const { contents } = this.#options.parts.store;
    for (let after: ContentId | 0 = 0; ; ) {
      const page: Awaited<ReturnType<typeof contents.dead>> = await contents.dead(id, after, PAGE);
      if (page.some(({ at }) => at < before)) return true;
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE) return false;
      after = last.id;
    }
  }
}
