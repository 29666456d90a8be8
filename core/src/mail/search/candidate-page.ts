/** Messages that columns could not decide, as they were when the columns were read: live rows change at the next await. */
import type { ContentId } from '../../store/store.ts';
import { contentAtRow, SIZE, WORDS } from '../journal/layout.ts';
import { NO as COLUMN_NO, UNKNOWN as COLUMN_UNKNOWN, columnMatches } from './column-scan.ts';
import type { HeadView } from './head-view.ts';
import type { Node, TextKey } from './plan.ts';

/* What `evaluate` answers. Above YES: bits that say what has to be read first. */
export const NO = 0;
export const YES = 1;
export const NEEDS_SENT = 2;
export const NEEDS_HEAD = 4;
export const NEEDS_BODY = 8;

/** Answers of text keys that are not known. */
const UNREAD = 2;
/** The sent date is too close to a bound for its instant to tell; its zone stands in the header block. */
const NEEDS_ZONE = 3;

export class CandidatePage {
  count = 0;
  readonly #root: Node;
  readonly #slots: number;
  #rows = new Uint32Array(512 * WORDS);
  #uids: number[] = [];
  /** Answers by message and slot. */
  #answers = new Uint8Array(0);

  constructor(root: Node, slots: number) {
    this.#root = root;
    this.#slots = slots;
  }

  add(words: Uint32Array, at: number, uid: number): void {
    const to = this.count * WORDS;
    if (to === this.#rows.length) {
      const grown = new Uint32Array(to * 2);
      grown.set(this.#rows);
      this.#rows = grown;
    }
    for (let word = 0; word < WORDS; word++) this.#rows[to + word] = words[at + word] as number;
    this.#uids[this.count++] = uid;
  }

  /** After the last `add`. */
  seal(): void {
    const answers = this.count * this.#slots;
    if (this.#answers.length < answers) this.#answers = new Uint8Array(answers);
    this.#answers.fill(UNREAD, 0, answers);
  }

  clear(): void {
    this.count = 0;
  }

  uid(message: number): number {
    return this.#uids[message] as number;
  }
  content(message: number): ContentId {
    return contentAtRow(this.#rows, message * WORDS) as ContentId;
  }
  sizeOctets(message: number): number {
    return this.#rows[message * WORDS + SIZE] as number;
  }

  setAnswer(message: number, key: TextKey, answer: boolean): void {
    this.#answers[message * this.#slots + key.slot] = answer ? YES : NO;
  }
  setNeedsZone(message: number, key: TextKey): void {
    this.#answers[message * this.#slots + key.slot] = NEEDS_ZONE;
  }
  isAnswered(message: number, key: TextKey): boolean {
    return (this.#answers[message * this.#slots + key.slot] as number) <= YES;
  }

  /** NO, YES, or what must be read to tell. With `head` the keys that look at the header block are answered on the way, when they matter. */
  evaluate(message: number, head?: HeadView): number {
    return this.#evaluate(this.#root, message, head);
  }

  /** Keys of the message's body on which the verdict depends now. */
  bodyKeys(message: number): readonly Extract<TextKey, { readonly kind: 'body' }>[] {
    const keys: Extract<TextKey, { readonly kind: 'body' }>[] = [];
    const stack: Node[] = [this.#root];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if (this.#evaluate(node, message, undefined) <= YES) continue;
      if (node.kind === 'and' || node.kind === 'or') stack.push(...node.of);
      else if (node.kind === 'indexed') stack.push(node.of);
      else if (node.kind === 'body') keys.push(node);
    }
    return keys;
  }

  #evaluate(node: Node, message: number, head: HeadView | undefined): number {
    switch (node.kind) {
      case 'const':
        return node.value ? YES : NO;
      case 'and':
      case 'or': {
        const decisive = node.kind === 'and' ? NO : YES;
        let result = YES - decisive;
        for (const part of node.of) {
          const value = this.#evaluate(part, message, head);
          if (value === decisive) return decisive;
          if (value > YES) result = result > YES ? result | value : value;
        }
        return result;
      }
      case 'indexed': {
        const verdict = node.answers.verdict(node.number, this.content(message));
        if (verdict === COLUMN_UNKNOWN) return this.#evaluate(node.of, message, head);
        return (verdict === COLUMN_NO) === node.not ? YES : NO;
      }
      case 'sent':
      case 'field':
      case 'head':
      case 'thread':
      case 'body':
        return this.#answer(node, message, head);
      default:
        return columnMatches(node, this.#rows, message * WORDS, this.uid(message)) ? YES : NO;
    }
  }

  #answer(key: TextKey, message: number, head: HeadView | undefined): number {
    const at = message * this.#slots + key.slot;
    let answer = this.#answers[at] as number;
    if (answer > YES && head !== undefined && key.kind !== 'sent' && key.kind !== 'body') {
      answer = isInHead(key, head) ? YES : NO;
      this.#answers[at] = answer;
    }
    if (answer <= YES) return (answer === YES) === key.not ? NO : YES;
    switch (key.kind) {
      case 'sent':
        return answer === NEEDS_ZONE ? NEEDS_HEAD : NEEDS_SENT;
      case 'body':
        return NEEDS_BODY;
      default:
        return NEEDS_HEAD;
    }
  }
}

function isInHead(key: Exclude<TextKey, { readonly kind: 'sent' | 'body' }>, head: HeadView): boolean {
  switch (key.kind) {
    case 'field':
      return head.contains(key.field, key.needle);
    case 'head':
      return head.textContains(key.needle);
    case 'thread':
      return head.thread() === key.digest;
  }
}
