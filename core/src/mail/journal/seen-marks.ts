/** What somebody other than the owner has seen in a shared mailbox, and which entries changed it (design/journal.md row 7). */
import type { AccountId, MailboxId, Seq } from '../../store/store.ts';
import type { UidRuns } from './entry.ts';
import { withFew, withoutFew } from './few-uids.ts';
import { containsUid, NO_UIDS, UidRunsBuilder, unionUids } from './uid-runs.ts';

/** Changes kept apart. With more the older half counts as changed by its last one: MODSEQs that are larger than need be, never smaller. */
const MAX_CHANGES = 64;
/** The same for the runs of all of them: every other message marked again and again must not cost the square. */
const MAX_CHANGED_RUNS = 32_768;

/** UIDs and the last entry that changed whether they are \Seen. */
export interface SeenChange {
  readonly seq: Seq;
  readonly uids: UidRuns;
}
/** Disjoint runs, ascending: run n is from `runs[2n]` to `runs[2n + 1]` and was changed last by `seqs[n]`. */
export interface ChangedRuns {
  readonly runs: UidRuns;
  readonly seqs: Float64Array;
}

export class SeenMarks {
  readonly box: MailboxId;
  readonly who: AccountId;
  /** Live messages that are \Seen. */
  uids: UidRuns;
  /** The last entry that changed them. */
  seq: Seq;
  /** Ascending by seq; UIDs may stand in several, the last counts. */
  changes: readonly SeenChange[];
  #changed: ChangedRuns | undefined;

  constructor(box: MailboxId, who: AccountId, uids: UidRuns = NO_UIDS, changes: readonly SeenChange[] = []) {
    this.box = box;
    this.who = who;
    this.uids = uids;
    this.changes = changes;
    this.seq = changes.at(-1)?.seq ?? 0;
  }

  apply(seq: Seq, uids: UidRuns, seen: boolean): void {
    this.uids = seen ? withFew(this.uids, uids) : withoutFew(this.uids, uids);
    const last = this.changes.at(-1);
    const before = last?.seq === seq ? this.changes.slice(0, -1) : this.changes;
    this.changes = compacted([...before, { seq, uids: last?.seq === seq ? unionUids(last.uids, uids) : uids }]);
    this.seq = seq;
    this.#changed = undefined;
  }

  /** These messages have gone. */
  drop(uids: UidRuns): void {
    this.uids = withoutFew(this.uids, uids);
  }

  /** UIDs that an entry above `seq` changed. */
  changedSince(seq: Seq): UidRuns {
    let changed = NO_UIDS;
    for (const change of this.changes) if (change.seq > seq) changed = unionUids(changed, change.uids);
    return changed;
  }

  /** The last entry that changed this message's mark; 0 when none did. */
  changedBy(uid: number): Seq {
    for (let n = this.changes.length - 1; n >= 0; n--) {
      const change = this.changes[n];
      if (change !== undefined && containsUid(change.uids, uid)) return change.seq;
    }
    return 0;
  }

  /** By UID, the last change only. */
  changed(): ChangedRuns {
    this.#changed ??= flattened(this.changes);
    return this.#changed;
  }
}

function compacted(changes: readonly SeenChange[]): readonly SeenChange[] {
  let numbers = 0;
  for (const { uids } of changes) numbers += uids.length;
  if (changes.length <= MAX_CHANGES && numbers <= 2 * MAX_CHANGED_RUNS) return changes;
  if (changes.length < 2) return changes;
  const older = changes.slice(0, Math.max(2, Math.ceil(changes.length / 2)));
  let uids = NO_UIDS;
  for (const change of older) uids = uids.length < change.uids.length ? withFew(change.uids, uids) : withFew(uids, change.uids);
  return [{ seq: older.at(-1)?.seq ?? 0, uids }, ...changes.slice(older.length)];
}

function flattened(changes: readonly SeenChange[]): ChangedRuns {
  const found: { readonly lo: number; readonly hi: number; readonly seq: Seq }[] = [];
  let newer = NO_UIDS;
  for (const { seq, uids } of changes.toReversed()) {
    const own = withoutFew(uids, newer);
    for (let at = 0; at < own.length; at += 2) found.push({ lo: own[at] as number, hi: own[at + 1] as number, seq });
    newer = newer.length < uids.length ? withFew(uids, newer) : withFew(newer, uids);
  }
  found.sort((a, b) => a.lo - b.lo);
  const runs = new Uint32Array(found.length * 2);
  const seqs = new Float64Array(found.length);
  for (const [n, { lo, hi, seq }] of found.entries()) {
    runs[2 * n] = lo;
    runs[2 * n + 1] = hi;
    seqs[n] = seq;
  }
  return { runs, seqs };
}

/**
 * Where messages that are placed elsewhere come to lie, for the marks of each user: the n-th of `uids` gets `first + n`.
 * @returns those of `marked`, as UIDs of the new place
 */
export function carriedOver(marked: UidRuns, uids: UidRuns, first: number): UidRuns {
  const builder = new UidRunsBuilder();
  let place = first;
  let at = 0;
  for (let run = 0; run < uids.length; run += 2) {
    const lo = uids[run] as number;
    const hi = uids[run + 1] as number;
    while (at < marked.length && (marked[at + 1] as number) < lo) at += 2;
    for (let mark = at; mark < marked.length && (marked[mark] as number) <= hi; mark += 2) {
      const from = Math.max(lo, marked[mark] as number);
      builder.pushRun(place + from - lo, place + Math.min(hi, marked[mark + 1] as number) - lo);
    }
    place += hi - lo + 1;
  }
  return builder.done();
}
