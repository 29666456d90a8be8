import type { TimeSlice } from '../search/time-slice.ts';

/** Elements between two looks at the clock. */
const STEP = 1_024;
/** Runs that insertion sorts. */
const SMALL = 12;

/** The numbers below `count` in the order of `compare`, equal ones ascending. Gives the loop back between steps. */
export async function sortedIndices(count: number, compare: (a: number, b: number) => number, slice: TimeSlice): Promise<Uint32Array> {
  let from = new Uint32Array(count);
  let to = new Uint32Array(count);
  for (let start = 0; start < count; start += SMALL) {
    insertionSort(from, start, Math.min(start + SMALL, count), compare);
    if (slice.isOver) await slice.pass();
  }
  for (let width = SMALL; width < count; width *= 2) {
    for (let start = 0; start < count; start += 2 * width) {
      const middle = Math.min(start + width, count);
      const end = Math.min(start + 2 * width, count);
      let left = start;
      let right = middle;
      for (let out = start; out < end; ) {
        const stop = Math.min(out + STEP, end);
        for (; out < stop; out++) {
          const takesLeft = right >= end || (left < middle && compare(from[left] as number, from[right] as number) <= 0);
          to[out] = (takesLeft ? from[left++] : from[right++]) as number;
        }
        if (slice.isOver) await slice.pass();
      }
    }
    [from, to] = [to, from];
  }
  return from;
}

/** Fills [start, end) with those numbers, in order. */
function insertionSort(order: Uint32Array, start: number, end: number, compare: (a: number, b: number) => number): void {
  for (let n = start; n < end; n++) {
    let at = n;
    for (; at > start && compare(order[at - 1] as number, n) > 0; at--) order[at] = order[at - 1] as number;
    order[at] = n;
  }
}
