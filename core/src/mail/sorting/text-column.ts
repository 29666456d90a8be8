import type { TimeSlice } from '../search/time-slice.ts';
import { collationKey } from './collation-key.ts';
import { sortedIndices } from './merge-sort.ts';

/** One text for each message, as a number: messages whose texts are equal under i;unicode-casemap have the same. Each text is kept once. */
export class TextColumn {
  /** By message. 0 is the empty text. */
  readonly ids: Uint32Array;
  readonly #keys: string[] = [''];
  readonly #idByKey = new Map<string, number>([['', 0]]);

  constructor(messages: number) {
    this.ids = new Uint32Array(messages);
  }

  /** Number of different texts. */
  get size(): number {
    return this.#keys.length;
  }

  set(message: number, text: string): void {
    const key = collationKey(text);
    let id = this.#idByKey.get(key);
    if (id === undefined) {
      id = this.#keys.length;
      this.#keys.push(key);
      this.#idByKey.set(key, id);
    }
    this.ids[message] = id;
  }

  /** By message, the place of its text among all. */
  async ranks(slice: TimeSlice): Promise<Uint32Array> {
    const keys = this.#keys;
    const order = await sortedIndices(
      keys.length,
      (a, b) => {
        const left = keys[a] as string;
        const right = keys[b] as string;
        return left < right ? -1 : left > right ? 1 : 0;
      },
      slice,
    );
    const rankOf = new Uint32Array(keys.length);
    for (let rank = 0; rank < order.length; rank++) rankOf[order[rank] as number] = rank;
    return this.ids.map((id) => rankOf[id] as number);
  }
}
