/** What a server keeps for SCRAM-SHA-256 (RFC 5802 §3, RFC 7677): enough to check a proof and to prove itself, not enough to log in elsewhere. */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

export interface ScramKeys {
  readonly salt: Buffer;
  readonly iterations: number;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** Clients pay for these at each login; RFC 7677 §4 asks for 4096 at least, and more where devices can. */
export const SCRAM_ITERATIONS = 100_000;
const MIN_ITERATIONS = 4_096;
const KEY_OCTETS = 32;
const SALT_OCTETS = 16;
const derive = promisify(pbkdf2);

function hmac(key: Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text, 'utf8').digest();
}

/** SASLprep as far as clients differ in it: spaces that are not ASCII, then NFKC (RFC 4013 §2). */
function prepared(secret: Uint8Array): Buffer {
  const text = Buffer.from(secret.buffer, secret.byteOffset, secret.length).toString('utf8');
  return Buffer.from(text.replaceAll(/\p{Zs}/gu, ' ').normalize('NFKC'), 'utf8');
}

/** In a thread of libuv. `secret` stays the caller's, who wipes it. */
export async function deriveScramKeys(
  secret: Uint8Array,
  salt: Buffer = randomBytes(SALT_OCTETS),
  iterations = SCRAM_ITERATIONS,
): Promise<ScramKeys> {
  const password = prepared(secret);
  const salted = await derive(password, salt, iterations, KEY_OCTETS, 'sha256');
  password.fill(0);
  const clientKey = hmac(salted, 'Client Key');
  const keys = { salt, iterations, storedKey: createHash('sha256').update(clientKey).digest(), serverKey: hmac(salted, 'Server Key') };
  salted.fill(0);
  clientKey.fill(0);
  return keys;
}

/** Keys of nobody, which no proof fits: always the same for a name, so that asking twice tells nothing. */
export function pretendedScramKeys(secret: Uint8Array, name: string): ScramKeys {
  return {
    salt: hmac(secret, `salt ${name}`).subarray(0, SALT_OCTETS),
    iterations: SCRAM_ITERATIONS,
    storedKey: hmac(secret, `stored ${name}`),
    serverKey: hmac(secret, `server ${name}`),
  };
}

/** The server's signature when the proof is right. */
export function checkScramProof(keys: ScramKeys, authMessage: string, proof: Uint8Array): Buffer | undefined {
  if (proof.length !== KEY_OCTETS) return undefined;
  const clientKey = hmac(keys.storedKey, authMessage);
  for (let at = 0; at < KEY_OCTETS; at++) clientKey[at] = (clientKey[at] ?? 0) ^ (proof[at] ?? 0);
  const isRight = timingSafeEqual(createHash('sha256').update(clientKey).digest(), keys.storedKey);
  clientKey.fill(0);
  return isRight ? hmac(keys.serverKey, authMessage) : undefined;
}

/** As it lies in a record. */
export function writeScramKeys({ salt, iterations, storedKey, serverKey }: ScramKeys): string {
  return [iterations, ...[salt, storedKey, serverKey].map((octets) => octets.toString('base64'))].join('$');
}

/** Undefined for anything that `writeScramKeys` did not make. */
export function readScramKeys(text: unknown): ScramKeys | undefined {
  if (typeof text !== 'string') return undefined;
  const [count, ...parts] = text.split('$');
  const [salt, storedKey, serverKey] = parts.map((part) => Buffer.from(part, 'base64'));
  const iterations = Number(count);
  if (salt === undefined || storedKey?.length !== KEY_OCTETS || serverKey?.length !== KEY_OCTETS) return undefined;
  if (!Number.isSafeInteger(iterations) || iterations < MIN_ITERATIONS) return undefined;
  return { salt, iterations, storedKey, serverKey };
}
