/**
 * Sets of UIDs as pairs lo,hi,lo,hi: ascending, disjoint, inclusive, never adjacent. Everything here is linear in runs, never in UIDs,
 * except where a caller asks to be shown each UID.
 */
import type { UidRuns } from './entry.ts';

export const NO_UIDS: UidRuns = new Uint32Array(0);

/** Collects ascending UIDs or runs; adjacent ones melt together. */
export class UidRunsBuilder {
  #pairs: Uint32Array;
  #length = 0;

  constructor(expectedRuns = 4) {
    this.#pairs = new Uint32Array(expectedRuns * 2);
  }

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /** `uid` must be above all before it. */
  push(uid: number): void {
    this.pushRun(uid, uid);
  }

  /** `lo` must not lie below the last run's `lo`. */
  pushRun(lo: number, hi: number): void {
    const length = this.#length;
    if (length > 0) {
      const last = this.#pairs[length - 1] as number;
      if (lo <= last + 1) {
        if (hi > last) this.#pairs[length - 1] = hi;
        return;
      }
    }
    if (length === this.#pairs.length) {
      const grown = new Uint32Array(Math.max(8, length * 2));
      grown.set(this.#pairs);
      this.#pairs = grown;
    }
    this.#pairs[length] = lo;
    this.#pairs[length + 1] = hi;
    this.#length = length + 2;
  }

  done(): UidRuns {
    return this.#length === 0 ? NO_UIDS : this.#pairs.slice(0, this.#length);
  }
}

/** From UIDs in any order, with or without repeats. 0 and values above 2^32-1 are left out. */
export function runsOf(uids: Iterable<number>): UidRuns {
  if (uids instanceof Uint32Array && isRising(uids)) {
    const builder = new UidRunsBuilder();
    for (let at = 0; at < uids.length; at++) builder.push(uids[at] as number);
    return builder.done();
  }
  const sorted: number[] = [];
  let ascending = true;
  for (const uid of uids) {
    if (!(uid >= 1 && uid <= 0xffff_ffff)) continue;
    if (sorted.length > 0 && uid < (sorted[sorted.length - 1] as number)) ascending = false;
    sorted.push(uid);
  }
  if (!ascending) sorted.sort((a, b) => a - b);
  const builder = new UidRunsBuilder();
  for (const uid of sorted) builder.push(uid);
  return builder.done();
}

function isRising(uids: Uint32Array): boolean {
  let before = 0;
  for (let at = 0; at < uids.length; at++) {
    const uid = uids[at] as number;
    if (uid <= before) return false;
    before = uid;
  }
  return true;
}

/** One run; empty when `lo` is above `hi`. */
export function runOf(lo: number, hi: number): UidRuns {
  return lo > hi ? NO_UIDS : Uint32Array.of(lo, hi);
}

/** From pairs in any order that may overlap or be swapped (`9:3`), as they stand in a sequence set. */
export function compactRuns(pairs: ArrayLike<number>): UidRuns {
  return risingRuns(pairs) ?? sortedRuns(pairs);
}

/** Without an object for each pair: what was runs before, as answers of the search index are. Undefined when they are in another order. */
function risingRuns(pairs: ArrayLike<number>): UidRuns | undefined {
  const builder = new UidRunsBuilder(Math.max(1, pairs.length >>> 1));
  let before = 0;
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const lo = pairs[at] as number;
    const hi = pairs[at + 1] as number;
    if (!(lo >= 1 && lo >= before && lo <= hi && hi <= 0xffff_ffff)) return undefined;
    builder.pushRun(lo, hi);
    before = lo;
  }
  return builder.done();
}

function sortedRuns(pairs: ArrayLike<number>): UidRuns {
  const sorted: [number, number][] = [];
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const a = Math.min(Math.max(pairs[at] as number, 1), 0xffff_ffff);
    const b = Math.min(Math.max(pairs[at + 1] as number, 1), 0xffff_ffff);
    sorted.push(a <= b ? [a, b] : [b, a]);
  }
  sorted.sort((a, b) => a[0] - b[0]);
  const builder = new UidRunsBuilder(sorted.length);
  for (const [lo, hi] of sorted) builder.pushRun(lo, hi);
  return builder.done();
}

/** True for what this module produces; decoders and callers at the edge check with it. */
export function areRuns(pairs: Uint32Array): boolean {
  if (pairs.length % 2 !== 0) return false;
  let before = 0;
  for (let at = 0; at < pairs.length; at += 2) {
    const lo = pairs[at] as number;
    const hi = pairs[at + 1] as number;
    if (lo < 1 || hi < lo || (at > 0 && lo <= before + 1)) return false;
    before = hi;
  }
  return true;
}

export function countUids(runs: UidRuns): number {
  let count = 0;
  for (let at = 0; at < runs.length; at += 2) count += (runs[at + 1] as number) - (runs[at] as number) + 1;
  return count;
}

export function containsUid(runs: UidRuns, uid: number): boolean {
  const at = firstRunEndingAtOrAfter(runs, uid);
  return at < runs.length && (runs[at] as number) <= uid;
}

/** Index into `runs` of the first run whose end is not below `uid`; `runs.length` when there is none. */
export function firstRunEndingAtOrAfter(runs: UidRuns, uid: number): number {
  let low = 0;
  let high = runs.length >>> 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((runs[middle * 2 + 1] as number) < uid) low = middle + 1;
    else high = middle;
  }
  return low * 2;
}

export function* iterateUids(runs: UidRuns): Generator<number, void, undefined> {
  for (let at = 0; at < runs.length; at += 2) {
    const hi = runs[at + 1] as number;
    for (let uid = runs[at] as number; uid <= hi; uid++) yield uid;
  }
}

export function unionUids(a: UidRuns, b: UidRuns): UidRuns {
  if (a.length === 0) return b;
  if (b.length === 0) return a;
  const builder = new UidRunsBuilder((a.length + b.length) >>> 1);
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (j >= b.length || (i < a.length && (a[i] as number) <= (b[j] as number))) {
      builder.pushRun(a[i] as number, a[i + 1] as number);
      i += 2;
    } else {
      builder.pushRun(b[j] as number, b[j + 1] as number);
      j += 2;
    }
  }
  return builder.done();
}

export function intersectUids(a: UidRuns, b: UidRuns): UidRuns {
  const builder = new UidRunsBuilder();
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    const lo = Math.max(a[i] as number, b[j] as number);
    const hi = Math.min(a[i + 1] as number, b[j + 1] as number);
    if (lo <= hi) builder.pushRun(lo, hi);
    if ((a[i + 1] as number) < (b[j + 1] as number)) i += 2;
    else j += 2;
  }
  return builder.done();
}

/** Cheaper than {@link intersectUids} when only the answer matters. */
export function haveCommonUid(a: UidRuns, b: UidRuns): boolean {
  let i = 0;
  let j = 0;
  while (i < a.length && j < b.length) {
    if ((a[i + 1] as number) < (b[j] as number)) i += 2;
    else if ((b[j + 1] as number) < (a[i] as number)) j += 2;
    else return true;
  }
  return false;
}

/** UIDs of `a` that are not in `b`. */
export function subtractUids(a: UidRuns, b: UidRuns): UidRuns {
  if (a.length === 0 || b.length === 0) return a;
  const builder = new UidRunsBuilder();
  let j = 0;
  for (let i = 0; i < a.length; i += 2) {
    let lo = a[i] as number;
    const hi = a[i + 1] as number;
    while (j < b.length && (b[j + 1] as number) < lo) j += 2;
    let k = j;
    while (lo <= hi && k < b.length && (b[k] as number) <= hi) {
      if ((b[k] as number) > lo) builder.pushRun(lo, (b[k] as number) - 1);
      lo = (b[k + 1] as number) + 1;
      k += 2;
    }
    if (lo <= hi) builder.pushRun(lo, hi);
  }
  return builder.done();
}
