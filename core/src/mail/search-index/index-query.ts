/** Keys of SEARCH as questions to a segment, and a query whose keys know what segments have answered. */
import type { SearchQuery } from '@pochard/plugin-sdk';
import { fold } from '../../mime/fold.ts';
import { foldHeader } from '../search/header-fold.ts';
import { type IndexAnswers, IndexedKey } from '../search/indexed-key.ts';
import { BODY_SPACE, FIELD_SPACES, HEAD_SPACE, PARTS_SPACE } from './segment-format.ts';
import { type TermMatch, wordQueryOf } from './words.ts';

export type TextKey = Extract<SearchQuery, { readonly op: 'from' | 'to' | 'cc' | 'bcc' | 'subject' | 'header' | 'body' | 'text' }>;

/** One space that has to be asked; of several, one yes is enough. */
export interface SpaceQuestion {
  readonly space: number;
  readonly matches: readonly TermMatch[];
  readonly isExact: boolean;
}
export interface KeyQuestion {
  readonly key: TextKey;
  readonly spaces: readonly SpaceQuestion[];
}

/** Keys that are asked; the rest of a longer query is searched without the index. */
const KEYS_AT_MOST = 32;
/** The planner of SEARCH bounds both; what is added here must not be what goes beyond. */
const NODES_AT_MOST = 2_000;
const DEPTH_AT_MOST = 100;
/** ftext of RFC 5322 §3.6.8 */
const FIELD_NAME = /^[\x21-\x39\x3b-\x7e]+$/;

/** What segments can say about the query. Empty: nothing. */
export function questionsOf(query: SearchQuery): readonly KeyQuestion[] {
  const questions: KeyQuestion[] = [];
  const stack: { readonly query: SearchQuery; readonly depth: number }[] = [{ query, depth: 0 }];
  let nodes = 0;
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { query: part, depth } = top;
    nodes += 1;
    if (nodes > NODES_AT_MOST || depth > DEPTH_AT_MOST) return [];
    switch (part.op) {
      case 'and':
      case 'or':
        for (const inner of part.of) stack.push({ query: inner, depth: depth + 1 });
        break;
      case 'not':
      case 'fuzzy':
        stack.push({ query: part.of, depth: depth + 1 });
        break;
      case 'from':
      case 'to':
      case 'cc':
      case 'bcc':
      case 'subject':
      case 'header':
      case 'body':
      case 'text': {
        const spaces = spacesOf(part);
        if (spaces !== undefined) questions.push({ key: part, spaces });
        break;
      }
      default:
        break;
    }
  }
  return questions.slice(0, KEYS_AT_MOST);
}

function spacesOf(key: TextKey): readonly SpaceQuestion[] | undefined {
  switch (key.op) {
    case 'body':
      return key.contains === '' ? undefined : wordSpaces([BODY_SPACE], fold(key.contains));
    case 'text': {
      if (key.contains === '') return undefined;
      const head = wordSpaces([HEAD_SPACE], foldHeader(key.contains));
      const rest = wordSpaces([PARTS_SPACE, BODY_SPACE], fold(key.contains));
      return head === undefined || rest === undefined ? undefined : [...head, ...rest];
    }
    case 'header':
      return fieldSpaces(key.name.toLowerCase(), foldHeader(key.contains));
    default:
      return fieldSpaces(key.op, foldHeader(key.contains));
  }
}

function wordSpaces(spaces: readonly number[], needle: string): readonly SpaceQuestion[] | undefined {
  const words = wordQueryOf(needle);
  return words === undefined ? undefined : spaces.map((space) => ({ space, ...words }));
}

function fieldSpaces(name: string, needle: string): readonly SpaceQuestion[] | undefined {
  const space = FIELD_SPACES.indexOf(name);
  if (space >= 0) return [{ space, matches: [{ mode: 'contains', text: needle }], isExact: true }];
  if (!FIELD_NAME.test(name)) return undefined;
  // The header block must hold the name as words of their own, and the words of the value.
  const ofName = wordQueryOf(`:${name}:`)?.matches ?? [];
  const ofValue = wordQueryOf(needle)?.matches ?? [];
  const matches = [...ofValue, ...ofName];
  return matches.length === 0 ? undefined : [{ space: HEAD_SPACE, matches, isExact: false }];
}

/** The same query, true for the same messages; its keys know their answers, which stand in the order of the questions. */
export function withAnswers(query: SearchQuery, questions: readonly KeyQuestion[], answers: IndexAnswers): SearchQuery {
  const numbers = new Map<SearchQuery, number>(questions.map(({ key }, number) => [key, number]));
  const within = (part: SearchQuery): SearchQuery => {
    const number = numbers.get(part);
    if (number !== undefined) return new IndexedKey(part, answers, number);
    switch (part.op) {
      case 'and':
      case 'or':
        return { op: part.op, of: part.of.map(within) };
      case 'not':
      case 'fuzzy':
        return { op: part.op, of: within(part.of) };
      default:
        return part;
    }
  };
  return within(query);
}
