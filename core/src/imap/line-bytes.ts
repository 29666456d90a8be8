/**
 * Lines of a long listing, written as octets: joining numbers to strings costs three times what their digits do. Holds one buffer, which
 * goes out when it is full.
 */
import type { Responder } from './responder.ts';

/** Below what an output would send as it is instead of copying it. */
const BUFFER_OCTETS = 15 * 1024;
/** Digits of a number. */
const NUMBER_OCTETS = 16;
const ZERO = 0x30;
/** Up to here `| 0` is division without a remainder. */
const MAX_INT32 = 0x7fffffff;

export class LineBytes {
  readonly #respond: Responder;
  readonly #octets = Buffer.allocUnsafeSlow(BUFFER_OCTETS);
  #used = 0;

  constructor(respond: Responder) {
    this.#respond = respond;
  }

  flush(): void {
    if (this.#used > 0) this.#respond.bytes(this.#octets.subarray(0, this.#used));
    this.#used = 0;
  }

  /** Latin1. */
  text(text: string): void {
    if (this.#used + text.length > BUFFER_OCTETS) {
      this.flush();
      if (text.length > BUFFER_OCTETS) {
        this.#respond.lines(text);
        return;
      }
    }
    const octets = this.#octets;
    const end = this.#used + text.length;
    for (let at = 0, to = this.#used; to < end; at++, to++) octets[to] = text.charCodeAt(at);
    this.#used = end;
  }

  /** A whole number from 0 to 2^53. */
  number(value: number): void {
    if (value > MAX_INT32) {
      this.text(String(value));
      return;
    }
    if (this.#used + NUMBER_OCTETS > BUFFER_OCTETS) this.flush();
    const octets = this.#octets;
    let digits = 1;
    for (let bound = 10; digits < 10 && value >= bound; bound *= 10) digits++;
    this.#used += digits;
    let rest = value;
    for (let at = this.#used - 1; digits > 0; digits--, at--) {
      const tens = (rest / 10) | 0;
      octets[at] = ZERO + rest - tens * 10;
      rest = tens;
    }
  }
}
