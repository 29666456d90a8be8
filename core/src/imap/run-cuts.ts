/** UID runs cut at a number. Ranges stay ranges. */
import type { UidRuns } from '../mail/journal/entry.ts';
import { firstRunEndingAtOrAfter, NO_UIDS } from '../mail/journal/uid-runs.ts';

/** The part from `uid` on. */
export function from(runs: UidRuns, uid: number): UidRuns {
  const at = firstRunEndingAtOrAfter(runs, uid);
  if (at >= runs.length) return NO_UIDS;
  if ((runs[at] as number) >= uid) return at === 0 ? runs : runs.subarray(at);
  const rest = runs.slice(at);
  rest[0] = uid;
  return rest;
}

/** The part below `uid`. */
export function below(runs: UidRuns, uid: number): UidRuns {
  const at = firstRunEndingAtOrAfter(runs, uid);
  if (at >= runs.length) return runs;
  if ((runs[at] as number) >= uid) return runs.subarray(0, at);
  const rest = runs.slice(0, at + 2);
  rest[at + 1] = uid - 1;
  return rest;
}
