/**
 * MD4 (RFC 1320), which OpenSSL 3 no longer has, and MD5's state after one block (RFC 1321), which no library tells. For stored passwords
 * of old only.
 */
import { hash as digestOf } from 'node:crypto';

const BLOCK_OCTETS = 64;
const initial = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476] as const;

type State = [number, number, number, number];
type Compress = (state: State, words: Int32Array) => void;

interface Round {
  readonly mix: (b: number, c: number, d: number) => number;
  readonly shifts: readonly [number, number, number, number];
  /** Which word of the block a step takes. */
  readonly word: (step: number) => number;
}

const choose = (b: number, c: number, d: number) => (b & c) | (~b & d);
const parity = (b: number, c: number, d: number) => b ^ c ^ d;

const md4Order = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15];
const md4Rounds: readonly (Round & { readonly constant: number })[] = [
  { mix: choose, shifts: [3, 7, 11, 19], word: (step) => step, constant: 0 },
  {
    mix: (b, c, d) => (b & c) | (b & d) | (c & d),
    shifts: [3, 5, 9, 13],
    word: (step) => (step >> 2) + 4 * (step & 3),
    constant: 0x5a827999,
  },
  { mix: parity, shifts: [3, 9, 11, 15], word: (step) => md4Order[step] ?? 0, constant: 0x6ed9eba1 },
];
const md5Rounds: readonly Round[] = [
  { mix: choose, shifts: [7, 12, 17, 22], word: (step) => step },
  { mix: (b, c, d) => (b & d) | (c & ~d), shifts: [5, 9, 14, 20], word: (step) => (5 * step + 1) & 15 },
  { mix: parity, shifts: [4, 11, 16, 23], word: (step) => (3 * step + 5) & 15 },
  { mix: (b, c, d) => c ^ (b | ~d), shifts: [6, 10, 15, 21], word: (step) => (7 * step) & 15 },
];
const md5Constants = Int32Array.from({ length: 64 }, (_, step) => Math.floor(Math.abs(Math.sin(step + 1)) * 2 ** 32) | 0);

const compressMd4: Compress = (state, words) => {
  let [a, b, c, d] = state;
  for (const { mix, shifts, word, constant } of md4Rounds) {
    for (let step = 0; step < 16; step++) {
      const sum = (a + mix(b, c, d) + (words[word(step)] ?? 0) + constant) | 0;
      [a, b, c, d] = [d, rotate(sum, shifts[step & 3] ?? 0), b, c];
    }
  }
  addTo(state, a, b, c, d);
};

const compressMd5: Compress = (state, words) => {
  let [a, b, c, d] = state;
  for (const [round, { mix, shifts, word }] of md5Rounds.entries()) {
    for (let step = 0; step < 16; step++) {
      const sum = (a + mix(b, c, d) + (words[word(step)] ?? 0) + (md5Constants[round * 16 + step] ?? 0)) | 0;
      [a, b, c, d] = [d, (b + rotate(sum, shifts[step & 3] ?? 0)) | 0, b, c];
    }
  }
  addTo(state, a, b, c, d);
};

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

function addTo(state: State, a: number, b: number, c: number, d: number): void {
  state[0] = (state[0] + a) | 0;
  state[1] = (state[1] + b) | 0;
  state[2] = (state[2] + c) | 0;
  state[3] = (state[3] + d) | 0;
}

/** The state after whole blocks, 16 octets. */
function stateAfter(compress: Compress, message: Buffer): Buffer {
  const state: State = [...initial];
  const words = new Int32Array(16);
  for (let block = 0; block < message.length; block += BLOCK_OCTETS) {
    for (let at = 0; at < 16; at++) words[at] = message.readInt32LE(block + at * 4);
    compress(state, words);
  }
  words.fill(0);
  const out = Buffer.alloc(16);
  for (const [at, word] of state.entries()) out.writeInt32LE(word, at * 4);
  return out;
}

export function md4(octets: Uint8Array): Buffer {
  const padded = Buffer.alloc(Math.ceil((octets.length + 9) / BLOCK_OCTETS) * BLOCK_OCTETS);
  padded.set(octets);
  padded[octets.length] = 0x80;
  padded.writeBigUInt64LE(BigInt(octets.length) * 8n, padded.length - 8);
  return stateAfter(compressMd4, padded);
}

/** MD5's states after the outer and after the inner key block of HMAC (RFC 2104), 32 octets: what Dovecot keeps for CRAM-MD5. */
export function hmacMd5States(key: Uint8Array): Buffer {
  const short = key.length > BLOCK_OCTETS ? digestOf('md5', key, 'buffer') : key;
  const block = Buffer.alloc(BLOCK_OCTETS);
  block.set(short);
  return Buffer.concat([0x5c, 0x36].map((pad) => stateAfter(compressMd5, Buffer.from(block.map((octet) => octet ^ pad)))));
}
