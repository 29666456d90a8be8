/** How many connections may be open: in all, and for each domain. Who finds no place waits without holding anything. */

/** Of those who wait for a place, this many look again when one is free: their message may have gone another way meanwhile. */
const WOKEN = 2;

export class Lanes {
  readonly #total: number;
  readonly #perLane: number;
  readonly #open = new Map<string, number>();
  /** Who waits, by lane, oldest first; the empty name: for any place at all. */
  readonly #waiting = new Map<string, Set<string>>();
  readonly #waits = new Set<string>();
  #count = 0;

  constructor(options: { readonly total: number; readonly perLane: number }) {
    this.#total = options.total;
    this.#perLane = options.perLane;
  }

  get open(): number {
    return this.#count;
  }

  /** A place, to be given back with {@link leave}. `most` replaces the limit of a lane. */
  enter(lane: string, most = this.#perLane): boolean {
    const open = this.#open.get(lane) ?? 0;
    if (this.#count >= this.#total || open >= most) return false;
    this.#open.set(lane, open + 1);
    this.#count += 1;
    return true;
  }

  leave(lane: string): void {
    const open = (this.#open.get(lane) ?? 0) - 1;
    if (open > 0) this.#open.set(lane, open);
    else this.#open.delete(lane);
    this.#count -= 1;
    for (const name of [lane, '']) {
      const set = this.#waiting.get(name);
      if (set === undefined) continue;
      let left = WOKEN;
      for (const id of set) {
        set.delete(id);
        this.#waits.delete(id);
        left -= 1;
        if (left === 0) break;
      }
      if (set.size === 0) this.#waiting.delete(name);
    }
  }

  /** The message found no place in `lane`. */
  wait(id: string, lane: string): void {
    if (this.#waits.has(id)) return;
    const name = this.#count >= this.#total ? '' : lane;
    const set = this.#waiting.get(name) ?? new Set();
    set.add(id);
    this.#waiting.set(name, set);
    this.#waits.add(id);
  }
  isWaiting(id: string): boolean {
    return this.#waits.has(id);
  }
}
