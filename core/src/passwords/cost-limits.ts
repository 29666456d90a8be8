/**
 * Imported hashes may ask for any work; more than this for one login is an attack or a mistake, and the stored value is invalid. Each is
 * well above what any known software writes, and keeps one check within seconds of one hashing thread.
 */
export const costLimits = {
  /** 1 GiB. */
  argon2MemoryKib: 1_048_576,
  /** Memory times passes. */
  argon2WorkKib: 4_194_304,
  argon2Parallelism: 64,
  /** log2 of the rounds; PHP and htpasswd write 10 to 12. */
  bcryptCost: 15,
  /** passlib writes 656,000. */
  shaCryptRounds: 1_000_000,
  /** Django 6 writes 1,200,000. */
  pbkdf2Iterations: 5_000_000,
  /** Dovecot writes 4096. */
  scramIterations: 5_000_000,
  /** log2 of the rounds; WordPress writes 13, others up to 16. */
  phpassCost: 20,
} as const;
