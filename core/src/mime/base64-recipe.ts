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

/** Decoded octets that are read and encoded at a time; a multiple of 3. */
const BATCH_OCTETS = 48 * 1024;

const LF = 0x0a;
const CR = 0x0d;

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
 * Decodes a base64 body and finds out whether a recipe reproduces it, in one pass with bounded memory. Each batch is encoded again and
 * compared, so a recipe that is found is proven. Once `push` has answered undefined the body has no recipe and is to be stored as it is.
 */
export class Base64Analyser {
  #line = OctetsLeft.none();
  #lineLength: number | undefined;
  /** Characters without line ends, not decoded yet. */
  #batch = Buffer.allocUnsafe(BATCH_CHARACTERS + MAX_LINE_LENGTH);
  #batched = 0;
  #trailingCrlfs = 0;
  #sawShortLine = false;
  #failed = false;
  #decodedOctets = 0;

  /** Decoded octets so far, when there is a recipe: the size of the blob. */
  get decodedOctets(): number {
    return this.#decodedOctets;
  }

  /** Decoded octets that became known, or undefined if the body has no recipe. */
  push(chunk: Uint8Array): Buffer | undefined {
    if (this.#failed) return undefined;
    const octets = this.#line.join(asBuffer(chunk));
    const decoded: Buffer[] = [];
    let at = 0;
    for (let lf = octets.indexOf(LF); lf >= 0; lf = octets.indexOf(LF, at)) {
      if (lf === at || octets[lf - 1] !== CR || !this.#takeLine(octets, at, lf - 1, decoded, true)) return this.#fail();
      at = lf + 1;
    }
    this.#line = new OctetsLeft(octets.subarray(at));
    // Without line ends the body is one line, which may be of any length: take what is there, all but a CR that may begin a line end.
    if (this.#lineLength === undefined || this.#lineLength === 0) {
      if (octets.length - at > MAX_LINE_LENGTH + 1) {
        this.#lineLength = 0;
        const end = octets[octets.length - 1] === CR ? octets.length - 1 : octets.length;
        if (this.#trailingCrlfs > 0 || !this.#take(octets, at, end, decoded)) return this.#fail();
        this.#line = new OctetsLeft(octets.subarray(end));
      }
    } else if (octets.length - at > MAX_LINE_LENGTH + 1) return this.#fail();
    return Buffer.concat(decoded);
  }

  /** The last decoded octets and the recipe, or undefined if there is none. */
  finish(): { readonly decoded: Buffer; readonly recipe: Base64Recipe } | undefined {
    if (this.#failed) return undefined;
    const last = this.#line.join(Buffer.alloc(0));
    const decoded: Buffer[] = [];
    if (last.length > 0 && !this.#takeLine(last, 0, last.length, decoded, false)) return undefined;
    if (!this.#decodeBatch(this.#batched, decoded)) return undefined;
    if (this.#trailingCrlfs > MAX_TRAILING_CRLFS) return undefined;
    return { decoded: Buffer.concat(decoded), recipe: { lineLength: this.#lineLength ?? 0, trailingCrlfs: this.#trailingCrlfs } };
  }

  #fail(): undefined {
    this.#failed = true;
    this.#batch = Buffer.alloc(0);
    this.#line = OctetsLeft.none();
    return undefined;
  }

  /** Takes the line `[from, to)`; `ended`: a line end follows it. */
  #takeLine(octets: Buffer, from: number, to: number, decoded: Buffer[], ended: boolean): boolean {
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
      if (!this.#take(octets, from, to, decoded)) return false;
    }
    if (ended && ++this.#trailingCrlfs > MAX_TRAILING_CRLFS) return false;
    return true;
  }

  #take(octets: Buffer, from: number, to: number, decoded: Buffer[]): boolean {
    for (let at = from; at < to; ) {
      const count = Math.min(to - at, this.#batch.length - this.#batched);
      octets.copy(this.#batch, this.#batched, at, at + count);
      this.#batched += count;
      at += count;
      if (this.#batched >= BATCH_CHARACTERS && !this.#decodeBatch(this.#batched - (this.#batched % 4), decoded)) return false;
    }
    return true;
  }

  #decodeBatch(count: number, decoded: Buffer[]): boolean {
    if (count === 0) return this.#batched === 0 || count !== this.#batched;
    const text = this.#batch.toString('latin1', 0, count);
    const octets = Buffer.from(text, 'base64');
    // Padding inside the body would decode and encode alike only in the very last group: 3 octets a group tell.
    const isLast = count === this.#batched;
    if (octets.toString('base64') !== text || (!isLast && octets.length !== (count / 4) * 3)) return false;
    if (this.#decodedOctets % 3 !== 0) return false;
    this.#decodedOctets += octets.length;
    decoded.push(octets);
    this.#batch.copy(this.#batch, 0, count, this.#batched);
    this.#batched -= count;
    return true;
  }
}

/** The unfinished line of the last push. */
class OctetsLeft {
  readonly #octets: Buffer;

  static none(): OctetsLeft {
    return new OctetsLeft(Buffer.alloc(0));
  }

  constructor(octets: Buffer) {
    this.#octets = octets.length === 0 ? octets : Buffer.from(octets);
  }

  join(more: Buffer): Buffer {
    return this.#octets.length === 0 ? more : Buffer.concat([this.#octets, more]);
  }
}

/** Reads octets `[from, to)` of the decoded form, in pieces of any size. */
export type DecodedReader = (from: number, to: number) => AsyncIterable<Uint8Array>;

/**
 * Octets `[from, to)` of the encoded form, made from the decoded octets they need and no others. `decodedOctets` is the size of the decoded
 * form. A range beyond the end is cut. The reader may use its buffer again for the next chunk; with `lends` this one does too.
 * @throws RangeError if the reader gives fewer octets than were asked for
 */
export async function* encodeBase64Range(
  recipe: Base64Recipe,
  decodedOctets: number,
  read: DecodedReader,
  from: number,
  to: number,
  lends = false,
): AsyncGenerator<Buffer> {
  const layout = new Layout(recipe, decodedOctets, lends);
  const end = Math.min(to, layout.size);
  if (from >= end) return;
  const firstGroup = Math.floor(layout.charactersBefore(from) / 4);
  const lastGroup = Math.ceil(layout.charactersBefore(end) / 4);
  let character = firstGroup * 4;
  let position = from;
  let held = Buffer.alloc(0);
  const stop = Math.min(lastGroup * 3, decodedOctets);
  try {
    if (stop > firstGroup * 3) {
      let left = stop - firstGroup * 3;
      for await (const chunk of read(firstGroup * 3, stop)) {
        for (let at = 0; at < chunk.length; at += BATCH_OCTETS) {
          const piece = chunk.subarray(at, at + BATCH_OCTETS);
          left -= piece.length;
          const octets = held.length === 0 ? asBuffer(piece) : Buffer.concat([held, piece]);
          const whole = left > 0 ? octets.length - (octets.length % 3) : octets.length;
          held = Buffer.from(octets.subarray(whole));
          if (whole === 0) continue;
          const encoded = layout.write(octets.toString('base64', 0, whole), character, position, end);
          character += Math.ceil(whole / 3) * 4;
          position += encoded.length;
          if (encoded.length > 0) yield encoded;
        }
      }
      if (left !== 0) throw new RangeError('the decoded form is shorter than its recorded size');
    }
    if (position < end) yield layout.write('', character, position, end);
  } finally {
    layout.done();
  }
}

const NO_OCTETS = Buffer.alloc(0);
/** Characters of one piece, while it is written. */
let characters = NO_OCTETS;
/** Buffers of pieces that are lent, between two streams: made anew, each would bring the next full garbage collection nearer. */
const spareResults: Buffer[] = [];
const SPARE_RESULTS = 16;

/** Where characters and line ends stand in the encoded form. */
class Layout {
  readonly size: number;
  readonly #characters: number;
  readonly #lineLength: number;
  readonly #lends: boolean;
  /** What `write` puts its results into, when they are lent. */
  #result: Buffer;

  constructor(recipe: Base64Recipe, decodedOctets: number, lends: boolean) {
    this.#lends = lends;
    this.#result = (lends ? spareResults.pop() : undefined) ?? NO_OCTETS;
    this.size = encodedOctets(recipe, decodedOctets);
    this.#characters = Math.ceil(decodedOctets / 3) * 4;
    this.#lineLength = recipe.lineLength === 0 ? Number.MAX_SAFE_INTEGER : recipe.lineLength;
  }

  /** Base64 characters in front of an offset of the encoded form. */
  charactersBefore(offset: number): number {
    if (this.#lineLength === Number.MAX_SAFE_INTEGER) return Math.min(offset, this.#characters);
    const line = Math.floor(offset / (this.#lineLength + 2));
    return Math.min(line * this.#lineLength + Math.min(offset - line * (this.#lineLength + 2), this.#lineLength), this.#characters);
  }

  /** Octets from `position` (at most to `end`) that the characters `text`, the first of which is number `first`, make known. */
  write(text: string, first: number, position: number, end: number): Buffer {
    const last = first + text.length;
    const isEnd = last >= this.#characters;
    const limit = isEnd ? end : Math.min(end, this.#offsetOf(last));
    const result = this.#resultOf(Math.max(0, limit - position));
    if (characters.length < text.length) characters = Buffer.allocUnsafeSlow(text.length);
    characters.write(text, 'latin1');
    let at = position;
    while (at < limit) {
      const character = this.charactersBefore(at);
      const offset = this.#offsetOf(character);
      if (character >= this.#characters || offset > at) {
        // A line end, or the second octet of one.
        const lineEnd = character >= this.#characters ? this.#offsetOf(this.#characters - 1) + 1 : offset - 2;
        const base = this.#characters === 0 ? 0 : lineEnd;
        result[at - position] = (at - base) % 2 === 0 ? CR : LF;
        at++;
        continue;
      }
      const length = this.#lineLength;
      if (character % length === 0 && at + length + 2 <= limit && character + length < last) {
        // Whole lines that are followed by a line end: nearly all of a body.
        let number = character;
        for (; at + length + 2 <= limit && number + length < last; number += length) {
          characters.copy(result, at - position, number - first, number - first + length);
          at += length + 2;
          result[at - position - 2] = CR;
          result[at - position - 1] = LF;
        }
        continue;
      }
      const room = Math.min(this.#lineLength - (character % this.#lineLength), last - character, limit - at);
      characters.copy(result, at - position, character - first, character - first + room);
      at += room;
    }
    return result;
  }

  #resultOf(length: number): Buffer {
    if (!this.#lends) return Buffer.allocUnsafe(length);
    if (this.#result.length < length) this.#result = Buffer.allocUnsafeSlow(length);
    return this.#result.subarray(0, length);
  }

  /** Nothing more is written. */
  done(): void {
    if (this.#lends && this.#result.length > 0 && spareResults.length < SPARE_RESULTS) spareResults.push(this.#result);
    this.#result = NO_OCTETS;
  }

  #offsetOf(character: number): number {
    return this.#lineLength === Number.MAX_SAFE_INTEGER ? character : character + 2 * Math.floor(character / this.#lineLength);
  }
}
