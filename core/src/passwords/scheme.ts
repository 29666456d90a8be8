/** One way to store passwords. */
export interface PasswordScheme {
  /** Names within `{...}`, in capitals; the first is the proper one. */
  readonly names: readonly string[];
  /** What a bare value (no `{...}`) of this scheme begins with, e.g. `$argon2id$`. */
  readonly prefixes: readonly string[];
  /** What else a bare value of this scheme looks like. */
  readonly bareForm?: RegExp;
  /** Readable or reversible by whoever reads the store: only with `allowWeakSchemes`. */
  readonly strength: 'normal' | 'weak';
  /**
   * `inline`: microseconds, checked on the protocol thread by `check`. Otherwise the URL of a module whose export `check` is called in a
   * hashing thread; scheme modules import nothing that holds state.
   */
  readonly runs: 'inline' | URL;
  readonly check: SchemeCheck;
  /** @throws PasswordError `invalid-stored` where `check` would, without its work */
  readonly validate?: (stored: StoredPassword) => unknown;
}

/**
 * Compares in constant time. `encoded` is what follows `{NAME}`, without an encoding suffix; `name` is in capitals.
 * @throws PasswordError `invalid-stored` if `encoded` cannot be read
 */
export type SchemeCheck = (secret: Uint8Array, stored: StoredPassword) => boolean;

/** A stored password taken apart: `{SSHA256.HEX}0f...` is name `SSHA256`, encoding `HEX`, encoded `0f...`. */
export interface StoredPassword {
  readonly name: string;
  readonly encoding: 'HEX' | 'B64' | undefined;
  readonly encoded: string;
}
