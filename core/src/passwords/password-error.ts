/**
 * Why a password could be neither confirmed nor refused. None of them means "wrong password".
 * - `unavailable`: too many checks are waiting, or a hashing thread died; try again later
 * - `invalid-stored`: what is stored cannot be read, has an unknown scheme, or asks for absurd work
 * - `weak-scheme`: what is stored is of a scheme that the configuration does not allow
 * - `closed`: the server goes down
 */
export type PasswordErrorCode = 'unavailable' | 'invalid-stored' | 'weak-scheme' | 'closed';

/** Messages name the scheme, never the stored value. */
export class PasswordError extends Error {
  override readonly name = 'PasswordError';
  readonly code: PasswordErrorCode;

  constructor(code: PasswordErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
