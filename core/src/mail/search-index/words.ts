/**
 * Folded text as words: longest runs of ASCII letters and digits and of everything that is not ASCII. A needle without another character is
 * in the text exactly when it is in one of its words, which is what makes the index's answers final.
 */

/** A longer word is kept as overlapping stretches of this many units... */
const WORD_UNITS = 256;
/** ...each beginning this much after the one before, so that any this long a piece of the word lies within one of them. */
export const STEP_UNITS = 128;

const IS_WORD = new Uint8Array(0x80);
for (let code = 0x30; code <= 0x39; code++) IS_WORD[code] = 1;
for (let code = 0x61; code <= 0x7a; code++) IS_WORD[code] = 1;

function isWordUnit(code: number): boolean {
  return code >= 0x80 || IS_WORD[code] === 1;
}

/** Calls `word` with where each word of folded text begins and ends, repeats included. */
export function eachWord(folded: string, word: (from: number, to: number) => void): void {
  const { length } = folded;
  for (let at = 0; at < length; ) {
    while (at < length && !isWordUnit(folded.charCodeAt(at))) at++;
    const start = at;
    while (at < length && isWordUnit(folded.charCodeAt(at))) at++;
    if (at - start <= WORD_UNITS) {
      if (at > start) word(start, at);
      continue;
    }
    for (let from = start; ; from += STEP_UNITS) {
      word(from, Math.min(at, from + WORD_UNITS));
      if (from + WORD_UNITS >= at) break;
    }
  }
}

/** How a term must stand to what is looked for. */
export type MatchMode = 'contains' | 'ends' | 'starts' | 'equals';
export interface TermMatch {
  readonly mode: MatchMode;
  readonly text: string;
}
/** Every match must be met by some word. `isExact`: then the needle is there; else it may be. */
export interface WordQuery {
  readonly matches: readonly TermMatch[];
  readonly isExact: boolean;
}

/** The longest words of a needle say most; each costs a pass over the terms. */
const MATCHES_AT_MOST = 4;

/** What words a text that holds the folded needle must have; `undefined`: nothing can be said. */
export function wordQueryOf(needle: string): WordQuery | undefined {
  const matches: TermMatch[] = [];
  for (let at = 0; at < needle.length; ) {
    while (at < needle.length && !isWordUnit(needle.charCodeAt(at))) at++;
    const start = at;
    while (at < needle.length && isWordUnit(needle.charCodeAt(at))) at++;
    if (at === start) break;
    const run = needle.slice(start, at);
    const isFirst = start === 0;
    const isLast = at === needle.length;
    if (isFirst && isLast) return { matches: [{ mode: 'contains', text: run.slice(0, STEP_UNITS) }], isExact: run.length <= STEP_UNITS };
    if (isFirst) matches.push({ mode: 'ends', text: run.slice(-STEP_UNITS) });
    else if (isLast) matches.push({ mode: 'starts', text: run.slice(0, STEP_UNITS) });
    else if (run.length <= STEP_UNITS) matches.push({ mode: 'equals', text: run });
    else matches.push({ mode: 'starts', text: run.slice(0, STEP_UNITS) });
  }
  if (matches.length === 0) return undefined;
  matches.sort((a, b) => b.text.length - a.text.length);
  return { matches: matches.slice(0, MATCHES_AT_MOST), isExact: false };
}
