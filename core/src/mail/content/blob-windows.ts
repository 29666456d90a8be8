/**
 * Stored octets of big parts around the places where someone reads one piece after the other: partial fetches of a mail program (64 KiB each,
 * from start to end) then cost neither a file that is opened nor a turn of the loop each. Bounded, shared by all accounts; plain contents only.
 */
import type { BlobId } from '../../store/store.ts';

/** A multiple of 3, and 8,192 lines of base64: a window begins with a whole group, most times with a line. */
const WINDOW_OCTETS = 57 * 8_192;
const WINDOWS = 32;
/** A window used so recently is not taken away: with more readers than windows each would read a window for each piece. */
const RECENT_MS = 1_000;
/** A read goes on where another ended if it begins so near: ranges of base64 meet within a group. */
const NEAR_OCTETS = 64;
/** Places where reads ended that are remembered. */
const PLACES = 256;

export interface WindowedBlob {
  readonly id: BlobId;
  readonly octets: number;
  /** Octets [from, to); a chunk is ours until we ask for the next. */
  read(from: number, to: number): AsyncIterable<Uint8Array>;
}

interface Window {
  readonly key: string;
  readonly octets: Uint8Array;
  length: number;
  /** Settles when it is full; undefined afterwards. */
  filling: Promise<void> | undefined;
  usedAt: number;
  /** Readers that are looking at it across a turn of the loop. */
  readers: number;
}

export class BlobWindows {
  readonly #now: () => number;
  readonly #most: number;
  /** The least recently used first. */
  readonly #windows = new Map<string, Window>();
  /** By blob, where the last read of a part of it ended. */
  readonly #places = new Map<BlobId, number>();

  constructor(options: { readonly now?: () => number; readonly windows?: number } = {}) {
    this.#now = options.now ?? (() => performance.now());
    this.#most = options.windows ?? WINDOWS;
  }

  /** Octets [from, to) when they are here: views that are good for this turn of the loop. The window that comes next is then read ahead. */
  peek(blob: WindowedBlob, from: number, to: number): readonly Uint8Array[] | undefined {
    const pieces: Uint8Array[] = [];
    let at = from;
    while (at < to) {
      const window = this.#windows.get(keyOf(blob, at));
      if (window === undefined || window.filling !== undefined) return undefined;
      const start = at % WINDOW_OCTETS;
      const end = Math.min(window.length, start + to - at);
      if (end <= start) return undefined;
      this.#use(window);
      pieces.push(window.octets.subarray(start, end));
      at += end - start;
    }
    this.#remember(blob.id, to);
    const next = to - (to % WINDOW_OCTETS) + WINDOW_OCTETS;
    if (next < blob.octets && !this.#windows.has(keyOf(blob, next))) this.#open(blob, next)?.filling?.catch(readAgain);
    return pieces;
  }

  /** Octets [from, to): from windows if the read goes on where another ended, else no more than these. A chunk is lent. */
  async *read(blob: WindowedBlob, from: number, to: number): AsyncGenerator<Uint8Array> {
    const goesOn = Math.abs((this.#places.get(blob.id) ?? -WINDOW_OCTETS) - from) <= NEAR_OCTETS;
    this.#remember(blob.id, to);
    let at = from;
    while (goesOn && at < to) {
      const window = this.#windows.get(keyOf(blob, at)) ?? this.#open(blob, at);
      if (window === undefined) break;
      window.readers += 1;
      try {
        await window.filling;
        this.#use(window);
        const start = at % WINDOW_OCTETS;
        const piece = window.octets.subarray(start, Math.min(window.length, start + to - at));
        if (piece.length === 0) break;
        at += piece.length;
        yield piece;
      } finally {
        window.readers -= 1;
      }
    }
    if (at < to) yield* blob.read(at, to);
  }

  #remember(id: BlobId, end: number): void {
    this.#places.delete(id);
    this.#places.set(id, end);
    if (this.#places.size <= PLACES) return;
    for (const first of this.#places.keys()) {
      this.#places.delete(first);
      return;
    }
  }

  #use(window: Window): void {
    window.usedAt = this.#now();
    this.#windows.delete(window.key);
    this.#windows.set(window.key, window);
  }

  /** A window that begins to fill; undefined when all are in use. */
  #open(blob: WindowedBlob, at: number): Window | undefined {
    let octets: Uint8Array | undefined;
    if (this.#windows.size >= this.#most) {
      octets = this.#leastUsed();
      if (octets === undefined) return undefined;
    }
    octets ??= Buffer.allocUnsafeSlow(WINDOW_OCTETS);
    const window: Window = { key: keyOf(blob, at), octets, length: 0, filling: undefined, usedAt: this.#now(), readers: 0 };
    this.#windows.set(window.key, window);
    window.filling = this.#fill(window, blob, at - (at % WINDOW_OCTETS));
    return window;
  }

  /** The buffer of the window that nobody has used for a while. */
  #leastUsed(): Uint8Array | undefined {
    const before = this.#now() - RECENT_MS;
    for (const window of this.#windows.values()) {
      if (window.usedAt > before) return undefined;
      if (window.readers > 0 || window.filling !== undefined) continue;
      this.#windows.delete(window.key);
      return window.octets;
    }
    return undefined;
  }

  async #fill(window: Window, blob: WindowedBlob, from: number): Promise<void> {
    try {
      for await (const chunk of blob.read(from, Math.min(from + WINDOW_OCTETS, blob.octets))) {
        window.octets.set(chunk, window.length);
        window.length += chunk.length;
      }
    } catch (error) {
      this.#windows.delete(window.key);
      throw error;
    } finally {
      window.filling = undefined;
    }
  }
}

function keyOf(blob: WindowedBlob, at: number): string {
  return `${Math.floor(at / WINDOW_OCTETS)} ${blob.id}`;
}

/** The window is gone: who needs its octets reads them, and hears what is wrong. */
function readAgain(): void {}
