/** UIDs in the order in which they were found, in one growing array. */
export class UidList {
  #uids = new Uint32Array(64);
  length = 0;

  push(uid: number): void {
    this.reserve(1)[this.length++] = uid;
  }

  /** Makes room for `more` UIDs: the array to write them to, from index `length` on, which the writer then sets. */
  reserve(more: number): Uint32Array {
    if (this.length + more > this.#uids.length) {
      const grown = new Uint32Array(Math.max(this.length + more, this.#uids.length * 2));
      grown.set(this.view());
      this.#uids = grown;
    }
    return this.#uids;
  }

  /** Valid until the next push. */
  view(): Uint32Array {
    return this.#uids.subarray(0, this.length);
  }
}

/** Two ascending lists without a common UID as one. */
export function mergeUids(a: Uint32Array, b: Uint32Array): Uint32Array {
  if (a.length === 0) return b.slice();
  if (b.length === 0) return a.slice();
  const all = new Uint32Array(a.length + b.length);
  for (let n = 0, i = 0, j = 0; n < all.length; n++) {
    const isFromA = j >= b.length || (i < a.length && (a[i] as number) < (b[j] as number));
    all[n] = (isFromA ? a[i++] : b[j++]) as number;
  }
  return all;
}
