/** PARTIAL (RFC 9394): a page of a result, by position. Negative positions count from the end, -1 is the last. */
import type { UidRuns } from '../mail/journal/entry.ts';
import { countUids, UidRunsBuilder } from '../mail/journal/uid-runs.ts';
import type { PartialRange } from './grammar/syntax-tree.ts';

/** Positions from 0, the end exclusive; not beyond `count`. */
function positions({ first, last }: PartialRange, count: number): readonly [start: number, end: number] {
  return first > 0 ? [Math.min(first - 1, count), Math.min(last, count)] : [Math.max(0, count + last), Math.max(0, count + first + 1)];
}

export function partOf<Numbers extends Uint32Array | Float64Array | Uint8Array>(numbers: Numbers, range: PartialRange): Numbers {
  return numbers.subarray(...positions(range, numbers.length)) as Numbers;
}

/** Linear in runs. `runs` holds only what is there. */
export function partOfRuns(runs: UidRuns, range: PartialRange): UidRuns {
  const [start, end] = positions(range, countUids(runs));
  const part = new UidRunsBuilder();
  let before = 0;
  for (let at = 0; at < runs.length && before < end; at += 2) {
    const low = runs[at] as number;
    const count = (runs[at + 1] as number) - low + 1;
    const from = Math.max(0, start - before);
    const to = Math.min(count, end - before);
    if (from < to) part.pushRun(low + from, low + to - 1);
    before += count;
  }
  return part.done();
}
