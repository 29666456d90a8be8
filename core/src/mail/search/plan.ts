/**
 * A query made ready for evaluation: NOT pushed down to the keys, flags merged into masks, text folded, cheap keys before dear ones.
 * Three values: what a key needs to look at may not have been read yet.
 */
import type { SearchQuery } from '@pochard/plugin-sdk';
import { fold } from '../../mime/fold.ts';
import type { SearchScope } from '../../mime/search-text.ts';
import { MailError } from '../errors.ts';
import type { FlagBits, UidRuns } from '../journal/entry.ts';
import { resolveFlags } from '../journal/flag-names.ts';
import { DATE, SAVED, SIZE } from '../journal/layout.ts';
import { compactRuns } from '../journal/uid-runs.ts';
import { contentIdOf } from '../sdk-values.ts';
import { readThreadId } from '../sorting/thread-ids.ts';
import { AS_ADDRESSES } from './head-view.ts';
import { foldHeader } from './header-fold.ts';
import { type IndexAnswers, IndexedKey } from './indexed-key.ts';

/** Levels of a query; the grammar of IMAP stops earlier, a plugin may not. */
const MAX_DEPTH = 200;
/** Keys of a query: each may cost a look into every message. */
const MAX_KEYS = 5_000;

export type ColumnKey =
  /** `(flags & mask) === value`, both signed 32 bit. */
  | { readonly kind: 'flags'; readonly mask: number; readonly value: number; readonly not: boolean }
  | { readonly kind: 'uids'; readonly runs: UidRuns; readonly not: boolean }
  /** `from <= word < before`. */
  | {
      readonly kind: 'range';
      readonly column: typeof SIZE | typeof DATE | typeof SAVED;
      readonly from: number;
      readonly before: number;
      readonly not: boolean;
    }
  | { readonly kind: 'modSeq'; readonly atLeast: number; readonly not: boolean }
  | { readonly kind: 'content'; readonly id: number; readonly not: boolean };

/** `slot`: its place among the keys whose answers are remembered for a message. */
export type TextKey =
  /** ms of the written day and time as if the zone were UTC: RFC 9051 §6.4.4 disregards time zones. */
  | { readonly kind: 'sent'; readonly from: number; readonly before: number; readonly slot: number; readonly not: boolean }
  /** `field`: index into {@link Plan.fields}. An empty needle: the field is there. */
  | { readonly kind: 'field'; readonly field: number; readonly needle: string; readonly slot: number; readonly not: boolean }
  | { readonly kind: 'head'; readonly needle: string; readonly slot: number; readonly not: boolean }
  /** The conversation that the header block names (sorting/thread-ids); empty: none. */
  | { readonly kind: 'thread'; readonly digest: string; readonly slot: number; readonly not: boolean }
  | { readonly kind: 'body'; readonly scope: SearchScope; readonly needle: string; readonly slot: number; readonly not: boolean };

/** `of`: the text key itself, `not` pushed down, for rows of which the index cannot say. */
export interface Indexed {
  readonly kind: 'indexed';
  readonly answers: IndexAnswers;
  readonly number: number;
  readonly not: boolean;
  readonly of: Node;
}
export interface Group {
  readonly kind: 'and' | 'or';
  readonly of: readonly Node[];
}
export type Node = { readonly kind: 'const'; readonly value: boolean } | Group | ColumnKey | Indexed | TextKey;

export interface Plan {
  readonly root: Node;
  /** Header fields that keys name, in lower case, as `HeadView` wants them. */
  readonly fields: readonly string[];
  /** Of the Date field, when a key compares it. */
  readonly dateField: number;
  /** Text keys: their answers have slots 0 to `slots - 1`. */
  readonly slots: number;
}

const YES: Node = Object.freeze({ kind: 'const', value: true });
const NO: Node = Object.freeze({ kind: 'const', value: false });

/** @throws MailError limit (too deep, too many keys), invalid (a date or number that is none) */
export function planOf(query: SearchQuery, keywords: readonly string[]): Plan {
  const planner = new Planner(keywords);
  const root = planner.node(query, { not: false, depth: 0 });
  return { root, fields: planner.fields, dateField: planner.dateField, slots: planner.slots };
}

interface Place {
  readonly not: boolean;
  readonly depth: number;
}

class Planner {
  readonly fields: string[] = [];
  dateField = -1;
  slots = 0;
  readonly #fieldNumbers = new Map<string, number>();
  readonly #keywords: readonly string[];
  #keys = 0;

  constructor(keywords: readonly string[]) {
    this.#keywords = keywords;
  }

  node(query: SearchQuery, { not, depth }: Place): Node {
    this.#keys += 1;
    if (depth > MAX_DEPTH || this.#keys > MAX_KEYS) throw new MailError('limit', 'The search is too complex');
    switch (query.op) {
      case 'all':
        return constant(!not);
      case 'and':
      case 'or': {
        if (query instanceof IndexedKey) return this.#indexed(query, { not, depth });
        const of = query.of.map((part) => this.node(part, { not, depth: depth + 1 }));
        // De Morgan
        return group((query.op === 'and') !== not ? 'and' : 'or', of);
      }
      case 'not':
        return this.node(query.of, { not: !not, depth: depth + 1 });
      case 'fuzzy': // RFC 6203 §3: what is fuzzy is ours to say, and exact is allowed
        return this.node(query.of, { not, depth: depth + 1 });
      case 'flag': {
        const bits = this.#bitsOf(query.flag);
        return bits === 0 ? constant(not) : { kind: 'flags', mask: bits | 0, value: not ? 0 : bits | 0, not: false };
      }
      case 'uid': {
        const runs = compactRuns(query.in.flat());
        return runs.length === 0 ? constant(not) : { kind: 'uids', runs, not };
      }
      case 'size': {
        const { above = -1, below = Number.POSITIVE_INFINITY } = query;
        return { kind: 'range', column: SIZE, from: Math.floor(number(above)) + 1, before: number(below), not };
      }
      case 'modSeq':
        return { kind: 'modSeq', atLeast: number(query.atLeast), not };
      case 'emailId':
        return this.#email(query.is, not);
      case 'threadId': {
        const thread = readThreadId(query.is);
        if (thread === undefined) return constant(not);
        const key: Node = { kind: 'thread', digest: 'digest' in thread ? thread.digest : '', slot: this.slots++, not };
        return 'digest' in thread ? key : group(not ? 'or' : 'and', [this.#email(thread.emailId, not), key]);
      }
      case 'date':
        return this.#date(query, not);
      case 'from':
      case 'to':
      case 'cc':
      case 'bcc':
        return this.#field(query.op, query.contains, not, AS_ADDRESSES);
      case 'subject':
        return this.#field(query.op, query.contains, not);
      case 'header':
        return this.#field(query.name, query.contains, not);
      case 'body':
        return this.#body(query.contains, 'body', not);
      case 'text': {
        if (query.contains === '') return constant(!not);
        const head: Node = { kind: 'head', needle: foldHeader(query.contains), slot: this.slots++, not };
        return group(not ? 'and' : 'or', [head, this.#body(query.contains, 'text', not)]);
      }
      default:
        return unknownKey(query);
    }
  }

  #indexed({ of: [key], answers, number }: IndexedKey, { not, depth }: Place): Node {
    const of = this.node(key, { not, depth: depth + 1 });
    return of.kind === 'const' ? of : { kind: 'indexed', answers, number, not, of };
  }

  #email(text: string, not: boolean): Node {
    const id = contentIdOf(text);
    return id === undefined ? constant(not) : { kind: 'content', id, not };
  }

  #date(query: Extract<SearchQuery, { readonly op: 'date' }>, not: boolean): Node {
    const from = query.from === undefined ? Number.NEGATIVE_INFINITY : number(query.from.getTime());
    const before = query.before === undefined ? Number.POSITIVE_INFINITY : number(query.before.getTime());
    if (query.field === 'sent') {
      this.dateField = this.#fieldNumber('date');
      return { kind: 'sent', from, before, slot: this.slots++, not };
    }
    // Columns hold whole seconds.
    const column = query.field === 'internal' ? DATE : SAVED;
    return { kind: 'range', column, from: Math.ceil(from / 1000), before: Math.ceil(before / 1000), not };
  }

  #field(name: string, contains: string, not: boolean, as: '' | typeof AS_ADDRESSES = ''): Node {
    // ftext of RFC 5322 §3.6.8; no field has another name
    if (!/^[\x21-\x39\x3b-\x7e]+$/.test(name)) return constant(not);
    return { kind: 'field', field: this.#fieldNumber(name.toLowerCase() + as), needle: foldHeader(contains), slot: this.slots++, not };
  }

  #body(contains: string, scope: SearchScope, not: boolean): Node {
    return contains === '' ? constant(!not) : { kind: 'body', scope, needle: fold(contains), slot: this.slots++, not };
  }

  #fieldNumber(name: string): number {
    const known = this.#fieldNumbers.get(name);
    if (known !== undefined) return known;
    const field = this.fields.push(name) - 1;
    this.#fieldNumbers.set(name, field);
    return field;
  }

  /** 0: no message of the mailbox has it. */
  #bitsOf(flag: string): FlagBits {
    try {
      return resolveFlags([flag], this.#keywords, 'skip').bits;
    } catch (error) {
      if (error instanceof MailError && error.code === 'invalid') return 0; // what cannot be a flag is on no message
      throw error;
    }
  }
}

function number(value: number): number {
  if (Number.isNaN(value)) throw new MailError('invalid', 'A search key has no value');
  return value;
}

function unknownKey(query: never): never {
  throw new MailError('invalid', 'Unknown search key', { cause: query });
}

function constant(value: boolean): Node {
  return value ? YES : NO;
}

function group(kind: 'and' | 'or', parts: readonly Node[]): Node {
  // What decides a group alone: no for AND, yes for OR.
  const decisive = kind === 'or';
  const of: Node[] = [];
  const flags: Extract<Node, { readonly kind: 'flags' }>[] = [];
  for (const part of parts.flatMap((node) => (node.kind === kind ? node.of : [node]))) {
    if (part.kind === 'const') {
      if (part.value === decisive) return part;
    } else if (part.kind === 'flags' && part.not === decisive) flags.push(part);
    else if (part.kind === 'flags' && isOneBit(part.mask)) flags.push({ ...part, value: part.value ^ part.mask, not: decisive });
    else of.push(part);
  }
  const merged = mergedFlags(flags);
  if (merged === 'contradiction') return constant(decisive);
  if (merged !== undefined) of.push(merged);
  of.sort((a, b) => costOf(a) - costOf(b));
  const [only] = of;
  return only === undefined ? constant(!decisive) : of.length === 1 ? only : { kind, of };
}

function isOneBit(mask: number): boolean {
  return (mask & (mask - 1)) === 0;
}

/** Tests that must all hold (or, negated, of which one must fail) as one. */
function mergedFlags(flags: readonly Extract<Node, { readonly kind: 'flags' }>[]): Node | 'contradiction' | undefined {
  const [first] = flags;
  if (first === undefined) return undefined;
  let mask = 0;
  let value = 0;
  for (const part of flags) {
    if ((mask & part.mask & (value ^ part.value)) !== 0) return 'contradiction';
    mask |= part.mask;
    value |= part.value;
  }
  return { kind: 'flags', mask, value, not: first.not };
}

/** Rank of what a node costs at most; columns are free, and an index answers for nearly all rows. */
function costOf(node: Node): number {
  switch (node.kind) {
    case 'indexed':
      return 0.75;
    case 'sent':
      return 1;
    case 'field':
    case 'thread':
      return 2;
    case 'head':
      return 3;
    case 'body':
      return node.scope === 'body' ? 4 : 5;
    case 'and':
    case 'or':
      return node.of.reduce((cost, part) => Math.max(cost, costOf(part)), 0.5);
    default:
      return 0;
  }
}
