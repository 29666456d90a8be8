/** For tests of this folder: the memory store with faults on order, a bus that loses beacons, a clock that is moved by hand. */

import { MemoryStore } from '../../store/memory/memory-store.ts';
import type {
  AccountId,
  Bus,
  ContentId,
  NewContent,
  Outcome,
  Proposal,
  Seq,
  Snapshot,
  StateDelta,
  Store,
  StoredChunk,
  StoredEntry,
} from '../../store/store.ts';
import { OutcomeUnknown, StoreUnavailable } from '../../store/store.ts';
import type { JournalClock, JournalLog } from './account-journal.ts';
import type { AccountMailsOptions } from './account-mails.ts';
import { StoreAccountMails } from './account-mails.ts';

export type Fault = 'unknown-landed' | 'unknown-lost' | 'unavailable';

/** Every read and write takes a turn of the event loop or two, as a real store's would. */
export class FaultyStore extends MemoryStore {
  /** What the next commits suffer, in order. */
  readonly faults: (Fault | undefined)[] = [];
  /** All that was ever committed, also what was pruned since. */
  readonly committed: StoredEntry[] = [];
  readonly dead: ContentId[] = [];
  saves = 0;
  down = false;

  override async commit(proposal: Proposal): Promise<Outcome> {
    await turn();
    const fault = this.faults.shift();
    if (this.down || fault === 'unavailable') throw new StoreUnavailable('down');
    if (fault === 'unknown-lost') throw new OutcomeUnknown('lost');
    const outcome = await super.commit(proposal);
    if (!outcome.done) return outcome;
    this.committed.push(proposal.entry);
    this.dead.push(...proposal.dead);
    await turn();
    if (fault === 'unknown-landed') throw new OutcomeUnknown('landed');
    return outcome;
  }

  override async load(account: AccountId): Promise<Snapshot | undefined> {
    await this.#reach();
    return super.load(account);
  }

  override async tail(account: AccountId, after: Seq, limit: number): Promise<readonly StoredEntry[]> {
    await this.#reach();
    return super.tail(account, after, limit);
  }

  override async chunks(...args: Parameters<Store['chunks']>): Promise<readonly StoredChunk[]> {
    await this.#reach();
    return super.chunks(...args);
  }

  override async saveState(account: AccountId, delta: StateDelta): Promise<void> {
    await this.#reach();
    this.saves++;
    return super.saveState(account, delta);
  }

  async #reach(): Promise<void> {
    await turn();
    if (this.down) throw new StoreUnavailable('down');
  }
}

export class LocalBus {
  readonly #ears = new Map<AccountId, Set<(head: Seq) => void>>();
  /** Beacons are lost while set. */
  deaf = false;

  beacon(account: AccountId, head: Seq): void {
    if (!this.deaf) for (const hear of this.#ears.get(account) ?? []) hear(head);
  }

  listen(account: AccountId, hear: (head: Seq) => void): () => void {
    const ears = this.#ears.get(account) ?? new Set();
    this.#ears.set(account, ears.add(hear));
    return () => ears.delete(hear);
  }

  asBus(): Bus {
    return this as unknown as Bus;
  }
}

export class HandClock implements JournalClock {
  time = 1_790_000_000_000;
  #timers: { at: number; run: () => void }[] = [];

  get armed(): number {
    return this.#timers.length;
  }

  now(): number {
    return this.time;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.time + ms, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  advance(ms: number): void {
    this.time += ms;
    const due = this.#timers.filter((timer) => timer.at <= this.time);
    this.#timers = this.#timers.filter((timer) => timer.at > this.time);
    for (const { run } of due) run();
  }
}

export class RecordingLog implements JournalLog {
  readonly lines: string[] = [];

  warn(details: object, message: string): void {
    this.lines.push(`${message} ${'err' in details ? String(details.err) : ''}`);
  }

  error(details: object, message: string): void {
    this.warn(details, message);
  }
}

let tokens = 0;

/** One process over the store. */
export function instance(
  store: Store,
  bus: Bus,
  clock: JournalClock,
  log: JournalLog,
  options: Partial<AccountMailsOptions> = {},
): StoreAccountMails {
  return new StoreAccountMails({
    store,
    bus,
    clock,
    log,
    newToken: () => (++tokens).toString(16).padStart(16, '0'),
    ...options,
  });
}

export function contentOf(id: ContentId, sizeOctets: number): NewContent {
  return {
    id,
    sizeOctets,
    codecs: [],
    meta: { sealed: new Uint8Array(0) },
    bodyOffset: 0,
    segments: [],
  };
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
