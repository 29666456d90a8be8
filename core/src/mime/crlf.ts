import { asBuffer } from './octets.ts';

const LF = 0x0a;
const CR = 0x0d;

/**
 * Streaming normaliser of line ends, used once, on ingest: an LF without CR before it becomes CRLF; bare CR and NUL stay. Octets that need
 * no change come back as the same Buffer. The result does not depend on how the message is cut.
 */
export class CrlfNormaliser {
  #lastWasCr = false;
  #changed = 0;

  /** Number of CRs added so far; 0 means that the message is stored as it was received. */
  get addedOctets(): number {
    return this.#changed;
  }

  /** The next octets, normalised. Keeps nothing back: there is no end to call. */
  push(chunk: Uint8Array): Buffer {
    const octets = asBuffer(chunk);
    if (octets.length === 0) return octets;
    let bare = this.#firstBareLf(octets, 0);
    this.#lastWasCr = octets[octets.length - 1] === CR;
    if (bare < 0) return octets;
    const positions: number[] = [];
    for (; bare >= 0; bare = nextBareLf(octets, bare + 1)) positions.push(bare);
    this.#changed += positions.length;
    const result = Buffer.allocUnsafe(octets.length + positions.length);
    let from = 0;
    let to = 0;
    for (const position of positions) {
      to += octets.copy(result, to, from, position);
      result[to++] = CR;
      from = position;
    }
    octets.copy(result, to, from);
    return result;
  }

  #firstBareLf(octets: Buffer, from: number): number {
    if (octets[from] === LF && !this.#lastWasCr) return from;
    return nextBareLf(octets, from + 1);
  }
}

/** First LF at or after `from` whose previous octet is no CR; `from` is at least 1. */
function nextBareLf(octets: Buffer, from: number): number {
  let lf = octets.indexOf(LF, from);
  while (lf >= 0 && octets[lf - 1] === CR) lf = octets.indexOf(LF, lf + 1);
  return lf;
}

/** Normalises a whole message; the same Buffer if nothing has to change. */
export function normaliseCrlf(octets: Uint8Array): Buffer {
  return new CrlfNormaliser().push(octets);
}
