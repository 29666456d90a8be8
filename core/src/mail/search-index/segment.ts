import { LRUCache } from 'lru-cache';
import type { AccountId, Derived } from '../../store/store.ts';
import { StoreDamaged } from '../../store/store.ts';
import type { TimeSlice } from '../search/time-slice.ts';
import { addDoc, type DocSet, emptySet, intersectInto, unitePostings } from './postings.ts';
import {
  ASCII,
  decodeDirectory,
  decodeTerms,
  PIECE_OCTETS,
  type SegmentDirectory,
  type TermClass,
  type TermPage,
  type TermPiece,
  unpackPiece,
  WIDE,
} from './segment-format.ts';
import type { TermMatch } from './words.ts';

const NON_ASCII = /[\u0080-\uffff]/;
/** Terms that are looked at between two looks at the clock. */
const TERMS_A_LOOK = 64;

/** Pieces of segments in memory, unpacked, of all accounts together: bounded by their octets. */
export class PieceCache {
  readonly #terms: LRUCache<string, TermPage>;
  readonly #postings: LRUCache<string, Buffer>;

  constructor(maxOctets: number) {
    this.#terms = new LRUCache({ maxSize: Math.max(1, maxOctets >>> 1), sizeCalculation: ({ octets }) => octets });
    this.#postings = new LRUCache({ maxSize: Math.max(1, maxOctets >>> 1), sizeCalculation: ({ length }) => length + 64 });
  }
  get octets(): number {
    return this.#terms.calculatedSize + this.#postings.calculatedSize;
  }
  terms(key: string): TermPage | undefined {
    return this.#terms.get(key);
  }
  setTerms(key: string, page: TermPage): void {
    this.#terms.set(key, page);
  }
  postings(key: string): Buffer | undefined {
    return this.#postings.get(key);
  }
  setPostings(key: string, octets: Buffer): void {
    this.#postings.set(key, octets);
  }
}

/** A segment of the store, open for questions. Its directory is in memory, pieces are read as they are needed. */
export class Segment {
  readonly id: string;
  readonly directory: SegmentDirectory;
  readonly #account: AccountId;
  readonly #derived: Derived;
  readonly #cache: PieceCache;
  /** Where the last content was found: messages lie mostly in the order of their contents. */
  #hint = 0;

  constructor(derived: Derived, cache: PieceCache, account: AccountId, id: string, directory: SegmentDirectory) {
    this.#derived = derived;
    this.#cache = cache;
    this.#account = account;
    this.id = id;
    this.directory = directory;
  }

  /** @throws StoreDamaged */
  static async open(derived: Derived, cache: PieceCache, account: AccountId, id: string): Promise<Segment> {
    return new Segment(derived, cache, account, id, decodeDirectory(unpackPiece(await pieceOf(derived, account, id, 0))));
  }

  get docs(): number {
    return this.directory.ids.length;
  }

  /** The ordinal of a content, or -1. */
  ordinalOf(content: number): number {
    const { ids } = this.directory;
    if (ids[this.#hint] === content) return this.#hint;
    if (ids[this.#hint + 1] === content) return ++this.#hint;
    let low = 0;
    let high = ids.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ids[middle] as number) < content) low = middle + 1;
      else high = middle;
    }
    if (ids[low] !== content) return -1;
    this.#hint = low;
    return low;
  }

  /** Documents that have, for every match, a term of the space that meets it. @throws StoreDamaged, the signal's reason */
  async find(space: number, matches: readonly TermMatch[], slice: TimeSlice): Promise<DocSet> {
    let found: DocSet | undefined;
    for (const match of matches) {
      const set = emptySet(this.docs);
      if (!match.text.includes('\n')) {
        if (!NON_ASCII.test(match.text)) await this.#findIn(space, ASCII, match, set, slice);
        await this.#findIn(space, WIDE, match, set, slice);
      }
      if (found === undefined) found = set;
      else intersectInto(found, set);
    }
    return found ?? emptySet(this.docs);
  }

  async #findIn(space: number, termClass: TermClass, match: TermMatch, set: DocSet, slice: TimeSlice): Promise<void> {
    const stream = this.directory.terms[space * 2 + termClass] ?? [];
    const reader = new PostingsReader(this);
    const { docs } = this;
    const terms: number[] = [];
    for (const entry of piecesFor(stream, match)) {
      const page = this.#cache.terms(`${this.id} ${entry.piece}`) ?? (await this.#readTerms(termClass, entry, slice));
      terms.length = 0;
      addMatches(page, match, set, docs, terms);
      for (let n = 0; n < terms.length; n++) {
        const term = terms[n] as number;
        const from = entry.postingsAt + (page.offsets[term] as number);
        const to = from + (page.postings[term] as number) / 2;
        unitePostings(set, reader.inHand(from, to) ?? (await reader.read(from, to, slice)), docs);
        if (n % TERMS_A_LOOK === 0 && slice.isOver) await slice.pass();
      }
      if (slice.isOver) await slice.pass();
    }
  }

  async #readTerms(termClass: TermClass, { piece }: TermPiece, slice: TimeSlice): Promise<TermPage> {
    const octets = await pieceOf(this.#derived, this.#account, this.id, piece);
    const page = decodeTerms(termClass, unpackPiece(octets));
    if (slice.isOver) await slice.pass();
    this.#cache.setTerms(`${this.id} ${piece}`, page);
    return page;
  }

  /** Piece `n` of the postings. */
  async postings(n: number): Promise<Buffer> {
    const key = `${this.id} ${n}`;
    const known = this.#cache.postings(key);
    if (known !== undefined) return known;
    const octets = unpackPiece(await pieceOf(this.#derived, this.#account, this.id, this.directory.postingsPiece + n));
    this.#cache.setPostings(key, octets);
    return octets;
  }
}

async function pieceOf(derived: Derived, account: AccountId, id: string, n: number): Promise<Uint8Array> {
  const piece = await derived.get(account, id, n);
  if (piece === undefined) throw new StoreDamaged('a search segment lacks a piece');
  return piece;
}

/** Ranges of all postings of a segment, asked for in ascending order mostly. */
class PostingsReader {
  readonly #segment: Segment;
  #n = -1;
  #octets: Uint8Array = new Uint8Array(0);

  constructor(segment: Segment) {
    this.#segment = segment;
  }

  /** When they lie in the piece that was read last. */
  inHand(from: number, to: number): Uint8Array | undefined {
    const start = from - this.#n * PIECE_OCTETS;
    const end = to - this.#n * PIECE_OCTETS;
    return this.#n >= 0 && start >= 0 && end <= this.#octets.length ? this.#octets.subarray(start, end) : undefined;
  }

  async read(from: number, to: number, slice: TimeSlice): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let at = from; at < to; ) {
      this.#n = Math.floor(at / PIECE_OCTETS);
      this.#octets = await this.#segment.postings(this.#n);
      if (slice.isOver) await slice.pass();
      const start = at - this.#n * PIECE_OCTETS;
      const part = this.#octets.subarray(start, start + to - at);
      if (part.length === 0) throw new StoreDamaged('postings of a search segment are cut short');
      parts.push(part);
      at += part.length;
    }
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
  }
}

/** Pieces in which a term may meet the match: terms ascend. */
function piecesFor(stream: readonly TermPiece[], { mode, text }: TermMatch): readonly TermPiece[] {
  if (mode === 'contains' || mode === 'ends') return stream;
  let from = 0;
  while (from + 1 < stream.length && (stream[from + 1]?.first ?? '') <= text) from++;
  let to = from + 1;
  while (mode === 'starts' && to < stream.length && stream[to]?.first.startsWith(text) === true) to++;
  return stream.slice(from, to);
}

/** Terms of the page that meet the match, ascending: the document of one that stands in one only goes into the set, the others into `terms`. */
function addMatches(page: TermPage, { mode, text }: TermMatch, set: DocSet, docs: number, terms: number[]): void {
  const { starts, text: all, postings } = page;
  const count = postings.length;
  const isAtStart = mode === 'starts' || mode === 'equals';
  const pattern = `${isAtStart ? '\n' : ''}${text}${mode === 'ends' || mode === 'equals' ? '\n' : ''}`;
  const lead = isAtStart && text !== '' ? 1 : 0;
  let term = 0;
  // The empty text is in each.
  for (let at = text === '' ? 1 : all.indexOf(pattern); at >= 0 && term < count; ) {
    term = termAt(starts, term, count, at + lead);
    const value = postings[term] as number;
    if (value % 2 === 0) terms.push(term);
    else if (value >>> 1 < docs) addDoc(set, value >>> 1);
    term += 1;
    const next = starts[term] as number;
    at = text === '' ? next : all.indexOf(pattern, next - 1);
  }
}

/** The term that the position lies in, not before `from`: the next few are looked at one by one, as common words stand in many. */
function termAt(starts: Uint32Array, from: number, count: number, position: number): number {
  let low = from;
  for (let near = 0; near < 8; near++) {
    if (low + 1 >= count || (starts[low + 1] as number) > position) return low;
    low += 1;
  }
  let high = count - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if ((starts[middle] as number) <= position) low = middle;
    else high = middle - 1;
  }
  return low;
}
