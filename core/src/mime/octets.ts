/** The same octets as a Buffer, without a copy. */
export function asBuffer(octets: Uint8Array): Buffer {
  return Buffer.isBuffer(octets) ? octets : Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);
}

/** A copy that has its ArrayBuffer for itself; small Buffers share one. */
export function copyOf(octets: Uint8Array): Uint8Array {
  return new Uint8Array(octets);
}

/** From this length on a view for four octets a step costs less than it saves. */
const WORDS_FROM_OCTETS = 512;

/** Number of LF in `[from, to)`. */
export function countLf(octets: Buffer, from: number, to: number): number {
  let count = 0;
  let at = from;
  if (to - from >= WORDS_FROM_OCTETS) {
    while (((octets.byteOffset + at) & 3) !== 0) if (octets[at++] === 0x0a) count++;
    const words = new Int32Array(octets.buffer, octets.byteOffset + at, (to - at) >>> 2);
    for (let index = 0; index < words.length; index++) {
      // Exact zero-octet test of word ^ 0x0a0a0a0a: the high bit of each octet that was LF.
      const word = (words[index] ?? 0) ^ 0x0a0a0a0a;
      let hits = ~(((word & 0x7f7f7f7f) + 0x7f7f7f7f) | word | 0x7f7f7f7f | 0);
      for (; hits !== 0; hits &= hits - 1) count++;
    }
    at += words.length << 2;
  }
  for (; at < to; at++) if (octets[at] === 0x0a) count++;
  return count;
}

/** Octets that grow at the end, in amortised constant time. */
export class OctetAccumulator {
  #octets: Buffer = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What was appended. Valid until the next call. */
  view(): Buffer {
    return this.#octets.subarray(0, this.#length);
  }

  append(octets: Uint8Array): void {
    const length = this.#length + octets.length;
    if (length > this.#octets.length) {
      const grown = Buffer.allocUnsafe(Math.max(length, Math.min(this.#octets.length * 2, length + 1024 * 1024), 256));
      this.#octets.copy(grown, 0, 0, this.#length);
      this.#octets = grown;
    }
    this.#octets.set(octets, this.#length);
    this.#length = length;
  }

  /** Drops the first `count` octets; lets a large buffer go that holds little. */
  drop(count: number): void {
    if (count === 0) return;
    const rest = this.#octets.subarray(count, this.#length);
    if (this.#octets.length > 64 * 1024 && rest.length < 1024) this.#octets = Buffer.from(rest);
    else this.#octets.copy(this.#octets, 0, count, this.#length);
    this.#length = rest.length;
  }
}
