/**
 * A segment: contents of an account, by ordinal in the order of their ids, and for each space the terms that stand in them. It lies in
 * the store in pieces, each compressed with a checksum: piece 0 is the directory, then pieces of terms, then pieces of postings.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { StoreDamaged } from '../../store/store.ts';
import { OctetReader, OctetWriter } from '../journal/octets.ts';

/** Spaces of whole values of a header field; the term is the value as SEARCH compares it. */
export const FIELD_SPACES: readonly string[] = ['from', 'to', 'cc', 'bcc', 'subject'];
/** Then spaces of words: the header block, header blocks of parts, and what BODY of SEARCH looks at. */
export const HEAD_SPACE = 5;
export const PARTS_SPACE = 6;
export const BODY_SPACE = 7;
export const SPACES = 8;

/** What of a document is not in its segment: it has to be read. */
export const UNKNOWN_FIELDS = 1;
export const UNKNOWN_HEAD = 2;
export const UNKNOWN_PARTS = 4;
export const UNKNOWN_BODY = 8;
export const UNKNOWN_ALL = 15;

/** Which bit tells that a space of a document is not known. */
export function unknownBit(space: number): number {
  return space < HEAD_SPACE ? UNKNOWN_FIELDS : UNKNOWN_HEAD << (space - HEAD_SPACE);
}

/** Octets of a piece before compression. */
export const PIECE_OCTETS = 64 * 1024;
/** A piece is never larger than this, whatever its record says: one long term may fill it. */
const PIECE_AT_MOST = 64 * 1024 * 1024;
const FORMAT = 1;

/** Terms of a space: those of ASCII, and the others, so that most of them are one octet a character in memory. */
export const ASCII = 0;
export const WIDE = 1;
export type TermClass = typeof ASCII | typeof WIDE;

/** One piece of ascending terms. */
export interface TermPiece {
  readonly piece: number;
  readonly first: string;
  /** Where the postings of its first term begin, in the octets of all postings. */
  readonly postingsAt: number;
}
export interface SegmentDirectory {
  /** Content ids, ascending: a document's ordinal is its index. */
  readonly ids: Float64Array;
  /** By ordinal: bits of what is not known. */
  readonly unknown: Uint8Array;
  /** By space and class: index `space * 2 + class`. */
  readonly terms: readonly (readonly TermPiece[])[];
  /** Number of the first piece of postings, and their octets. */
  readonly postingsPiece: number;
  readonly postingsOctets: number;
}

export function packPiece(octets: Uint8Array): Uint8Array<ArrayBuffer> {
  const packed = zstdCompressSync(octets, {
    params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 },
  });
  return new Uint8Array(packed);
}

/** @throws StoreDamaged */
export function unpackPiece(octets: Uint8Array): Buffer {
  try {
    return zstdDecompressSync(octets, { maxOutputLength: PIECE_AT_MOST });
  } catch (error) {
    throw new StoreDamaged('a piece of a search segment is damaged', { cause: error });
  }
}

export function encodeDirectory(directory: SegmentDirectory): Uint8Array {
  const { ids, unknown, terms, postingsPiece, postingsOctets } = directory;
  const out = new OctetWriter(1024 + ids.length * 4);
  out.varint(FORMAT);
  out.varint(ids.length);
  let last = 0;
  for (const id of ids) {
    out.varint(id - last);
    last = id;
  }
  out.octets(unknown);
  out.varint(postingsPiece);
  out.varint(postingsOctets);
  for (const pieces of terms) {
    out.varint(pieces.length);
    for (const { piece, first, postingsAt } of pieces) {
      out.varint(piece);
      const octets = Buffer.from(first, 'utf16le');
      out.varint(octets.length);
      out.octets(octets);
      out.varint(postingsAt);
    }
  }
  return out.written();
}

/** @throws StoreDamaged */
export function decodeDirectory(octets: Uint8Array): SegmentDirectory {
  const input = new OctetReader(octets);
  if (input.varint() !== FORMAT) throw new StoreDamaged('a search segment has an unknown format');
  const docs = input.varint();
  if (docs > octets.length) throw new StoreDamaged('a search segment is cut short');
  const ids = new Float64Array(docs);
  let last = 0;
  for (let doc = 0; doc < docs; doc++) {
    last += input.varint();
    ids[doc] = last;
  }
  const unknown = Uint8Array.from(input.octets(docs));
  const postingsPiece = input.varint();
  const postingsOctets = input.varint();
  const terms: TermPiece[][] = [];
  for (let stream = 0; stream < SPACES * 2; stream++) {
    const pieces: TermPiece[] = [];
    for (let left = input.varint(); left > 0; left--) {
      const piece = input.varint();
      const first = Buffer.from(input.octets(input.varint())).toString('utf16le');
      pieces.push({ piece, first, postingsAt: input.varint() });
    }
    terms.push(pieces);
  }
  return { ids, unknown, terms, postingsPiece, postingsOctets };
}

/** The terms of one piece: `\nterm\nterm\n` in order, and for each a number: `ordinal * 2 + 1` of the only document, or twice the octets of its postings. */
export interface TermPage {
  readonly text: string;
  /** Where each term begins in the text; one more at the end. */
  readonly starts: Uint32Array;
  readonly postings: Uint32Array;
  /** Where the postings of each term begin, from those of the page's first on. */
  readonly offsets: Uint32Array;
  /** Memory that it takes. */
  readonly octets: number;
}

export function encodeTerms(termClass: TermClass, terms: readonly string[], postings: readonly number[]): Uint8Array {
  const text = `\n${terms.join('\n')}\n`;
  const octets = Buffer.from(text, termClass === ASCII ? 'latin1' : 'utf16le');
  const out = new OctetWriter(octets.length + terms.length * 3 + 16);
  out.varint(terms.length);
  out.varint(octets.length);
  out.octets(octets);
  for (const value of postings) out.varint(value);
  return out.written();
}

/** @throws StoreDamaged */
export function decodeTerms(termClass: TermClass, octets: Uint8Array): TermPage {
  const input = new OctetReader(octets);
  const count = input.varint();
  const textOctets = input.octets(input.varint());
  const text = Buffer.from(textOctets.buffer, textOctets.byteOffset, textOctets.length).toString(
    termClass === ASCII ? 'latin1' : 'utf16le',
  );
  if (count > octets.length) throw new StoreDamaged('a page of search terms is cut short');
  const starts = new Uint32Array(count + 1);
  const postings = new Uint32Array(count);
  const offsets = new Uint32Array(count);
  let offset = 0;
  let at = 1;
  for (let term = 0; term < count; term++) {
    starts[term] = at;
    const end = text.indexOf('\n', at);
    if (end < 0) throw new StoreDamaged('a page of search terms is cut short');
    at = end + 1;
    const value = input.uint32Varint();
    postings[term] = value;
    offsets[term] = offset;
    if (value % 2 === 0) offset += value / 2;
  }
  starts[count] = at;
  if (at !== text.length) throw new StoreDamaged('a page of search terms is damaged');
  return { text, starts, postings, offsets, octets: textOctets.length + count * 12 + 64 };
}

/** Collects what a segment is made of: spaces in order, their ASCII terms ascending, then their other terms ascending. */
export class SegmentWriter {
  readonly #ids: Float64Array;
  readonly #unknown: Uint8Array;
  readonly #writePostings: (out: OctetWriter, ordinals: ArrayLike<number>, docs: number) => number;
  readonly #terms: TermPiece[][] = [];
  /** After piece 0, which is made last. */
  readonly #pieces: Uint8Array<ArrayBuffer>[] = [];
  readonly #postingPieces: Uint8Array<ArrayBuffer>[] = [];
  #postings = new OctetWriter(PIECE_OCTETS * 2);
  #postingsOctets = 0;
  #class: TermClass = ASCII;
  #page: string[] = [];
  #pagePostings: number[] = [];
  #pageOctets = 0;
  #pagePostingsAt = 0;

  constructor(
    ids: Float64Array,
    unknown: Uint8Array,
    writePostings: (out: OctetWriter, ordinals: ArrayLike<number>, docs: number) => number,
  ) {
    this.#ids = ids;
    this.#unknown = unknown;
    this.#writePostings = writePostings;
  }

  /** The next class of the next space. */
  begin(termClass: TermClass): void {
    this.#endPage();
    this.#class = termClass;
    this.#terms.push([]);
  }

  /** `ordinals`: ascending, at least one. */
  term(text: string, ordinals: ArrayLike<number>): void {
    if (this.#page.length === 0) this.#pagePostingsAt = this.#postingsOctets;
    this.#page.push(text);
    this.#pageOctets += (this.#class === ASCII ? 1 : 2) * (text.length + 1) + 2;
    if (ordinals.length === 1) this.#pagePostings.push((ordinals[0] as number) * 2 + 1);
    else {
      const octets = this.#writePostings(this.#postings, ordinals, this.#ids.length);
      this.#pagePostings.push(octets * 2);
      this.#postingsOctets += octets;
      if (this.#postings.length >= PIECE_OCTETS) this.#cutPostings();
    }
    if (this.#pageOctets >= PIECE_OCTETS) this.#endPage();
  }

  finish(): readonly Uint8Array<ArrayBuffer>[] {
    this.#endPage();
    this.#cutPostings();
    if (this.#postings.length > 0) this.#postingPieces.push(packPiece(this.#postings.written()));
    const directory = encodeDirectory({
      ids: this.#ids,
      unknown: this.#unknown,
      terms: this.#terms,
      postingsPiece: this.#pieces.length + 1,
      postingsOctets: this.#postingsOctets,
    });
    return [packPiece(directory), ...this.#pieces, ...this.#postingPieces];
  }

  #endPage(): void {
    const [first] = this.#page;
    if (first === undefined) return;
    this.#pieces.push(packPiece(encodeTerms(this.#class, this.#page, this.#pagePostings)));
    this.#terms.at(-1)?.push({ piece: this.#pieces.length, first, postingsAt: this.#pagePostingsAt });
    this.#page = [];
    this.#pagePostings = [];
    this.#pageOctets = 0;
  }

  /** Pieces of exactly PIECE_OCTETS, so that an offset says the piece. */
  #cutPostings(): void {
    const written = this.#postings.written();
    let at = 0;
    for (; at + PIECE_OCTETS <= written.length; at += PIECE_OCTETS) {
      this.#postingPieces.push(packPiece(written.subarray(at, at + PIECE_OCTETS)));
    }
    const rest = new OctetWriter(PIECE_OCTETS * 2);
    rest.octets(written.subarray(at));
    this.#postings = rest;
  }
}
