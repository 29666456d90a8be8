/** IMAP commands that a plugin adds. */
import type { Session } from './actor.ts';
import type { Awaitable } from './brand.ts';
import type { AccountCall } from './calls.ts';
import type { MailboxRef } from './values.ts';

export interface ImapCommand<Args> {
  readonly name: string;
  readonly capability?: string;
  readonly states: readonly ('not-authenticated' | 'authenticated' | 'selected')[];
  readonly args: ImapArgs<Args>; // what does not parse is answered BAD before `handle`
  handle(
    args: Args,
    call: Omit<AccountCall, 'session'> & {
      readonly session: Session;
      readonly selected: MailboxRef | undefined;
      untagged(name: string, ...values: readonly ImapValue[]): Promise<void>;
    },
  ): Awaitable<void>;
}

export type ImapValue = string | number | readonly ImapValue[]; // strings are quoted or sent as literals as needed

export interface ImapArgs<T> {
  read(values: readonly ImapValue[], offset: number): { readonly value: T; readonly next: number }; // throws SyntaxError
}
