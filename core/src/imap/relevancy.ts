/** How well messages fit a FUZZY search (RFC 6203 §4): three grades, each found by a search among those found already. */
import type { SearchQuery } from '@pochard/plugin-sdk';
import type { UidRuns } from '../mail/journal/entry.ts';
import { runsOf } from '../mail/journal/uid-runs.ts';
import { expandFuzzy } from '../mail/search/fuzzy.ts';
import { ImapBad } from './errors.ts';
import type { SearchKey } from './grammar/syntax-tree.ts';

/** What was asked for stands there as it is; all of its words do; they do in another form. */
const EXACT = 100;
const WORDS = 70;
const STEMS = 40;

/** A FUZZY key anywhere. */
export function asksFuzzy(key: SearchKey): boolean {
  switch (key.op) {
    case 'fuzzy':
      return true;
    case 'and':
    case 'or':
      return key.of.some(asksFuzzy);
    case 'not':
      return asksFuzzy(key.of);
    default:
      return false;
  }
}

/** @throws ImapBad: relevancy is that of a FUZZY search (RFC 6203 §4, §5) */
export function requireFuzzy(key: SearchKey): void {
  if (!asksFuzzy(key)) throw new ImapBad('RELEVANCY needs a FUZZY key');
}

/** Scores from 1 to 100 of `uids`, rising, that `query` has found; `search` finds UIDs among others. */
export async function relevancyOf(
  query: SearchQuery,
  uids: Uint32Array,
  search: (query: SearchQuery, within: UidRuns) => Promise<Uint32Array>,
): Promise<Uint8Array> {
  const scores = new Uint8Array(uids.length).fill(STEMS);
  if (uids.length === 0) return scores;
  const found = runsOf(uids);
  for (const [level, score] of [
    ['words', WORDS],
    ['exact', EXACT],
  ] as const) {
    const fitting = await search(expandFuzzy(query, level), found);
    for (let at = 0, next = 0; next < fitting.length && at < uids.length; at++) {
      if (uids[at] !== fitting[next]) continue;
      scores[at] = score;
      next += 1;
    }
  }
  return scores;
}
