import type { Argon2Parameters } from './argon2-scheme.ts';
import type { PasswordErrorCode } from './password-error.ts';
import type { StoredPassword } from './scheme.ts';

/** What a hashing thread is asked. `secret` is transferred, and wiped by the thread. */
export type HashJob =
  | { readonly kind: 'check'; readonly secret: Uint8Array<ArrayBuffer>; readonly module: string; readonly stored: StoredPassword }
  | {
      readonly kind: 'hash';
      readonly secret: Uint8Array<ArrayBuffer>;
      readonly salt: Uint8Array<ArrayBuffer>;
      readonly parameters: Argon2Parameters;
    };

export type HashAnswer =
  | { readonly kind: 'checked'; readonly isMatch: boolean }
  | { readonly kind: 'hashed'; readonly stored: string }
  | { readonly kind: 'failed'; readonly code: PasswordErrorCode; readonly message: string };
