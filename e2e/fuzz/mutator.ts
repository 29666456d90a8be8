/** Octets that are almost right: seeds changed in the ways that break parsers. The same dice give the same octets. */
import type { Dice } from '../support/sample-mail.ts';

const MAX_OCTETS = 20_000;
const EDGES = [0x00, 0x0a, 0x0d, 0x20, 0x22, 0x28, 0x29, 0x2a, 0x5c, 0x7b, 0x7d, 0x7f, 0x80, 0xc3, 0xff];

export class Mutator {
  readonly #seeds: readonly Buffer[];
  readonly #words: readonly Buffer[];
  readonly #dice: Dice;

  constructor(seeds: readonly string[], words: readonly string[], dice: Dice) {
    this.#seeds = seeds.map((text) => Buffer.from(text, 'latin1'));
    this.#words = words.map((text) => Buffer.from(text, 'latin1'));
    this.#dice = dice;
  }

  next(): Buffer {
    const dice = this.#dice;
    let octets: Buffer = dice.pick(this.#seeds);
    for (let changes = dice.between(1, 6); changes > 0; changes -= 1) octets = this.#changed(octets);
    return octets.subarray(0, MAX_OCTETS);
  }

  #changed(octets: Buffer): Buffer {
    const dice = this.#dice;
    const at = dice.between(0, octets.length);
    const to = Math.min(octets.length, at + dice.between(1, 40));
    switch (dice.between(0, 8)) {
      case 0:
        return spliced(octets, at, Math.min(octets.length, at + 1), Buffer.of(dice.pick(EDGES)));
      case 1:
        return spliced(octets, at, Math.min(octets.length, at + 1), Buffer.of(dice.between(0, 255)));
      case 2:
        return spliced(octets, at, to, Buffer.alloc(0));
      case 3: {
        const piece = octets.subarray(at, to);
        return spliced(octets, at, at, Buffer.concat(Array.from({ length: dice.between(1, 80) }, () => piece)));
      }
      case 4: {
        const other = dice.pick(this.#seeds);
        const start = dice.between(0, other.length);
        return spliced(octets, at, to, other.subarray(start, start + dice.between(1, 200)));
      }
      case 5:
        return Buffer.from(octets.subarray(0, at));
      default: {
        const word = dice.pick(this.#words);
        const times = dice.next() < 0.9 ? 1 : dice.between(2, 200);
        return spliced(octets, at, dice.next() < 0.5 ? at : to, Buffer.concat(Array.from({ length: times }, () => word)));
      }
    }
  }
}

function spliced(octets: Buffer, from: number, to: number, piece: Uint8Array): Buffer {
  return Buffer.concat([octets.subarray(0, from), piece, octets.subarray(to)]);
}
