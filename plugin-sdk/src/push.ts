/** Notifications to subscribers. */
import type { Awaitable } from './brand.ts';
import type { AccountCall } from './calls.ts';
import type { JournalEvent } from './journal-events.ts';

export type PushEvent = JournalEvent & { readonly extra?: Readonly<Record<string, string>> };

export interface PushCall extends AccountCall {
  readonly channel: string;
}

export interface PushChannel {
  readonly name: string;
  deliver(event: PushEvent, target: string, call: AccountCall): Awaitable<void>;
}
