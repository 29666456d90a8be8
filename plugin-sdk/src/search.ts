/** What the `search` and `index` hooks are asked, and what they answer. */
import type { AccountCall } from './calls.ts';
import type { Message } from './message.ts';
import type { Flag, MailboxRef, ModSeq, Uid, UidRanges } from './values.ts';

export type SearchQuery =
  | { readonly op: 'all' }
  | { readonly op: 'and' | 'or'; readonly of: readonly SearchQuery[] }
  | { readonly op: 'not' | 'fuzzy'; readonly of: SearchQuery }
  | { readonly op: 'text' | 'body' | 'subject' | 'from' | 'to' | 'cc' | 'bcc'; readonly contains: string }
  | { readonly op: 'header'; readonly name: string; readonly contains: string }
  | { readonly op: 'flag'; readonly flag: Flag }
  | { readonly op: 'uid'; readonly in: UidRanges }
  | { readonly op: 'size'; readonly above?: number; readonly below?: number }
  | { readonly op: 'date'; readonly field: 'internal' | 'sent' | 'saved'; readonly from?: Date; readonly before?: Date }
  | { readonly op: 'modSeq'; readonly atLeast: ModSeq }
  | { readonly op: 'emailId' | 'threadId'; readonly is: string };

export interface SearchCall extends AccountCall {
  readonly mailboxes: readonly MailboxRef[];
}

export interface SearchQuestion {
  readonly query: SearchQuery;
  readonly mailbox: MailboxRef;
}

/** `exact: false`: a superset, which the core verifies. Whatever came after `upTo` the core searches itself. */
export interface SearchAnswer {
  readonly uids: readonly Uid[];
  readonly exact: boolean;
  readonly upTo: ModSeq;
}

export interface IndexDocument {
  readonly message: Message;
  readonly fields: Readonly<Record<string, string>>; // decoded, not yet folded
}
