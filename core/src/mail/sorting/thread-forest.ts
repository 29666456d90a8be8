/** Threads: each message once, siblings and threads by date, equal dates by sequence number. Messages are indices from 0. */
export interface ThreadForest {
  /** A message, or `~first` for messages without a common one: the first of them, the others are its next siblings. */
  readonly roots: Int32Array;
  /** -1 for none. */
  readonly firstChild: Int32Array;
  readonly nextSibling: Int32Array;
}

/** In `parents`: a thread's first message. Other negative numbers are dummies, see {@link dummy}. */
export const TOP = -1;

/** Dummy number `n` as a parent (RFC 5256 §3, REFERENCES): it stands for a message that is not there, and is at the top. */
export function dummy(n: number): number {
  return -2 - n;
}
/** The number of a dummy, from what {@link dummy} has made of it. */
export function dummyNumber(parent: number): number {
  return -2 - parent;
}

/**
 * `parents`: a message, `TOP` or a dummy for each message, without loops. `order`: all messages by date. A dummy is placed by its first
 * child, and where it has one child only it is nothing.
 */
export function buildForest(parents: Int32Array, order: Uint32Array, dummies: number): ThreadForest {
  const count = order.length;
  const firstChild = new Int32Array(count).fill(-1);
  const nextSibling = new Int32Array(count).fill(-1);
  const firstOfDummy = new Int32Array(dummies).fill(-1);
  for (let n = count - 1; n >= 0; n--) {
    const message = order[n] as number;
    const parent = parents[message] as number;
    if (parent >= 0) {
      nextSibling[message] = firstChild[parent] as number;
      firstChild[parent] = message;
    } else if (parent !== TOP) {
      nextSibling[message] = firstOfDummy[dummyNumber(parent)] as number;
      firstOfDummy[dummyNumber(parent)] = message;
    }
  }
  const roots = new Int32Array(count);
  let length = 0;
  for (const message of order) {
    const parent = parents[message] as number;
    if (parent === TOP) roots[length++] = message;
    else if (parent < 0 && firstOfDummy[dummyNumber(parent)] === message)
      roots[length++] = (nextSibling[message] as number) < 0 ? message : ~message;
  }
  return { roots: roots.slice(0, length), firstChild, nextSibling };
}
