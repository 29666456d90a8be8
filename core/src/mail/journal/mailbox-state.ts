/**
 * The packed messages of one mailbox: rows of 32 octets in chunks of up to 512 UIDs (layout.ts). Only the reducer changes them; the
 * `plan...` methods answer what a command would change, and change nothing.
 */
import type { ContentId, Seq, StoredChunk } from '../../store/store.ts';
import { StoreDamaged } from '../../store/store.ts';
import type { MailboxInfo, MailboxState } from './account-mail.ts';
import type { FlagBits, Placed, UidRuns } from './entry.ts';
import { DELETED, SEEN } from './entry.ts';
import {
  CHUNK_UIDS,
  CONTENT_LOW,
  chunkOf,
  contentAtRow,
  DATE,
  FLAGS,
  HIGH,
  MODSEQ_LOW,
  modSeqAtRow,
  SAVED,
  SIZE,
  UID_OFFSET,
  WORDS,
} from './layout.ts';
import { FIRST_ROWS, PackedChunk, readChunk, removeRows, resized, storedChunk } from './packed-chunk.ts';
import { UidRunsBuilder } from './uid-runs.ts';

const TWO_32 = 0x1_0000_0000;
/** Effect of a flag change on counters: differences. */
export interface FlagPlan {
  readonly changed: UidRuns;
  /** Failed UNCHANGEDSINCE. */
  readonly modified: UidRuns;
  readonly unseen: number;
  readonly deleted: number;
  readonly deletedOctets: number;
}
export interface GonePlan {
  readonly uids: UidRuns;
  readonly contents: readonly ContentId[];
  readonly octets: number;
  readonly unseen: number;
  readonly deleted: number;
  readonly deletedOctets: number;
}

export class PackedMailbox implements MailboxState {
  readonly info: MailboxInfo;
  chunks: PackedChunk[] = [];
  count = 0;
  /** Chunks whose last message went, with the entry that took it: saved as empty. */
  #emptied: Map<number, Seq> | undefined;
  #starts: Uint32Array | undefined;
  #startsValid = false;

  constructor(info: MailboxInfo) {
    this.info = info;
  }

  /** @throws StoreDamaged when a checksum or the order of chunks or rows is wrong */
  static fromStored(info: MailboxInfo, stored: readonly StoredChunk[]): PackedMailbox {
    const packed = new PackedMailbox(info);
    for (const chunk of stored) packed.pushStored(chunk);
    return packed;
  }

  /** The next chunk in order. @throws StoreDamaged */
  pushStored(stored: StoredChunk): void {
    if (stored.data.length === 0) return;
    const before = this.chunks[this.chunks.length - 1];
    if (before !== undefined && stored.n <= before.n) throw new StoreDamaged('chunks of a mailbox are out of order');
    const chunk = readChunk(stored);
    // An array of exactly one: most mailboxes that are held open are small.
    if (before === undefined) this.chunks = [chunk];
    else this.chunks.push(chunk);
    this.count += chunk.count;
    this.#startsValid = false;
  }

  /** Memory that the rows take, with what the arrays cost by themselves. */
  get sizeOctets(): number {
    let octets = 256;
    for (const chunk of this.chunks) octets += chunk.words.byteLength + 320;
    return octets;
  }

  /** The largest redo guard of any chunk. */
  get seq(): Seq {
    let seq = 0;
    for (const chunk of this.chunks) if (chunk.seq > seq) seq = chunk.seq;
    return seq;
  }

  uidAt(sequence: number): number {
    if (!(sequence >= 1 && sequence <= this.count)) return 0;
    const starts = this.#chunkStarts();
    let low = 0;
    let high = this.chunks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((starts[middle] as number) < sequence) low = middle;
      else high = middle - 1;
    }
    const chunk = this.chunks[low];
    if (chunk === undefined) return 0;
    const at = (sequence - 1 - (starts[low] as number)) * WORDS;
    return chunk.n * CHUNK_UIDS + (chunk.words[at + UID_OFFSET] as number) + 1;
  }

  countBelow(uid: number): number {
    if (uid <= 1) return 0;
    const n = chunkOf(Math.min(uid, 0xffff_ffff));
    const index = this.#indexFrom(n);
    const chunk = this.chunks[index];
    if (chunk === undefined) return this.count;
    const before = this.#chunkStarts()[index] as number;
    if (chunk.n !== n) return before;
    return before + (uid > 0xffff_ffff ? chunk.count : chunk.rowFrom((uid - 1) & 511));
  }

  has(uid: number): boolean {
    if (!(uid >= 1 && uid <= 0xffff_ffff)) return false;
    const n = chunkOf(uid);
    const chunk = this.chunks[this.#indexFrom(n)];
    if (chunk === undefined || chunk.n !== n) return false;
    const offset = (uid - 1) & 511;
    const row = chunk.rowFrom(offset);
    return row < chunk.count && chunk.words[row * WORDS + UID_OFFSET] === offset;
  }

  visit(uids: UidRuns, visit: (words: Uint32Array, at: number, uid: number, sequence: number) => unknown): void {
    const starts = this.#chunkStarts();
    for (let run = 0; run < uids.length; run += 2) {
      const lo = uids[run] as number;
      const hi = uids[run + 1] as number;
      for (let index = this.#indexFrom(chunkOf(lo)); index < this.chunks.length; index++) {
        const chunk = this.chunks[index] as PackedChunk;
        const base = chunk.n * CHUNK_UIDS + 1;
        if (base > hi) break;
        const words = chunk.words;
        const start = starts[index] as number;
        for (let row = lo > base ? chunk.rowFrom(lo - base) : 0; row < chunk.count; row++) {
          const uid = base + (words[row * WORDS + UID_OFFSET] as number);
          if (uid > hi) break;
          if (visit(words, row * WORDS, uid, start + row + 1) === false) return;
        }
      }
    }
  }

  changedSince(modSeq: Seq): UidRuns {
    const builder = new UidRunsBuilder();
    for (const chunk of this.chunks) {
      if (chunk.seq <= modSeq) continue;
      const base = chunk.n * CHUNK_UIDS + 1;
      const end = chunk.count * WORDS;
      for (let at = 0; at < end; at += WORDS) {
        if (modSeqAtRow(chunk.words, at) > modSeq) builder.push(base + (chunk.words[at + UID_OFFSET] as number));
      }
    }
    return builder.done();
  }

  existing(uids: UidRuns): UidRuns {
    const builder = new UidRunsBuilder();
    this.#eachPiece(uids, (chunk, from, to) => {
      const base = chunk.n * CHUNK_UIDS + 1;
      // Without a gap between its ends, a piece is one run.
      const first = base + (chunk.words[from * WORDS + UID_OFFSET] as number);
      const last = base + (chunk.words[(to - 1) * WORDS + UID_OFFSET] as number);
      if (last - first === to - 1 - from) builder.pushRun(first, last);
      else for (let row = from; row < to; row++) builder.push(base + (chunk.words[row * WORDS + UID_OFFSET] as number));
    });
    return builder.done();
  }

  /** What setting and clearing these (disjoint) bits would change. Messages above `unchangedSince` are left alone. */
  planFlags(uids: UidRuns, set: FlagBits, clear: FlagBits, unchangedSince = Number.POSITIVE_INFINITY): FlagPlan {
    const changed = new UidRunsBuilder();
    const modified = new UidRunsBuilder();
    const keep = ~clear;
    let unseen = 0;
    let deleted = 0;
    let deletedOctets = 0;
    this.#eachPiece(uids, (chunk, from, to) => {
      const judge = chunk.seq > unchangedSince;
      if (!judge && (chunk.everyFlags & set) === (set | 0) && (chunk.someFlags & clear) === 0) return;
      const words = chunk.words;
      const base = chunk.n * CHUNK_UIDS + 1;
      for (let at = from * WORDS, end = to * WORDS; at < end; at += WORDS) {
        if (judge && modSeqAtRow(words, at) > unchangedSince) {
          modified.push(base + (words[at + UID_OFFSET] as number));
          continue;
        }
        const before = words[at + FLAGS] as number;
        const differ = (((before | set) & keep) ^ before) | 0;
        if (differ === 0) continue;
        changed.push(base + (words[at + UID_OFFSET] as number));
        if ((differ & SEEN) !== 0) unseen += (before & SEEN) === 0 ? -1 : 1;
        if ((differ & DELETED) !== 0) {
          const sign = (before & DELETED) === 0 ? 1 : -1;
          deleted += sign;
          deletedOctets += sign * (words[at + SIZE] as number);
        }
      }
    });
    return { changed: changed.done(), modified: modified.done(), unseen, deleted, deletedOctets };
  }

  /** What removing these messages would take away; `mask`: only messages that carry all of these flag bits. */
  planGone(uids: UidRuns, mask: FlagBits): GonePlan {
    const runs = new UidRunsBuilder();
    const contents: ContentId[] = [];
    let octets = 0;
    let unseen = 0;
    let deleted = 0;
    let deletedOctets = 0;
    this.#eachPiece(uids, (chunk, from, to) => {
      if (mask !== 0 && (chunk.someFlags & mask) !== mask) return;
      const words = chunk.words;
      const base = chunk.n * CHUNK_UIDS + 1;
      for (let at = from * WORDS, end = to * WORDS; at < end; at += WORDS) {
        const flags = words[at + FLAGS] as number;
        if ((flags & mask) !== mask) continue;
        runs.push(base + (words[at + UID_OFFSET] as number));
        contents.push(contentAtRow(words, at) as ContentId);
        const size = words[at + SIZE] as number;
        octets += size;
        if ((flags & SEEN) === 0) unseen++;
        if ((flags & DELETED) !== 0) {
          deleted++;
          deletedOctets += size;
        }
      }
    });
    return { uids: runs.done(), contents, octets, unseen, deleted, deletedOctets };
  }

  /* ── The reducer's side ── */

  /** @throws StoreDamaged when a UID is not above those of its chunk */
  applyAdd(seq: Seq, messages: readonly Placed[]): void {
    let chunk: PackedChunk | undefined;
    let wanted = false;
    let left = messages.length;
    for (const message of messages) {
      const n = chunkOf(message.uid);
      if (chunk === undefined || chunk.n !== n) {
        chunk = this.#chunkForAdd(n, left);
        wanted = chunk.admit(seq);
      }
      left--;
      if (!wanted) continue;
      const at = chunk.count * WORDS;
      const offset = (message.uid - 1) & 511;
      if (at > 0 && (chunk.words[at - WORDS + UID_OFFSET] as number) >= offset) throw new StoreDamaged('UIDs of a mailbox do not rise');
      if (at === chunk.words.length)
        chunk.words = resized(chunk.words, Math.min(CHUNK_UIDS, Math.max(FIRST_ROWS, chunk.count * 2)) * WORDS);
      const words = chunk.words;
      words[at + FLAGS] = message.flags;
      words[at + SIZE] = message.size;
      words[at + DATE] = message.date;
      words[at + SAVED] = message.saved;
      words[at + MODSEQ_LOW] = seq % TWO_32;
      words[at + CONTENT_LOW] = message.content % TWO_32;
      words[at + HIGH] = Math.floor(seq / TWO_32) + Math.floor(message.content / TWO_32) * 0x1_0000;
      words[at + UID_OFFSET] = offset;
      chunk.count++;
      chunk.flagsAdded(message.flags);
      this.count++;
      if (chunk !== this.chunks[this.chunks.length - 1]) this.#startsValid = false;
    }
  }

  applyFlags(seq: Seq, uids: UidRuns, set: FlagBits, clear: FlagBits): void {
    const keep = ~clear;
    const low = seq % TWO_32;
    const high = Math.floor(seq / TWO_32);
    this.#eachPiece(uids, (chunk, from, to) => {
      if (!chunk.admit(seq)) return;
      chunk.flagsChanged();
      const words = chunk.words;
      for (let at = from * WORDS, end = to * WORDS; at < end; at += WORDS) {
        words[at + FLAGS] = ((words[at + FLAGS] as number) | set) & keep;
        words[at + MODSEQ_LOW] = low;
        words[at + HIGH] = ((words[at + HIGH] as number) & 0xffff_0000) | high;
      }
    });
  }

  /** Removes rows. Returns them as they were, ascending, when `keep` says so, else nothing. */
  applyGone(seq: Seq, uids: UidRuns, keep: 'keep-rows' | 'drop-rows'): Uint32Array {
    const kept: Uint32Array[] = [];
    const pieces: number[] = [];
    let current: PackedChunk | undefined;
    let emptied = false;
    const compact = (): void => {
      if (current === undefined) return;
      this.count -= removeRows(current, pieces);
      pieces.length = 0;
      this.#startsValid = false;
      if (current.count === 0) emptied = true;
    };
    this.#eachPiece(uids, (chunk, from, to) => {
      if (!chunk.admit(seq)) return;
      if (chunk !== current) {
        compact();
        current = chunk;
      }
      if (keep === 'keep-rows') kept.push(chunk.words.slice(from * WORDS, to * WORDS));
      pieces.push(from, to);
    });
    compact();
    if (emptied) this.#dropEmpty();
    return joined(kept);
  }

  /** Up to `limit` chunks with n >= `from` that entries above `applied` have touched, as they go to the store. */
  dirtyChunks(from: number, applied: Seq, limit: number): StoredChunk[] {
    const dirty: StoredChunk[] = [];
    for (let index = this.#indexFrom(from); index < this.chunks.length && dirty.length < limit; index++) {
      const chunk = this.chunks[index] as PackedChunk;
      if (chunk.seq > applied) dirty.push(storedChunk(this.info.id, chunk));
    }
    return dirty;
  }

  /** Chunks whose last message went in an entry above `applied`. */
  emptyChunks(applied: Seq): StoredChunk[] {
    const empty: StoredChunk[] = [];
    for (const [n, seq] of this.#emptied ?? [])
      if (seq > applied) empty.push({ box: this.info.id, n, seq, crc: 0, data: new Uint8Array(0) });
    return empty;
  }

  /** After a save up to `applied`. */
  forgetEmptied(applied: Seq): void {
    if (this.#emptied === undefined) return;
    for (const [n, seq] of this.#emptied) if (seq <= applied) this.#emptied.delete(n);
    if (this.#emptied.size === 0) this.#emptied = undefined;
  }

  #dropEmpty(): void {
    this.#emptied ??= new Map();
    let write = 0;
    for (const chunk of this.chunks) {
      if (chunk.count === 0) this.#emptied.set(chunk.n, chunk.seq);
      else this.chunks[write++] = chunk;
    }
    this.chunks.length = write;
  }

  /** @param expected messages that it will be given at once, at most */
  #chunkForAdd(n: number, expected: number): PackedChunk {
    const index = this.#indexFrom(n);
    const there = this.chunks[index];
    if (there !== undefined && there.n === n) return there;
    const chunk = new PackedChunk(n, 0, new Uint32Array(Math.min(CHUNK_UIDS, Math.max(FIRST_ROWS, expected)) * WORDS), 0);
    if (this.chunks.length === 0) this.chunks = [chunk];
    else this.chunks.splice(index, 0, chunk);
    this.#emptied?.delete(n);
    this.#startsValid = false;
    return chunk;
  }

  /** Index of the first chunk whose n is not below. */
  #indexFrom(n: number): number {
    const chunks = this.chunks;
    let low = 0;
    let high = chunks.length;
    // Mailboxes that never lost a whole chunk have chunk n at index n.
    if (n < high && (chunks[n] as PackedChunk).n === n) return n;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((chunks[middle] as PackedChunk).n < n) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** How many messages lie before each chunk. */
  #chunkStarts(): Uint32Array {
    if (this.#startsValid && this.#starts !== undefined) return this.#starts;
    const length = this.chunks.length;
    let starts = this.#starts;
    if (starts === undefined || starts.length < length) {
      starts = length <= 1 ? ONE_START : new Uint32Array(Math.ceil(length * 1.25));
      this.#starts = starts;
    }
    let before = 0;
    for (let index = 0; index < length; index++) {
      starts[index] = before;
      before += (this.chunks[index] as PackedChunk).count;
    }
    this.#startsValid = true;
    return starts;
  }

  /** Rows [from, to) of each chunk that fall into the runs; never an empty piece. The chunks may not be added or dropped meanwhile. */
  #eachPiece(uids: UidRuns, piece: (chunk: PackedChunk, from: number, to: number) => void): void {
    const chunks = this.chunks;
    let index = 0;
    let row = 0;
    for (let run = 0; run < uids.length; run += 2) {
      const lo = uids[run] as number;
      const hi = uids[run + 1] as number;
      const n = chunkOf(lo);
      if (chunks[index]?.n !== n) {
        index = this.#indexFrom(n);
        row = 0;
      }
      for (; index < chunks.length; index++, row = 0) {
        const chunk = chunks[index] as PackedChunk;
        const base = chunk.n * CHUNK_UIDS + 1;
        if (base > hi) break;
        const from = lo <= base ? 0 : chunk.rowFrom(lo - base, row);
        const to = hi - base >= CHUNK_UIDS - 1 ? chunk.count : chunk.rowFrom(hi - base + 1, from);
        if (to > from) piece(chunk, from, to);
        row = to;
        if (hi - base < CHUNK_UIDS) break;
      }
    }
  }
}

/** Shared by all mailboxes of one chunk: no messages lie before it. */
const ONE_START = new Uint32Array(1);

function joined(parts: readonly Uint32Array[]): Uint32Array {
  const only = parts[0];
  if (only === undefined) return new Uint32Array(0);
  if (parts.length === 1) return only;
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint32Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
