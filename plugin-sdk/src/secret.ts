/** Passwords and tokens. */
import type { brand } from './brand.ts';
import type { Permission } from './permissions.ts';

/** A password or token. A handle for all; readable with `credentials`. Wiped when the tap returns, unless copied. */
export interface SecretHandle {
  readonly [brand]: 'Secret';
  readonly wiped: boolean;
}

export interface Secret extends SecretHandle {
  bytes(): Uint8Array; // a view, not a copy
  copy(): Secret; // the owner of a copy disposes of it
  [Symbol.dispose](): void;
}

/** Values are generic in what they carry (`Delivery<Message>`, `Login<Secret>`), so that a plugin's own functions can name them; only `Hooks` knows permissions. */
export type SecretFor<P extends Permission> = 'credentials' extends P ? Secret : SecretHandle;
