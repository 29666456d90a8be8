/**
 * Ids of contents: 16 bits of the day on which the id was given out, 32 bits counted within the day, in blocks that instances take from
 * the database. So an id is given out once in the whole store, and what no entry ever named is found by its day, without an index.
 */
import { type AccountId, type ContentId, StoreUnavailable } from '../store.ts';
import type { Collections } from './schema.ts';

const DAY_MS = 86_400_000;
/** 2020-01-01: day 0. Smaller ids come from a store that counts from 1. */
const EPOCH_MS = 1_577_836_800_000;
const PER_DAY = 2 ** 32;
const BLOCK = 4_096;

export function dayOf(ms: number): number {
  return Math.min(65_535, Math.max(1, Math.floor((ms - EPOCH_MS) / DAY_MS)));
}
export function firstIdOf(day: number): ContentId {
  return (day * PER_DAY) as ContentId;
}

interface Block {
  readonly day: number;
  next: number;
  readonly end: number;
}

export class ContentIds {
  readonly #counters: Collections['counters'];
  readonly #now: () => number;
  #block: Block;
  #following: Block | undefined;
  #fetching: Promise<void> | undefined;

  private constructor(counters: Collections['counters'], now: () => number, block: Block) {
    this.#counters = counters;
    this.#now = now;
    this.#block = block;
  }
  static async open(counters: Collections['counters'], now: () => number): Promise<ContentIds> {
    return new ContentIds(counters, now, await takeBlock(counters, now()));
  }

  /** @throws StoreUnavailable when ids are used faster than the database gives them out */
  next(_account: AccountId): ContentId {
    const following = this.#following;
    if (following !== undefined && (this.#block.next >= this.#block.end || following.day > this.#block.day)) {
      this.#block = following;
      this.#following = undefined;
    }
    const block = this.#block;
    if (this.#following === undefined && (block.end - block.next < BLOCK / 2 || block.day !== dayOf(this.#now()))) this.#fetch();
    if (block.next >= block.end) throw new StoreUnavailable('no ids of contents are left until the database answers');
    return block.next++ as ContentId;
  }
  #fetch(): void {
    this.#fetching ??= takeBlock(this.#counters, this.#now()).then(
      (block) => {
        this.#following = block;
        this.#fetching = undefined;
      },
      () => {
        this.#fetching = undefined; // the next id tries again
      },
    );
  }
  async settled(): Promise<void> {
    await this.#fetching;
  }
}

async function takeBlock(counters: Collections['counters'], now: number): Promise<Block> {
  const day = dayOf(now);
  const end = await counters.increment(`content/${day}`, 'n', BLOCK);
  if (end > PER_DAY) throw new StoreUnavailable('no ids of contents are left today');
  return { day, next: day * PER_DAY + end - BLOCK, end: day * PER_DAY + end };
}

/** Ids up to `id` were given out by another store: none of them is given out again. */
export async function passId(counters: Collections['counters'], id: number): Promise<void> {
  const day = Math.floor(id / PER_DAY);
  if (day < 1) return;
  await counters.put([{ _id: `content/${day}`, n: (id % PER_DAY) + 1 }], 'n');
}
