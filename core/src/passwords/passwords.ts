import { randomBytes } from 'node:crypto';

import { type Argon2Parameters, argon2Hash, parseArgon2 } from './argon2-scheme.ts';
import type { HashJob } from './hash-job.ts';
import { HashThreads } from './hash-threads.ts';
import { PasswordError } from './password-error.ts';
import type { PasswordScheme } from './scheme.ts';
import { coreSchemes, SchemeRegistry } from './scheme-registry.ts';

const SALT_OCTETS = 16;
/** Longer secrets are wrong without being looked at; RFC 4616 and RFC 8265 set no limit, memory does. */
const MAX_SECRET_OCTETS = 4096;

export interface PasswordsOptions {
  /** Of new hashes; older ones with less are told by `needsRehash`. */
  readonly argon2: Argon2Parameters;
  readonly threads: number;
  readonly queue: number;
  readonly allowWeakSchemes: boolean;
  /** In place of `coreSchemes`. */
  readonly schemes?: readonly PasswordScheme[];
}

export type PasswordVerdict = 'match' | 'mismatch';

/** Checks stored passwords of any known scheme and hashes new ones with Argon2id, all slow work in threads of its own. */
export class Passwords {
  readonly #options: PasswordsOptions;
  readonly #registry: SchemeRegistry;
  readonly #threads: HashThreads;

  constructor(options: PasswordsOptions) {
    this.#options = options;
    this.#registry = new SchemeRegistry(options.schemes ?? coreSchemes);
    this.#threads = new HashThreads(options);
  }

  /**
   * `stored` is `undefined` when there is no such user: that takes as long as a wrong password and is a mismatch.
   * `secret` stays the caller's, who wipes it.
   * @throws PasswordError when it cannot be told, which is never "wrong password"; the reason of `signal`
   */
  async verify(secret: Uint8Array, stored: string | undefined, signal: AbortSignal): Promise<PasswordVerdict> {
    if (stored === undefined || secret.length > MAX_SECRET_OCTETS) {
      await this.#hash(secret.subarray(0, MAX_SECRET_OCTETS), signal);
      return 'mismatch';
    }
    const { scheme, stored: parsed } = this.#registry.parse(stored);
    if (scheme.strength === 'weak' && !this.#options.allowWeakSchemes) {
      throw new PasswordError('weak-scheme', `password scheme ${parsed.name} is not allowed (passwords.allowWeakSchemes)`);
    }
    if (scheme.runs === 'inline') return scheme.check(secret, parsed) ? 'match' : 'mismatch';
    const job: HashJob = { kind: 'check', secret: copyOf(secret), module: scheme.runs.href, stored: parsed };
    const answer = await this.#threads.run(job, signal);
    if (answer.kind === 'failed') throw new PasswordError(answer.code, answer.message);
    return answer.kind === 'checked' && answer.isMatch ? 'match' : 'mismatch';
  }

  /** @throws PasswordError; the reason of `signal` */
  async hash(secret: Uint8Array, signal: AbortSignal): Promise<string> {
    if (secret.length > MAX_SECRET_OCTETS) throw new RangeError(`a password has at most ${MAX_SECRET_OCTETS} octets`);
    return this.#hash(secret, signal);
  }

  /** @throws PasswordError `invalid-stored`, `weak-scheme`: for imports, so that what can never match is refused at once */
  requireUsable(stored: string): void {
    const { scheme, stored: parsed } = this.#registry.parse(stored);
    if (scheme.strength === 'weak' && !this.#options.allowWeakSchemes) {
      throw new PasswordError('weak-scheme', `password scheme ${parsed.name} is not allowed (passwords.allowWeakSchemes)`);
    }
    scheme.validate?.(parsed);
  }

  /** Another scheme than Argon2id, or less work than is configured: hash again when the secret is next at hand. */
  needsRehash(stored: string): boolean {
    const { stored: parsed } = this.#registry.parse(stored);
    if (parsed.name !== 'ARGON2ID') return true;
    const { memoryKib, passes, parallelism, hash, salt } = parseArgon2(parsed.name, parsed.encoded);
    const { argon2 } = this.#options;
    const isWeaker = memoryKib * passes < argon2.memoryKib * argon2.passes || memoryKib < argon2.memoryKib;
    return isWeaker || parallelism !== argon2.parallelism || hash.length < 32 || salt.length < SALT_OCTETS;
  }

  async close(): Promise<void> {
    await this.#threads.close();
  }

  async #hash(secret: Uint8Array, signal: AbortSignal): Promise<string> {
    const salt = copyOf(randomBytes(SALT_OCTETS));
    const answer = await this.#threads.run({ kind: 'hash', secret: copyOf(secret), salt, parameters: this.#options.argon2 }, signal);
    if (answer.kind === 'failed') throw new PasswordError(answer.code, answer.message);
    if (answer.kind !== 'hashed') throw new PasswordError('unavailable', 'a hashing thread answered something else');
    return answer.stored;
  }
}

/** In memory of its own, which can be transferred without taking neighbours along. */
function copyOf(octets: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(new ArrayBuffer(octets.length));
  copy.set(octets);
  return copy;
}

/** For bulk tools that have a process to themselves; blocks the calling thread. */
export function hashNow(secret: Uint8Array, parameters: Argon2Parameters): string {
  return argon2Hash(secret, randomBytes(SALT_OCTETS), parameters);
}
