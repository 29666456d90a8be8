/** sequence-set, partial-range, and what a set means in a mailbox (RFC 9051 §9, RFC 5182, RFC 9394). Sets stay ranges throughout. */
import { type Cursor, type Reader, STAR_SIGN } from './cursor.ts';
import { nzNumber } from './numbers.ts';
import { type PartialRange, type SequenceSet, STAR } from './syntax-tree.ts';

/** A line of 64 KiB holds fewer ranges of UIDs with seven digits than this. */
export const MAX_RANGES = 16_384;

const COLON = 0x3a;
const COMMA = 0x2c;
const DOLLAR = 0x24;
const MINUS = 0x2d;

const SAVED: SequenceSet = Object.freeze({ ranges: new Uint32Array(0), saved: true });

function seqNumber(cursor: Cursor): number {
  return cursor.take(STAR_SIGN) ? STAR : nzNumber(cursor);
}

function ranges(cursor: Cursor, result: number[]): void {
  const start = cursor.offset;
  do {
    const first = seqNumber(cursor);
    result.push(first, cursor.take(COLON) ? seqNumber(cursor) : first);
    if (result.length > 2 * MAX_RANGES) cursor.fail('Too many ranges', start);
  } while (cursor.take(COMMA));
}

/** sequence-set, or `$`. */
export const sequenceSet: Reader<SequenceSet> = (cursor) => {
  if (cursor.take(DOLLAR)) return SAVED;
  const found: number[] = [];
  ranges(cursor, found);
  return { ranges: Uint32Array.from(found), saved: false };
};

/** uid-set, known-uids and the like, where neither `*` nor `$` may stand. */
export const plainSet: Reader<SequenceSet> = (cursor) => {
  const start = cursor.offset;
  const set = sequenceSet(cursor);
  if (set.saved || set.ranges.includes(STAR)) cursor.fail('Numbers expected', start);
  return set;
};

/** The messages argument of FETCH, STORE, COPY, MOVE; UIDs or sequence numbers as the command's form says. */
export const messageSet = sequenceSet;

/** A single sequence number or UID, or `*`: the message of REPLACE (RFC 8508 §4). */
export const oneMessage: Reader<SequenceSet> = (cursor) => {
  const number = seqNumber(cursor);
  return { ranges: Uint32Array.of(number, number), saved: false };
};

/** True if a sequence-set can begin with this octet. */
export function startsSet(octet: number): boolean {
  return (octet >= 0x30 && octet <= 0x39) || octet === STAR_SIGN || octet === DOLLAR;
}

/** `1:100` or `-1:-100`, in either order. */
export const partialRange: Reader<PartialRange> = (cursor) => {
  const fromEnd = cursor.take(MINUS);
  const one = nzNumber(cursor);
  cursor.expect(COLON, 'Colon expected');
  if (cursor.take(MINUS) !== fromEnd) cursor.fail('Both ends of a partial range must have the same sign');
  const other = nzNumber(cursor);
  const near = Math.min(one, other);
  const far = Math.max(one, other);
  return fromEnd ? { first: -near, last: -far } : { first: near, last: far };
};

/**
 * The set as sorted, merged, disjoint runs (pairs first, last), `*` and everything above it being `largest`: the number of
 * messages, or the highest UID in use. A set whose `*` finds an empty mailbox (`largest` 0) has no such end.
 * A `saved` set is for the caller to fill in.
 */
export function resolveSet(set: SequenceSet, largest: number): Uint32Array {
  const { ranges: pairs } = set;
  if (pairs.length === 2) {
    const run = resolvePair(pairs[0] ?? 0, pairs[1] ?? 0, largest);
    return run === undefined ? new Uint32Array(0) : Uint32Array.of(run[0], run[1]);
  }
  const runs: (readonly [number, number])[] = [];
  let sorted = true;
  let last = 0;
  for (let index = 0; index < pairs.length; index += 2) {
    const run = resolvePair(pairs[index] ?? 0, pairs[index + 1] ?? 0, largest);
    if (run === undefined) continue;
    if (run[0] < last) sorted = false;
    last = run[0];
    runs.push(run);
  }
  if (!sorted) runs.sort((a, b) => a[0] - b[0]);
  const merged = new Uint32Array(2 * runs.length);
  let length = 0;
  for (const [first, end] of runs) {
    const before = merged[length - 1] ?? 0;
    if (length > 0 && first <= before + 1) {
      if (end > before) merged[length - 1] = end;
    } else {
      merged[length] = first;
      merged[length + 1] = end;
      length += 2;
    }
  }
  return length === merged.length ? merged : merged.slice(0, length);
}

/** Cut at `largest`, but only after `*` was put in: `100:*` of a mailbox with 50 messages is 50:100, hence 50. */
function resolvePair(first: number, last: number, largest: number): readonly [number, number] | undefined {
  const a = first === STAR ? largest : first;
  const b = last === STAR ? largest : last;
  const low = Math.min(a, b);
  const high = Math.min(Math.max(a, b), largest);
  return low === 0 || low > high ? undefined : [low, high];
}

/** The largest number that was written out, 0 if there is none: beyond EXISTS it makes a sequence set BAD (RFC 9051 §9, seq-number). */
export function highestNumber(set: SequenceSet): number {
  let highest = 0;
  for (const number of set.ranges) if (number > highest) highest = number;
  return highest;
}
