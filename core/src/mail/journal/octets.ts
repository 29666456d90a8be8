/** Variable-length integers and strings as the journal stores them. A reader never trusts a length: it is checked against what is left. */
import { StoreDamaged } from '../../store/store.ts';

const TWO_7 = 0x80;

export class OctetWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(expectedOctets = 256) {
    this.#buffer = Buffer.allocUnsafe(expectedOctets);
  }

  get length(): number {
    return this.#length;
  }

  octet(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  /** LEB128 of a whole number from 0 to 2^53-1. */
  varint(value: number): void {
    this.#reserve(8);
    let rest = value;
    while (rest >= 0x8000_0000) {
      this.#buffer[this.#length++] = (rest % TWO_7) + TWO_7;
      rest = Math.floor(rest / TWO_7);
    }
    while (rest >= TWO_7) {
      this.#buffer[this.#length++] = (rest & 0x7f) | TWO_7;
      rest >>>= 7;
    }
    this.#buffer[this.#length++] = rest;
  }

  /** Zigzag, so that small negative numbers stay short. At most 2^52 in size. */
  signed(value: number): void {
    this.varint(value < 0 ? -value * 2 - 1 : value * 2);
  }

  /** UTF-8 behind its length. */
  text(value: string): void {
    const octets = Buffer.byteLength(value, 'utf8');
    this.varint(octets);
    this.#reserve(octets);
    this.#buffer.write(value, this.#length, octets, 'utf8');
    this.#length += octets;
  }

  octets(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  uint32(value: number): void {
    this.#reserve(4);
    this.#buffer.writeUInt32LE(value >>> 0, this.#length);
    this.#length += 4;
  }

  /** What was written so far; valid until the next write. */
  written(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** A copy in an ArrayBuffer of its own, which may be transferred to another thread. */
  done(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#buffer.subarray(0, this.#length));
  }

  #reserve(octets: number): void {
    if (this.#length + octets <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + octets));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }
}

/** @throws StoreDamaged from every method, when the octets end early or make no sense */
export class OctetReader {
  readonly #data: Uint8Array;
  #at: number;

  constructor(data: Uint8Array, from = 0) {
    this.#data = data;
    this.#at = from;
  }

  get left(): number {
    return this.#data.length - this.#at;
  }

  octet(): number {
    const value = this.#data[this.#at];
    if (value === undefined) throw new StoreDamaged('stored octets end early');
    this.#at++;
    return value;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let n = 0; n < 8; n++) {
      const octet = this.octet();
      value += (octet & 0x7f) * scale;
      if (octet < TWO_7) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= TWO_7;
    }
    throw new StoreDamaged('stored number is too large');
  }

  /** A number that must fit 32 bits, unsigned. */
  uint32Varint(): number {
    const value = this.varint();
    if (value > 0xffff_ffff) throw new StoreDamaged('stored number is above 32 bits');
    return value;
  }

  signed(): number {
    const value = this.varint();
    return value % 2 === 1 ? -((value + 1) / 2) : value / 2;
  }

  /** How many items follow, each of at least `octetsEach`: never more than what is left can hold. */
  count(octetsEach: number): number {
    const value = this.varint();
    if (value * octetsEach > this.left) throw new StoreDamaged('stored count is larger than its data');
    return value;
  }

  text(): string {
    const octets = this.count(1);
    const from = this.#at;
    this.#at += octets;
    return Buffer.from(this.#data.buffer, this.#data.byteOffset + from, octets).toString('utf8');
  }

  octets(length: number): Uint8Array {
    if (length > this.left) throw new StoreDamaged('stored octets end early');
    const from = this.#at;
    this.#at += length;
    return this.#data.subarray(from, this.#at);
  }

  end(): void {
    if (this.left !== 0) throw new StoreDamaged('octets behind the stored value');
  }
}
