/** Several segments as one, without contents that are gone: streams of ascending terms, merged. Memory: a page of terms of each, and what is written. */
import { StoreDamaged } from '../../store/store.ts';
import { eachPosting, writePostings } from './postings.ts';
import {
  ASCII,
  decodeDirectory,
  decodeTerms,
  PIECE_OCTETS,
  type SegmentDirectory,
  SegmentWriter,
  SPACES,
  type TermClass,
  type TermPage,
  unpackPiece,
  WIDE,
} from './segment-format.ts';

export interface MergeInput {
  readonly pieces: readonly Uint8Array[];
  /** By ordinal: 1 if the content is gone. */
  readonly gone: Uint8Array;
}

/** Which of the inputs cannot be read. */
export class DamagedInput extends Error {
  override name = 'DamagedInput';
  readonly input: number;
  constructor(input: number, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.input = input;
  }
}

/** A document that the merged segment does not have. */
const NONE = -1;

/** @throws DamagedInput */
export function mergeSegments(inputs: readonly MergeInput[]): readonly Uint8Array<ArrayBuffer>[] {
  const sources = inputs.map((input, n) => new Source(input, n));
  const { ids, unknown } = placeDocuments(sources);
  const writer = new SegmentWriter(ids, unknown, writePostings);
  const ordinals: number[] = [];
  for (let space = 0; space < SPACES; space++) {
    for (const termClass of [ASCII, WIDE] as const) {
      writer.begin(termClass);
      const cursors = sources.map((source) => new TermCursor(source, space, termClass));
      for (;;) {
        let term: string | undefined;
        for (const { current } of cursors) if (current !== undefined && (term === undefined || current < term)) term = current;
        if (term === undefined) break;
        ordinals.length = 0;
        for (const cursor of cursors) {
          if (cursor.current !== term) continue;
          cursor.collect(ordinals);
          cursor.next();
        }
        if (ordinals.length === 0) continue;
        if (!isAscending(ordinals)) ordinals.sort((a, b) => a - b);
        writer.term(term, ordinals);
      }
    }
  }
  return writer.finish();
}

function isAscending(ordinals: readonly number[]): boolean {
  for (let at = 1; at < ordinals.length; at++) if ((ordinals[at - 1] as number) >= (ordinals[at] as number)) return false;
  return true;
}

/** Gives each source its documents' ordinals in the merged segment; a content that two of them have is taken from the first. */
function placeDocuments(sources: readonly Source[]): { readonly ids: Float64Array; readonly unknown: Uint8Array } {
  const all: { readonly id: number; readonly source: Source; readonly doc: number }[] = [];
  for (const source of sources) {
    for (const [doc, id] of source.directory.ids.entries()) if (source.gone[doc] !== 1) all.push({ id, source, doc });
  }
  all.sort((a, b) => a.id - b.id);
  const ids: number[] = [];
  const unknown: number[] = [];
  for (const { id, source, doc } of all) {
    if (ids.at(-1) === id) continue;
    source.placed[doc] = ids.push(id) - 1;
    unknown.push(source.directory.unknown[doc] ?? 0);
  }
  return { ids: Float64Array.from(ids), unknown: Uint8Array.from(unknown) };
}

class Source {
  readonly directory: SegmentDirectory;
  readonly gone: Uint8Array;
  /** By ordinal here: the ordinal there. */
  readonly placed: Int32Array;
  readonly #number: number;
  readonly #pieces: readonly Uint8Array[];
  #postingsPiece = -1;
  #postings: Uint8Array = new Uint8Array(0);

  constructor({ pieces, gone }: MergeInput, number: number) {
    this.#number = number;
    this.#pieces = pieces;
    this.gone = gone;
    this.directory = this.#sound(() => decodeDirectory(this.#piece(0)));
    this.placed = new Int32Array(this.directory.ids.length).fill(NONE);
  }

  page(termClass: TermClass, piece: number): TermPage {
    return this.#sound(() => decodeTerms(termClass, this.#piece(piece)));
  }

  #sound<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw new DamagedInput(this.#number, error);
    }
  }

  #piece(n: number): Buffer {
    const piece = this.#pieces[n];
    if (piece === undefined) throw new StoreDamaged('a search segment lacks a piece');
    return unpackPiece(piece);
  }

  /** Of all postings the octets [from, to); asked for in ascending order. */
  postings(from: number, to: number): Uint8Array {
    const first = Math.floor(from / PIECE_OCTETS);
    const start = from - first * PIECE_OCTETS;
    const octets = this.#postingsOf(first).subarray(start, start + to - from);
    if (octets.length === to - from) return octets;
    const parts: Uint8Array[] = [Uint8Array.from(octets)];
    for (let at = from + octets.length; at < to; ) {
      const part = this.#postingsOf(Math.floor(at / PIECE_OCTETS)).subarray(0, to - at);
      if (part.length === 0) throw new DamagedInput(this.#number, 'postings are cut short');
      parts.push(Uint8Array.from(part));
      at += part.length;
    }
    return Buffer.concat(parts);
  }

  #postingsOf(n: number): Uint8Array {
    if (n !== this.#postingsPiece) {
      this.#postings = this.#sound(() => this.#piece(this.directory.postingsPiece + n));
      this.#postingsPiece = n;
    }
    return this.#postings;
  }
}

class TermCursor {
  current: string | undefined;
  readonly #source: Source;
  readonly #class: TermClass;
  readonly #stream: SegmentDirectory['terms'][number];
  #page: TermPage | undefined;
  #nextPage = 0;
  #term = 0;
  #pagePostingsAt = 0;

  constructor(source: Source, space: number, termClass: TermClass) {
    this.#source = source;
    this.#class = termClass;
    this.#stream = source.directory.terms[space * 2 + termClass] ?? [];
    this.#open();
  }

  next(): void {
    this.#term += 1;
    this.#take();
  }

  /** Adds the documents of the current term, as the merged segment numbers them. */
  collect(ordinals: number[]): void {
    const { placed, directory } = this.#source;
    const value = this.#page?.postings[this.#term] ?? 1;
    const add = (doc: number): void => {
      const ordinal = placed[doc] ?? NONE;
      if (ordinal !== NONE) ordinals.push(ordinal);
    };
    if (value % 2 === 1) add((value - 1) / 2);
    else {
      const at = this.#pagePostingsAt + (this.#page?.offsets[this.#term] ?? 0);
      eachPosting(this.#source.postings(at, at + value / 2), directory.ids.length, add);
    }
  }

  #open(): void {
    const entry = this.#stream[this.#nextPage++];
    this.#term = 0;
    if (entry === undefined) {
      this.#page = undefined;
      this.current = undefined;
      return;
    }
    this.#page = this.#source.page(this.#class, entry.piece);
    this.#pagePostingsAt = entry.postingsAt;
    this.#take();
  }

  #take(): void {
    const page = this.#page;
    if (page === undefined) return;
    if (this.#term >= page.postings.length) {
      this.#open();
      return;
    }
    this.current = page.text.slice(page.starts[this.#term], (page.starts[this.#term + 1] as number) - 1);
  }
}
