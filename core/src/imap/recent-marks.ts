/** UIDs that are \Recent to one session (RFC 3501 §2.3.2): nearly always one range, so it is kept as a few. */
import type { UidRuns } from '../mail/journal/entry.ts';
import { containsUid as contains, NO_UIDS } from '../mail/journal/uid-runs.ts';

/** Sessions that take turns in being first make ranges; the oldest are forgotten. */
const MAX_RANGES = 64;

export class RecentMarks {
  runs: UidRuns = NO_UIDS;

  has(uid: number): boolean {
    return this.runs.length > 0 && contains(this.runs, uid);
  }

  /** `from` is not below what was added before, `before` is exclusive. */
  add(from: number, before: number): void {
    const { runs } = this;
    const end = runs.length === 0 ? -1 : (runs[runs.length - 1] as number);
    const low = Math.max(from, end + 1);
    if (low >= before || low < 1) return;
    if (low === end + 1) {
      const grown = runs.slice();
      grown[grown.length - 1] = before - 1;
      this.runs = grown;
      return;
    }
    const kept = runs.length >= 2 * MAX_RANGES ? runs.subarray(2) : runs;
    const grown = new Uint32Array(kept.length + 2);
    grown.set(kept);
    grown[kept.length] = low;
    grown[kept.length + 1] = before - 1;
    this.runs = grown;
  }
}
