/** Step 5 of REFERENCES (RFC 5256 §3): threads with one base subject become one. */
import type { TextColumn } from './text-column.ts';
import { buildForest, dummy, dummyNumber, TOP } from './thread-forest.ts';

export interface Threads {
  /** As for `buildForest`; changed in place. */
  readonly parents: Int32Array;
  readonly dummies: number;
  /** All messages by date. */
  readonly order: Uint32Array;
  readonly subjects: Pick<TextColumn, 'ids' | 'size'>;
  /** By message, 1 where the base subject is less than the subject by a mark of replies or forwards. */
  readonly isReply: Uint8Array;
}

/** @returns the number of dummies that there are then */
export function mergeSubjects({ parents, dummies, order, subjects, isReply }: Threads): number {
  const { roots } = buildForest(parents, order, dummies);
  const NONE = -1;
  /** The subject table: a message, or a dummy as in `parents`. */
  const table = new Int32Array(subjects.size).fill(NONE);
  for (const root of roots) {
    const subject = subjectOf(root);
    if (subject === 0) continue;
    const entry = table[subject] as number;
    if (entry === NONE) table[subject] = threadOf(root);
    else if (entry >= 0 && (root < 0 || (isReply[entry] === 1 && isReply[root] === 0))) table[subject] = threadOf(root);
  }
  let count = dummies;
  /** By dummy: the one that took its children. */
  const heirs = new Int32Array(dummies);
  let hasHeirs = false;
  for (let n = 0; n < dummies; n++) heirs[n] = n;
  for (const root of roots) {
    const subject = subjectOf(root);
    const entry = table[subject] as number;
    const thread = threadOf(root);
    // What made way for a new dummy is no thread any more.
    if (subject === 0 || entry === thread || (root >= 0 && parents[root] !== TOP)) continue;
    if (root < 0) {
      heirs[dummyNumber(thread)] = dummyNumber(entry); // dummies come before messages in the table
      hasHeirs = true;
    } else if (entry < 0) parents[root] = entry;
    else if (isReply[root] === 1 && isReply[entry] === 0) parents[root] = entry;
    else {
      const both = dummy(count++);
      parents[root] = both;
      parents[entry] = both;
      table[subject] = both;
    }
  }
  if (hasHeirs) {
    for (const [message, parent] of parents.entries()) {
      if (parent < TOP && dummyNumber(parent) < dummies) parents[message] = dummy(heirs[dummyNumber(parent)] as number);
    }
  }
  return count;

  function subjectOf(root: number): number {
    return subjects.ids[root < 0 ? ~root : root] as number;
  }
  function threadOf(root: number): number {
    if (root < 0) return parents[~root] as number;
    return root;
  }
}
