/** Messages that have gone from a mailbox while a session still gives them sequence numbers, with their last packed rows. */
import type { UidRuns } from '../mail/journal/entry.ts';
import { CONTENT_LOW, HIGH, WORDS } from '../mail/journal/layout.ts';

const NONE = new Uint32Array(0);

export class PendingExpunges {
  /** Ascending. */
  uids: Uint32Array = NONE;
  /** `WORDS` words for each UID, same order. May be shared with other sessions: read-only. */
  rows: Uint32Array = NONE;
  /** MODSEQ of the first expunge in here, 0 when there is none. */
  firstSeq = 0;

  get count(): number {
    return this.uids.length;
  }

  /** Takes those below `before`: the session was never told of the others. */
  add(runs: UidRuns, rows: Uint32Array, before: number, seq: number): void {
    const uids = expand(runs, before);
    if (uids.length === 0) return;
    if (this.firstSeq === 0) this.firstSeq = seq;
    // Not known: gone by another instance while the mailbox rested.
    const taken = rows.length === 0 ? new Uint32Array(uids.length * WORDS) : rows.subarray(0, uids.length * WORDS);
    if (this.uids.length === 0) {
      this.uids = uids;
      this.rows = taken;
      return;
    }
    const total = this.uids.length + uids.length;
    const mergedUids = new Uint32Array(total);
    const mergedRows = new Uint32Array(total * WORDS);
    for (let at = 0, a = 0, b = 0; at < total; at++) {
      const mine = this.uids[a] ?? Number.POSITIVE_INFINITY;
      const theirs = uids[b] ?? Number.POSITIVE_INFINITY;
      if (mine < theirs) {
        mergedUids[at] = mine;
        mergedRows.set(this.rows.subarray(a * WORDS, (a + 1) * WORDS), at * WORDS);
        a += 1;
      } else {
        mergedUids[at] = theirs;
        mergedRows.set(taken.subarray(b * WORDS, (b + 1) * WORDS), at * WORDS);
        b += 1;
      }
    }
    this.uids = mergedUids;
    this.rows = mergedRows;
  }

  /** How many are below `uid`: the index of `uid`, when it is one of them. */
  countBelow(uid: number): number {
    const { uids } = this;
    let low = 0;
    let high = uids.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((uids[middle] as number) < uid) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Its last row is known: a row always names a content. */
  hasRow(index: number): boolean {
    const at = index * WORDS;
    return this.rows[at + CONTENT_LOW] !== 0 || (this.rows[at + HIGH] as number) >>> 16 !== 0;
  }

  has(uid: number): boolean {
    return this.uids[this.countBelow(uid)] === uid;
  }

  /** Forgets those from index `count` on. */
  truncate(count: number): void {
    if (count === 0) {
      this.uids = NONE;
      this.rows = NONE;
      this.firstSeq = 0;
    } else {
      this.uids = this.uids.subarray(0, count);
      this.rows = this.rows.subarray(0, count * WORDS);
    }
  }
}

function expand(runs: UidRuns, before: number): Uint32Array {
  let count = 0;
  for (let at = 0; at < runs.length; at += 2) {
    const low = runs[at] as number;
    if (low >= before) break;
    count += Math.min(runs[at + 1] as number, before - 1) - low + 1;
  }
  const uids = new Uint32Array(count);
  for (let at = 0, next = 0; next < count; at += 2) {
    for (let uid = runs[at] as number; uid <= (runs[at + 1] as number) && next < count; uid++, next++) uids[next] = uid;
  }
  return uids;
}
