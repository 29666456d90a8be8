/**
 * SEARCH (RFC 9051 §6.4.4), exact, without an index: what packed rows decide is decided there, a chunk at a time; text is read only of
 * messages that are then still undecided.
 */
import type { SearchQuery } from '@pochard/plugin-sdk';
import type { MailboxState } from '../journal/account-mail.ts';
import type { UidRuns } from '../journal/entry.ts';
import { CHUNK_UIDS, chunkOf, UID_OFFSET, WORDS } from '../journal/layout.ts';
import { intersectUids, runsOf } from '../journal/uid-runs.ts';
import type { MailLog } from '../log.ts';
import type { ContentReader, SearchProgress } from '../services.ts';
import { CandidatePage } from './candidate-page.ts';
import { ColumnScan, NO, YES } from './column-scan.ts';
import { planOf } from './plan.ts';
import { TextVerifier } from './text-verifier.ts';
import { TimeSlice } from './time-slice.ts';
import { mergeUids, UidList } from './uid-list.ts';

/** Undecided messages that are read together; a chunk is never cut. */
const PAGE = 500;

export interface SearchDeps {
  readonly content: ContentReader;
  /** Told of messages that are too damaged to be read; never of what was looked for. */
  readonly log?: MailLog;
  /** Told how far the search has come. */
  readonly progress?: SearchProgress | undefined;
  /**
   * An index of texts: of `within`, the UIDs that may match, none that matches left out (so also all that the index does not know in full);
   * `undefined` when it cannot say. What it answers is verified. Asked only for queries that look at text.
   */
  candidates?(query: SearchQuery, within: UidRuns, signal: AbortSignal): Promise<UidRuns | undefined>;
}

/**
 * UIDs of `within` that match, ascending, of messages that are there when it settles. Works in slices of 5 ms. Sent dates compare the day
 * that the sender wrote, whatever the zone; other dates are instants. One message that is too damaged to be read is matched on what is left of it.
 * @throws MailError locked, unavailable, limit, invalid; the signal's reason
 */
export async function searchMailbox(
  deps: SearchDeps,
  query: SearchQuery,
  state: MailboxState,
  within: UidRuns,
  signal: AbortSignal,
): Promise<Uint32Array> {
  const slice = new TimeSlice(signal);
  const plan = planOf(query, state.info.keywords);
  let asked = within;
  if (plan.slots > 0 && deps.candidates !== undefined) {
    const candidates = await deps.candidates(query, within, signal);
    await slice.resume();
    if (candidates !== undefined) asked = intersectUids(within, candidates);
  }
  const sure = new UidList();
  const verified = new UidList();
  const page = new CandidatePage(plan.root, plan.slots);
  const scan = new ColumnScan(plan.root, asked);
  let verifier: TextVerifier | undefined;
  const { progress } = deps;
  if (progress !== undefined) progress.goal = state.info.messages;
  for (let next = firstChunk(asked); ; ) {
    next = scanChunks(state, scan, next, slice, sure, page);
    if (page.count > 0 && (page.count >= PAGE || next === undefined)) {
      verifier ??= new TextVerifier(plan, {
        content: deps.content,
        log: deps.log,
        mailbox: state.info.id,
        isThere: (uid) => state.has(uid),
        slice,
        signal,
      });
      await verifier.verify(page, (uid) => verified.push(uid));
      page.clear();
    }
    if (progress !== undefined) progress.done = next === undefined ? progress.goal : state.countBelow(next * CHUNK_UIDS + 1);
    if (next === undefined) break;
    if (slice.isOver) await slice.pass();
  }
  verifier?.finish();
  const found = mergeUids(sure.view(), verified.view());
  return slice.hasPassed ? stillThere(found, state) : found;
}

/** No chunk below it is in question. */
function firstChunk(within: UidRuns): number | undefined {
  const first = within[0];
  return first === undefined ? undefined : chunkOf(first);
}

/**
 * Chunks from number `from` on, until the page is full or the slice is over. The state may have changed since the last call.
 * @returns the number to go on with; `undefined` after the last chunk
 */
function scanChunks(
  state: MailboxState,
  scan: ColumnScan,
  from: number | undefined,
  slice: TimeSlice,
  sure: UidList,
  page: CandidatePage,
): number | undefined {
  if (from === undefined) return undefined;
  const { chunks } = state;
  for (let index = indexFrom(state, from); index < chunks.length; index++) {
    const chunk = chunks[index];
    if (chunk === undefined) break;
    const verdicts = scan.verdicts(chunk);
    if (verdicts === undefined) continue;
    const { words, count } = chunk;
    const first = chunk.n * CHUNK_UIDS + 1;
    const uids = sure.reserve(count);
    let { length } = sure;
    for (let row = 0, at = 0; row < count; row++, at += WORDS) {
      const verdict = verdicts[row] as number;
      if (verdict === NO) continue;
      const uid = first + (words[at + UID_OFFSET] as number);
      if (verdict === YES) uids[length++] = uid;
      else page.add(words, at, uid);
    }
    sure.length = length;
    if (page.count >= PAGE || slice.isOver) return chunk.n + 1;
  }
  return undefined;
}

function indexFrom(state: MailboxState, n: number): number {
  const { chunks } = state;
  let low = 0;
  let high = chunks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((chunks[middle]?.n ?? 0) < n) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Without those that were expunged during the search. */
function stillThere(found: Uint32Array, state: MailboxState): Uint32Array {
  const existing = state.existing(runsOf(found));
  const there = new Uint32Array(found.length);
  let count = 0;
  for (let run = 0; run < existing.length; run += 2)
    for (let uid = existing[run] as number; uid <= (existing[run + 1] as number); uid++) there[count++] = uid;
  return there.slice(0, count);
}
