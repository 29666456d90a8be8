/** One chunk of a mailbox: rows of up to 512 UIDs (layout.ts), with summaries of their flags that let whole chunks be passed over. */
import { crc32 } from 'node:zlib';
import type { Seq, StoredChunk } from '../../store/store.ts';
import { StoreDamaged } from '../../store/store.ts';
import type { Chunk } from './account-mail.ts';
import type { FlagBits } from './entry.ts';
import { CHUNK_UIDS, FLAGS, UID_OFFSET, WORDS } from './layout.ts';

const ROW_OCTETS = WORDS * 4;
/** Rows that a new chunk has room for; doubled as it fills. */
export const FIRST_ROWS = 8;

export class PackedChunk implements Chunk {
  readonly n: number;
  count = 0;
  words: Uint32Array;
  /** Redo guard: the last entry that touched the chunk. Every touch sets or removes rows, so it is also the largest MODSEQ. */
  seq: Seq;
  /** The last entry applied here in memory: a second op of the same entry passes the guard. */
  #applied: Seq = 0;
  #someFlags: FlagBits = 0;
  #everyFlags: FlagBits = 0;
  /** Whether flags of rows have changed since those two were made. */
  #flagsChanged = true;

  constructor(n: number, seq: Seq, words: Uint32Array, count: number) {
    this.n = n;
    this.seq = seq;
    this.words = words;
    this.count = count;
  }

  get maxModSeq(): Seq {
    return this.seq;
  }

  get someFlags(): FlagBits {
    if (this.#flagsChanged) this.#summarise();
    return this.#someFlags;
  }

  get everyFlags(): FlagBits {
    if (this.#flagsChanged) this.#summarise();
    return this.#everyFlags;
  }

  /** After rows went or their flags were changed. */
  flagsChanged(): void {
    this.#flagsChanged = true;
  }

  /** After a row was added. */
  flagsAdded(flags: FlagBits): void {
    if (this.#flagsChanged) return;
    this.#someFlags |= flags;
    this.#everyFlags &= flags;
  }

  #summarise(): void {
    let some = 0;
    let every = -1;
    for (let at = FLAGS, end = this.count * WORDS; at < end; at += WORDS) {
      const flags = this.words[at] as number;
      some |= flags;
      every &= flags;
    }
    this.#someFlags = some;
    this.#everyFlags = every;
    this.#flagsChanged = false;
  }

  /** Whether entry `seq` has still to be applied; if so, it counts as applied from now on. */
  admit(seq: Seq): boolean {
    if (seq <= this.seq && seq !== this.#applied) return false;
    this.seq = seq;
    this.#applied = seq;
    return true;
  }

  /** Row of the first UID offset that is not below `offset`; `count` when there is none. Not before row `hint`. */
  rowFrom(offset: number, hint = 0): number {
    if (this.count === CHUNK_UIDS) return Math.min(offset, CHUNK_UIDS);
    let low = hint;
    let high = this.count;
    if (low < high && (this.words[low * WORDS + UID_OFFSET] as number) >= offset) return low;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.words[middle * WORDS + UID_OFFSET] as number) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Takes the pieces (from, to, from, to: ascending) out. Returns how many rows went. */
export function removeRows(chunk: PackedChunk, pieces: readonly number[]): number {
  const words = chunk.words;
  let write = pieces[0] as number;
  for (let at = 0; at < pieces.length; at += 2) {
    const from = pieces[at + 1] as number;
    const to = pieces[at + 2] ?? chunk.count;
    words.copyWithin(write * WORDS, from * WORDS, to * WORDS);
    write += to - from;
  }
  const removed = chunk.count - write;
  chunk.count = write;
  chunk.flagsChanged();
  // A mailbox that was once large gives its memory back.
  if (words.length >= 64 * WORDS && write * 4 * WORDS <= words.length)
    chunk.words = resized(words, Math.max(FIRST_ROWS, write * 2) * WORDS);
  return removed;
}

export function resized(words: Uint32Array, length: number): Uint32Array {
  const copy = new Uint32Array(length);
  copy.set(length < words.length ? words.subarray(0, length) : words);
  return copy;
}

/** The octets of a chunk in an ArrayBuffer of their own. Rows are little-endian in memory as in the store. */
export function storedChunk(box: StoredChunk['box'], chunk: PackedChunk): StoredChunk {
  const data = new Uint8Array(chunk.words.slice(0, chunk.count * WORDS).buffer);
  return { box, n: chunk.n, seq: chunk.seq, crc: crc32(data), data };
}

/** @throws StoreDamaged */
export function readChunk(stored: StoredChunk): PackedChunk {
  const { data, n } = stored;
  const rows = data.length / ROW_OCTETS;
  if (!Number.isInteger(rows) || rows > CHUNK_UIDS) throw new StoreDamaged(`chunk ${stored.box}/${n} has a wrong length`);
  if (crc32(data) !== stored.crc) throw new StoreDamaged(`chunk ${stored.box}/${n} does not match its checksum`);
  const aligned = data.byteOffset % 4 === 0 ? data : data.slice();
  // Small arrays lie in the heap as long as nobody asks for their buffer.
  const words = new Uint32Array(rows * WORDS);
  words.set(new Uint32Array(aligned.buffer, aligned.byteOffset, rows * WORDS));
  let before = -1;
  for (let at = UID_OFFSET; at < words.length; at += WORDS) {
    const offset = words[at] as number;
    if (offset <= before || offset >= CHUNK_UIDS) throw new StoreDamaged(`rows of chunk ${stored.box}/${n} are out of order`);
    before = offset;
  }
  return new PackedChunk(n, stored.seq, words, rows);
}
