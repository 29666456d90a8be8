import { asBuffer } from './octets.ts';

/** Decodes a body in pieces. `finish` gives what was held back; then the decoder is used up. */
export interface TransferDecoder {
  /** What was taken in and is not decided yet; a decoder that is given it goes on from there. At most some 1000 characters. */
  readonly held: string;
  push(chunk: Uint8Array): Buffer;
  finish(): Buffer;
}

const NOTHING = Buffer.alloc(0);

/** Whether BINARY (RFC 3516) can decode a Content-Transfer-Encoding; otherwise the answer is NO [UNKNOWN-CTE]. */
export function isKnownEncoding(encoding: string): boolean {
  return ['7bit', '8bit', 'binary', 'base64', 'quoted-printable'].includes(encoding.toLowerCase());
}

/** Decoder for a Content-Transfer-Encoding (any case); unknown ones pass octets through. `held`: of one that stopped where it begins. */
export function transferDecoder(encoding: string, held = ''): TransferDecoder {
  switch (encoding.toLowerCase()) {
    case 'base64':
      return new Base64Decoder(held);
    case 'quoted-printable':
      return new QuotedPrintableDecoder(held);
    default:
      return { held: '', push: asBuffer, finish: () => NOTHING };
  }
}

/** Decodes a whole body. */
export function decodeTransfer(octets: Uint8Array, encoding: string): Buffer {
  const decoder = transferDecoder(encoding);
  const body = decoder.push(octets);
  const rest = decoder.finish();
  return rest.length === 0 ? body : Buffer.concat([body, rest]);
}

/**
 * Tolerant base64 (RFC 2045 §6.8): characters outside the alphabet are ignored, padding ends a group wherever it stands, so that bodies
 * glued together decode too; a last group without padding counts.
 */
export class Base64Decoder implements TransferDecoder {
  #group: string;

  constructor(held = '') {
    this.#group = held;
  }

  get held(): string {
    return this.#group;
  }

  push(chunk: Uint8Array): Buffer {
    const text = asBuffer(chunk)
      .toString('latin1')
      .replaceAll(/[^A-Za-z0-9+/=]+/g, '');
    if (!text.includes('=')) return this.#decode(text);
    const pieces: Buffer[] = [];
    const groups = text.split(/=+/);
    for (const [index, characters] of groups.entries()) {
      pieces.push(this.#decode(characters));
      if (index < groups.length - 1) pieces.push(this.finish());
    }
    return Buffer.concat(pieces);
  }

  finish(): Buffer {
    const rest = Buffer.from(this.#group, 'base64');
    this.#group = '';
    return rest;
  }

  #decode(characters: string): Buffer {
    const all = this.#group + characters;
    const whole = all.length - (all.length % 4);
    this.#group = all.slice(whole);
    return Buffer.from(all.slice(0, whole), 'base64');
  }
}

/** White space that is held back to see whether a line ends after it; longer runs are text. */
const MAX_HELD_SPACE = 1_024;

const LF = 0x0a;
const CR = 0x0d;
const EQUALS = 0x3d;

/**
 * Tolerant quoted-printable (RFC 2045 §6.7): white space at the end of a line is dropped, `=` at the end of a line (white space may
 * follow) joins lines, an escape that is none stays as it is, lower case digits count.
 */
export class QuotedPrintableDecoder implements TransferDecoder {
  /** White space, or the start of an escape, that cannot be decided yet. */
  #held: string;

  constructor(held = '') {
    this.#held = held;
  }

  get held(): string {
    return this.#held;
  }

  push(chunk: Uint8Array): Buffer {
    const octets = this.#held === '' ? asBuffer(chunk) : Buffer.concat([Buffer.from(this.#held, 'latin1'), chunk]);
    this.#held = '';
    return this.#decode(octets, false);
  }

  finish(): Buffer {
    const rest = Buffer.from(this.#held, 'latin1');
    this.#held = '';
    return this.#decode(rest, true);
  }

  #decode(octets: Buffer, ended: boolean): Buffer {
    const result = Buffer.allocUnsafe(octets.length);
    const { length } = octets;
    let to = 0;
    let at = 0;
    while (at < length) {
      const octet = octets[at] ?? 0;
      if (octet === EQUALS) {
        const high = hexDigit(octets[at + 1]);
        const low = hexDigit(octets[at + 2]);
        if (high >= 0 && low >= 0) {
          result[to++] = high * 16 + low;
          at += 3;
          continue;
        }
        const next = afterSpace(octets, at + 1);
        const isUndecided = next === length || (octets[next] === CR && next + 1 === length) || (high >= 0 && at + 2 === length);
        if (isUndecided && !ended && next - at <= MAX_HELD_SPACE) {
          this.#held = octets.toString('latin1', at);
          break;
        }
        if (octets[next] === LF) at = next + 1;
        else if (octets[next] === CR && octets[next + 1] === LF) at = next + 2;
        else if (next === length && ended) at = length;
        else {
          result[to++] = octet;
          at++;
        }
      } else if (octet === 0x20 || octet === 0x09) {
        const next = afterSpace(octets, at);
        if (!ended && next - at <= MAX_HELD_SPACE && (next === length || (octets[next] === CR && next + 1 === length))) {
          this.#held = octets.toString('latin1', at);
          break;
        }
        const isLineEnd = next === length || octets[next] === LF || (octets[next] === CR && octets[next + 1] === LF);
        if (!isLineEnd || next - at > MAX_HELD_SPACE) to += octets.copy(result, to, at, next);
        at = next;
      } else {
        result[to++] = octet;
        at++;
      }
    }
    return result.subarray(0, to);
  }
}

function afterSpace(octets: Buffer, from: number): number {
  let at = from;
  const limit = from + MAX_HELD_SPACE + 1;
  while (at < limit && (octets[at] === 0x20 || octets[at] === 0x09)) at++;
  return at;
}

function hexDigit(octet: number | undefined): number {
  if (octet === undefined) return -1;
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  const letter = octet | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
