/** Parts that lie decoded: what a blob holds, and how the octets of the message are made of it (mime/base64-recipe). */
import type { ByteRange } from '@pochard/plugin-sdk';
import { decodedRange, encodeBase64Pieces, encodeBase64Range } from '../../mime/base64-range.ts';
import { Base64Analyser, type Base64Recipe, decodeRecipe, encodedOctets, encodeRecipe } from '../../mime/base64-recipe.ts';
import { Base64Decoder } from '../../mime/transfer-encoding.ts';
import { MailError } from '../errors.ts';
import { cut } from './codecs.ts';

/** First octet of a stored recipe. */
const BASE64 = 1;

export interface Base64Part {
  readonly recipe: Uint8Array;
  readonly decodedOctets: number;
  /** Everything, when it was not more than asked for. */
  readonly decoded: readonly Buffer[] | undefined;
}

/** Proves that a body is base64 which comes back octet for octet, or answers `undefined`. Decoded octets up to `keepOctets` are kept. */
export async function analyseBase64(body: AsyncIterable<Uint8Array>, keepOctets: number): Promise<Base64Part | undefined> {
  const analyser = new Base64Analyser();
  let kept: Buffer[] | undefined = [];
  let octets = 0;
  const keep = (decoded: Buffer) => {
    octets += decoded.length;
    if (octets > keepOctets) kept = undefined;
    else kept?.push(decoded);
  };
  for await (const chunk of body) {
    const decoded = analyser.push(chunk);
    if (decoded === undefined) return undefined;
    keep(decoded);
  }
  const end = analyser.finish();
  if (end === undefined) return undefined;
  keep(end.decoded);
  return { recipe: storedRecipe(end.recipe), decodedOctets: octets, decoded: kept };
}

/** A body that is decoded while it is not known yet whether it comes back octet for octet. */
export class Base64Stream {
  /** After the stream has ended. */
  recipe: Uint8Array | undefined;
  /** The stream threw because the body cannot be made again of what it decodes to. */
  hasFailed = false;
  readonly #body: AsyncIterable<Uint8Array>;

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#body = body;
  }

  /** Once; a chunk is the reader's only until it asks for the next. @throws Error with `hasFailed` set: what was read so far is worth nothing */
  async *open(): AsyncGenerator<Uint8Array> {
    const analyser = new Base64Analyser({ lends: true });
    for await (const chunk of this.#body) {
      const decoded = analyser.push(chunk);
      if (decoded === undefined) throw this.#failure();
      if (decoded.length > 0) yield decoded;
    }
    const end = analyser.finish();
    if (end === undefined) throw this.#failure();
    if (end.decoded.length > 0) yield end.decoded;
    this.recipe = storedRecipe(end.recipe);
  }

  #failure(): Error {
    this.hasFailed = true;
    return new Error('the body is not base64 of one form');
  }
}

function storedRecipe(recipe: Base64Recipe): Uint8Array {
  const code = encodeRecipe(recipe);
  return Uint8Array.of(BASE64, code >>> 8, code & 0xff);
}

/** The decoded octets of a body that {@link analyseBase64} has proven. */
export async function* decodedBase64(body: AsyncIterable<Uint8Array>, range?: ByteRange): AsyncGenerator<Uint8Array> {
  yield* range === undefined ? decodeAll(body) : cut(decodeAll(body), range);
}

async function* decodeAll(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const decoder = new Base64Decoder();
  for await (const chunk of body) {
    const decoded = decoder.push(chunk);
    if (decoded.length > 0) yield decoded;
  }
  const rest = decoder.finish();
  if (rest.length > 0) yield rest;
}

/** Octets [from, to) of the part as received, from the decoded octets that they need; `read` may lend its chunks. @throws MailError damaged */
export function encodedRange(
  recipe: Uint8Array,
  decodedOctets: number,
  read: (from: number, to: number) => AsyncIterable<Uint8Array>,
  from: number,
  to: number,
  lends: boolean,
): AsyncIterable<Uint8Array> {
  return encodeBase64Range(readRecipe(recipe), decodedOctets, read, from, to, lends);
}

/** The same at once, when `peek` has the decoded octets and the sizes agree; else `undefined`. What is taken is lent. @throws MailError damaged */
export function encodedPieces(
  stored: Uint8Array,
  decodedOctets: number,
  sizeOctets: number,
  peek: (from: number, to: number) => readonly Uint8Array[] | undefined,
  from: number,
  to: number,
): ((take: (octets: Uint8Array) => void) => void) | undefined {
  const recipe = readRecipe(stored);
  if (encodedOctets(recipe, decodedOctets) !== sizeOctets) return undefined;
  const pieces = peek(...decodedRange(recipe, decodedOctets, from, to));
  if (pieces === undefined) return undefined;
  return (take) => encodeBase64Pieces(recipe, decodedOctets, pieces, from, to, take);
}

function readRecipe(recipe: Uint8Array): Base64Recipe {
  const [kind, high, low] = recipe;
  if (kind !== BASE64 || high === undefined || low === undefined || recipe.length !== 3) {
    throw new MailError('damaged', 'The stored message is damaged', { cause: new Error('unknown recipe') });
  }
  return decodeRecipe((high << 8) | low);
}
