/** For tests of this folder: the journal half of a Store in memory, a bus, a clock that is moved by hand, and faults on order. */
import type {
  AccountId,
  Bus,
  ContentId,
  Contents,
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
import { JournalPruned, OutcomeUnknown, StoreUnavailable } from '../../store/store.ts';
import type { JournalClock, JournalLog } from './account-journal.ts';
import type { AccountMailsOptions } from './account-mails.ts';
import { StoreAccountMails } from './account-mails.ts';

interface Account {
  entries: StoredEntry[];
  floor: Seq;
  snapshot: Snapshot | undefined;
  readonly chunks: Map<string, StoredChunk>;
  readonly contents: Map<number, NewContent>;
  readonly dead: Set<number>;
}
export type Fault = 'unknown-landed' | 'unknown-lost' | 'unavailable';

/** Every read and write takes a turn of the event loop, as a real store's would. */
export class JournalHalf {
  readonly accounts = new Map<AccountId, Account>();
  /** What the next commits suffer, in order. */
  readonly faults: (Fault | undefined)[] = [];
  commits = 0;
  saves = 0;
  down = false;
  #nextContent = 1;

  account(id: AccountId): Account {
    let account = this.accounts.get(id);
    if (account === undefined) {
      account = { entries: [], floor: 0, snapshot: undefined, chunks: new Map(), contents: new Map(), dead: new Set() };
      this.accounts.set(id, account);
    }
    return account;
  }

  async commit(proposal: Proposal): Promise<Outcome> {
    await turn();
    const fault = this.faults.shift();
    if (this.down || fault === 'unavailable') throw new StoreUnavailable('down');
    if (fault === 'unknown-lost') throw new OutcomeUnknown('lost');
    const account = this.account(proposal.account);
    const head = account.floor + account.entries.length;
    if (proposal.entry.seq !== head + 1) return { done: false, head };
    for (const { table, key, ifVersion } of proposal.records)
      if (ifVersion === 99) return { done: false, head, conflict: `${table}/${key}` };
    account.entries.push(proposal.entry);
    for (const content of proposal.contents) account.contents.set(content.id, content);
    for (const content of proposal.dead) account.dead.add(content);
    this.commits++;
    await turn();
    if (fault === 'unknown-landed') throw new OutcomeUnknown('landed');
    return { done: true };
  }

  async load(id: AccountId): Promise<Snapshot | undefined> {
    await turn();
    if (this.down) throw new StoreUnavailable('down');
    return this.account(id).snapshot;
  }

  async tail(id: AccountId, after: Seq, limit: number): Promise<readonly StoredEntry[]> {
    await turn();
    if (this.down) throw new StoreUnavailable('down');
    const account = this.account(id);
    if (after < account.floor) throw new JournalPruned(account.floor);
    return account.entries.slice(after - account.floor, after - account.floor + limit);
  }

  async moved(heads: ReadonlyMap<AccountId, Seq>): Promise<readonly AccountId[]> {
    await turn();
    return [...heads].filter(([id, head]) => this.account(id).floor + this.account(id).entries.length > head).map(([id]) => id);
  }

  async chunks(id: AccountId, box: number, from: number, to: number): Promise<readonly StoredChunk[]> {
    await turn();
    if (this.down) throw new StoreUnavailable('down');
    return [...this.account(id).chunks.values()]
      .filter((chunk) => chunk.box === box && chunk.n >= from && chunk.n <= to && chunk.data.length > 0)
      .sort((a, b) => a.n - b.n);
  }

  async saveState(id: AccountId, delta: StateDelta): Promise<void> {
    await turn();
    if (this.down) throw new StoreUnavailable('down');
    this.saves++;
    const account = this.account(id);
    for (const chunk of delta.chunks) {
      const key = `${chunk.box}/${chunk.n}`;
      if ((account.chunks.get(key)?.seq ?? 0) < chunk.seq) account.chunks.set(key, chunk);
    }
    if ((account.snapshot?.applied ?? 0) < delta.snapshot.applied) account.snapshot = delta.snapshot;
    for (const box of delta.unboxed) for (const [key, chunk] of account.chunks) if (chunk.box === box) account.chunks.delete(key);
  }

  async prune(id: AccountId, upTo: Seq): Promise<void> {
    const account = this.account(id);
    const end = Math.min(upTo, account.snapshot?.applied ?? 0);
    if (end <= account.floor) return;
    account.entries = account.entries.slice(end - account.floor);
    account.floor = end;
  }

  async flush(): Promise<void> {}

  get contents(): Pick<Contents, 'newId' | 'list'> {
    return {
      newId: () => this.#nextContent++ as ContentId,
      list: async (id, after, limit) =>
        [...this.account(id).contents.values()]
          .filter((content) => content.id > after)
          .sort((a, b) => a.id - b.id)
          .slice(0, limit),
    };
  }

  /** The rest of a Store is not reached from here. */
  asStore(): Store {
    return this as unknown as Store;
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
