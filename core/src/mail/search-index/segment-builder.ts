import { randomInt } from 'node:crypto';
import { type AddTerm, type Document, documentTerms, type OpaqueDocument } from './document.ts';
import { writePostings } from './postings.ts';
import { ASCII, SegmentWriter, SPACES, UNKNOWN_ALL, WIDE } from './segment-format.ts';
import { type SortedTerm, TermTable } from './term-table.ts';

const NON_ASCII = /[\u0080-\uffff]/;

/** Makes one segment of documents, in memory: some 60 octets for each different term and 8 for each document that it is in. */
export class SegmentBuilder {
  #tables: readonly TermTable[] = [];
  #ids: number[] = [];
  #unknown: number[] = [];
  #doc = 0;
  readonly #add: AddTerm = (space, text, from, to) => this.#tables[space]?.add(text, from, to, this.#doc);

  constructor() {
    this.reset();
  }

  /** Terms and postings so far: what its memory grows with. */
  get size(): number {
    return this.#tables.reduce((sum, { terms, postings }) => sum + terms + postings, 0);
  }

  reset(): void {
    this.#tables = Array.from({ length: SPACES }, () => new TermTable(randomInt(2 ** 32)));
    this.#ids = [];
    this.#unknown = [];
  }

  /** Ids ascending. Nothing of a document that cannot be read is known, which is no error. */
  add(document: Document | OpaqueDocument): void {
    this.#doc = this.#ids.push(document.id) - 1;
    let unknown: number;
    try {
      unknown = documentTerms(document, this.#add);
    } catch {
      unknown = UNKNOWN_ALL; // what the decoders stumble over is searched as it lies
    }
    this.#unknown.push(unknown);
  }

  finish(): readonly Uint8Array<ArrayBuffer>[] {
    const writer = new SegmentWriter(Float64Array.from(this.#ids), Uint8Array.from(this.#unknown), writePostings);
    for (const table of this.#tables) {
      const wide: SortedTerm[] = [];
      writer.begin(ASCII);
      for (const term of table.sorted()) {
        if (NON_ASCII.test(term.text)) wide.push(term);
        else writer.term(term.text, term.postings);
      }
      writer.begin(WIDE);
      for (const { text, postings } of wide) writer.term(text, postings);
    }
    const pieces = writer.finish();
    this.reset();
    return pieces;
  }
}
