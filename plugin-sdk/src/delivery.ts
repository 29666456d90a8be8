/** What the `delivery` hooks are asked, and what they answer. */
import type { AccountCall } from './calls.ts';
import type { Message } from './message.ts';
import type { Flag, SpecialUse } from './values.ts';

export interface Verdict {
  readonly source: string; // 'rspamd', 'clamav'
  readonly about: 'spam' | 'malware' | 'policy' | 'authentication';
  readonly action: 'accept' | 'junk' | 'reject' | 'defer';
  readonly score?: number;
  readonly reason?: string; // for the log and the reject text
}

/** One message on its way in, before it is split by recipient. */
export interface Delivery<M = Message> {
  readonly id: string;
  readonly origin: 'smtp' | 'lmtp' | 'api';
  readonly reversePath: string;
  readonly recipients: readonly string[];
  readonly sizeOctets: number;
  readonly message: M;
  with(message: Message): Delivery<M>;
}

export interface Routing {
  readonly mailbox: SpecialUse | { readonly name: string } | 'INBOX';
  readonly flags: readonly Flag[];
}

export interface RouteCall<M = Message> extends AccountCall {
  readonly delivery: Delivery<M>;
  readonly verdicts: readonly Verdict[];
}
