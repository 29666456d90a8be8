/** A mailbox as a guest sees it: counters by his own \Seen, nothing of what is the owner's alone. Live, as the owner's is. */
import type { MailboxId, Seq } from '../../store/store.ts';
import type { MailboxInfo, Marks } from '../journal/account-mail.ts';
import { countUids } from '../journal/uid-runs.ts';

/** What a guest has seen, now; `shared`: \Seen is everybody's there. */
export type MarksNow = () => Marks | 'shared' | undefined;

const NO_USES: readonly string[] = [];

export class GuestInfo implements MailboxInfo {
  readonly #own: MailboxInfo;
  readonly #marks: MarksNow;
  readonly #hasVisibleChildren: () => boolean;

  constructor(own: MailboxInfo, marks: MarksNow, hasVisibleChildren: () => boolean) {
    this.#own = own;
    this.#marks = marks;
    this.#hasVisibleChildren = hasVisibleChildren;
  }

  get id(): MailboxId {
    return this.#own.id;
  }
  get name(): string {
    return this.#own.name;
  }
  get parent(): MailboxId | 0 {
    return this.#own.parent;
  }
  get selectable(): boolean {
    return this.#own.selectable;
  }
  /** The owner's Sent is not the guest's (RFC 6154 §2). */
  get specialUse(): readonly string[] {
    return NO_USES;
  }
  get uidValidity(): number {
    return this.#own.uidValidity;
  }
  get uidNext(): number {
    return this.#own.uidNext;
  }
  get highestModSeq(): Seq {
    const marks = this.#marks();
    const seq = typeof marks === 'object' ? marks.seq : 0;
    return Math.max(this.#own.highestModSeq, seq);
  }
  get messages(): number {
    return this.#own.messages;
  }
  get unseen(): number {
    const marks = this.#marks();
    if (marks === 'shared') return this.#own.unseen;
    return this.#own.messages - (marks === undefined ? 0 : countUids(marks.uids));
  }
  get deleted(): number {
    return this.#own.deleted;
  }
  get deletedOctets(): number {
    return this.#own.deletedOctets;
  }
  get octets(): number {
    return this.#own.octets;
  }
  get keywords(): readonly string[] {
    return this.#own.keywords;
  }
  /** \Recent is the owner's: nothing is recent to a guest. */
  get recentFrom(): number {
    return this.#own.uidNext;
  }
  get hasChildren(): boolean {
    return this.#own.hasChildren && this.#hasVisibleChildren();
  }
}
