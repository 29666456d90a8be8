import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
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
import { OutcomeUnknown, StoreUnavailable } from '../store.ts';
import { checkDocuments } from './check.ts';
import { ContentIds, passId } from './content-ids.ts';
import type { Documents } from './documents.ts';
import { Journal } from './journal.ts';
import { slotKey } from './keys.ts';
import { MongoBlobs } from './mongo-blobs.ts';
import { MongoContents } from './mongo-contents.ts';
import { MongoDerived } from './mongo-derived.ts';
import { type MongoOptions, openMongoDocuments } from './mongo-documents.ts';
import { MongoFeed } from './mongo-feed.ts';
import { MongoRecords } from './mongo-records.ts';
import { byRow } from './record-rows.ts';
import { RetryingDocuments, type RetryOptions } from './retrying-documents.ts';
import { type Collections, collectionsOf, migrate } from './schema.ts';
import { States } from './states.ts';
import { Transactions } from './transactions.ts';

export interface MongoStoreOptions {
  /** ms since 1970. */
  readonly now?: () => number;
  /** 16 hex digits, random. */
  readonly newToken?: () => string;
  /** How long a server may be away before an operation is given up, ms. Default 8000. */
  readonly retryMs?: number;
  readonly sleep?: (ms: number) => Promise<void>;
  /** Between two housekeepings of this instance, ms; 0: none by itself (tests). Default 10 minutes. */
  readonly tidyEveryMs?: number;
  /** Housekeeping failed; it goes on at the next time. */
  readonly onTidyFailure?: (error: unknown) => void;
}
const TIDY_EVERY_MS = 600_000;
/** What a commit may have left behind that long ago, it has left for good. */
const GRACE_MS = 86_400_000;
/** Times that a commit with records is tried while others hold the same records. */
const ATTEMPTS = 100;

/**
 * The store of the distributed profile: any number of instances over one database, each serves any account. There is no lease in it: who
 * inserts the next number of an account's journal has committed, whoever else tried. Nothing is kept per account but the number last seen.
 */
export class MongoStore implements Store {
  readonly shared = true;
  readonly records: MongoRecords;
  readonly contents: MongoContents;
  readonly blobs: MongoBlobs;
  readonly derived: MongoDerived;
  readonly feed: MongoFeed;
  readonly collections: Collections;
  readonly journal: Journal;
  readonly states: States;
  readonly #documents: Documents;
  readonly #transactions: Transactions;
  readonly #ids: ContentIds;
  readonly #now: () => number;
  readonly #sleep: (ms: number) => Promise<void>;
  readonly #timer: NodeJS.Timeout | undefined;
  /** What has been taken and has not settled. */
  readonly #pending = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;
  #closed = false;

  constructor(documents: Documents, collections: Collections, ids: ContentIds, options: MongoStoreOptions) {
    const { now = Date.now, newToken = randomToken, sleep = pause, tidyEveryMs = TIDY_EVERY_MS } = options;
    this.#documents = documents;
    this.collections = collections;
    this.#ids = ids;
    this.#now = now;
    this.#sleep = sleep;
    this.#transactions = new Transactions({ collections, newToken, now });
    const transactions = this.#transactions;
    this.journal = new Journal({ collections, transactions, now });
    this.states = new States(collections, newToken);
    this.records = new MongoRecords({ collections, transactions, newToken, now, sleep });
    this.blobs = new MongoBlobs({ collections, newToken, now });
    this.contents = new MongoContents({ collections, ids, blobs: this.blobs, journal: this.journal, now });
    this.derived = new MongoDerived(collections, this.journal);
    this.feed = new MongoFeed({ collections, journal: this.journal, newToken });
    if (tidyEveryMs > 0) {
      // Instances that started together do not all do it at once.
      const everyMs = tidyEveryMs * (0.75 + Math.random() / 2);
      this.#timer = setInterval(() => {
        this.#track(this.tidy()).catch((error: unknown) => options.onTidyFailure?.(error));
      }, everyMs);
      this.#timer.unref();
    }
  }

  commit(proposal: Proposal): Promise<Outcome> {
    if (this.#closed) return Promise.reject(new StoreUnavailable('the store is closed'));
    return this.#track(this.#commit(proposal));
  }
  async #commit(proposal: Proposal): Promise<Outcome> {
    const { account, entry, contents, records } = proposal;
    const head = await this.journal.headFor(account, entry.seq);
    if (entry.seq !== head + 1) return { done: false, head };
    try {
      await this.contents.add(account, contents, entry);
    } catch (error) {
      // Contents that landed without their slot are known to nobody.
      throw error instanceof OutcomeUnknown ? new StoreUnavailable(error.message, { cause: error }) : error;
    }
    if (records.length > 0) return this.#commitWithRecords(proposal);
    if (await this.journal.append(proposal)) return { done: true };
    await this.contents.discard(account, contents);
    return { done: false, head: await this.journal.head(account) };
  }
  async #commitWithRecords(proposal: Proposal): Promise<Outcome> {
    const { account, entry, contents } = proposal;
    const writes = byRow(proposal.records);
    const slot = { id: slotKey(account, entry.seq), insert: (tx: string) => this.journal.append(proposal, tx) };
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const ended = await this.#transactions.run(writes, slot);
      if (ended.end === 'committed') return { done: true };
      if (ended.end !== 'blocked') {
        await this.contents.discard(account, contents);
        const head = await this.journal.head(account);
        return ended.end === 'taken' ? { done: false, head } : { done: false, head, conflict: `${ended.write.table}/${ended.write.key}` };
      }
      await this.#sleep(Math.random() * Math.min(100, 5 * (attempt + 1)));
    }
    await this.contents.discard(account, contents);
    throw new StoreUnavailable('others write these records all the time');
  }

  load(account: AccountId): Promise<Snapshot | undefined> {
    return this.states.load(account);
  }
  tail(account: AccountId, after: Seq, limit: number): Promise<readonly StoredEntry[]> {
    return this.journal.tail(account, after, limit);
  }
  moved(heads: ReadonlyMap<AccountId, Seq>): Promise<readonly AccountId[]> {
    return this.journal.moved(heads);
  }
  chunks(account: AccountId, box: MailboxId, from: number, to: number): Promise<readonly StoredChunk[]> {
    return this.states.chunks(account, box, from, to);
  }
  saveState(account: AccountId, delta: StateDelta): Promise<void> {
    if (this.#closed) return Promise.reject(new StoreUnavailable('the store is closed'));
    return this.#track(this.states.save(account, delta));
  }
  prune(account: AccountId, upTo: Seq): Promise<void> {
    return this.#track(this.feed.pinned(account).then((pin) => this.journal.prune(account, upTo, pin)));
  }

  adopt(account: AccountId, held: Held): Promise<void> {
    return this.#track(this.#adopt(account, held));
  }
  async #adopt(account: AccountId, { floor, contents, dead }: Held): Promise<void> {
    if (floor > 0) await this.journal.begin(account, floor);
    await this.contents.add(account, contents);
    await this.contents.bury(account, dead);
    await passId(
      this.collections.counters,
      contents.reduce((most, { id }) => Math.max(most, id), 0),
    );
  }

  /** Noted first: what a crash cuts short is finished by the next housekeeping. */
  erase(account: AccountId): Promise<void> {
    return this.#track(this.#erase(account));
  }
  async #erase(account: AccountId): Promise<void> {
    await this.collections.erasures.put([{ _id: account, t: this.#now() }]);
    await this.records.eraseTables(`account/${account}/`);
    await this.journal.erase(account);
    await this.states.erase(account);
    await this.contents.erase(account);
    await this.derived.erase(account);
    await this.feed.erase(account);
    await this.collections.erasures.remove({ _id: account });
  }

  /** Errors go to whoever began the work. */
  async flush(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }

  check(): AsyncIterable<{ readonly what: string; readonly problem: string }> {
    return checkDocuments(this.collections, this.journal, this.blobs);
  }

  /** What crashes left behind, expired records, numbers that observers have passed. By itself every ten minutes. */
  async tidy(): Promise<void> {
    await this.#transactions.settleAll();
    for (const { _id } of await this.collections.erasures.find({}, { limit: 100 })) await this.#erase(_id as AccountId);
    await this.records.expire();
    await this.journal.sweepSides(this.#now() - GRACE_MS);
    await this.feed.flush();
    await this.feed.trim();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }
  async #close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.flush();
    await Promise.allSettled([this.feed.flush(), this.#ids.settled()]); // positions that are not written come again
    await this.#documents.close();
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#pending.add(work);
    const forget = (): void => void this.#pending.delete(work);
    work.then(forget, forget);
    return work;
  }
}

/** 16 hex digits each; random octets are fetched by the page. */
const tokens = { page: Buffer.alloc(0), at: 0 };
function randomToken(): string {
  if (tokens.at >= tokens.page.length) {
    tokens.page = randomBytes(4096);
    tokens.at = 0;
  }
  tokens.at += 8;
  return tokens.page.toString('hex', tokens.at - 8, tokens.at);
}
function pause(ms: number): Promise<void> {
  return delay(ms, undefined, { ref: false });
}

/** Brings the database to this schema level first. */
export async function openStoreOver(
  raw: Documents,
  options: MongoStoreOptions & { readonly retry?: Partial<RetryOptions> } = {},
): Promise<MongoStore> {
  const now = options.now ?? Date.now;
  const retry = { retryMs: options.retryMs ?? 8_000, sleep: options.sleep ?? pause, now: () => performance.now(), ...options.retry };
  const documents = new RetryingDocuments(raw, retry);
  await migrate(documents);
  const collections = collectionsOf(documents);
  return new MongoStore(documents, collections, await ContentIds.open(collections.counters, now), options);
}

/**
 * @throws StoreUnavailable when no server answers, when it is one whose updates are not atomic, or when a newer Pochard wrote the database
 */
export async function openMongoStore(options: MongoOptions & MongoStoreOptions): Promise<MongoStore> {
  const { documents } = await openMongoDocuments(options);
  try {
    return await openStoreOver(documents, options);
  } catch (error) {
    await documents.close();
    throw error;
  }
}
