/**
 * Makes and merges search segments behind the commits, one account at a time and never in their path: the feed says which accounts got
 * something, the manifest of each what is indexed. Below {@link LEAST} contents an account has no index, and so many stay unindexed.
 */
import { randomBytes } from 'node:crypto';
import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import type { Account } from '@pochard/plugin-sdk';
import { LRUCache } from 'lru-cache';
import { type AccountId, type Bus, type ContentId, JournalPruned, type Seq, StoreDamaged } from '../../store/store.ts';
import type { AccountMail } from '../journal/account-mail.ts';
import { accountOf, type MailParts } from '../mail-parts.ts';
import { DocumentFeed } from './document-feed.ts';
import { IndexWorker, IndexWorkerError } from './index-worker.ts';
import { type Manifest, type SegmentEntry, writeManifest } from './manifest.ts';
import type { SearchIndex } from './search-index.ts';
import type { Segment } from './segment.ts';
import type { MergeInput } from './segment-merger.ts';

export const OBSERVER = 'search-index';
/** Contents that are worth a segment; fewer are searched in some 20 ms. */
const LEAST = 256;
/** Contents of a segment when it is made: what one batch of the thread holds in memory. */
const SEGMENT_DOCS = 8_192;
/** Terms and postings of a segment when it is made: some 200 MB of the thread's memory at most. */
const SEGMENT_SIZE = 6_000_000;
/** Segments are merged up to these many contents and octets: a search reads a few of each, a merge holds them in memory. */
const MERGED_DOCS = 65_536;
const MERGED_OCTETS = 96 * 1024 * 1024;
/** So many segments of about one size become one. */
const MERGE_AT = 4;
/** Contents that are read at a time: a millisecond or two of the protocol thread. */
const BATCH = 16;
const FEED_PAGE = 500;
const LOOK_MS = 2_000;
/** The thread ends when it had nothing to do for so long. */
const THREAD_IDLE_MS = 60_000;
/** Accounts wait while the protocol thread is busier than this (0 to 1) between two looks: an index costs more than the delivery did. */
const QUIET = 0.2;
/** Not longer than this, though: without an index a search reads each message. */
const PATIENCE_MS = 60_000;
/** While the protocol thread is busier than this (0 to 1), indexing waits, up to so many pauses for each batch. */
const BUSY = 0.4;
const PAUSE_MS = 50;
const PAUSES_AT_MOST = 20;
/** The same for an account whose owner had to wait for a search without an index: each further one would make the thread busy again. */
const PAUSES_WHEN_WANTED = 2;
const LEASE_MS = 60_000;
const KNOWN_AT_MOST = 5_000;
const RETRY_MS = [10_000, 60_000, 600_000, 3_600_000];
/** Contents that are asked for at a time when a merge wants to know whether they are still there. */
const META_PAGE = 500;
/** Contents that are looked up in segments before others get a turn. */
const LOOKS_A_TURN = 10_000;

export interface SearchIndexerOptions {
  readonly parts: MailParts;
  readonly bus: Bus;
  readonly index: SearchIndex;
  /** Settles after `ms`, or at once when the signal aborts; never rejects. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** For tests: what is worth a segment. Default 256. */
  readonly least?: number;
  /** For tests: contents of a segment when it is made. */
  readonly segmentDocs?: number;
  /** For tests: how long a busy thread is waited for, in ms. */
  readonly patienceMs?: number;
}

/** What is known of an account between two looks at it. */
interface Known {
  /** Entries up to here have been looked at. */
  readonly seq: Seq;
  /** Of the manifest that this was counted against. */
  readonly version: number;
  readonly unindexed: readonly ContentId[];
}

export class SearchIndexer {
  readonly worker = new IndexWorker();
  readonly #options: SearchIndexerOptions;
  /** Since when, in ms. */
  readonly #due = new Map<AccountId, number>();
  /** Searches have read messages here that an index would have spared them. */
  readonly #wanted = new Set<AccountId>();
  /** Accounts with few unindexed contents; the rest is found again in the journal. */
  readonly #known = new LRUCache<AccountId, Known>({ max: KNOWN_AT_MOST });
  readonly #failed = new Map<AccountId, { readonly attempts: number; readonly notBefore: number }>();
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #lastWork = 0;

  constructor(options: SearchIndexerOptions) {
    this.#options = options;
    const { index } = options;
    index.onMissing = (account, contents) => {
      if (contents < this.#least) return;
      this.#isDue(account);
      this.#wanted.add(account);
    };
    index.onDamaged = (account, segment) => {
      this.#abandon(account, segment).catch((error: unknown) =>
        options.parts.log.error({ account, err: error }, 'a damaged search segment could not be taken out'),
      );
    };
  }

  get #least(): number {
    return this.#options.least ?? LEAST;
  }

  #isDue(account: AccountId): void {
    if (!this.#due.has(account)) this.#due.set(account, this.#options.parts.now());
  }

  /** Begins to follow all accounts. Before listeners open. */
  async start(): Promise<void> {
    await this.#options.parts.store.feed.register(OBSERVER, 'start');
    this.#running = this.#run(this.#stop.signal);
  }

  /** What is being made is left; the store knows nothing of it. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.worker.stop();
    await this.#running;
  }

  /** Never rejects. */
  async #run(signal: AbortSignal): Promise<void> {
    const { parts, sleep } = this.#options;
    let since = performance.eventLoopUtilization();
    while (!signal.aborted) {
      try {
        const { utilization } = performance.eventLoopUtilization(since);
        await this.#readFeed(signal);
        await this.#workDue(utilization < QUIET ? 0 : (this.#options.patienceMs ?? PATIENCE_MS), signal);
        if (this.#lastWork !== 0 && parts.now() - this.#lastWork > THREAD_IDLE_MS) {
          this.#lastWork = 0;
          await this.worker.rest();
        }
      } catch (error) {
        if (!signal.aborted) parts.log.error({ err: error }, 'the search index could not be kept up');
      }
      since = performance.eventLoopUtilization();
      await sleep(LOOK_MS, signal);
    }
  }

  /** The feed is only a hint which accounts to look at: how far each is indexed stands in its manifest. */
  async #readFeed(signal: AbortSignal): Promise<void> {
    const { feed } = this.#options.parts.store;
    while (!signal.aborted) {
      const rows = await feed.next(OBSERVER, FEED_PAGE);
      const last = rows.at(-1);
      if (last === undefined) return;
      for (const { account } of rows) this.#isDue(account);
      await feed.done(OBSERVER, last.position);
      if (rows.length < FEED_PAGE) return;
    }
  }

  /** Looks at accounts that have been due for so long; leaves the rest for later when others want the thread. */
  async #workDue(patienceMs: number, signal: AbortSignal): Promise<void> {
    const { parts } = this.#options;
    for (const [account, since] of [...this.#due]) {
      if (signal.aborted) return;
      if (parts.now() - since < patienceMs && !this.#wanted.has(account)) continue;
      const failed = this.#failed.get(account);
      if (failed !== undefined && failed.notBefore > parts.now()) continue;
      this.#due.delete(account);
      try {
        await this.update(account, signal);
        this.#failed.delete(account);
        this.#wanted.delete(account);
      } catch (error) {
        if (signal.aborted) return;
        const attempts = (failed?.attempts ?? 0) + 1;
        this.#failed.set(account, { attempts, notBefore: parts.now() + (RETRY_MS[Math.min(attempts, RETRY_MS.length) - 1] ?? 0) });
        this.#isDue(account);
        parts.log.warn({ account, attempts, err: error }, 'an account could not be indexed for search');
      }
    }
  }

  /** Brings one account's index up to date: makes a segment if enough is unindexed, and merges. @throws what store, hooks and thread throw */
  async update(id: AccountId, signal: AbortSignal = this.#stop.signal): Promise<void> {
    const { parts, index, bus } = this.#options;
    const record = await parts.directory.get(id);
    if (record === undefined) {
      this.#known.delete(id);
      this.#wanted.delete(id);
      return;
    }
    const account = await accountOf(parts, record);
    const manifest = await index.manifest(id);
    if (manifest === undefined) return;
    if (account.sealed) {
      // Segments of sealed accounts would have to be sealed too: until then there are none, not even from before.
      if (manifest.segments.length > 0) await this.#forgetAll(id, manifest);
      return;
    }
    const mail = await parts.mails.get(id);
    if (manifest.segments.length === 0 && mail.usage.messages < this.#least) return;
    const segments = await this.#open(id, manifest);
    if (segments === undefined) return;
    const found = await this.#unindexed(id, mail, manifest, segments);
    if (found.unindexed.length < this.#least && !isMergeDue(manifest.segments)) {
      this.#known.set(id, found);
      return;
    }
    this.#known.delete(id);
    const lease = await bus.lease(`search-index/${id}`, LEASE_MS);
    if (lease === undefined) return; // another instance is at it
    try {
      this.#lastWork = parts.now();
      const built = await this.#build(id, account, manifest, found, signal);
      if (built !== undefined) await this.#merge(id, built, signal);
      await this.#dropOrphans(id);
    } finally {
      await lease.release();
    }
  }

  /** `undefined`: one is damaged, and was taken out of the manifest. */
  async #open(id: AccountId, manifest: Manifest): Promise<readonly Segment[] | undefined> {
    const segments: Segment[] = [];
    for (const entry of manifest.segments) {
      try {
        segments.push(await this.#options.index.segment(id, entry.id));
      } catch (error) {
        if (!(error instanceof StoreDamaged)) throw error;
        await this.#abandon(id, entry.id);
        return undefined;
      }
    }
    return segments;
  }

  /** Contents that are in no segment, ascending. */
  async #unindexed(id: AccountId, mail: AccountMail, manifest: Manifest, segments: readonly Segment[]): Promise<Known> {
    const known = this.#known.get(id);
    const isCurrent = known?.version === manifest.version;
    const after = isCurrent ? known.seq : manifest.seq;
    let seq = mail.head;
    let added: Iterable<number>;
    try {
      if (after === 0) added = await mail.liveContents();
      else {
        const contents: number[] = [];
        for await (const entry of mail.changes(after)) {
          seq = Math.max(seq, entry.seq);
          for (const op of entry.ops) if (op.op === 'add') for (const { content } of op.messages) contents.push(content);
        }
        added = contents;
      }
    } catch (error) {
      if (!(error instanceof JournalPruned)) throw error;
      added = await mail.liveContents();
    }
    const fresh = new Set<number>(isCurrent ? known.unindexed : []);
    let looked = 0;
    for (const content of added) {
      if (!segments.some((segment) => segment.ordinalOf(content) >= 0)) fresh.add(content);
      if (++looked % LOOKS_A_TURN === 0) await turn();
    }
    // Of numbers in an array of their own, sorting 100,000 takes milliseconds.
    const unindexed = [...Float64Array.from(fresh).sort()] as ContentId[];
    return { seq, version: manifest.version, unindexed };
  }

  /** Returns the manifest with all of `found`; `undefined`: another writer was first, or the account has gone. */
  async #build(id: AccountId, account: Account, before: Manifest, found: Known, signal: AbortSignal): Promise<Manifest | undefined> {
    const { unindexed, seq } = found;
    if (unindexed.length < this.#least) return before;
    const feed = new DocumentFeed(this.#options.parts, account, signal);
    let manifest: Manifest | undefined = before;
    for (let at = 0; at < unindexed.length && manifest !== undefined; ) {
      const { pieces, docs, next } = await this.#buildOne(id, feed, unindexed, at, signal);
      at = next;
      // Only the last one says that everything up to there is in: what a crash leaves out is found again in the journal.
      const upTo = at >= unindexed.length ? seq : manifest.seq;
      const added: readonly SegmentEntry[] = docs === 0 ? [] : [await this.#keep(id, docs, pieces)];
      manifest = await this.#commit(id, manifest, { seq: upTo, segments: [...manifest.segments, ...added] });
    }
    return manifest;
  }

  async #buildOne(
    id: AccountId,
    feed: DocumentFeed,
    ids: readonly ContentId[],
    from: number,
    signal: AbortSignal,
  ): Promise<{ readonly pieces: readonly Uint8Array[]; readonly docs: number; readonly next: number }> {
    const { worker } = this;
    const most = this.#options.segmentDocs ?? SEGMENT_DOCS;
    await worker.begin();
    let docs = 0;
    let size = 0;
    let at = from;
    const pace = new Pace(this.#options.sleep, signal);
    while (at < ids.length && at - from < most && size < SEGMENT_SIZE) {
      const documents = await feed.documents(ids.slice(at, Math.min(at + BATCH, from + most)));
      at = Math.min(at + BATCH, from + most, ids.length);
      docs += documents.length;
      pace.restart();
      if (documents.length > 0) size = await worker.add(documents);
      await pace.pause(this.#wanted.has(id) ? PAUSES_WHEN_WANTED : PAUSES_AT_MOST);
      signal.throwIfAborted();
    }
    return { pieces: docs === 0 ? [] : await worker.finish(), docs, next: at };
  }

  async #keep(id: AccountId, docs: number, pieces: readonly Uint8Array[]): Promise<SegmentEntry> {
    const segment = randomBytes(16).toString('hex');
    await this.#options.parts.store.derived.put(id, segment, 0, pieces);
    return { id: segment, docs, pieces: pieces.length, octets: pieces.reduce((sum, { length }) => sum + length, 0) };
  }

  async #commit(
    id: AccountId,
    before: Manifest,
    change: { readonly seq: Seq; readonly segments: readonly SegmentEntry[] },
  ): Promise<Manifest | undefined> {
    const { parts } = this.#options;
    if ((await parts.directory.get(id)) === undefined) return undefined;
    return writeManifest(parts.store.records, id, before, change);
  }

  async #merge(id: AccountId, from: Manifest, signal: AbortSignal): Promise<void> {
    let manifest: Manifest | undefined = from;
    for (let group = mergeGroup(manifest.segments); group.length > 0; group = mergeGroup(manifest.segments)) {
      const inputs: MergeInput[] = [];
      for (const entry of group) inputs.push({ pieces: await this.#pieces(id, entry, signal), gone: await this.#gone(id, entry, signal) });
      const pieces = await this.#mergeInputs(id, group, inputs);
      if (pieces === undefined) return;
      signal.throwIfAborted();
      const docs = inputs.reduce((sum, { gone }) => sum + gone.reduce((left, isGone) => left + 1 - isGone, 0), 0);
      const merged = docs === 0 ? [] : [await this.#keep(id, docs, pieces)];
      const rest: readonly SegmentEntry[] = manifest.segments.filter((entry) => !group.includes(entry));
      manifest = await this.#commit(id, manifest, { seq: manifest.seq, segments: [...rest, ...merged] });
      if (manifest === undefined) return;
    }
  }

  /** `undefined`: one of them is damaged, and was taken out of the manifest. */
  async #mergeInputs(
    id: AccountId,
    group: readonly SegmentEntry[],
    inputs: readonly MergeInput[],
  ): Promise<readonly Uint8Array[] | undefined> {
    try {
      return await this.worker.merge(inputs);
    } catch (error) {
      const damaged = error instanceof IndexWorkerError && error.input !== undefined ? group[error.input] : undefined;
      if (damaged === undefined) throw error;
      this.#options.parts.log.warn({ account: id, segment: damaged.id, err: error }, 'A damaged search segment is made anew');
      await this.#abandon(id, damaged.id);
      return undefined;
    }
  }

  async #pieces(id: AccountId, entry: SegmentEntry, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    const { derived } = this.#options.parts.store;
    const pieces: Uint8Array[] = [];
    const pace = new Pace(this.#options.sleep, signal);
    for (let n = 0; n < entry.pieces; n++) {
      const piece = await derived.get(id, entry.id, n);
      pieces.push(Uint8Array.from(piece ?? [])); // a missing one is a damaged one
      if (n % BATCH === BATCH - 1) await pace.pause();
      signal.throwIfAborted();
    }
    return pieces;
  }

  /** By ordinal: 1 if the content has been swept. */
  async #gone(id: AccountId, entry: SegmentEntry, signal: AbortSignal): Promise<Uint8Array> {
    const { contents } = this.#options.parts.store;
    const { ids } = (await this.#options.index.segment(id, entry.id)).directory;
    const gone = new Uint8Array(ids.length);
    const pace = new Pace(this.#options.sleep, signal);
    for (let at = 0; at < ids.length; at += META_PAGE) {
      const page = [...ids.subarray(at, at + META_PAGE)] as ContentId[];
      for (const [n, row] of (await contents.meta(id, page, ['sentAt'])).entries()) if (row === undefined) gone[at + n] = 1;
      await pace.pause();
      signal.throwIfAborted();
    }
    return gone;
  }

  /** Of builds that a crash cut short, and what was merged. Under the lease, so that nobody is making one. */
  async #dropOrphans(id: AccountId): Promise<void> {
    const { index, parts } = this.#options;
    const manifest = await index.manifest(id);
    if (manifest === undefined) return;
    const named = new Set(manifest.segments.map((entry) => entry.id));
    for (const { id: segment } of await parts.store.derived.list(id)) {
      if (!named.has(segment)) await parts.store.derived.drop(id, segment);
    }
  }

  async #forgetAll(id: AccountId, manifest: Manifest): Promise<void> {
    if ((await this.#commit(id, manifest, { seq: 0, segments: [] })) !== undefined) await this.#dropOrphans(id);
  }

  /** Out of the manifest; what it knew is indexed again. */
  async #abandon(id: AccountId, segment: string): Promise<void> {
    const manifest = await this.#options.index.manifest(id);
    if (manifest === undefined || !manifest.segments.some((entry) => entry.id === segment)) return;
    await this.#commit(id, manifest, { seq: 0, segments: manifest.segments.filter((entry) => entry.id !== segment) });
    this.#isDue(id);
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Pauses after each batch, longer while the protocol thread has much else to do: of what it did since `restart`, nothing was ours. */
class Pace {
  readonly #sleep: SearchIndexerOptions['sleep'];
  readonly #signal: AbortSignal;
  #since: EventLoopUtilization = performance.eventLoopUtilization();

  constructor(sleep: SearchIndexerOptions['sleep'], signal: AbortSignal) {
    this.#sleep = sleep;
    this.#signal = signal;
  }

  restart(): void {
    this.#since = performance.eventLoopUtilization();
  }

  async pause(atMost = PAUSES_AT_MOST): Promise<void> {
    await turn();
    for (let pauses = 0; pauses < atMost && !this.#signal.aborted; pauses++) {
      const { utilization } = performance.eventLoopUtilization(this.#since);
      this.restart();
      if (utilization < BUSY) return;
      await this.#sleep(PAUSE_MS, this.#signal);
    }
  }
}

function tierOf({ docs }: SegmentEntry): number {
  return Math.floor(Math.log2(Math.max(1, docs)) / 2);
}

/** Segments that should become one; none: all is well. */
export function mergeGroup(segments: readonly SegmentEntry[]): readonly SegmentEntry[] {
  const tiers = new Map<number, SegmentEntry[]>();
  for (const entry of segments) {
    const tier = tierOf(entry);
    const peers = tiers.get(tier);
    if (peers === undefined) tiers.set(tier, [entry]);
    else peers.push(entry);
  }
  for (const [, peers] of [...tiers].sort(([a], [b]) => a - b)) {
    const group: SegmentEntry[] = [];
    let docs = 0;
    let octets = 0;
    for (const entry of peers) {
      if (group.length === MERGE_AT || docs + entry.docs > MERGED_DOCS || octets + entry.octets > MERGED_OCTETS) break;
      group.push(entry);
      docs += entry.docs;
      octets += entry.octets;
    }
    if (group.length === MERGE_AT || (group.length > 1 && peers.length >= MERGE_AT)) return group;
  }
  return [];
}

function isMergeDue(segments: readonly SegmentEntry[]): boolean {
  return mergeGroup(segments).length > 0;
}
