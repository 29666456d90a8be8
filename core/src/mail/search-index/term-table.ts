/** Terms of one space and the documents that they stand in, while a segment is made. No string is made of a term that is known already. */

const FIRST_TERMS = 1024;
const NONE = -1;

function grown<T extends Uint16Array | Uint32Array | Int32Array>(array: T, least: number, make: (length: number) => T): T {
  const larger = make(Math.max(array.length * 2, least));
  larger.set(array);
  return larger;
}
const words16 = (length: number) => new Uint16Array(length);
const words32 = (length: number) => new Uint32Array(length);
const signed32 = (length: number) => new Int32Array(length);

export interface SortedTerm {
  readonly text: string;
  /** Documents, ascending. */
  readonly postings: Uint32Array;
}

export class TermTable {
  /** Terms that were met, and how often in a document that did not have them yet. */
  terms = 0;
  postings = 0;
  /** Unknown to whoever writes mail, so that nobody can make words that all fall into one place. */
  readonly #seed: number;
  /** Units of all terms, one after the other. */
  #units = new Uint16Array(FIRST_TERMS * 8);
  #unitsUsed = 0;
  /** By term: where its units begin (its end is the next one's start), its hash, the last document that had it, in how many it is. */
  #starts = new Uint32Array(FIRST_TERMS + 1);
  #hashes = new Int32Array(FIRST_TERMS);
  #last = new Int32Array(FIRST_TERMS);
  #counts = new Uint32Array(FIRST_TERMS);
  /** Open addressing: a term's number or NONE. */
  #slots = new Int32Array(FIRST_TERMS * 2).fill(NONE);
  /** Terms in the order in which documents had them, and the documents. */
  #log = new Uint32Array(FIRST_TERMS * 4);
  #logDocs = new Uint32Array(FIRST_TERMS * 4);

  constructor(seed: number) {
    this.#seed = seed | 0;
  }

  /** The term `text[from, to)` stands in a document; documents ascend. */
  add(text: string, from: number, to: number, doc: number): void {
    let hash = this.#seed;
    for (let at = from; at < to; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
    hash ^= hash >>> 15;
    const term = this.#find(text, from, to, hash);
    if (this.#last[term] === doc) return;
    this.#last[term] = doc;
    this.#counts[term] = (this.#counts[term] as number) + 1;
    if (this.postings === this.#log.length) {
      this.#log = grown(this.#log, 0, words32);
      this.#logDocs = grown(this.#logDocs, 0, words32);
    }
    this.#log[this.postings] = term;
    this.#logDocs[this.postings++] = doc;
  }

  #find(text: string, from: number, to: number, hash: number): number {
    if (this.terms === this.#hashes.length) this.#grow();
    const mask = this.#slots.length - 1;
    const length = to - from;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const term = this.#slots[slot] as number;
      if (term === NONE) {
        this.#slots[slot] = this.terms;
        return this.#append(text, from, length, hash);
      }
      if (this.#hashes[term] !== hash) continue;
      const start = this.#starts[term] as number;
      if ((this.#starts[term + 1] as number) - start !== length) continue;
      let same = 0;
      while (same < length && this.#units[start + same] === text.charCodeAt(from + same)) same++;
      if (same === length) return term;
    }
  }

  #append(text: string, from: number, length: number, hash: number): number {
    const term = this.terms++;
    const start = this.#unitsUsed;
    if (start + length > this.#units.length) this.#units = grown(this.#units, start + length, words16);
    for (let at = 0; at < length; at++) this.#units[start + at] = text.charCodeAt(from + at);
    this.#unitsUsed = start + length;
    this.#starts[term] = start;
    this.#starts[term + 1] = this.#unitsUsed;
    this.#hashes[term] = hash;
    this.#last[term] = NONE;
    return term;
  }

  /** Room for twice as many terms; the slots are never more than half full. */
  #grow(): void {
    this.#starts = grown(this.#starts, this.terms * 2 + 1, words32);
    this.#hashes = grown(this.#hashes, 0, signed32);
    this.#last = grown(this.#last, 0, signed32);
    this.#counts = grown(this.#counts, 0, words32);
    const slots = new Int32Array(this.#slots.length * 2).fill(NONE);
    const mask = slots.length - 1;
    for (let term = 0; term < this.terms; term++) {
      let slot = (this.#hashes[term] as number) & mask;
      while (slots[slot] !== NONE) slot = (slot + 1) & mask;
      slots[slot] = term;
    }
    this.#slots = slots;
  }

  /** All terms in the order of their code units. */
  *sorted(): Generator<SortedTerm> {
    const { terms } = this;
    const all = Buffer.from(this.#units.buffer, 0, this.#unitsUsed * 2).toString('utf16le');
    const texts = Array.from({ length: terms }, (_, term) => all.slice(this.#starts[term], this.#starts[term + 1]));
    const order = Array.from(texts.keys()).sort((a, b) => ((texts[a] as string) < (texts[b] as string) ? -1 : 1));
    // Counting sort of the log by term.
    const ends = new Uint32Array(terms);
    let end = 0;
    for (let term = 0; term < terms; term++) {
      ends[term] = end;
      end += this.#counts[term] as number;
    }
    const postings = new Uint32Array(this.postings);
    for (let at = 0; at < this.postings; at++) {
      const term = this.#log[at] as number;
      const to = ends[term] as number;
      postings[to] = this.#logDocs[at] as number;
      ends[term] = to + 1;
    }
    for (const term of order) {
      const to = ends[term] as number;
      yield { text: texts[term] as string, postings: postings.subarray(to - (this.#counts[term] as number), to) };
    }
  }
}
