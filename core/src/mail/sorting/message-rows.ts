import { contentAtRow, DATE, SIZE } from '../journal/layout.ts';

/** What packed rows say of the messages that are sorted or threaded, in the order of their sequence numbers: 20 octets each. */
export class MessageRows {
  count = 0;
  readonly uids: Uint32Array;
  readonly contents: Float64Array;
  /** INTERNALDATE, seconds since 1970. */
  readonly dates: Uint32Array;
  readonly sizes: Uint32Array;
  /** The less, the better it fits what was searched; all the same when absent. */
  irrelevance: Uint8Array | undefined;

  constructor(capacity: number) {
    this.uids = new Uint32Array(capacity);
    this.contents = new Float64Array(capacity);
    this.dates = new Uint32Array(capacity);
    this.sizes = new Uint32Array(capacity);
  }

  /** The next message, whose packed row is at `at` (layout.ts). There must be room. */
  push(words: Uint32Array, at: number, uid: number): void {
    const { count } = this;
    this.uids[count] = uid;
    this.contents[count] = contentAtRow(words, at);
    this.dates[count] = words[at + DATE] as number;
    this.sizes[count] = words[at + SIZE] as number;
    this.count = count + 1;
  }
}
