/** Memory of big messages that wait in the spool: blocks that are used again, as new ones would each bring the next full garbage collection nearer. */
import type { ByteRange, MessageSource, ReadOptions } from './services.ts';

const BLOCK_OCTETS = 64 * 1024;
/** Blocks that are kept for the next message: 16 MiB. */
const SPARE_BLOCKS = 256;
/** Octets that are handed out before others get their turn. */
const TURN_OCTETS = 1024 * 1024;

export class BlockPool {
  readonly #spare: Buffer[] = [];

  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK_OCTETS);
  }
  /** Nobody looks at them any more. */
  give(blocks: readonly Buffer[]): void {
    for (const block of blocks) if (this.#spare.length < SPARE_BLOCKS) this.#spare.push(block);
  }
}

/** Octets of one message, copied into blocks. */
export class HeldBlocks {
  readonly #pool: BlockPool;
  #blocks: Buffer[] = [];
  /** Octets of the last block. */
  #filled = BLOCK_OCTETS;

  constructor(pool: BlockPool) {
    this.#pool = pool;
  }

  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#filled === BLOCK_OCTETS) {
        this.#blocks.push(this.#pool.take());
        this.#filled = 0;
      }
      const count = Math.min(chunk.length - at, BLOCK_OCTETS - this.#filled);
      this.#blocks.at(-1)?.set(count === chunk.length ? chunk : chunk.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
    }
  }

  *octets(): Generator<Uint8Array> {
    for (const [n, block] of this.#blocks.entries()) yield n === this.#blocks.length - 1 ? block.subarray(0, this.#filled) : block;
  }

  /** Safe to call twice. */
  giveBack(): void {
    this.#pool.give(this.#blocks);
    this.#blocks = [];
    this.#filled = BLOCK_OCTETS;
  }

  /** What they hold, as a source that gives them back when it is disposed of. */
  source(sizeOctets: number, released: () => void): MessageSource {
    const blocks = this.#blocks;
    this.#blocks = [];
    return new BlocksSource(blocks, sizeOctets, this.#pool, released);
  }
}

class BlocksSource implements MessageSource {
  readonly sizeOctets: number;
  readonly bytes = undefined;
  #blocks: readonly Buffer[] | undefined;
  #readers = 0;
  readonly #pool: BlockPool;
  readonly #released: () => void;

  constructor(blocks: readonly Buffer[], sizeOctets: number, pool: BlockPool, released: () => void) {
    this.#blocks = blocks;
    this.sizeOctets = sizeOctets;
    this.#pool = pool;
    this.#released = released;
  }

  async *open(range?: ByteRange, options?: ReadOptions): AsyncGenerator<Uint8Array> {
    const end = Math.min(this.sizeOctets, range?.end ?? this.sizeOctets);
    let at = Math.max(0, range?.start ?? 0);
    if (at >= end) return;
    const blocks = this.#blocks;
    if (blocks === undefined) throw new Error('message source is disposed of');
    let sinceTurn = 0;
    this.#readers += 1;
    try {
      while (at < end) {
        const start = at % BLOCK_OCTETS;
        const octets = blocks[(at - start) / BLOCK_OCTETS]?.subarray(start, Math.min(BLOCK_OCTETS, start + end - at));
        if (octets === undefined) throw new Error('fewer octets are held than were received');
        yield options?.lends === true ? octets : Uint8Array.from(octets);
        at += octets.length;
        sinceTurn += octets.length;
        if (sinceTurn < TURN_OCTETS) continue;
        sinceTurn = 0;
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      this.#readers -= 1;
    }
  }

  async dispose(): Promise<void> {
    const blocks = this.#blocks;
    this.#blocks = undefined;
    if (blocks === undefined) return;
    this.#released();
    // Who reads still looks at them; they are then nobody's.
    if (this.#readers === 0) this.#pool.give(blocks);
  }
}
