/** What `journal.follow` is told: references, never content; at most 1000 messages each, more come in slices. */
import type { EmailId, Flag, MailboxRef, MessageRef, ModSeq, Origin, Uid } from './values.ts';

interface EventBase<Type extends string> {
  readonly type: Type;
  readonly id: string; // the same on every retry: use it as idempotency key
  readonly seq: ModSeq;
  readonly at: Date;
}

type Relocated<Type extends string> = EventBase<Type> & {
  readonly source: MailboxRef;
  readonly target: MailboxRef;
  readonly messages: readonly { readonly from: Uid; readonly to: MessageRef }[];
};

export type JournalEvent =
  | (EventBase<'message.stored'> & { readonly message: MessageRef; readonly flags: readonly Flag[]; readonly origin: Origin })
  | Relocated<'message.copied'>
  | Relocated<'message.moved'>
  | (EventBase<'message.flagged'> & {
      readonly messages: readonly MessageRef[];
      readonly added: readonly Flag[];
      readonly removed: readonly Flag[];
    })
  | (EventBase<'message.expunged'> & {
      readonly mailbox: MailboxRef;
      readonly uids: readonly Uid[];
      readonly gone: readonly EmailId[];
      readonly cause: ExpungeCause;
    }) // gone: no copy is left
  | (EventBase<'spam.feedback'> & {
      readonly messages: readonly MessageRef[];
      readonly judged: 'spam' | 'ham';
      readonly undo: boolean;
      readonly cause: 'move' | 'copy' | 'append' | 'keyword';
    })
  | (EventBase<'mailbox.created' | 'mailbox.deleted' | 'mailbox.subscribed' | 'mailbox.unsubscribed'> & {
      readonly mailbox: MailboxRef;
    })
  | (EventBase<'mailbox.renamed'> & { readonly mailbox: MailboxRef; readonly formerName: string }) // one event for the whole subtree
  | (EventBase<'account.created' | 'account.updated' | 'account.suspended' | 'account.deleted'> & { readonly username: string })
  | (EventBase<'quota.crossed'> & { readonly percent: number; readonly usedOctets: number })
  | (EventBase<'submission.outcome'> & {
      readonly submissionId: string;
      readonly recipient: string;
      readonly outcome: 'queued' | 'delivered' | 'deferred' | 'failed';
      readonly reply?: string;
    });

export type JournalEventType = JournalEvent['type'];
export type EventOf<Type extends JournalEventType> = JournalEvent extends infer E
  ? E extends { readonly type: infer T }
    ? Type & T extends never
      ? never
      : E & { readonly type: Type & T }
    : never
  : never;

export type ExpungeCause = 'expunge' | 'replace' | 'mailbox-deleted' | 'account-deleted' | 'retention';
