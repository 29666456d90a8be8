/** What the gates before changes and reads of a mailbox are asked: `append`, `store`, `copy`, `expunge`, `mailbox`, `quota`, `fetch`. */
import type { ExpungeCause } from './journal-events.ts';
import type { Message } from './message.ts';
import type { Flag, MailboxRef, MessageRef, Origin, UidRanges } from './values.ts';

export interface AppendRequest {
  readonly mailbox: MailboxRef;
  readonly sizeOctets: number;
}

export interface MatchQuestion {
  readonly mailbox: MailboxRef;
  readonly flags: readonly Flag[];
}

export interface MatchPolicy {
  readonly sameWithinMs: number;
}

export interface StoreRequest<M = Message> {
  readonly mailbox: MailboxRef;
  readonly sizeOctets: number;
  readonly origin: Origin;
  readonly message: M;
}

export interface CopyRequest {
  readonly as: 'copy' | 'move';
  readonly source: MailboxRef;
  readonly uids: UidRanges;
  readonly target: MailboxRef;
}

export interface ExpungeRequest {
  readonly messages: readonly MessageRef[];
  readonly cause: ExpungeCause;
  keep(messages: readonly MessageRef[], publicText: string): void; // the others go
}

export type MailboxChange =
  | { readonly change: 'create' | 'delete' | 'subscribe' | 'unsubscribe'; readonly name: string }
  | { readonly change: 'rename'; readonly name: string; readonly newName: string };

export interface QuotaQuestion {
  readonly origin: Origin | 'status';
}

export interface QuotaLimits {
  readonly octets?: number | 'unlimited'; // the account's own or the server's default when absent
  readonly messages?: number;
  readonly mailboxes?: number;
}

export interface FetchRequest {
  readonly mailbox: MailboxRef;
  readonly uids: UidRanges;
  readonly wants: 'metadata' | 'content';
}
