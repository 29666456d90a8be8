/**
 * The heart's public face: one account's mail at the head of its journal. What protocols and services call; implemented once, over
 * every Store (account-queue, reducer). No hooks here: services (mail/mailboxes, mail/delivery) call them before they submit.
 */
import type { AccountId, ContentId, MailboxId, NewContent, RecordWrite, Seq } from '../../store/store.ts';
import type { Guest, RightSet } from './acl.ts';
import type { AccountWord, Entry, FlagBits, GoneCause, SubmissionOutcome, UidRuns } from './entry.ts';
import type { ChangedRuns } from './seen-marks.ts';

/** A mailbox at the head. The object is live: the reducer changes it in place; read it when you need it, do not keep its values. */
export interface MailboxInfo {
  readonly id: MailboxId;
  /** Full name, Unicode NFC, '/' between levels; INBOX in capitals. */
  readonly name: string;
  readonly parent: MailboxId | 0;
  /** False for a name that only has children (\Noselect). */
  readonly selectable: boolean;
  readonly specialUse: readonly string[];
  readonly uidValidity: number;
  readonly uidNext: number;
  /** The last entry that changed this mailbox's messages (or created it); never the account's head. */
  readonly highestModSeq: Seq;
  readonly messages: number;
  readonly unseen: number;
  /** Messages with \Deleted, and their size: STATUS DELETED, DELETED-STORAGE. */
  readonly deleted: number;
  readonly deletedOctets: number;
  readonly octets: number;
  /** keywords[i] has flag bit 5 + i. */
  readonly keywords: readonly string[];
  /** UIDs from here on are \Recent to the next session that SELECTs. Soft: no entry, no MODSEQ. */
  readonly recentFrom: number;
  readonly hasChildren: boolean;
}

/** Rows of one chunk: `count * 8` words in use, see layout.ts. Read-only to everybody but the reducer. */
export interface Chunk {
  readonly n: number;
  readonly count: number;
  readonly words: Uint32Array;
  /** Largest MODSEQ of any row, or of a row that left: skip the chunk when it is not above what you look for. */
  readonly maxModSeq: Seq;
  /** Flags that at least one row has, perhaps more: no row has any other. */
  readonly someFlags: FlagBits;
  /** Flags that each row has, perhaps not all of these. */
  readonly everyFlags: FlagBits;
}

/** Packed state of an open mailbox at the head, shared by all sessions. Valid until the next await: the reducer changes it in place. */
export interface MailboxState {
  readonly info: MailboxInfo;
  /** Ascending by n; none is empty. */
  readonly chunks: readonly Chunk[];
  /** UID of the message with this sequence number at the head (1-based), 0 when there is none. */
  uidAt(sequence: number): number;
  /** How many messages have a UID below this one (= sequence number - 1, when it exists). O(log chunks). */
  countBelow(uid: number): number;
  has(uid: number): boolean;
  /** Calls `visit` for each existing message of the runs, ascending. `sequence` is that at the head. Return false to stop. */
  visit(uids: UidRuns, visit: (words: Uint32Array, at: number, uid: number, sequence: number) => unknown): void;
  /** UIDs whose MODSEQ is above `modSeq`, as runs; skips chunks by maxModSeq. */
  changedSince(modSeq: Seq): UidRuns;
  /** Runs of all existing UIDs within `uids`, exact (no dead UID inside). */
  existing(uids: UidRuns): UidRuns;
}

/** What a session that has a mailbox open hears, after the entry is durable and reduced. Never re-entered, never throws. */
export interface MailboxListener {
  /** The mailbox grew; counters are in `info`. */
  added(uids: UidRuns, entry: Entry): void;
  flagged(uids: UidRuns, entry: Entry): void;
  /** `rows`: the packed rows as they were (8 words each, UID from `chunk * 512 + UID_OFFSET + 1` is in `uids`, same order): FETCH of a message that a session has not been told of is still served. Empty when they are not known: the mailbox rested and another instance expunged and saved. */
  gone(uids: UidRuns, rows: Uint32Array, entry: Entry): void;
  /** A keyword appeared in the mailbox's table. */
  keywords(): void;
  /** Deleted, made unselectable, or UIDVALIDITY changed. */
  closed(): void;
  /** State was reloaded after an in-doubt commit or after entries of another instance were missed: compare from scratch. */
  reloaded(): void;
  /** \Seen of a user other than the owner changed, for that user only. */
  seen?(who: AccountId, uids: UidRuns, entry: Entry): void;
  /** The access control list changed. */
  rights?(): void;
}

/** What somebody other than the owner has seen (RFC 4314 §2.1, right `s`); read it anew after each await. */
export interface Marks {
  /** Live messages that are \Seen to him. */
  readonly uids: UidRuns;
  /** The last entry that changed them. */
  readonly seq: Seq;
  changedSince(seq: Seq): UidRuns;
  /** The entry that changed the mark of this message last, 0 when none did: for a few of them. */
  changedBy(uid: number): Seq;
  /** The same of all of them. */
  changed(): ChangedRuns;
}
/** A change of one identifier's rights: SETACL, DELETEACL (RFC 4314 §3.1, §3.2). */
export interface AclChange {
  /** A username or `anyone`; with `-` before it the rights are taken away. */
  readonly identifier: string;
  /** The account that the name means now; absent for `anyone`. */
  readonly who?: AccountId | undefined;
  readonly mode: 'replace' | 'add' | 'remove';
  readonly rights: RightSet;
}

export interface AppendItem {
  readonly content: NewContent;
  /** System flags and keywords by name; unknown keywords are added to the table. */
  readonly flags: readonly string[];
  /** INTERNALDATE in seconds since 1970. */
  readonly date: number;
  /** Idempotency key (design/journal.md row 20). */
  readonly key?: string;
}
/** RFC 4315 COPYUID and the like: `from` and `to` correspond one by one, in order. */
export interface Relocated {
  readonly seq: Seq;
  readonly uidValidity: number;
  readonly from: UidRuns;
  readonly to: UidRuns;
}
export interface Origin {
  /** `imap`, `lmtp`, `smtp`, `api`, `import`, `sent-copy`, `plugin:<name>`. */
  readonly by: string;
  readonly actor: string;
  /** Not the owner: what he may is judged at the head, in the entry (RFC 4314). */
  readonly guest?: Guest;
}
export interface Limits {
  /** Checked exactly, at the head, in the entry. Absent: unlimited. */
  readonly octets?: number;
  readonly messages?: number;
  readonly mailboxes?: number;
}
/** What a submission, or news of one, does to its sender's account. */
export interface SubmissionChange {
  /** The copy that is filed for the sender. */
  readonly file?: { readonly box: MailboxId; readonly item: AppendItem; readonly limits: Limits } | undefined;
  readonly outcomes: readonly SubmissionOutcome[];
  /** Contents that the queue's records name, and no message. */
  readonly keeps: readonly NewContent[];
  /** Such contents that nothing names any more. */
  readonly drops: readonly ContentId[];
  readonly records: readonly RecordWrite[];
}
export type FlagChange = { readonly mode: 'add' | 'remove' | 'replace'; readonly flags: readonly string[] };

export interface AccountMail {
  readonly account: AccountId;
  /** Last entry that is durable and reduced. */
  readonly head: Seq;
  /** Quota in use: octets (sum of RFC822.SIZE of all instances) and messages. */
  readonly usage: { readonly octets: number; readonly messages: number; readonly mailboxes: number };

  /* The tree at the head, in memory. Names are compared after NFC; INBOX without case. */
  mailboxes(): Iterable<MailboxInfo>;
  byName(name: string): MailboxInfo | undefined;
  byId(id: MailboxId): MailboxInfo | undefined;
  bySpecialUse(use: string): MailboxInfo | undefined;
  subscriptions(): Iterable<string>;
  note(name: string): string | undefined;
  notes(prefix: string): Iterable<readonly [name: string, value: string]>;

  /** Entries of the access control list; the owner, who may everything, is not among them. */
  acl(box: MailboxId): readonly (readonly [identifier: string, rights: RightSet])[];
  /** What a guest may at the head. */
  rights(box: MailboxId, guest: Guest): RightSet;
  /** Marks of a user other than the owner; undefined when there are none. */
  marks(box: MailboxId, who: AccountId): Marks | undefined;

  /**
   * Loads the packed state and listens. `close` releases it (LRU by octets afterwards). What the listener heard before this settles is part of
   * the state. @throws MailError no-such-mailbox, not-selectable
   */
  open(box: MailboxId, listener: MailboxListener): Promise<OpenMailbox>;
  /** Loads the packed state for one use, without a listener. */
  state(box: MailboxId): Promise<MailboxState>;

  /**
   * Commands: merged with what waits (<= 256 commands, <= 1 MiB, never two that touch one message or the tree), computed at the durable
   * head and again when another writer was first. Each settles after its entry is durable and reduced. Commands that change nothing make
   * no entry and answer the head. A delivery whose keys are known answers its first UIDs, also when that mailbox has gone (uidValidity 0).
   * @throws MailError no-such-mailbox (source), no-such-target, over-quota, limit, unavailable (outcome unknown) ...
   */
  append(
    box: MailboxId,
    items: readonly AppendItem[],
    origin: Origin,
    limits: Limits,
    options?: { readonly note?: readonly [name: string, value: string] },
  ): Promise<{ readonly seq: Seq; readonly uidValidity: number; readonly uids: readonly number[]; readonly duplicate: boolean }>;
  /** `modified`: UIDs that failed UNCHANGEDSINCE; `changed`: UIDs whose flags really changed. UIDs that do not exist are skipped. */
  store(
    box: MailboxId,
    uids: UidRuns,
    change: FlagChange,
    origin: Origin,
    options?: { readonly unchangedSince?: Seq },
  ): Promise<{ readonly seq: Seq; readonly changed: UidRuns; readonly modified: UidRuns }>;
  copy(box: MailboxId, uids: UidRuns, to: MailboxId, origin: Origin, limits: Limits): Promise<Relocated>;
  move(box: MailboxId, uids: UidRuns, to: MailboxId, origin: Origin): Promise<Relocated>;
  /** `onlyDeleted`: only those that carry \Deleted at the head (EXPUNGE, UID EXPUNGE, CLOSE). */
  expunge(
    box: MailboxId,
    uids: UidRuns,
    cause: GoneCause,
    origin: Origin,
    options?: { readonly onlyDeleted?: boolean },
  ): Promise<{ readonly seq: Seq; readonly gone: UidRuns }>;
  /**
   * MOVE into another account: `beginTransfer` leaves a note of this name, `endTransfer` removes the messages and the note, or does nothing
   * when the note has gone. What a guest may is judged by the first (rights r, t, e). @throws MailError forbidden, no-such-mailbox
   */
  beginTransfer(box: MailboxId, note: string, origin: Origin): Promise<void>;
  endTransfer(box: MailboxId, uids: UidRuns, note: string, origin: Origin): Promise<Seq>;
  /** RFC 8508: append and expunge in one entry. */
  replace(
    box: MailboxId,
    uid: number,
    to: MailboxId,
    item: AppendItem,
    origin: Origin,
    limits: Limits,
  ): Promise<{ readonly seq: Seq; readonly uidValidity: number; readonly uid: number }>;

  /** Creates the missing superiors too. @throws MailError mailbox-exists, invalid-name, limit */
  createMailbox(
    name: string,
    origin: Origin,
    options?: { readonly specialUse?: readonly string[]; readonly limits?: Limits },
  ): Promise<MailboxId>;
  /** All or nothing, also `records` land with it: the first mailboxes of a new account. */
  createMailboxes(
    plans: readonly { readonly name: string; readonly specialUse?: readonly string[]; readonly subscribed?: boolean }[],
    origin: Origin,
    records?: readonly RecordWrite[],
  ): Promise<void>;
  /** With children: its messages go and it becomes \Noselect (RFC 9051 §6.3.5). @throws MailError no-such-mailbox, has-children (already \Noselect), forbidden (INBOX) */
  deleteMailbox(id: MailboxId, origin: Origin): Promise<void>;
  /** The whole subtree, one entry; INBOX: its messages move, its UIDVALIDITY and children stay. Moves subscriptions. @throws MailError mailbox-exists, invalid-name (cycle) */
  renameMailbox(id: MailboxId, newName: string, origin: Origin): Promise<void>;
  setSpecialUse(id: MailboxId, specialUse: readonly string[], origin: Origin): Promise<void>;
  subscribe(name: string, on: 'subscribe' | 'unsubscribe', origin: Origin): Promise<void>;
  /** @throws MailError no-such-mailbox, limit (identifiers of the mailbox), forbidden */
  setAcl(box: MailboxId, change: AclChange, origin: Origin): Promise<void>;
  setNote(name: string, value: string | null, origin: Origin): Promise<void>;
  /**
   * Annotations (RFC 5464) of a mailbox, or of the server (0): the notes `annotationNotes(box) + entry`, all in one entry; they leave with the
   * mailbox. @throws MailError no-such-mailbox, limit (more than `atMost` of them, or too large)
   */
  annotate(
    box: MailboxId | 0,
    entries: ReadonlyMap<string, string | null>,
    origin: Origin,
    options: { readonly atMost: number; readonly specialUse?: readonly string[] | undefined },
  ): Promise<void>;
  /** Record writes that land in an entry of this account (credential and key slot together), and what it tells of the account. */
  writeRecords(records: readonly RecordWrite[], origin: Origin, word?: AccountWord): Promise<void>;
  /** All of it in one entry, or nothing. @throws MailError no-such-target, over-quota (the filed copy), RecordConflict */
  submission(change: SubmissionChange, origin: Origin): Promise<void>;

  /** SELECT (not EXAMINE): these UIDs are \Recent to this session; the mark moves to UIDNEXT. Soft. */
  takeRecent(box: MailboxId): { readonly from: number; readonly before: number };

  /**
   * The sender of the delivery with this idempotency key is known to have got the reply: an equal message from now on is another message.
   * Soft, and of this process: elsewhere it stays a duplicate for its day.
   */
  settleKey(key: string): void;

  /** The account was deleted: whoever has a mailbox open is told that it is closed, and no command is taken any more. */
  abandon(): void;

  /** Reads what other instances have committed, or all anew after an unknown outcome. @throws MailError unavailable */
  catchUp(): Promise<void>;
  /**
   * Before an answer that should be no older than what any instance has acknowledged. Undefined at once where no other process writes;
   * one look serves all who ask while it waits for its turn. @throws MailError unavailable
   */
  refresh(): Promise<void> | undefined;
  /** Entries above `after`, in order, as far as the head now. @throws JournalPruned */
  changes(after: Seq): AsyncIterable<Entry>;
  /** Hears each entry after it is reduced, whatever it touched: SSE, NOTIFY, push. */
  listen(hear: (entry: Entry) => void): () => void;
  /** All content ids that some message of the account points at now: for Contents.sweep and fsck. */
  liveContents(): Promise<ReadonlySet<number>>;
}
export interface OpenMailbox {
  /** In memory from `open` or `wake` until `rest` or `close`. @throws MailError unavailable when it was dropped while at rest */
  readonly state: MailboxState;
  /** The session idles: the packed state may be dropped. The listener is told as before. */
  rest(): void;
  /** Before `state` is used again; at once when it was not dropped. @throws MailError no-such-mailbox, unavailable */
  wake(): Promise<MailboxState>;
  close(): void;
}

/** All accounts of this process. */
export interface AccountMails {
  /** Loads snapshot and tail on first use; kept while in use, then LRU. */
  get(account: AccountId): Promise<AccountMail>;
  /** Forgets saved journal entries older than `olderThanMs` (default a week) and not above `upTo`; returns the new floor when something went. */
  prune(account: AccountId, options?: { readonly olderThanMs?: number; readonly upTo?: Seq }): Promise<Seq | undefined>;
  /** Saves every dirty state; nothing new is accepted afterwards. */
  drain(): Promise<void>;
}

export type { AccountId, ContentId, Entry, FlagBits, MailboxId, Seq, UidRuns };
