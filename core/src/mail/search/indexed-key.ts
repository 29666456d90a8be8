/** A text key of a query together with what an index says of it. */
import type { SearchQuery } from '@pochard/plugin-sdk';
import type { Chunk } from '../journal/account-mail.ts';
import { CHUNK_UIDS } from '../journal/layout.ts';

/** Documents of an index by row of a chunk. */
export class RowDocuments {
  /** Which part of the index knows the row's content. */
  readonly parts = new Uint16Array(CHUNK_UIDS);
  /** Its number there; -1: no part knows it. */
  readonly ordinals = new Int32Array(CHUNK_UIDS);
  /** The part of all rows, when they have one in common. */
  common: number | undefined;
}

/** Verdicts are those of `column-scan`: NO, UNKNOWN (read the text) or YES. Right for as long as a search runs: a content never changes. */
export interface IndexAnswers {
  locate(chunk: Chunk, documents: RowDocuments): void;
  /** Verdicts for the first `count` rows, of the key with this number. */
  fill(key: number, documents: RowDocuments, count: number, out: Uint8Array): void;
  /** The same of one content. */
  verdict(key: number, content: number): number;
}

/** True for the same messages as the key alone, to whoever does not look at the answers. */
export class IndexedKey {
  readonly op = 'and';
  readonly of: readonly [SearchQuery];
  readonly answers: IndexAnswers;
  readonly number: number;

  constructor(key: SearchQuery, answers: IndexAnswers, number: number) {
    this.of = [key];
    this.answers = answers;
    this.number = number;
  }
}
