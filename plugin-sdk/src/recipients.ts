/** What the `rcpt` hooks are asked, and what they answer. */
import type { AccountSeed } from './accounts.ts';
import type { Call } from './calls.ts';

export interface RcptQuestion {
  readonly address: string;
  readonly reversePath: string;
}

export type RcptAnswer =
  | { readonly result: 'deliver'; readonly account: AccountSeed }
  | { readonly result: 'alias'; readonly to: readonly string[] } // resolved again, loops found by the core
  | { readonly result: 'reject'; readonly reason: 'unknown' | 'disabled' | 'policy' };

export interface ExpandCall extends Call {
  readonly address: string;
}

export interface RcptRequest extends RcptQuestion {
  readonly declaredOctets: number | undefined;
}
