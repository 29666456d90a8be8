/** Sets of a few runs against sets of many: copies and searches instead of walking the many. What a user marks one by one stays cheap. */
import type { UidRuns } from './entry.ts';
import { firstRunEndingAtOrAfter, intersectUids, NO_UIDS, subtractUids, UidRunsBuilder, unionUids } from './uid-runs.ts';

function isFew(few: UidRuns, many: UidRuns): boolean {
  return few.length * 16 < many.length;
}

/** {@link unionUids}. */
export function withFew(many: UidRuns, few: UidRuns): UidRuns {
  if (few.length === 0) return many;
  if (!isFew(few, many)) return unionUids(many, few);
  const out = new Uint32Array(many.length + few.length);
  let write = 0;
  let read = 0;
  for (let at = 0; at < few.length; at += 2) {
    let lo = few[at] as number;
    let hi = few[at + 1] as number;
    const next = Math.max(read, firstRunEndingAtOrAfter(many, lo - 1));
    out.set(many.subarray(read, next), write);
    write += next - read;
    read = next;
    while (write > 0 && (out[write - 1] as number) >= lo - 1) {
      lo = Math.min(lo, out[write - 2] as number);
      hi = Math.max(hi, out[write - 1] as number);
      write -= 2;
    }
    while (read < many.length && (many[read] as number) <= hi + 1) {
      lo = Math.min(lo, many[read] as number);
      hi = Math.max(hi, many[read + 1] as number);
      read += 2;
    }
    out[write++] = lo;
    out[write++] = hi;
  }
  out.set(many.subarray(read), write);
  return out.subarray(0, write + many.length - read);
}

/** {@link subtractUids}. */
export function withoutFew(many: UidRuns, few: UidRuns): UidRuns {
  if (few.length === 0 || many.length === 0) return many;
  if (!isFew(few, many)) return subtractUids(many, few);
  const out = new Uint32Array(many.length + few.length);
  let write = 0;
  let read = 0;
  /** Where the run at `read` begins, when its head has been cut. */
  let start = 0;
  for (let at = 0; at < few.length; at += 2) {
    const lo = few[at] as number;
    const hi = few[at + 1] as number;
    const next = Math.max(read, firstRunEndingAtOrAfter(many, lo));
    if (next > read && start > 0) {
      out[write++] = start;
      out[write++] = many[read + 1] as number;
      read += 2;
      start = 0;
    }
    if (start === 0) {
      out.set(many.subarray(read, next), write);
      write += next - read;
      read = next;
    }
    while (read < many.length && Math.max(start, many[read] as number) <= hi) {
      const from = start > 0 ? start : (many[read] as number);
      const to = many[read + 1] as number;
      if (from < lo) {
        out[write++] = from;
        out[write++] = lo - 1;
      }
      if (to > hi) {
        start = hi + 1;
        break;
      }
      read += 2;
      start = 0;
    }
  }
  if (start > 0) {
    out[write++] = start;
    out[write++] = many[read + 1] as number;
    read += 2;
  }
  out.set(many.subarray(read), write);
  return out.subarray(0, write + many.length - read);
}

/** {@link intersectUids}. */
export function fewWithin(few: UidRuns, many: UidRuns): UidRuns {
  if (few.length === 0 || many.length === 0) return NO_UIDS;
  if (!isFew(few, many)) return intersectUids(few, many);
  const found = new UidRunsBuilder();
  for (let at = 0; at < few.length; at += 2) {
    const lo = few[at] as number;
    const hi = few[at + 1] as number;
    for (let run = firstRunEndingAtOrAfter(many, lo); run < many.length && (many[run] as number) <= hi; run += 2)
      found.pushRun(Math.max(lo, many[run] as number), Math.min(hi, many[run + 1] as number));
  }
  return found.done();
}
