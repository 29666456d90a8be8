/** Keys over packed rows: a chunk at a time, key by key, in loops that a compiler likes. */
import type { Chunk } from '../journal/account-mail.ts';
import type { UidRuns } from '../journal/entry.ts';
import { CHUNK_UIDS, contentAtRow, FLAGS, modSeqAtRow, UID_OFFSET, WORDS } from '../journal/layout.ts';
import { containsUid, firstRunEndingAtOrAfter } from '../journal/uid-runs.ts';
import { type IndexAnswers, RowDocuments } from './indexed-key.ts';
import type { ColumnKey, Node } from './plan.ts';

/* So that AND is the least and OR the greatest. */
export const NO = 0;
export const UNKNOWN = 1;
export const YES = 2;

/** Verdicts of one query for the rows of one chunk after the other. */
export class ColumnScan {
  readonly #root: Node;
  readonly #within: UidRuns;
  /** One array for each level of groups. */
  readonly #levels: Uint8Array[] = [];
  readonly #documents = new RowDocuments();
  /** Whose documents those of the chunk are; rows may have changed since the last one. */
  #located: IndexAnswers | undefined;

  constructor(root: Node, within: UidRuns) {
    this.#root = root;
    this.#within = within;
  }

  /** NO, UNKNOWN or YES for each row; valid until the next call. Undefined: none is in question. */
  verdicts(chunk: Chunk): Uint8Array | undefined {
    const verdicts = this.#level(0);
    const first = chunk.n * CHUNK_UIDS + 1;
    const run = firstRunEndingAtOrAfter(this.#within, first);
    const lo = this.#within[run];
    if (lo === undefined || lo >= first + CHUNK_UIDS) return undefined;
    if (boundOf(this.#root, chunk) === NO) return undefined;
    this.#located = undefined;
    this.#fill(this.#root, chunk, verdicts, 1);
    const isAllWithin = lo <= first && (this.#within[run + 1] as number) >= first + CHUNK_UIDS - 1;
    if (isAllWithin) return verdicts;
    const inside = this.#level(1);
    fillUids(this.#within, chunk, inside, YES, NO);
    least(verdicts, inside, chunk.count);
    return verdicts;
  }

  #level(depth: number): Uint8Array {
    const level = this.#levels[depth] ?? new Uint8Array(CHUNK_UIDS);
    this.#levels[depth] = level;
    return level;
  }

  #fill(node: Node, chunk: Chunk, out: Uint8Array, depth: number): void {
    switch (node.kind) {
      case 'const':
        out.fill(node.value ? YES : NO, 0, chunk.count);
        break;
      case 'and':
      case 'or': {
        const combine = node.kind === 'and' ? least : greatest;
        const other = this.#level(depth);
        const decisive = node.kind === 'and' ? NO : YES;
        let isFirst = true;
        for (const part of node.of) {
          if (!isFirst && areAll(out, decisive, chunk.count)) break;
          if (isFirst) this.#fill(part, chunk, out, depth + 1);
          else {
            this.#fill(part, chunk, other, depth + 1);
            combine(out, other, chunk.count);
          }
          isFirst = false;
        }
        break;
      }
      case 'indexed':
        if (this.#located !== node.answers) node.answers.locate(chunk, this.#documents);
        this.#located = node.answers;
        node.answers.fill(node.number, this.#documents, chunk.count, out);
        if (node.not) for (let row = 0; row < chunk.count; row++) out[row] = YES - (out[row] as number);
        break;
      case 'sent':
      case 'field':
      case 'head':
      case 'thread':
      case 'body':
        out.fill(UNKNOWN, 0, chunk.count);
        break;
      default:
        fillColumn(node, chunk, out);
    }
  }
}

/** What the chunk's summaries say of all its rows together: UNKNOWN when they may differ. */
function boundOf(node: Node, chunk: Chunk): number {
  switch (node.kind) {
    case 'const':
      return node.value ? YES : NO;
    case 'and':
    case 'or': {
      const decisive = node.kind === 'and' ? NO : YES;
      let bound = YES - decisive;
      for (const part of node.of) {
        const value = boundOf(part, chunk);
        if (value === decisive) return decisive;
        if (value === UNKNOWN) bound = UNKNOWN;
      }
      return bound;
    }
    case 'flags':
      return negated(flagsBound(node.mask, node.value, chunk), node.not);
    case 'modSeq':
      return chunk.maxModSeq < node.atLeast ? negated(NO, node.not) : UNKNOWN;
    case 'uids': {
      const first = chunk.n * CHUNK_UIDS + 1;
      const lo = node.runs[firstRunEndingAtOrAfter(node.runs, first)];
      return lo === undefined || lo >= first + CHUNK_UIDS ? negated(NO, node.not) : UNKNOWN;
    }
    default:
      return UNKNOWN;
  }
}

function negated(bound: number, not: boolean): number {
  return not ? YES - bound : bound;
}

/** Of the bits in `mask` some must be set and others clear. */
function flagsBound(mask: number, value: number, { someFlags, everyFlags }: Chunk): number {
  if ((someFlags & value) !== value || (everyFlags & mask & ~value) !== 0) return NO;
  return (everyFlags & value) === value && (someFlags & mask & ~value) === 0 ? YES : UNKNOWN;
}

function areAll(verdicts: Uint8Array, value: number, count: number): boolean {
  for (let row = 0; row < count; row++) if (verdicts[row] !== value) return false;
  return true;
}

function least(out: Uint8Array, other: Uint8Array, count: number): void {
  for (let row = 0; row < count; row++) {
    const value = other[row] as number;
    if (value < (out[row] as number)) out[row] = value;
  }
}

function greatest(out: Uint8Array, other: Uint8Array, count: number): void {
  for (let row = 0; row < count; row++) {
    const value = other[row] as number;
    if (value > (out[row] as number)) out[row] = value;
  }
}

function fillColumn(key: ColumnKey, chunk: Chunk, out: Uint8Array): void {
  const { count, words } = chunk;
  const yes = key.not ? NO : YES;
  const no = key.not ? YES : NO;
  switch (key.kind) {
    case 'flags': {
      const { mask, value } = key;
      for (let row = 0, at = FLAGS; row < count; row++, at += WORDS) out[row] = ((words[at] as number) & mask) === value ? yes : no;
      break;
    }
    case 'range': {
      const { column, from, before } = key;
      for (let row = 0, at: number = column; row < count; row++, at += WORDS) {
        const value = words[at] as number;
        out[row] = value >= from && value < before ? yes : no;
      }
      break;
    }
    case 'modSeq': {
      const { atLeast } = key;
      if (chunk.maxModSeq < atLeast) out.fill(no, 0, count);
      else for (let row = 0, at = 0; row < count; row++, at += WORDS) out[row] = modSeqAtRow(words, at) >= atLeast ? yes : no;
      break;
    }
    case 'content': {
      const { id } = key;
      for (let row = 0, at = 0; row < count; row++, at += WORDS) out[row] = contentAtRow(words, at) === id ? yes : no;
      break;
    }
    case 'uids':
      fillUids(key.runs, chunk, out, yes, no);
  }
}

function fillUids(runs: UidRuns, chunk: Chunk, out: Uint8Array, yes: number, no: number): void {
  const { count, words } = chunk;
  const first = chunk.n * CHUNK_UIDS + 1;
  let run = firstRunEndingAtOrAfter(runs, first);
  for (let row = 0, at = UID_OFFSET; row < count; row++, at += WORDS) {
    const uid = first + (words[at] as number);
    while (run < runs.length && (runs[run + 1] as number) < uid) run += 2;
    out[row] = run < runs.length && (runs[run] as number) <= uid ? yes : no;
  }
}

/** The same for one row. */
export function columnMatches(key: ColumnKey, words: Uint32Array, at: number, uid: number): boolean {
  return testColumn(key, words, at, uid) !== key.not;
}

function testColumn(key: ColumnKey, words: Uint32Array, at: number, uid: number): boolean {
  switch (key.kind) {
    case 'flags':
      return ((words[at + FLAGS] as number) & key.mask) === key.value;
    case 'range': {
      const value = words[at + key.column] as number;
      return value >= key.from && value < key.before;
    }
    case 'modSeq':
      return modSeqAtRow(words, at) >= key.atLeast;
    case 'content':
      return contentAtRow(words, at) === key.id;
    case 'uids':
      return containsUid(key.runs, uid);
  }
}
