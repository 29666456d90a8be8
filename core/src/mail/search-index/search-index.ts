/**
 * What SEARCH asks before it reads text: segments of the account answer text keys for the contents that they know, and the query goes on
 * with UIDs in their place. Whatever no segment knows is still searched, so the answer is the same with and without an index.
 */
import type { SearchQuery } from '@pochard/plugin-sdk';
import { LRUCache } from 'lru-cache';
import type { AccountId, Store } from '../../store/store.ts';
import { StoreDamaged } from '../../store/store.ts';
import type { MailboxState } from '../journal/account-mail.ts';
import type { UidRuns } from '../journal/entry.ts';
import { CHUNK_UIDS, chunkOf, contentAtRow, UID_OFFSET, WORDS } from '../journal/layout.ts';
import { countUids, firstRunEndingAtOrAfter, UidRunsBuilder } from '../journal/uid-runs.ts';
import type { MailLog } from '../log.ts';
import { TimeSlice } from '../search/time-slice.ts';
import { type KeyAnswer, type KeyQuestion, questionsOf, withAnswers } from './index-query.ts';
import { type Manifest, readManifest } from './manifest.ts';
import { type DocSet, hasDoc, uniteInto } from './postings.ts';
import { PieceCache, Segment } from './segment.ts';
import { unknownBit } from './segment-format.ts';

/** Pieces in memory. */
const CACHE_OCTETS = 64 * 1024 * 1024;
/** Contents in directories that are in memory: some 9 octets each. */
const DIRECTORY_DOCS = 4_000_000;
/** Fewer messages are searched as fast without. */
const LEAST_MESSAGES = 32;
/** Chunks that are looked at between two looks at the clock. */
const WALK_CHUNKS = 8;
const LAST_UID = 0xffff_ffff;
/** Times that a search begins again because segments were merged meanwhile. */
const ATTEMPTS = 3;

export interface SearchIndexOptions {
  readonly store: Pick<Store, 'records' | 'derived'>;
  readonly log: MailLog;
  readonly cacheOctets?: number;
}

/** What one segment says about one key. */
interface SegmentAnswer {
  readonly segment: Segment;
  /** By key: documents that meet it, and which bits tell that a document is not known well enough. */
  readonly keys: readonly { readonly found: DocSet; readonly unknown: number; readonly isExact: boolean }[];
}

interface Damaged {
  readonly id: string;
  readonly error: StoreDamaged;
}

export class SearchIndex {
  /** A search met contents that no segment knows, so many of them; or a segment that cannot be read. */
  onMissing: (account: AccountId, contents: number) => void = () => undefined;
  onDamaged: (account: AccountId, segment: string) => void = () => undefined;
  readonly #options: SearchIndexOptions;
  readonly #cache: PieceCache;
  readonly #segments: LRUCache<string, Segment>;

  constructor(options: SearchIndexOptions) {
    this.#options = options;
    this.#cache = new PieceCache(options.cacheOctets ?? CACHE_OCTETS);
    this.#segments = new LRUCache({ maxSize: DIRECTORY_DOCS, sizeCalculation: ({ docs }) => docs + 1_000 });
  }

  /** Octets of pieces in memory, and open segments: for metrics. */
  get gauges(): { readonly cacheOctets: number; readonly segments: number } {
    return { cacheOctets: this.#cache.octets, segments: this.#segments.size };
  }

  manifest(account: AccountId): Promise<Manifest | undefined> {
    return readManifest(this.#options.store.records, account);
  }

  /** @throws StoreDamaged */
  async segment(account: AccountId, id: string): Promise<Segment> {
    const key = `${account} ${id}`;
    const known = this.#segments.get(key);
    if (known !== undefined) return known;
    const segment = await Segment.open(this.#options.store.derived, this.#cache, account, id);
    this.#segments.set(key, segment);
    return segment;
  }

  /**
   * A query that is true for the same messages of `within`, those that come meanwhile included, and reads less text. Works in slices.
   * @throws the signal's reason
   */
  async narrow(
    account: AccountId,
    query: SearchQuery,
    state: MailboxState,
    within: UidRuns,
    signal: AbortSignal,
    when: 'worthwhile' | 'always' = 'worthwhile',
  ): Promise<SearchQuery> {
    const questions = questionsOf(query);
    if (questions.length === 0) return query;
    if (when === 'worthwhile' && Math.min(countUids(within), state.info.messages) < LEAST_MESSAGES) return query;
    const slice = new TimeSlice(signal);
    for (let attempt = 1; ; attempt++) {
      const manifest = await this.manifest(account);
      await slice.resume();
      if (manifest === undefined) return query;
      if (manifest.segments.length === 0) {
        this.onMissing(account, state.info.messages);
        return query;
      }
      const { answered, damaged } = await this.#ask(account, manifest, questions, slice);
      // A merge takes segments away while they are read: those that took their place are asked.
      const isOutdated = damaged.length > 0 && (await this.manifest(account))?.version !== manifest.version;
      await slice.resume();
      if (isOutdated && attempt < ATTEMPTS) continue;
      // Derived: what it knew is searched, and a new one will be made.
      for (const { id, error } of damaged) {
        this.#options.log.warn({ account, segment: id, err: error }, 'A search segment cannot be read');
        this.onDamaged(account, id);
      }
      const { answers, missing } = await this.#walk(questions, answered, state, within, slice);
      if (missing > 0) this.onMissing(account, missing);
      return withAnswers(query, answers);
    }
  }

  async #ask(
    account: AccountId,
    manifest: Manifest,
    questions: readonly KeyQuestion[],
    slice: TimeSlice,
  ): Promise<{ readonly answered: readonly SegmentAnswer[]; readonly damaged: readonly Damaged[] }> {
    const answered: SegmentAnswer[] = [];
    const damaged: Damaged[] = [];
    for (const { id } of manifest.segments) {
      try {
        const segment = await this.segment(account, id);
        await slice.resume();
        answered.push({ segment, keys: await askSegment(segment, questions, slice) });
      } catch (error) {
        await slice.resume();
        if (!(error instanceof StoreDamaged)) throw error;
        this.#segments.delete(`${account} ${id}`);
        damaged.push({ id, error });
      }
    }
    return { answered, damaged };
  }

  /** From documents to UIDs. */
  async #walk(
    questions: readonly KeyQuestion[],
    answered: readonly SegmentAnswer[],
    state: MailboxState,
    within: UidRuns,
    slice: TimeSlice,
  ): Promise<{ readonly answers: ReadonlyMap<SearchQuery, KeyAnswer>; readonly missing: number }> {
    const builders = questions.map(() => ({ sure: new UidRunsBuilder(), maybe: new UidRunsBuilder() }));
    // UIDs from here on are of messages that came after this.
    const { uidNext } = state.info;
    let missing = 0;
    let last = 0;
    const visit = (content: number, uid: number): void => {
      let ordinal = answered[last]?.segment.ordinalOf(content) ?? -1;
      for (let n = 0; ordinal < 0 && n < answered.length; n++) {
        if (n === last) continue;
        ordinal = answered[n]?.segment.ordinalOf(content) ?? -1;
        if (ordinal >= 0) last = n;
      }
      const answer = answered[last];
      if (ordinal < 0 || answer === undefined) {
        missing += 1;
        for (const { maybe } of builders) maybe.push(uid);
        return;
      }
      const unknown = answer.segment.directory.unknown[ordinal] as number;
      for (let key = 0; key < builders.length; key++) {
        const { found, unknown: bits, isExact } = answer.keys[key] as SegmentAnswer['keys'][number];
        const isUnknown = (unknown & bits) !== 0;
        if (!isUnknown && !hasDoc(found, ordinal)) continue;
        const builder = builders[key] as (typeof builders)[number];
        if (isExact && !isUnknown) builder.sure.push(uid);
        else builder.maybe.push(uid);
      }
    };
    for (let next: number | undefined = chunkOf(within[0] ?? uidNext); next !== undefined; ) {
      next = visitChunks(state, within, next, uidNext, visit);
      if (slice.isOver) await slice.pass();
    }
    const answers = new Map<SearchQuery, KeyAnswer>();
    for (const [n, { key }] of questions.entries()) {
      const { sure, maybe } = builders[n] as (typeof builders)[number];
      maybe.pushRun(uidNext, LAST_UID);
      answers.set(key, { sure: sure.done(), maybe: maybe.done() });
    }
    return { answers, missing };
  }
}

async function askSegment(segment: Segment, questions: readonly KeyQuestion[], slice: TimeSlice): Promise<SegmentAnswer['keys']> {
  const keys: SegmentAnswer['keys'][number][] = [];
  for (const { spaces } of questions) {
    let found: DocSet | undefined;
    let unknown = 0;
    let isExact = true;
    for (const { space, matches, isExact: isFinal } of spaces) {
      const set = await segment.find(space, matches, slice);
      if (found === undefined) found = set;
      else uniteInto(found, set);
      unknown |= unknownBit(space);
      isExact &&= isFinal;
    }
    keys.push({ found: found ?? new Uint32Array(0), unknown, isExact });
  }
  return keys;
}

/** Messages of some chunks from number `from` on, below `uidNext`. Returns the number to go on with, `undefined` after the last. */
function visitChunks(
  state: MailboxState,
  within: UidRuns,
  from: number,
  uidNext: number,
  visit: (content: number, uid: number) => void,
): number | undefined {
  const { chunks } = state;
  let low = 0;
  let high = chunks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((chunks[middle]?.n ?? 0) < from) low = middle + 1;
    else high = middle;
  }
  const end = Math.min(low + WALK_CHUNKS, chunks.length);
  for (let index = low; index < end; index++) {
    const chunk = chunks[index];
    if (chunk === undefined) break;
    const { words, count, n } = chunk;
    const first = n * CHUNK_UIDS + 1;
    let run = firstRunEndingAtOrAfter(within, first);
    for (let row = 0, at = 0; row < count; row++, at += WORDS) {
      const uid = first + (words[at + UID_OFFSET] as number);
      if (uid >= uidNext) return undefined;
      while (run < within.length && (within[run + 1] as number) < uid) run += 2;
      if (run >= within.length) return undefined;
      if ((within[run] as number) <= uid) visit(contentAtRow(words, at), uid);
    }
  }
  const last = chunks[end - 1];
  return last === undefined || end >= chunks.length ? undefined : last.n + 1;
}
