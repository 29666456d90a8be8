/**
 * The packed state that all sessions share, with a guest's own \Seen and MODSEQ laid over it: rows are copied as they are shown, so that
 * the owner's sessions pay nothing and the state is kept once.
 */
import type { Seq } from '../../store/store.ts';
import type { Chunk, MailboxInfo, MailboxState, Marks } from '../journal/account-mail.ts';
import { type FlagBits, SEEN, type UidRuns } from '../journal/entry.ts';
import { CHUNK_UIDS, FLAGS, HIGH, MODSEQ_LOW, modSeqAtRow, UID_OFFSET, WORDS } from '../journal/layout.ts';
import { countUids, firstRunEndingAtOrAfter, NO_UIDS, unionUids } from '../journal/uid-runs.ts';
import type { MarksNow } from './guest-info.ts';

const TWO_32 = 0x1_0000_0000;
/** Messages that are looked up one by one in the changes of marks. */
const FEW = 64;
const NO_CHANGES = { runs: NO_UIDS, seqs: new Float64Array(0) };
type Visit = Parameters<MailboxState['visit']>[1];

/** Lays marks over rows of rising UIDs; each row costs a look at one run. */
export class RowPainter {
  readonly #seen: UidRuns;
  readonly #changed: UidRuns;
  readonly #seqs: Float64Array;
  #atSeen: number;
  #atChange: number;

  readonly #few: Marks | undefined;

  /** @param from no row has a lower UID */
  constructor(marks: Marks | undefined, from: number, how: 'few' | 'many') {
    this.#few = how === 'few' ? marks : undefined;
    const { runs, seqs } = (how === 'many' ? marks?.changed() : undefined) ?? NO_CHANGES;
    this.#seen = marks?.uids ?? NO_UIDS;
    this.#changed = runs;
    this.#seqs = seqs;
    this.#atSeen = firstRunEndingAtOrAfter(this.#seen, from);
    this.#atChange = firstRunEndingAtOrAfter(runs, from);
  }

  paint(words: Uint32Array, at: number, uid: number): void {
    const seen = this.#seen;
    while (this.#atSeen < seen.length && (seen[this.#atSeen + 1] as number) < uid) this.#atSeen += 2;
    const isSeen = this.#atSeen < seen.length && (seen[this.#atSeen] as number) <= uid;
    const flags = words[at + FLAGS] as number;
    words[at + FLAGS] = isSeen ? flags | SEEN : flags & ~SEEN;
    const by = this.#few === undefined ? this.#changedBy(uid) : this.#few.changedBy(uid);
    if (by <= modSeqAtRow(words, at)) return;
    words[at + MODSEQ_LOW] = by % TWO_32;
    words[at + HIGH] = ((words[at + HIGH] as number) & 0xffff_0000) | Math.floor(by / TWO_32);
  }

  #changedBy(uid: number): Seq {
    const changed = this.#changed;
    while (this.#atChange < changed.length && (changed[this.#atChange + 1] as number) < uid) this.#atChange += 2;
    if (this.#atChange >= changed.length || (changed[this.#atChange] as number) > uid) return 0;
    return this.#seqs[this.#atChange >>> 1] as number;
  }
}

/** Rows of `uids`, in order, as they were when `seen` was what the guest had seen. */
export function paintedRows(rows: Uint32Array, uids: Iterable<number>, marks: Marks): Uint32Array {
  if (rows.length === 0) return rows;
  const painted = rows.slice();
  const painter = new RowPainter(marks, 0, 'many');
  let at = 0;
  for (const uid of uids) {
    painter.paint(painted, at, uid);
    at += WORDS;
  }
  return painted;
}

class PaintedChunk implements Chunk {
  readonly #own: Chunk;
  readonly #marks: Marks | undefined;
  #words: Uint32Array | undefined;

  constructor(own: Chunk, marks: Marks | undefined) {
    this.#own = own;
    this.#marks = marks;
  }

  get n(): number {
    return this.#own.n;
  }
  get count(): number {
    return this.#own.count;
  }
  get maxModSeq(): Seq {
    return Math.max(this.#own.maxModSeq, this.#marks?.seq ?? 0);
  }
  get someFlags(): FlagBits {
    return this.#own.someFlags | SEEN;
  }
  get everyFlags(): FlagBits {
    return this.#own.everyFlags & ~SEEN;
  }
  get words(): Uint32Array {
    this.#words ??= this.#painted();
    return this.#words;
  }

  #painted(): Uint32Array {
    const { n, count, words } = this.#own;
    const first = n * CHUNK_UIDS + 1;
    const painted = words.slice(0, count * WORDS);
    const painter = new RowPainter(this.#marks, first, 'many');
    for (let at = 0; at < painted.length; at += WORDS) painter.paint(painted, at, first + (painted[at + UID_OFFSET] as number));
    return painted;
  }
}

export class GuestState implements MailboxState {
  readonly info: MailboxInfo;
  readonly own: MailboxState;
  readonly #marks: MarksNow;

  constructor(own: MailboxState, info: MailboxInfo, marks: MarksNow) {
    this.own = own;
    this.info = info;
    this.#marks = marks;
  }

  get chunks(): readonly Chunk[] {
    const marks = this.#marks();
    if (marks === 'shared') return this.own.chunks;
    return this.own.chunks.map((chunk) => new PaintedChunk(chunk, marks));
  }

  uidAt(sequence: number): number {
    return this.own.uidAt(sequence);
  }

  countBelow(uid: number): number {
    return this.own.countBelow(uid);
  }

  has(uid: number): boolean {
    return this.own.has(uid);
  }

  existing(uids: UidRuns): UidRuns {
    return this.own.existing(uids);
  }

  visit(uids: UidRuns, visit: Visit): void {
    const marks = this.#marks();
    if (marks === 'shared') {
      this.own.visit(uids, visit);
      return;
    }
    const row = new Uint32Array(WORDS);
    const painter = new RowPainter(marks, uids[0] ?? 1, countUids(uids) <= FEW ? 'few' : 'many');
    this.own.visit(uids, (words, at, uid, sequence) => {
      for (let word = 0; word < WORDS; word++) row[word] = words[at + word] as number;
      painter.paint(row, 0, uid);
      return visit(row, 0, uid, sequence);
    });
  }

  changedSince(modSeq: Seq): UidRuns {
    const changed = this.own.changedSince(modSeq);
    const marks = this.#marks();
    if (typeof marks !== 'object' || marks.seq <= modSeq) return changed;
    return unionUids(changed, this.own.existing(marks.changedSince(modSeq)));
  }
}
