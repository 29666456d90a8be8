import { asBuffer } from './octets.ts';

const LF = 0x0a;
const CR = 0x0d;

/**
 * Streaming normaliser of line ends, used once, on ingest: an LF without CR before it becomes CRLF; bare CR and NUL stay. Octets that need
 * no change come back as the same Buffer. The result does not depend on how the message is cut.
 */
export class CrlfNormaliser {
  #lastWasCr = false;
  #added = 0;

  /** Number of CRs added so far; 0 means that the message is stored as it was received. */
  get addedOctets(): number {
    return this.#added;
  }

  /** The next octets, normalised. Keeps nothing back: there is no end to call. */
  push(chunk: Uint8Array): Buffer {
    const octets = asBuffer(chunk);
    if (octets.length === 0) return octets;
    const first = this.#firstBareLf(octets);
    this.#lastWasCr = octets[octets.length - 1] === CR;
    if (first < 0) return octets;
    // Counted first and copied then: a list of positions could be many times the message. Octet by octet: a call for each line end is slow
    // where nearly every octet is one.
    let count = 0;
    for (let at = first; at < octets.length; at++) if (isBareLf(octets, at, first)) count++;
    this.#added += count;
    const result = Buffer.allocUnsafe(octets.length + count);
    octets.copy(result, 0, 0, first);
    let to = first;
    for (let at = first; at < octets.length; at++) {
      if (isBareLf(octets, at, first)) result[to++] = CR;
      result[to++] = octets[at] ?? 0;
    }
    return result;
  }

  #firstBareLf(octets: Buffer): number {
    return octets[0] === LF && !this.#lastWasCr ? 0 : nextBareLf(octets, 1);
  }
}

/** `first` is a bare LF, also as the first octet. */
function isBareLf(octets: Buffer, at: number, first: number): boolean {
  return octets[at] === LF && (at === first || octets[at - 1] !== CR);
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
