/**
 * What a journal entry can say (design/journal.md §2). Numbers, ids, mailbox and keyword names; never anything taken from a header or a
 * body, for any account. Every op is self-contained: redo reads nothing but the chunks that it writes.
 */
import type { AccountId, ContentId, MailboxId, Seq } from '../../store/store.ts';

/** Pairs lo,hi,lo,hi: ascending, disjoint, inclusive. */
export type UidRuns = Uint32Array;
/** Bits 0-4: \Seen \Answered \Flagged \Deleted \Draft. Bits 5-31: the mailbox's own keyword table, which only grows. Unsigned 32 bit. */
export type FlagBits = number;

export const SEEN = 1;
export const ANSWERED = 2;
export const FLAGGED = 4;
export const DELETED = 8;
export const DRAFT = 16;
/** Keywords a mailbox can hold: bits 5 to 31. */
export const MAX_KEYWORDS = 27;

/** One message instance, complete. `date` (INTERNALDATE) and `saved` (SAVEDATE) in seconds since 1970; `size` = RFC822.SIZE. */
export interface Placed {
  readonly uid: number;
  readonly content: ContentId;
  readonly size: number;
  readonly date: number;
  readonly saved: number;
  readonly flags: FlagBits;
}

export type Op =
  /** APPEND, delivery, COPY, near half of MOVE. `keys`: idempotency keys, one a message ('' = none), remembered a day (reducer ring of 256). */
  | {
      readonly op: 'add';
      readonly box: MailboxId;
      readonly messages: readonly Placed[];
      readonly keys?: readonly string[];
      readonly from?: MailboxId;
      readonly fromUids?: UidRuns;
      readonly moved?: boolean;
    }
  /** Exactly the UIDs that change. The counts say by how much the mailbox's counters rise or fall, so that they are reduced without its chunks. */
  | {
      readonly op: 'flag';
      readonly box: MailboxId;
      readonly uids: UidRuns;
      readonly set: FlagBits;
      readonly clear: FlagBits;
      readonly unseen: number;
      readonly deleted: number;
      readonly deletedOctets: number;
    }
  /** Per-user \Seen of a shared mailbox, in the owner's journal. */
  | { readonly op: 'seen'; readonly box: MailboxId; readonly who: AccountId; readonly uids: UidRuns; readonly seen: boolean }
  /** `contents` are those of the UIDs, in order; `octets` their sum of sizes; the counts: how many of them were unseen, carried \Deleted. */
  | {
      readonly op: 'gone';
      readonly box: MailboxId;
      readonly uids: UidRuns;
      readonly contents: readonly ContentId[];
      readonly octets: number;
      readonly unseen: number;
      readonly deleted: number;
      readonly deletedOctets: number;
      readonly cause: GoneCause;
    }
  /** Create (new id) or rename, move in the tree, make selectable again (known id). A rename moves the whole subtree: children hang on ids. */
  | {
      readonly op: 'box';
      readonly box: MailboxId;
      readonly parent: MailboxId | 0;
      readonly name: string;
      readonly uidValidity: number;
      readonly selectable: boolean;
      readonly specialUse: readonly string[];
    }
  /** Deletes a mailbox that has no messages (an earlier op of the same entry said so) and no children. */
  | { readonly op: 'unbox'; readonly box: MailboxId }
  /** Bit 5..31 of the mailbox's keyword table gets its name. */
  | { readonly op: 'keyword'; readonly box: MailboxId; readonly bit: number; readonly name: string }
  /** Subscriptions (`sub/<name>`), ACL, METADATA, intents: takes a seq and moves no mailbox's HIGHESTMODSEQ. `null` removes. */
  | { readonly op: 'note'; readonly name: string; readonly value: string | null }
  /**
   * What became of a submission for one of its recipients: news for those who read the journal, no state. `recipient` is empty for accounts
   * whose mail is sealed; `reply` is the code of the other side's reply, never its text.
   */
  | ({ readonly op: 'outcome' } & SubmissionOutcome);
export interface SubmissionOutcome {
  readonly submission: string;
  readonly recipient: string;
  readonly outcome: 'queued' | 'delivered' | 'deferred' | 'failed';
  readonly reply: string;
}
/** Name of the note that says what became of the account itself; its last word stays. */
export const ACCOUNT_NOTE = 'account';
export type AccountWord = 'updated' | 'suspended' | 'deleted';
export type GoneCause = 'expunge' | 'move' | 'replace' | 'mailbox-deleted' | 'account-deleted' | 'retention';

export interface Entry {
  readonly seq: Seq;
  /** 16 hex digits. */
  readonly token: string;
  /** ms since 1970. */
  readonly at: number;
  /** Who caused it: `imap`, `lmtp`, `smtp`, `api`, `plugin:<name>`..., and the actor: `<origin> <actor name>`. An observer does not hear its own. */
  readonly origin: string;
  readonly ops: readonly Op[];
}
