/** What the `account` hooks are asked, and what they answer. */
import type { Commit } from './login.ts';
import type { SecretHandle } from './secret.ts';
import type { Protocol, SpecialUse } from './values.ts';

/** What an outside directory knows of an account. The core creates or updates the account from it, keyed by `username`. */
export interface AccountSeed {
  readonly username: string;
  readonly displayName?: string;
  readonly addresses?: readonly string[];
  readonly quotaOctets?: number | 'unlimited'; // the server's default when absent
  readonly allow?: readonly Protocol[]; // all when absent
}

export interface LookupQuestion {
  readonly username: string;
}

export interface AccountCreation<S extends SecretHandle = SecretHandle> {
  readonly seed: AccountSeed;
  readonly secret: S | undefined; // none when a directory vouches or an administrator gives no password yet
  readonly commit: Commit;
}

export interface MailboxPlan {
  readonly name: string;
  readonly specialUse?: SpecialUse;
}
