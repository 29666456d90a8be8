/** What segments say about the text keys of one query, looked up for the rows that are in question and no others. */
import type { Chunk } from '../journal/account-mail.ts';
import { CONTENT_LOW, contentAtRow, HIGH, WORDS } from '../journal/layout.ts';
import { NO, UNKNOWN, YES } from '../search/column-scan.ts';
import type { IndexAnswers, RowDocuments } from '../search/indexed-key.ts';
import { type DocSet, hasDoc } from './postings.ts';
import type { Segment } from './segment.ts';

/** `unknown`: the bits that tell that a document is not known well enough. Not exact: those found have to be looked at. */
export interface KeyDocuments {
  readonly found: DocSet;
  readonly unknown: number;
  readonly isExact: boolean;
}
export interface SegmentAnswer {
  readonly segment: Segment;
  /** By key. */
  readonly keys: readonly KeyDocuments[];
}

export class SegmentAnswers implements IndexAnswers {
  readonly #answers: readonly SegmentAnswer[];
  readonly #onMissing: (contents: number) => void;
  #missing = 0;
  /** Segment and ordinal of the content that was found last: messages lie mostly in the order of their contents. */
  #part = 0;
  #last = -1;

  /** `onMissing`: hears how many contents were met so far that no segment knows, after each chunk with some. */
  constructor(answers: readonly SegmentAnswer[], onMissing: (contents: number) => void) {
    this.#answers = answers;
    this.#onMissing = onMissing;
  }

  locate({ words, count }: Chunk, documents: RowDocuments): void {
    const { parts, ordinals } = documents;
    let part = this.#part;
    let ids = this.#idsOf(part);
    let last = this.#last;
    let missing = 0;
    let isCommon = true;
    for (let row = 0, at = 0; row < count; row++, at += WORDS) {
      const content = (words[at + HIGH] as number) >>> 16 === 0 ? (words[at + CONTENT_LOW] as number) : contentAtRow(words, at);
      if (ids[last + 1] === content) {
        ordinals[row] = ++last;
        parts[row] = part;
        continue;
      }
      const found = this.#find(content);
      ordinals[row] = found;
      if (found < 0) missing += 1;
      else {
        if (this.#part !== part) {
          if (row > 0) isCommon = false;
          part = this.#part;
          ids = this.#idsOf(part);
        }
        last = found;
      }
      parts[row] = part;
    }
    this.#last = last;
    documents.common = isCommon && missing === 0 ? part : undefined;
    if (missing === 0) return;
    this.#missing += missing;
    this.#onMissing(this.#missing);
  }

  fill(key: number, { parts, ordinals, common }: RowDocuments, count: number, out: Uint8Array): void {
    const answer = common === undefined ? undefined : this.#answers[common];
    const documents = answer?.keys[key];
    if (answer === undefined || documents === undefined) {
      for (let row = 0; row < count; row++) out[row] = this.#verdictAt(key, parts[row] as number, ordinals[row] as number);
      return;
    }
    const { found, unknown: bits, isExact } = documents;
    const { unknown } = answer.segment.directory;
    const yes = isExact ? YES : UNKNOWN;
    for (let row = 0; row < count; row++) {
      const ordinal = ordinals[row] as number;
      if (((unknown[ordinal] as number) & bits) !== 0) out[row] = UNKNOWN;
      else out[row] = hasDoc(found, ordinal) ? yes : NO;
    }
  }

  verdict(key: number, content: number): number {
    const ordinal = this.#find(content);
    return this.#verdictAt(key, this.#part, ordinal);
  }

  #verdictAt(key: number, part: number, ordinal: number): number {
    const answer = this.#answers[part];
    const documents = answer?.keys[key];
    if (ordinal < 0 || answer === undefined || documents === undefined) return UNKNOWN;
    if (((answer.segment.directory.unknown[ordinal] as number) & documents.unknown) !== 0) return UNKNOWN;
    if (!hasDoc(documents.found, ordinal)) return NO;
    return documents.isExact ? YES : UNKNOWN;
  }

  /** The ordinal in segment `#part`, which becomes the one that knows the content; -1: none does. */
  #find(content: number): number {
    const here = this.#answers[this.#part]?.segment.ordinalOf(content) ?? -1;
    if (here >= 0) return here;
    for (let part = 0; part < this.#answers.length; part++) {
      if (part === this.#part) continue;
      const ordinal = this.#answers[part]?.segment.ordinalOf(content) ?? -1;
      if (ordinal < 0) continue;
      this.#part = part;
      return ordinal;
    }
    return -1;
  }

  #idsOf(part: number): Float64Array {
    return this.#answers[part]?.segment.directory.ids ?? NO_IDS;
  }
}

const NO_IDS = new Float64Array(0);
