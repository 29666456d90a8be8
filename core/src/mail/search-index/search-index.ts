/**
 * What SEARCH asks before it reads text: segments of the account answer text keys for the contents that they know, and the query goes on
 * with what they said beside its keys. Whatever no segment knows is still searched, so the answer is the same with and without an index.
 */
import type { SearchQuery } from '@pochard/plugin-sdk';
import { LRUCache } from 'lru-cache';
import type { AccountId, Store } from '../../store/store.ts';
import { StoreDamaged } from '../../store/store.ts';
import type { MailboxState } from '../journal/account-mail.ts';
import type { UidRuns } from '../journal/entry.ts';
import { countUids } from '../journal/uid-runs.ts';
import type { MailLog } from '../log.ts';
import { TimeSlice } from '../search/time-slice.ts';
import { type KeyQuestion, questionsOf, withAnswers } from './index-query.ts';
import { type Manifest, readManifest } from './manifest.ts';
import { type DocSet, uniteInto } from './postings.ts';
import { PieceCache, Segment } from './segment.ts';
import { type SegmentAnswer, SegmentAnswers } from './segment-answers.ts';
import { unknownBit } from './segment-format.ts';

/** Pieces in memory. */
const CACHE_OCTETS = 64 * 1024 * 1024;
/** Contents in directories that are in memory: some 9 octets each. */
const DIRECTORY_DOCS = 4_000_000;
/** Fewer messages are searched as fast without. */
const LEAST_MESSAGES = 32;
/** Times that a search begins again because segments were merged meanwhile. */
const ATTEMPTS = 3;

export interface SearchIndexOptions {
  readonly store: Pick<Store, 'records' | 'derived'>;
  readonly log: MailLog;
  readonly cacheOctets?: number;
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
      return withAnswers(query, questions, new SegmentAnswers(answered, (contents) => this.onMissing(account, contents)));
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
