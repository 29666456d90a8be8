import { asBuffer } from './octets.ts';

/**
 * How to write decoded octets in base64 so that the original octets come back: every line but the last has `lineLength` characters
 * (0: one line), lines are joined by CRLF, and `trailingCrlfs` line ends follow the last line.
 */
export interface Base64Recipe {
  readonly lineLength: number;
  readonly trailingCrlfs: number;
}

/** Bounds of what a recipe may say; other mail is stored as it is. */
const MAX_LINE_LENGTH = 1_000;
const MAX_TRAILING_CRLFS = 15;

/** Characters decoded at a time; a multiple of 4. */
const BATCH_CHARACTERS = 48 * 1024;

/** Fewer lines than this are not worth a way of their own. */
const LEAST_WHOLE_LINES = 4;

const LF = 0x0a;
const CR = 0x0d;
const MINUS = 0x2d;
const UNDERSCORE = 0x5f;
const NO_OCTETS = Buffer.alloc(0);

/** The recipe as one small integer, as it is stored beside the blob reference. 0 is never a recipe. */
export function encodeRecipe({ lineLength, trailingCrlfs }: Base64Recipe): number {
  return 1 + trailingCrlfs + lineLength * (MAX_TRAILING_CRLFS + 1);
}

/** @throws RangeError if the number is no recipe: what is stored was not written by `encodeRecipe` */
export function decodeRecipe(code: number): Base64Recipe {
  const value = code - 1;
  const lineLength = Math.floor(value / (MAX_TRAILING_CRLFS + 1));
  if (!Number.isSafeInteger(value) || value < 0 || lineLength > MAX_LINE_LENGTH) throw new RangeError(`${code} is no base64 recipe`);
  return { lineLength, trailingCrlfs: value % (MAX_TRAILING_CRLFS + 1) };
}

/** Octets of the encoded form of `decodedOctets` octets. */
export function encodedOctets({ lineLength, trailingCrlfs }: Base64Recipe, decodedOctets: number): number {
  const characters = Math.ceil(decodedOctets / 3) * 4;
  const breaks = lineLength === 0 || characters === 0 ? 0 : Math.ceil(characters / lineLength) - 1;
  return characters + 2 * (breaks + trailingCrlfs);
}

/**
 * Decodes a base64 body and finds out whether a recipe reproduces it, in one pass with bounded memory. A recipe that is found is proven:
 * whole lines by their length, which no character outside the alphabet leaves as it is; all else is encoded again and compared. Once
 * `push` has answered undefined the body has no recipe and is to be stored as it is.
 */
export class Base64Analyser {
  readonly #lends: boolean;
  #line = OctetsLeft.none();
  #lineLength: number | undefined;
  /** Characters without line ends, not decoded yet. */
  #batch = Buffer.allocUnsafe(BATCH_CHARACTERS + MAX_LINE_LENGTH);
  #batched = 0;
  #trailingCrlfs = 0;
  #sawShortLine = false;
  #failed = false;
  #decodedOctets = 0;
  /** What the chunk under way decodes to. */
  #decoded: Buffer = NO_OCTETS;
  #filled = 0;

  /** `lends`: what `push` answers is the caller's only until the next call. */
  constructor({ lends = false }: { readonly lends?: boolean } = {}) {
    this.#lends = lends;
  }

  /** Decoded octets so far, when there is a recipe: the size of the blob. */
  get decodedOctets(): number {
    return this.#decodedOctets;
  }

  /** Decoded octets that became known, or undefined if the body has no recipe. */
  push(chunk: Uint8Array): Buffer | undefined {
    if (this.#failed) return undefined;
    this.#makeRoom(this.#line.length + this.#batched + chunk.length);
    let octets = asBuffer(chunk);
    let at = 0;
    if (this.#line.length > 0) {
      // Only the line that was left is joined: a copy of the whole chunk for its sake would cost as much as decoding it.
      const end = octets.indexOf(LF) + 1;
      const line = this.#line.join(end === 0 ? octets : octets.subarray(0, end));
      this.#line = OctetsLeft.none();
      if (end === 0) octets = line;
      else if (line.length < 2 || line[line.length - 2] !== CR || !this.#takeLine(line, 0, line.length - 2, true)) return this.#fail();
      else at = end;
    }
    for (let isRegular = true; ; ) {
      // Once in a chunk if it fails: tried again at each line it would be quadratic.
      const whole = isRegular ? this.#takeWholeLines(octets, at) : undefined;
      if (whole === undefined) isRegular = false;
      else at = whole;
      const lf = octets.indexOf(LF, at);
      if (lf < 0) break;
      if (lf === at || octets[lf - 1] !== CR || !this.#takeLine(octets, at, lf - 1, true)) return this.#fail();
      at = lf + 1;
    }
    // Without line ends the body is one line, which may be of any length: take what is there, all but a CR that may begin a line end.
    if (octets.length - at > MAX_LINE_LENGTH + 1) {
      if (this.#lineLength !== undefined && this.#lineLength !== 0) return this.#fail();
      this.#lineLength = 0;
      const end = octets[octets.length - 1] === CR ? octets.length - 1 : octets.length;
      if (this.#trailingCrlfs > 0 || !this.#take(octets, at, end)) return this.#fail();
      at = end;
    }
    this.#line = new OctetsLeft(octets.subarray(at));
    return this.#taken();
  }

  /** The last decoded octets and the recipe, or undefined if there is none. */
  finish(): { readonly decoded: Buffer; readonly recipe: Base64Recipe } | undefined {
    if (this.#failed) return undefined;
    const last = this.#line.join(NO_OCTETS);
    this.#makeRoom(last.length + this.#batched);
    if (last.length > 0 && !this.#takeLine(last, 0, last.length, false)) return undefined;
    if (!this.#decodeBatch(this.#batched)) return undefined;
    if (this.#trailingCrlfs > MAX_TRAILING_CRLFS) return undefined;
    return { decoded: this.#taken(), recipe: { lineLength: this.#lineLength ?? 0, trailingCrlfs: this.#trailingCrlfs } };
  }

  #fail(): undefined {
    this.#failed = true;
    this.#batch = NO_OCTETS;
    this.#decoded = NO_OCTETS;
    this.#line = OctetsLeft.none();
    return undefined;
  }

  /** For what `characters` and the groups that they complete decode to. */
  #makeRoom(characters: number): void {
    const octets = Math.ceil(characters / 4) * 3;
    if (!this.#lends || this.#decoded.length < octets) this.#decoded = Buffer.allocUnsafe(octets);
    this.#filled = 0;
  }

  #taken(): Buffer {
    return this.#decoded.subarray(0, this.#filled);
  }

  /**
   * The lines from `at` on that are as long as the first, in one go: nearly all of a body. Answers where it stopped, or
   * undefined when the lines are to be looked at one by one.
   */
  #takeWholeLines(octets: Buffer, at: number): number | undefined {
    const length = this.#lineLength;
    if (length === undefined || length === 0 || length % 4 !== 0) return at;
    if (this.#trailingCrlfs !== 1 || this.#sawShortLine || this.#batched % 4 !== 0) return at;
    let end = at;
    while (octets[end + length] === CR && octets[end + length + 1] === LF) end += length + 2;
    const lines = (end - at) / (length + 2);
    if (lines < LEAST_WHOLE_LINES) return at;
    if (!this.#decodeBatch(this.#batched) || this.#decodedOctets % 3 !== 0) return undefined;
    // The decoder passes over white space and what is outside the alphabet, and knows the two characters of base64url: with neither of those
    // and an octet for each 4/3 characters, every character was one that encodes back to itself.
    const written = this.#decoded.write(octets.toString('latin1', at, end), this.#filled, 'base64');
    if (written !== lines * (length / 4) * 3 || hasBetween(octets, MINUS, at, end) || hasBetween(octets, UNDERSCORE, at, end))
      return undefined;
    this.#decodedOctets += written;
    this.#filled += written;
    return end;
  }

  /** Takes the line `[from, to)`; `ended`: a line end follows it. */
  #takeLine(octets: Buffer, from: number, to: number, ended: boolean): boolean {
    const length = to - from;
    if (this.#trailingCrlfs > 0 && length > 0) {
      // The line end before this line was an ordinary one; two in a row are no base64 of ours.
      if (this.#trailingCrlfs > 1 || this.#sawShortLine || this.#lineLength === 0) return false;
      this.#trailingCrlfs = 0;
    }
    if (length === 0 && this.#lineLength === undefined) return false; // a body that begins with an empty line
    if (length > 0) {
      if (this.#lineLength === undefined) {
        this.#lineLength = length > MAX_LINE_LENGTH ? 0 : length;
      } else if (this.#lineLength > 0) {
        if (length > this.#lineLength) return false;
        if (length < this.#lineLength) this.#sawShortLine = true;
      }
      if (!this.#take(octets, from, to)) return false;
    }
    if (ended && ++this.#trailingCrlfs > MAX_TRAILING_CRLFS) return false;
    return true;
  }

  #take(octets: Buffer, from: number, to: number): boolean {
    for (let at = from; at < to; ) {
      const count = Math.min(to - at, this.#batch.length - this.#batched);
      octets.copy(this.#batch, this.#batched, at, at + count);
      this.#batched += count;
      at += count;
      if (this.#batched >= BATCH_CHARACTERS && !this.#decodeBatch(this.#batched - (this.#batched % 4))) return false;
    }
    return true;
  }

  #decodeBatch(count: number): boolean {
    if (count === 0) return this.#batched === 0 || count !== this.#batched;
    const text = this.#batch.toString('latin1', 0, count);
    const start = this.#filled;
    const written = this.#decoded.write(text, start, 'base64');
    // Padding inside the body would decode and encode alike only in the very last group: 3 octets a group tell.
    const isLast = count === this.#batched;
    if (this.#decoded.toString('base64', start, start + written) !== text || (!isLast && written !== (count / 4) * 3)) return false;
    if (this.#decodedOctets % 3 !== 0) return false;
    this.#decodedOctets += written;
    this.#filled += written;
    this.#batch.copy(this.#batch, 0, count, this.#batched);
    this.#batched -= count;
    return true;
  }
}

function hasBetween(octets: Buffer, octet: number, from: number, to: number): boolean {
  const at = octets.indexOf(octet, from);
  return at >= 0 && at < to;
}

/** The unfinished line of the last push. */
class OctetsLeft {
  readonly #octets: Buffer;

  static none(): OctetsLeft {
    return new OctetsLeft(NO_OCTETS);
  }

  constructor(octets: Buffer) {
    this.#octets = octets.length === 0 ? octets : Buffer.from(octets);
  }

  get length(): number {
    return this.#octets.length;
  }

  join(more: Buffer): Buffer {
    return this.#octets.length === 0 ? more : Buffer.concat([this.#octets, more]);
  }
}
