/**
 * What FUZZY means here (RFC 6203 §3 leaves it to the server): of the text that a key looks for each word may stand anywhere in what the key
 * looks at, in any order; with `stems` the end of a longer word does not count, so that other forms of the word are found; accents that are
 * asked for may be missing. Keys of other kinds stay exact. It is made of ordinary keys, so that the index serves it too.
 */
import type { SearchQuery } from '@pochard/plugin-sdk';
import { fold } from '../../mime/fold.ts';

/** `exact`: as if FUZZY did not stand there. */
export type FuzzyLevel = 'exact' | 'words' | 'stems';

/** Words of one key that are looked for; what comes behind them is left out. */
const WORDS_AT_MOST = 16;
/** Shorter words are looked for as they are. */
const STEM_FROM = 5;
/** Of a longer word this much of its end does not count, but a third of it at most. */
const ENDING_AT_MOST = 3;
const STEM_AT_LEAST = 4;

type TextKey = Extract<SearchQuery, { readonly contains: string }>;

/** The query without FUZZY. Its depth is that of the query and three more. */
export function expandFuzzy(query: SearchQuery, level: FuzzyLevel): SearchQuery {
  switch (query.op) {
    case 'and':
    case 'or':
      return { op: query.op, of: query.of.map((part) => expandFuzzy(part, level)) };
    case 'not':
      return { op: 'not', of: expandFuzzy(query.of, level) };
    case 'fuzzy':
      return level === 'exact' ? expandFuzzy(query.of, level) : loosened(query.of, level);
    default:
      return query;
  }
}

function loosened(query: SearchQuery, level: FuzzyLevel): SearchQuery {
  switch (query.op) {
    case 'and':
    case 'or':
      return { op: query.op, of: query.of.map((part) => loosened(part, level)) };
    case 'not':
    case 'fuzzy':
      return query.op === 'not' ? { op: 'not', of: loosened(query.of, level) } : loosened(query.of, level);
    default:
      return 'contains' in query ? loosenedKey(query, level) : query;
  }
}

function loosenedKey(key: TextKey, level: FuzzyLevel): SearchQuery {
  const words = wordsOf(key.contains);
  if (words.length === 0) return key;
  return { op: 'and', of: words.map((word) => wordQuery(key, level === 'stems' ? stemOf(word) : word)) };
}

function wordQuery(key: TextKey, word: string): SearchQuery {
  const plain = withoutMarks(word);
  const asWritten = { ...key, contains: word };
  return plain === word || plain === '' ? asWritten : { op: 'or', of: [asWritten, { ...key, contains: plain }] };
}

/** Once each. Letters and digits of any script with their marks; an address or a number with dots is several words. */
function wordsOf(text: string): readonly string[] {
  const found = new Set<string>();
  for (const [word] of fold(text).matchAll(/[\p{L}\p{N}\p{M}]+/gu)) {
    found.add(word);
    if (found.size === WORDS_AT_MOST) break;
  }
  return [...found];
}

/** In letters, not counting marks. A word of digits is exact, and so is one of a script without spaces, where it may be a sentence. */
function stemOf(word: string): string {
  const letters = word.match(/\P{M}\p{M}*/gu) ?? [];
  if (letters.length < STEM_FROM || /[\p{N}\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Thai}]/u.test(word)) return word;
  const ending = Math.min(ENDING_AT_MOST, Math.floor(letters.length / 3));
  return letters.slice(0, Math.max(STEM_AT_LEAST, letters.length - ending)).join('');
}

function withoutMarks(word: string): string {
  return word.replaceAll(/\p{M}/gu, '');
}
