/** What the `auth` and `session` hooks are asked, and what they answer. */
import type { AccountSeed } from './accounts.ts';
import type { Session } from './actor.ts';
import type { brand } from './brand.ts';
import type { SecretHandle } from './secret.ts';
import type { Protocol } from './values.ts';

export interface LoginAttempt<S extends SecretHandle = SecretHandle> {
  readonly username: string;
  readonly mechanism: 'PLAIN' | 'LOGIN' | 'OAUTHBEARER' | 'XOAUTH2' | 'HTTP';
  readonly secret: S;
  readonly protocol: Protocol;
  readonly remoteAddress: string;
}

export type LoginVerdict =
  | { readonly result: 'accept'; readonly account: AccountSeed }
  | { readonly result: 'reject'; readonly reason: 'credentials' | 'disabled' | 'policy' };

/** A login that has just been accepted: the only thing to which a session secret can be attached. */
export interface Login<S extends SecretHandle = SecretHandle> {
  readonly [brand]: 'Login';
  readonly credentialId: string; // 'password', or the id of an app password or token
  readonly secret: S | undefined; // none with SCRAM or EXTERNAL
  readonly session: Session;
  readonly first: boolean; // the account was created by this login
  readonly commit: Commit;
}

export interface LoginFailure {
  readonly username: string;
  readonly mechanism: string;
  readonly reason: 'credentials' | 'disabled' | 'policy' | 'unknown' | 'unavailable';
}

export interface MechanismRequest {
  readonly mechanism: string;
  readonly username: string;
}

export type CredentialChange<S extends SecretHandle = SecretHandle> = {
  readonly credentialId: string;
  readonly commit: Commit;
} & (
  | { readonly change: 'created'; readonly secret: S } // app password, token, recovery code
  | { readonly change: 'changed'; readonly former: S; readonly secret: S } // by the user, who knew the former one
  | { readonly change: 'reset'; readonly secret: S; readonly consent: 'keep' | 'destroy-keys' } // by an administrator, who did not
  | { readonly change: 'revoked' }
);

/**
 * The store's commit that is being prepared. `Table.put(..., { in: commit })` lands in it or not at all.
 * When another writer was first the gate is called again, so compute from what the tables say now.
 */
export interface Commit {
  readonly [brand]: 'Commit';
}

export interface SessionEnd {
  readonly durationMs: number;
  readonly reason: 'logout' | 'closed' | 'idle' | 'revoked' | 'drain';
}
