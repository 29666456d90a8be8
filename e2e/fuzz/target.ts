import type { Dice } from '../support/sample-mail.ts';

/** Something that takes octets from strangers. */
export interface Target {
  readonly name: string;
  readonly seeds: readonly string[];
  /** Put in whole, and repeated when time is measured. */
  readonly words: readonly string[];
  /** The longest input that can reach it, in octets; time is measured up to here. */
  readonly mostOctets: number;
  /** @throws Error for whatever is not a declared outcome */
  run(octets: Buffer, dice: Dice): void | Promise<void>;
}

/** Cut anywhere. */
export function pieces(octets: Buffer, dice: Dice): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < octets.length; ) {
    const next = Math.min(octets.length, at + dice.between(1, dice.next() < 0.3 ? 3 : 400));
    found.push(octets.subarray(at, next));
    at = next;
  }
  return found;
}
