import { crc32 } from 'node:zlib';
import type {
  AccountId,
  Held,
  MailboxId,
  Outcome,
  Proposal,
  Seq,
  Snapshot,
  StateDelta,
  Store,
  StoredChunk,
  StoredEntry,
} from '../store.ts';
import { JournalPruned, StoreUnavailable } from '../store.ts';
import { MemoryBlobs, MemoryContents } from './memory-contents.ts';
import { MemoryDerived } from './memory-derived.ts';
import { MemoryFeed } from './memory-feed.ts';
import { MemoryRecords } from './memory-records.ts';
import { octetsIn } from './octets-in.ts';

interface Account {
  floor: Seq;
  readonly entries: StoredEntry[];
  snapshot: Snapshot | undefined;
  readonly chunks: Map<MailboxId, Map<number, StoredChunk>>;
}

export interface MemoryStoreOptions {
  /** ms since 1970. */
  readonly now?: () => number;
}

/** All in memory: for tests, and for the plugin test host. "Durable" means: in these maps. */
export class MemoryStore implements Store {
  readonly records: MemoryRecords;
  readonly contents: MemoryContents;
  readonly blobs: MemoryBlobs;
  readonly derived: MemoryDerived;
  readonly feed = new MemoryFeed();
  readonly #accounts = new Map<AccountId, Account>();
  #closed = false;

  constructor(options: MemoryStoreOptions = {}) {
    const now = options.now ?? Date.now;
    this.records = new MemoryRecords(now);
    this.blobs = new MemoryBlobs(now);
    this.contents = new MemoryContents(now, this.blobs);
    this.derived = new MemoryDerived((account) => this.#head(this.#accounts.get(account)) > 0);
  }

  #account(id: AccountId): Account {
    const found = this.#accounts.get(id) ?? { floor: 0, entries: [], snapshot: undefined, chunks: new Map() };
    this.#accounts.set(id, found);
    return found;
  }
  #head(account: Account | undefined): Seq {
    return account?.entries.at(-1)?.seq ?? account?.floor ?? 0;
  }
  #requireOpen(): void {
    if (this.#closed) throw new StoreUnavailable('the store is closed');
  }

  async commit(proposal: Proposal): Promise<Outcome> {
    this.#requireOpen();
    const { account: id, entry, contents, dead, records } = proposal;
    const head = this.#head(this.#accounts.get(id));
    if (entry.seq !== head + 1) return { done: false, head };
    this.contents.requireBlobs(contents);
    const conflict = this.records.apply(records);
    if (conflict !== undefined) return { done: false, head, conflict: `${conflict.table}/${conflict.key}` };
    for (const content of contents) this.contents.add(id, content);
    this.contents.bury(id, dead);
    const kept = structuredClone({ seq: entry.seq, token: entry.token, data: Uint8Array.from(entry.data) });
    this.#account(id).entries.push(kept);
    this.feed.append(id, kept);
    return { done: true };
  }

  async load(account: AccountId): Promise<Snapshot | undefined> {
    return structuredClone(this.#accounts.get(account)?.snapshot);
  }

  async tail(account: AccountId, after: Seq, limit: number): Promise<readonly StoredEntry[]> {
    const found = this.#accounts.get(account);
    if (found === undefined) return [];
    if (after < found.floor) throw new JournalPruned(found.floor);
    return found.entries.slice(after - found.floor, after - found.floor + limit);
  }

  async moved(heads: ReadonlyMap<AccountId, Seq>): Promise<readonly AccountId[]> {
    return [...heads].filter(([account, head]) => this.#head(this.#accounts.get(account)) > head).map(([account]) => account);
  }

  async chunks(account: AccountId, box: MailboxId, from: number, to: number): Promise<readonly StoredChunk[]> {
    return [...(this.#accounts.get(account)?.chunks.get(box)?.values() ?? [])]
      .filter(({ n, data }) => n >= from && n <= to && data.length > 0)
      .sort((one, two) => one.n - two.n)
      .map((chunk) => structuredClone(chunk));
  }

  async saveState(id: AccountId, delta: StateDelta): Promise<void> {
    this.#requireOpen();
    const account = this.#account(id);
    for (const box of delta.unboxed) account.chunks.delete(box);
    for (const chunk of delta.chunks) {
      const chunks = account.chunks.get(chunk.box) ?? new Map<number, StoredChunk>();
      account.chunks.set(chunk.box, chunks);
      if (chunk.seq >= (chunks.get(chunk.n)?.seq ?? 0)) chunks.set(chunk.n, { ...chunk, data: Uint8Array.from(chunk.data) });
    }
    const { applied, data } = delta.snapshot;
    if (applied >= (account.snapshot?.applied ?? 0)) account.snapshot = { account: id, applied, data: Uint8Array.from(data) };
  }

  async prune(id: AccountId, upTo: Seq): Promise<void> {
    const account = this.#accounts.get(id);
    if (account === undefined) return;
    const to = Math.min(upTo, account.snapshot?.applied ?? 0, this.#head(account), this.feed.pinned(id) - 1);
    if (to <= account.floor) return;
    account.entries.splice(0, to - account.floor);
    account.floor = to;
    this.feed.forget(id, to);
  }

  async adopt(id: AccountId, { floor, contents, dead }: Held): Promise<void> {
    this.#requireOpen();
    const account = this.#account(id);
    if (account.entries.length === 0) account.floor = Math.max(account.floor, floor);
    this.contents.requireBlobs(contents);
    for (const content of contents) this.contents.adopt(id, content);
    for (const { id: content, at } of dead) this.contents.bury(id, [content], at);
  }

  async erase(account: AccountId): Promise<void> {
    this.#accounts.delete(account);
    this.contents.erase(account);
    this.derived.erase(account);
    this.feed.erase(account);
    this.records.eraseTables(`account/${account}/`);
  }

  async flush(): Promise<void> {}

  async *check(): AsyncGenerator<{ readonly what: string; readonly problem: string }> {
    for (const [id, account] of this.#accounts) {
      for (const [at, { seq }] of account.entries.entries()) {
        if (seq !== account.floor + at + 1) yield { what: `account ${id}`, problem: 'gap in the journal' };
      }
      for (const chunks of account.chunks.values()) {
        for (const { box, n, crc, data } of chunks.values()) {
          if (crc32(data) !== crc) yield { what: `chunk ${n} of mailbox ${box} of account ${id}`, problem: 'checksum is wrong' };
        }
      }
    }
  }

  /** All octets that lie here, in pieces: for the plugin test host, which looks for what must not be among them. */
  *octets(): Generator<Uint8Array> {
    yield* octetsIn(this.#accounts);
    yield* this.records.octets();
    yield* this.contents.octets();
    yield* this.blobs.octets();
    yield* this.feed.octets();
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
