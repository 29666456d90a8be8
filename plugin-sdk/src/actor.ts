/** Who acts, and through which connection. */
import type { brand } from './brand.ts';
import type { AccountId, Protocol } from './values.ts';

/** Who acts. Only the core makes one, so being able to name an actor is not being able to be one. */
export interface Actor {
  readonly [brand]: 'Actor';
  readonly type: 'user' | 'admin' | 'delivery' | 'plugin' | 'system';
  readonly name: string;
  readonly accountId: AccountId | undefined; // the acting account, not the owner of the mail
}

export interface Session {
  readonly [brand]: 'Session';
  readonly id: string;
  readonly protocol: Protocol;
  readonly listener: string;
  readonly remoteAddress: string;
}
