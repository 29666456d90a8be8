import { type Document, documentTerms, type OpaqueDocument } from './document.ts';
import { writePostings } from './postings.ts';
import { ASCII, SegmentWriter, SPACES, UNKNOWN_ALL, WIDE } from './segment-format.ts';

/** V8 keeps the whole text of a message alive for a slice of it that is longer than this. */
const SLICE_UNITS = 12;
const NON_ASCII = /[\u0080-\uffff]/;

/** Makes one segment of documents, in memory: some 100 octets for each different term. */
export class SegmentBuilder {
  /** By space: the ordinal of the only document so far, or all of them; ordinals in the order of adding. */
  #terms: Map<string, number | number[]>[] = [];
  #ids: number[] = [];
  #unknown: number[] = [];
  /** Terms and postings so far: what its memory grows with. */
  size = 0;

  constructor() {
    this.reset();
  }

  get docs(): number {
    return this.#ids.length;
  }

  reset(): void {
    this.#terms = Array.from({ length: SPACES }, () => new Map<string, number | number[]>());
    this.#ids = [];
    this.#unknown = [];
    this.size = 0;
  }

  /** Ids ascending. Nothing of a document that cannot be read is known, which is no error. */
  add(document: Document | OpaqueDocument): void {
    const ordinal = this.#ids.push(document.id) - 1;
    let unknown: number;
    try {
      unknown = documentTerms(document, (space, term) => this.#addTerm(space, term, ordinal));
    } catch {
      unknown = UNKNOWN_ALL; // what the decoders stumble over is searched as it lies
    }
    this.#unknown.push(unknown);
  }

  finish(): readonly Uint8Array<ArrayBuffer>[] {
    const writer = new SegmentWriter(Float64Array.from(this.#ids), Uint8Array.from(this.#unknown), writePostings);
    for (const terms of this.#terms) {
      const ascii: string[] = [];
      const wide: string[] = [];
      for (const term of terms.keys()) (NON_ASCII.test(term) ? wide : ascii).push(term);
      for (const [termClass, sorted] of [
        [ASCII, ascii.sort()],
        [WIDE, wide.sort()],
      ] as const) {
        writer.begin(termClass);
        for (const term of sorted) {
          const postings = terms.get(term);
          if (postings !== undefined) writer.term(term, typeof postings === 'number' ? [postings] : postings);
        }
      }
    }
    const pieces = writer.finish();
    this.reset();
    return pieces;
  }

  #addTerm(space: number, term: string, ordinal: number): void {
    const terms = this.#terms[space];
    if (terms === undefined) return;
    const found = terms.get(term);
    if (found === undefined) {
      const own = term.length > SLICE_UNITS ? Buffer.from(term, 'utf16le').toString('utf16le') : term;
      terms.set(own, ordinal);
      this.size += 1;
    } else if (typeof found === 'number') {
      if (found === ordinal) return;
      terms.set(term, [found, ordinal]);
      this.size += 1;
    } else if (found[found.length - 1] !== ordinal) {
      found.push(ordinal);
      this.size += 1;
    }
  }
}
