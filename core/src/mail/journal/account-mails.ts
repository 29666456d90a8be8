/** All accounts of this process over one store: loads them on first use, saves them when idle, forgets them least recently used. */
import type { AccountId, Bus, Seq, Store } from '../../store/store.ts';
import { JournalPruned } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { AccountJournal, JournalClock, JournalContext, JournalLog } from './account-journal.ts';
import type { AccountMail, AccountMails } from './account-mail.ts';
import { AccountQueue } from './account-queue.ts';
import { decodeEntry } from './entry-codec.ts';
import { PackedResidency } from './packed-residency.ts';

export interface AccountMailsOptions {
  readonly store: Store;
  readonly bus: Bus;
  readonly clock: JournalClock;
  readonly log: JournalLog;
  /** 16 hex digits, random. */
  readonly newToken: () => string;
  /** Packed messages kept in memory, in octets (default 64 MiB). What sessions use right now is never dropped. */
  readonly maxPackedOctets?: number;
  /** Accounts kept in memory that nobody uses (default 10 000). */
  readonly maxIdleAccounts?: number;
  /** ms without a change after which an account's state is saved (default 5 000). */
  readonly saveAfterIdleMs?: number;
}

const TICK_MS = 1_000;
const SAVES_AT_ONCE = 4;
/** Heads that one query of the store compares. */
const POLL_ACCOUNTS = 500;
/** Accounts that one tick looks at to find idle ones. */
const FORGET_SCAN = 256;
const PRUNE_PAGE = 256;
export const KEEP_ENTRIES_MS = 7 * 86_400_000;

interface Kept {
  readonly account: AccountQueue;
  readonly unlisten: () => void;
}

export class StoreAccountMails implements AccountMails {
  readonly #options: AccountMailsOptions;
  readonly #context: JournalContext;
  /** In use or lately used, oldest first. These hear beacons. */
  readonly #kept = new Map<AccountId, Kept>();
  /** Forgotten, but perhaps still held by somebody: never two objects for one account. */
  readonly #forgotten = new Map<AccountId, WeakRef<AccountQueue>>();
  readonly #collected: FinalizationRegistry<AccountId>;
  readonly #loading = new Map<AccountId, Promise<AccountQueue>>();
  readonly #dirty = new Set<AccountQueue>();
  #cancelTick: (() => void) | undefined;
  #ticking: Promise<void> | undefined;
  #draining = false;

  constructor(options: AccountMailsOptions) {
    this.#options = options;
    const isDraining = (): boolean => this.#draining;
    this.#context = {
      store: options.store,
      bus: options.bus,
      clock: options.clock,
      log: options.log,
      newToken: options.newToken,
      residency: new PackedResidency(options.maxPackedOctets ?? 64 * 1024 * 1024),
      get draining() {
        return isDraining();
      },
      used: (account) => this.#used(account),
    };
    this.#collected = new FinalizationRegistry((account) => {
      if (this.#forgotten.get(account)?.deref() === undefined) this.#forgotten.delete(account);
    });
  }

  /** Octets of packed messages in memory, accounts kept, accounts with unsaved entries: for metrics. */
  get gauges(): { readonly packedOctets: number; readonly accounts: number; readonly unsaved: number } {
    return { packedOctets: this.#context.residency.octets, accounts: this.#kept.size, unsaved: this.#dirty.size };
  }

  async get(id: AccountId): Promise<AccountMail> {
    return this.#get(id);
  }

  /** For a deleted account (after `Store.erase`): nothing of it is kept or saved any more. */
  forget(id: AccountId): void {
    const account = this.#find(id);
    this.#kept.get(id)?.unlisten();
    this.#kept.delete(id);
    this.#forgotten.delete(id);
    if (account === undefined) return;
    this.#dirty.delete(account);
    account.abandon();
  }

  /** Asks the store which accounts have moved, and takes in what did: the answer to lost beacons. Returns how many had. Call it every 20 s. */
  async poll(): Promise<number> {
    const accounts = [...this.#live()];
    let moved = 0;
    for (let at = 0; at < accounts.length; at += POLL_ACCOUNTS) {
      const heads = new Map<AccountId, Seq>();
      for (const account of accounts.slice(at, at + POLL_ACCOUNTS)) heads.set(account.account, account.head);
      for (const id of await this.#options.store.moved(heads)) {
        moved++;
        await this.#catchUp(this.#find(id));
      }
    }
    return moved;
  }

  /**
   * Forgets journal entries that are saved, older than `olderThanMs`, and not above `upTo` (the slowest observer). Returns the new floor,
   * or undefined when nothing went.
   */
  async prune(id: AccountId, options: { readonly olderThanMs?: number; readonly upTo?: Seq } = {}): Promise<Seq | undefined> {
    const { store, clock } = this.#options;
    const snapshot = await store.load(id);
    const end = Math.min(snapshot?.applied ?? 0, options.upTo ?? Number.POSITIVE_INFINITY);
    const before = clock.now() - (options.olderThanMs ?? KEEP_ENTRIES_MS);
    let floor = 0;
    let upTo: Seq | undefined;
    while (floor < end) {
      let page: Awaited<ReturnType<Store['tail']>>;
      try {
        page = await store.tail(id, floor, PRUNE_PAGE);
      } catch (error) {
        if (!(error instanceof JournalPruned) || error.floor <= floor) throw error;
        floor = error.floor;
        continue;
      }
      let young = page.length < PRUNE_PAGE;
      for (const stored of page) {
        if (stored.seq > end || decodeEntry(stored).at >= before) {
          young = true;
          break;
        }
        upTo = stored.seq;
      }
      if (young) break;
      floor = page[page.length - 1]?.seq ?? end;
    }
    if (upTo !== undefined) await store.prune(id, upTo);
    return upTo;
  }

  async drain(): Promise<void> {
    this.#draining = true;
    this.#cancelTick?.();
    this.#cancelTick = undefined;
    await this.#ticking;
    for (const account of this.#live()) await account.settled();
    const failures = await this.#saveAll([...this.#dirty].filter((account) => account.isDirty));
    for (const { unlisten } of this.#kept.values()) unlisten();
    if (failures.length > 0) throw new AggregateError(failures, `state of ${failures.length} accounts could not be saved`);
    await this.#options.store.flush();
  }

  async #get(id: AccountId): Promise<AccountQueue> {
    const there = this.#find(id);
    if (there !== undefined) {
      this.#keep(there);
      return there;
    }
    const under = this.#loading.get(id);
    if (under !== undefined) return under;
    if (this.#draining) throw new MailError('unavailable', 'The server is shutting down');
    const loading = AccountQueue.open(id, this.#context).then((account) => {
      this.#keep(account);
      if (account.isDirty) this.#used(account);
      return account;
    });
    this.#loading.set(id, loading);
    try {
      return await loading;
    } catch (error) {
      this.#options.log.error({ err: error, account: id }, 'account cannot be loaded');
      throw error;
    } finally {
      this.#loading.delete(id);
    }
  }

  #find(id: AccountId): AccountQueue | undefined {
    return this.#kept.get(id)?.account ?? this.#forgotten.get(id)?.deref();
  }

  *#live(): Iterable<AccountQueue> {
    for (const { account } of this.#kept.values()) yield account;
    for (const [id, reference] of this.#forgotten) {
      const account = reference.deref();
      if (account !== undefined && !this.#kept.has(id)) yield account;
    }
  }

  #used(journal: AccountJournal): void {
    if (!(journal instanceof AccountQueue)) return;
    this.#keep(journal);
    if (journal.isDirty) {
      this.#dirty.add(journal);
      this.#armTick();
    }
  }

  /** Moves it to the young end; one that was forgotten meanwhile hears beacons again. */
  #keep(account: AccountQueue): void {
    const id = account.account;
    const kept = this.#kept.get(id);
    if (kept !== undefined) {
      this.#kept.delete(id);
      this.#kept.set(id, kept);
      return;
    }
    const wasForgotten = this.#forgotten.delete(id);
    const unlisten = this.#options.bus.listen(id, (head) => {
      if (head > account.head) void this.#catchUp(account, head);
    });
    this.#kept.set(id, { account, unlisten });
    if (wasForgotten) this.#collected.unregister(account);
    if (this.#kept.size > this.#maxIdle) this.#armTick();
  }

  async #catchUp(account: AccountQueue | undefined, upTo?: Seq): Promise<void> {
    try {
      await account?.catchUp(upTo);
    } catch (error) {
      this.#options.log.error({ err: error, account: account?.account }, 'entries of another instance could not be read');
    }
  }

  get #maxIdle(): number {
    return this.#options.maxIdleAccounts ?? 10_000;
  }

  /* ── One timer for all ── */

  #armTick(): void {
    if (this.#cancelTick !== undefined || this.#ticking !== undefined || this.#draining) return;
    this.#cancelTick = this.#options.clock.after(TICK_MS, () => {
      this.#cancelTick = undefined;
      this.#ticking = this.#tick().finally(() => {
        this.#ticking = undefined;
        if (this.#dirty.size > 0 || this.#kept.size > this.#maxIdle) this.#armTick();
      });
    });
  }

  async #tick(): Promise<void> {
    const before = this.#options.clock.now() - (this.#options.saveAfterIdleMs ?? 5_000);
    const due: AccountQueue[] = [];
    for (const account of this.#dirty) {
      if (!account.isDirty) this.#dirty.delete(account);
      else if (account.changedAt <= before) due.push(account);
    }
    const failures = await this.#saveAll(due);
    if (failures.length > 0) this.#options.log.warn({ err: failures[0], accounts: failures.length }, 'state could not be saved');
    this.#forgetIdle();
  }

  async #saveAll(accounts: readonly AccountQueue[]): Promise<unknown[]> {
    const failures: unknown[] = [];
    let next = 0;
    const work = async (): Promise<void> => {
      for (let account = accounts[next++]; account !== undefined; account = accounts[next++]) {
        try {
          await account.save();
          if (!account.isDirty) this.#dirty.delete(account);
        } catch (error) {
          failures.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: SAVES_AT_ONCE }, work));
    return failures;
  }

  #forgetIdle(): void {
    let scan = FORGET_SCAN;
    for (const [id, kept] of this.#kept) {
      if (this.#kept.size <= this.#maxIdle || scan-- === 0) return;
      if (!kept.account.isIdle) {
        // To the young end, so that the next tick looks at others.
        this.#kept.delete(id);
        this.#kept.set(id, kept);
        continue;
      }
      kept.unlisten();
      this.#kept.delete(id);
      this.#forgotten.set(id, new WeakRef(kept.account));
      this.#collected.register(kept.account, id, kept.account);
    }
  }
}
