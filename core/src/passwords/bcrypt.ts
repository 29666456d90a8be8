/**
 * bcrypt of octets (N. Provos and D. Mazières, "A Future-Adaptable Password Scheme", 1999). Packages of npm take text only: two passwords
 * that differ in octets that are not UTF-8 would be the same to them.
 */

const HASH_OCTETS = 23; // of 24: the last was forgotten once, and is by all since
const P_WORDS = 18;
const S_WORDS = 1024;

/** "OrpheanBeholderScryDoubt" */
const plainText = [0x4f727068, 0x65616e42, 0x65686f6c, 0x64657253, 0x63727944, 0x6f756274];

interface Cipher {
  readonly p: Int32Array;
  /** Four boxes of 256. */
  readonly s: Int32Array;
  /** The block in work. */
  readonly block: Int32Array;
}

/** The 23 octets for a key of at most 72 octets without NUL, a salt of 16 octets, and 2^`cost` rounds. */
export function bcrypt(key: Uint8Array, salt: Uint8Array, cost: number): Buffer {
  const keyWords = cyclicWords(Buffer.concat([key, Uint8Array.of(0)]), P_WORDS);
  const saltWords = cyclicWords(salt, 4);
  const { p, s } = (initial ??= initialTables());
  const cipher = { p: p.slice(), s: s.slice(), block: new Int32Array(2) };
  const noWords = new Int32Array(4);

  expandKey(cipher, keyWords, saltWords);
  const longSalt = cyclicWords(salt, P_WORDS);
  for (let round = 2 ** cost; round > 0; round--) {
    expandKey(cipher, keyWords, noWords);
    expandKey(cipher, longSalt, noWords);
  }

  const out = Buffer.alloc(24);
  const { block } = cipher;
  for (let at = 0; at < 6; at += 2) {
    block[0] = plainText[at] ?? 0;
    block[1] = plainText[at + 1] ?? 0;
    for (let times = 0; times < 64; times++) encipher(cipher);
    out.writeInt32BE(block[0] ?? 0, at * 4);
    out.writeInt32BE(block[1] ?? 0, at * 4 + 4);
  }
  keyWords.fill(0);
  cipher.p.fill(0);
  cipher.s.fill(0);
  return out.subarray(0, HASH_OCTETS);
}

function cyclicWords(octets: Uint8Array, count: number): Int32Array {
  const words = new Int32Array(count);
  for (let at = 0; at < count * 4; at++) words[at >> 2] = ((words[at >> 2] ?? 0) << 8) | (octets[at % octets.length] ?? 0);
  return words;
}

function expandKey(cipher: Cipher, key: Int32Array, salt: Int32Array): void {
  const { p, s, block } = cipher;
  for (let at = 0; at < P_WORDS; at++) p[at] = (p[at] ?? 0) ^ (key[at] ?? 0);
  block.fill(0);
  fillTable(cipher, p, salt, 0);
  fillTable(cipher, s, salt, 2); // the salt goes on where P ended
}

function fillTable(cipher: Cipher, table: Int32Array, salt: Int32Array, saltAt: number): void {
  const { block } = cipher;
  for (let at = 0; at < table.length; at += 2) {
    block[0] = (block[0] ?? 0) ^ (salt[(at + saltAt) & 3] ?? 0);
    block[1] = (block[1] ?? 0) ^ (salt[((at + saltAt) & 3) + 1] ?? 0);
    encipher(cipher);
    table[at] = block[0] ?? 0;
    table[at + 1] = block[1] ?? 0;
  }
}

/** Blowfish, the inner loop: the casts say what the compiler cannot see, that every index is within its table. */
function encipher({ p, s, block }: Cipher): void {
  let left = (block[0] as number) ^ (p[0] as number);
  let right = block[1] as number;
  for (let round = 1; round < 17; round += 2) {
    right ^= feistel(s, left) ^ (p[round] as number);
    left ^= feistel(s, right) ^ (p[round + 1] as number);
  }
  block[0] = right ^ (p[17] as number);
  block[1] = left;
}

function feistel(s: Int32Array, half: number): number {
  const sum = ((s[half >>> 24] as number) + (s[256 + ((half >>> 16) & 255)] as number)) | 0;
  return ((sum ^ (s[512 + ((half >>> 8) & 255)] as number)) + (s[768 + (half & 255)] as number)) | 0;
}

/** A constant, made when it is first needed. */
let initial: Pick<Cipher, 'p' | 's'> | undefined;

/** Blowfish begins with the fraction of pi; 33 thousand bits of it by Machin's formula take some 20 ms, once in a thread. */
function initialTables(): Pick<Cipher, 'p' | 's'> {
  const bits = (P_WORDS + S_WORDS) * 32;
  const guard = 64;
  const one = 1n << BigInt(bits + guard);
  const pi = 4n * (4n * arctanOfInverse(5n, one) - arctanOfInverse(239n, one));
  const fraction = (pi - 3n * one) >> BigInt(guard);
  const octets = Buffer.from(fraction.toString(16).padStart(bits / 4, '0'), 'hex');
  return { p: cyclicWords(octets, P_WORDS), s: cyclicWords(octets.subarray(P_WORDS * 4), S_WORDS) };
}

function arctanOfInverse(x: bigint, one: bigint): bigint {
  let [power, sum] = [one / x, 0n];
  for (let divisor = 1n, sign = 1n; power !== 0n; divisor += 2n, sign = -sign, power /= x * x) sum += (sign * power) / divisor;
  return sum;
}
