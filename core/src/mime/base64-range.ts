/** Ranges of a base64 body, made of the decoded octets that they need and a recipe (base64-recipe.ts). */
import { endianness } from 'node:os';
import { type Base64Recipe, encodedOctets } from './base64-recipe.ts';
import { asBuffer } from './octets.ts';

/** Decoded octets that are encoded at a time: 1,024 lines of 76 characters, below what V8 puts apart as a large string. */
const BATCH_OCTETS = 57 * 1024;
const LF = 0x0a;
const CR = 0x0d;
const IS_LITTLE_ENDIAN = endianness() === 'LE';

/** Reads octets `[from, to)` of the decoded form, in pieces of any size. */
export type DecodedReader = (from: number, to: number) => AsyncIterable<Uint8Array>;

/** Decoded octets `[from, to)` that the range `[from, to)` of the encoded form is made of. */
export function decodedRange(recipe: Base64Recipe, decodedOctets: number, from: number, to: number): readonly [from: number, to: number] {
  const form = new EncodedForm(recipe, decodedOctets);
  const end = Math.min(to, form.size);
  if (from >= end) return [0, 0];
  const start = Math.floor(form.charactersBefore(from) / 4) * 3;
  return [start, Math.max(start, Math.min(Math.ceil(form.charactersBefore(end) / 4) * 3, decodedOctets))];
}

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
  const [start, stop] = decodedRange(recipe, decodedOctets, from, to);
  const encoder = new RangeEncoder(recipe, decodedOctets, from, to);
  const scratch = lends ? takeScratch() : undefined;
  try {
    if (stop > start) {
      for await (const chunk of read(start, stop)) {
        for (let at = 0; at < chunk.length; at += BATCH_OCTETS) {
          const encoded = encoder.push(chunk.subarray(at, at + BATCH_OCTETS), scratch ?? new Scratch());
          if (encoded.length > 0) yield encoded;
        }
      }
    }
    const end = encoder.finish(scratch ?? new Scratch());
    if (end.length > 0) yield end;
  } finally {
    if (scratch !== undefined) giveScratch(scratch);
  }
}

/**
 * The same at once, of decoded octets in memory: `pieces` are those of {@link decodedRange}. `take` gets one run after the other, each
 * its own only during the call. @throws RangeError if there are fewer
 */
export function encodeBase64Pieces(
  recipe: Base64Recipe,
  decodedOctets: number,
  pieces: readonly Uint8Array[],
  from: number,
  to: number,
  take: (encoded: Buffer) => void,
): void {
  const encoder = new RangeEncoder(recipe, decodedOctets, from, to);
  const scratch = takeScratch();
  try {
    for (const piece of pieces) {
      for (let at = 0; at < piece.length; at += BATCH_OCTETS) {
        const encoded = encoder.push(piece.subarray(at, at + BATCH_OCTETS), scratch);
        if (encoded.length > 0) take(encoded);
      }
    }
    const end = encoder.finish(scratch);
    if (end.length > 0) take(end);
  } finally {
    giveScratch(scratch);
  }
}

/** Where a run of the encoded form is written, with a view for four octets a step. Grows, and is used again. */
class Scratch {
  #octets: Buffer = Buffer.alloc(0);
  words: Int32Array = new Int32Array(0);

  /** `padding` octets in front are left free, so that lines begin where four octets do. */
  take(padding: number, length: number): Buffer {
    if (this.#octets.length < padding + length) {
      this.#octets = Buffer.allocUnsafeSlow((padding + length + 3) & ~3);
      this.words = new Int32Array(this.#octets.buffer, this.#octets.byteOffset, this.#octets.length >> 2);
    }
    return this.#octets.subarray(padding, padding + length);
  }
}

/** Between two ranges: made anew, each buffer would bring the next full garbage collection nearer. */
const spareScratches: Scratch[] = [];
const SPARE_SCRATCHES = 16;

function takeScratch(): Scratch {
  return spareScratches.pop() ?? new Scratch();
}
function giveScratch(scratch: Scratch): void {
  if (spareScratches.length < SPARE_SCRATCHES) spareScratches.push(scratch);
}

/** Where characters and line ends stand in the encoded form. */
class EncodedForm {
  readonly size: number;
  readonly characters: number;
  readonly lineLength: number;

  constructor(recipe: Base64Recipe, decodedOctets: number) {
    this.size = encodedOctets(recipe, decodedOctets);
    this.characters = Math.ceil(decodedOctets / 3) * 4;
    this.lineLength = recipe.lineLength === 0 ? Number.MAX_SAFE_INTEGER : recipe.lineLength;
  }

  /** Base64 characters in front of an offset of the encoded form. */
  charactersBefore(offset: number): number {
    if (this.lineLength === Number.MAX_SAFE_INTEGER) return Math.min(offset, this.characters);
    const line = Math.floor(offset / (this.lineLength + 2));
    return Math.min(line * this.lineLength + Math.min(offset - line * (this.lineLength + 2), this.lineLength), this.characters);
  }

  offsetOf(character: number): number {
    return this.lineLength === Number.MAX_SAFE_INTEGER ? character : character + 2 * Math.floor(character / this.lineLength);
  }
}

/** Decoded octets in, in pieces of any size; the encoded range out. */
class RangeEncoder {
  readonly #form: EncodedForm;
  readonly #end: number;
  /** Decoded octets that are still to come. */
  #left: number;
  /** The next character, and the next octet of the encoded form. */
  #character: number;
  #position: number;
  /** A group that has begun. */
  readonly #group = Buffer.allocUnsafe(3);
  #grouped = 0;

  constructor(recipe: Base64Recipe, decodedOctets: number, from: number, to: number) {
    this.#form = new EncodedForm(recipe, decodedOctets);
    const [start, stop] = decodedRange(recipe, decodedOctets, from, to);
    this.#end = Math.min(to, this.#form.size);
    this.#left = stop - start;
    this.#character = (start / 3) * 4;
    this.#position = from;
  }

  push(piece: Uint8Array, scratch: Scratch): Buffer {
    const octets = asBuffer(piece);
    if (octets.length > this.#left) throw new RangeError('the decoded form is longer than its recorded size');
    this.#left -= octets.length;
    let at = 0;
    let text = '';
    if (this.#grouped > 0) {
      at = Math.min(3 - this.#grouped, octets.length);
      octets.copy(this.#group, this.#grouped, 0, at);
      this.#grouped += at;
      if (this.#grouped < 3 && this.#left > 0) return scratch.take(0, 0);
      text = this.#group.toString('base64', 0, this.#grouped);
      this.#grouped = 0;
    }
    const whole = this.#left > 0 ? octets.length - ((octets.length - at) % 3) : octets.length;
    text += octets.toString('base64', at, whole);
    this.#grouped = octets.copy(this.#group, 0, whole);
    return this.#write(text, scratch);
  }

  /** What follows the last character. */
  finish(scratch: Scratch): Buffer {
    if (this.#left > 0) throw new RangeError('the decoded form is shorter than its recorded size');
    return this.#position < this.#end ? this.#write('', scratch) : scratch.take(0, 0);
  }

  /** Octets from the position on that the characters `text` make known. */
  #write(text: string, scratch: Scratch): Buffer {
    const form = this.#form;
    const first = this.#character;
    const position = this.#position;
    const last = first + text.length;
    const limit = last >= form.characters ? this.#end : Math.min(this.#end, form.offsetOf(last));
    const length = form.lineLength;
    // Whole lines begin where four octets do, in what is read and in what is written.
    const untilLine = length === Number.MAX_SAFE_INTEGER ? 0 : (length + 2 - (position % (length + 2))) % (length + 2);
    const padding = (4 - (untilLine & 3)) & 3;
    const result = scratch.take(padding, Math.max(0, limit - position));
    writeCharacters(text);
    let at = position;
    while (at < limit) {
      const character = form.charactersBefore(at);
      const offset = form.offsetOf(character);
      if (character >= form.characters || offset > at) {
        // A line end, or the second octet of one.
        const lineEnd = character >= form.characters ? form.offsetOf(form.characters - 1) + 1 : offset - 2;
        const base = form.characters === 0 ? 0 : lineEnd;
        result[at - position] = (at - base) % 2 === 0 ? CR : LF;
        at++;
        continue;
      }
      if (character % length === 0) {
        // Whole lines that are followed by a line end: nearly all of a body.
        const lines = Math.min(Math.floor((limit - at) / (length + 2)), Math.floor((last - character - 1) / length));
        if (lines > 0) {
          const to = at - position + padding;
          if (IS_LITTLE_ENDIAN && length % 4 === 0 && (to & 3) === 0 && ((character - first) & 3) === 0) {
            copyLines(scratch.words, to >> 2, (character - first) >> 2, length >> 2, lines);
            if (lines % 2 === 1)
              copyLine(result, at - position + (lines - 1) * (length + 2), character - first + (lines - 1) * length, length);
          } else for (let n = 0; n < lines; n++) copyLine(result, at - position + n * (length + 2), character - first + n * length, length);
          at += lines * (length + 2);
          continue;
        }
      }
      const room = Math.min(length - (character % length), last - character, limit - at);
      characters.copy(result, at - position, character - first, character - first + room);
      at += room;
    }
    this.#character = last;
    this.#position = Math.max(position, limit);
    return result;
  }
}

/** Characters of one run, while it is written. */
let characters: Buffer = Buffer.alloc(0);
let characterWords: Int32Array = new Int32Array(0);

function writeCharacters(text: string): void {
  if (characters.length < text.length) {
    characters = Buffer.allocUnsafeSlow((text.length + 3) & ~3);
    characterWords = new Int32Array(characters.buffer, characters.byteOffset, characters.length >> 2);
  }
  characters.write(text, 'latin1');
}

function copyLine(result: Buffer, to: number, from: number, length: number): void {
  characters.copy(result, to, from, from + length);
  result[to + length] = CR;
  result[to + length + 1] = LF;
}

const CRLF_LOW = 0x0a0d;
const CRLF_HIGH = 0x0a0d0000;

/** Pairs of lines of `length` words: two lines with their ends are whole words again. The odd one is left. A call for each line costs twice that. */
function copyLines(words: Int32Array, to: number, from: number, length: number, lines: number): void {
  const source = characterWords;
  let at = from;
  let out = to;
  for (let pair = lines >> 1; pair > 0; pair--) {
    for (const end = at + length; at < end; ) words[out++] = source[at++] as number;
    let before = source[at++] as number;
    words[out++] = CRLF_LOW | (before << 16);
    for (const end = at + length - 1; at < end; ) {
      const word = source[at++] as number;
      words[out++] = (before >>> 16) | (word << 16);
      before = word;
    }
    words[out++] = (before >>> 16) | CRLF_HIGH;
  }
}
