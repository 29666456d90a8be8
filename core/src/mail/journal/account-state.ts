/**
 * An account without its chunks: the tree, counters, keyword tables, notes, usage and recent keys, as of one entry. Only the reducer
 * changes it (and `takeRecent` and `settleKey`, which are soft).
 */
import type { AccountId, MailboxId, Seq } from '../../store/store.ts';
import type { MailboxInfo, MailboxListener } from './account-mail.ts';
import type { PackedMailbox } from './mailbox-state.ts';
import type { SeenMarks } from './seen-marks.ts';

/** Idempotency keys that an account remembers, and for how long (design/journal.md row 20). */
export const MAX_RECENT_KEYS = 256;
export const RECENT_KEY_MS = 86_400_000;
/** Names of former mailboxes that are remembered for RENAME onto one of them. Forgetting costs nothing: UIDVALIDITY is unique in the account. */
export const MAX_FORMER_NAMES = 256;

const NO_NAMES: readonly string[] = [];
const NO_LISTENERS: readonly MailboxListener[] = [];

export class MailboxRecord implements MailboxInfo {
  readonly id: MailboxId;
  name = '';
  parent: MailboxId | 0 = 0;
  selectable = true;
  specialUse: readonly string[] = NO_NAMES;
  uidValidity = 0;
  uidNext = 1;
  highestModSeq: Seq = 0;
  messages = 0;
  unseen = 0;
  deleted = 0;
  deletedOctets = 0;
  octets = 0;
  keywords: readonly string[] = NO_NAMES;
  recentFrom = 1;
  children = 0;
  /** Messages at the head, while they are in memory. */
  packed: PackedMailbox | undefined = undefined;
  /** Copied on change, so that a listener may come or go while others are told. */
  listeners: readonly MailboxListener[] = NO_LISTENERS;
  /** While above 0, `packed` stays (packed-residency.ts). */
  pins = 0;
  /** What `packed` counts towards the budget. */
  residentOctets = 0;

  constructor(id: MailboxId) {
    this.id = id;
  }

  get hasChildren(): boolean {
    return this.children > 0;
  }

  /** After a reload: the values of another record of the same mailbox. Everybody keeps this object. */
  adopt(other: MailboxRecord): void {
    this.name = other.name;
    this.parent = other.parent;
    this.selectable = other.selectable;
    this.specialUse = other.specialUse;
    this.uidValidity = other.uidValidity;
    this.uidNext = other.uidNext;
    this.highestModSeq = other.highestModSeq;
    this.messages = other.messages;
    this.unseen = other.unseen;
    this.deleted = other.deleted;
    this.deletedOctets = other.deletedOctets;
    this.octets = other.octets;
    this.keywords = other.keywords;
    this.recentFrom = Math.max(this.recentFrom, other.recentFrom);
    this.children = other.children;
  }
}

export interface RecentKey {
  readonly key: string;
  readonly box: MailboxId;
  readonly uid: number;
  readonly seq: Seq;
  /** ms */
  readonly at: number;
}

export class AccountState {
  seq: Seq = 0;
  /** The last UIDVALIDITY that was given out. */
  uidValidity = 0;
  /** The last mailbox id that was given out. */
  lastBox = 0;
  octets = 0;
  messages = 0;
  /** Ascending by id. */
  boxes: MailboxRecord[] = [];
  notes: Map<string, string> | undefined = undefined;
  notesOctets = 0;
  /** Oldest first. */
  recentKeys: Map<string, RecentKey> | undefined = undefined;
  /** Former full name -> largest UIDVALIDITY that a mailbox had there. Oldest first. */
  formerNames: Map<string, number> | undefined = undefined;
  /** Marks of users other than the owner. */
  seenBy: SeenMarks[] | undefined = undefined;
  #byName: Map<string, MailboxRecord> | undefined = undefined;

  byId(id: MailboxId | 0): MailboxRecord | undefined {
    const boxes = this.boxes;
    let low = 0;
    let high = boxes.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const box = boxes[middle] as MailboxRecord;
      if (box.id === id) return box;
      if (box.id < id) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }

  /** `name` in canonical form (mailbox-names.ts). */
  byName(name: string): MailboxRecord | undefined {
    if (this.boxes.length <= 16) return this.boxes.find((box) => box.name === name);
    this.#byName ??= new Map(this.boxes.map((box) => [box.name, box]));
    return this.#byName.get(name);
  }

  /** Call when names or the set of mailboxes changed. */
  treeChanged(): void {
    this.#byName = undefined;
  }

  /** All that lies below `box`, in order of id. */
  below(box: MailboxRecord): MailboxRecord[] {
    if (box.children === 0) return [];
    const prefix = `${box.name}/`;
    return this.boxes.filter((other) => other.name.startsWith(prefix));
  }

  /** What a user other than the owner has seen there, if anything was ever marked. */
  seenMarks(box: MailboxId, who: AccountId): SeenMarks | undefined {
    return this.seenBy?.find((one) => one.box === box && one.who === who);
  }

  recentKey(key: string, now: number): RecentKey | undefined {
    const recent = this.recentKeys?.get(key);
    return recent !== undefined && recent.at > now - RECENT_KEY_MS ? recent : undefined;
  }

  setNote(name: string, value: string | null): void {
    const before = this.notes?.get(name);
    if (before !== undefined) this.notesOctets -= noteOctets(name, before);
    if (value === null) {
      this.notes?.delete(name);
      if (this.notes?.size === 0) this.notes = undefined;
      return;
    }
    this.notes ??= new Map();
    this.notes.set(name, value);
    this.notesOctets += noteOctets(name, value);
  }

  rememberName(name: string, uidValidity: number): void {
    this.formerNames ??= new Map();
    const before = this.formerNames.get(name) ?? 0;
    this.formerNames.delete(name);
    this.formerNames.set(name, Math.max(before, uidValidity));
    if (this.formerNames.size > MAX_FORMER_NAMES) {
      const [oldest] = this.formerNames.keys();
      if (oldest !== undefined) this.formerNames.delete(oldest);
    }
  }
}

/** What a note counts towards the limit of notes: an estimate of its octets. */
export function noteOctets(name: string, value: string): number {
  return name.length + value.length + 16;
}
