/** The entry in the making: commands are computed one after the other against the durable head plus what the draft already holds. */
import type { ContentId, MailboxId, NewContent, RecordWrite, Seq } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { Limits } from './account-mail.ts';
import type { AccountState, MailboxRecord, RecentKey } from './account-state.ts';
import type { Entry, Op, Placed } from './entry.ts';
import { FIRST_KEYWORD_BIT } from './flag-names.ts';
import type { PackedMailbox } from './mailbox-state.ts';

/** A mailbox with what this draft has already given it. */
export interface BoxDraft {
  readonly record: MailboxRecord;
  uidNext: number;
  keywords: readonly string[];
  /** The add op that further plain appends may join: later UIDs must not come before earlier ones. */
  add: { readonly op: 'add'; readonly box: MailboxId; readonly messages: Placed[]; keys?: string[] } | undefined;
}

/** Highest UID: nz-number of RFC 9051 §9. */
const MAX_UID = 0xffff_ffff;
/** Largest message that a row can describe. */
const MAX_SIZE = 0xffff_ffff;

export class Draft {
  readonly state: AccountState;
  readonly seq: Seq;
  /** ms */
  readonly at: number;
  readonly ops: Op[] = [];
  readonly contents: NewContent[] = [];
  readonly dead: ContentId[] = [];
  readonly records: RecordWrite[] = [];
  octets: number;
  messages: number;
  uidValidity: number;
  lastBox: number;
  readonly #boxes = new Map<MailboxId, BoxDraft>();
  #keys: Map<string, RecentKey> | undefined;
  #changes = 0;

  constructor(state: AccountState, at: number) {
    this.state = state;
    this.at = at;
    this.seq = state.seq + 1;
    this.octets = state.octets;
    this.messages = state.messages;
    this.uidValidity = state.uidValidity;
    this.lastBox = state.lastBox;
  }

  get isEmpty(): boolean {
    return this.ops.length === 0 && this.records.length === 0;
  }

  /** Rises with every change: a command that failed behind one spoils the draft. */
  get changes(): number {
    return this.#changes;
  }

  get seconds(): number {
    return Math.floor(this.at / 1000);
  }

  /** The seq to answer with when a command changed nothing. */
  get head(): Seq {
    return this.state.seq;
  }

  entry(token: string, origin: string): Entry {
    return { seq: this.seq, token, at: this.at, origin, ops: this.ops };
  }

  /** @throws MailError no-such-mailbox, not-selectable */
  source(id: MailboxId): { readonly box: BoxDraft; readonly packed: PackedMailbox } {
    const record = this.state.byId(id);
    if (record === undefined) throw new MailError('no-such-mailbox', 'No such mailbox');
    if (!record.selectable) throw new MailError('not-selectable', 'Mailbox cannot be selected');
    if (record.packed === undefined) throw new MailError('unavailable', 'Mailbox is not loaded, try again');
    return { box: this.#box(record), packed: record.packed };
  }

  /** @throws MailError no-such-target, also for a \Noselect name: CREATE makes it a mailbox */
  target(id: MailboxId): BoxDraft {
    const record = this.state.byId(id);
    if (record === undefined || !record.selectable) throw new MailError('no-such-target', 'No such mailbox');
    return this.#box(record);
  }

  /** @throws MailError over-quota */
  checkQuota(octets: number, messages: number, limits: Limits): void {
    if (limits.octets !== undefined && octets > 0 && this.octets + octets > limits.octets)
      throw new MailError('over-quota', 'Quota exceeded');
    if (limits.messages !== undefined && messages > 0 && this.messages + messages > limits.messages)
      throw new MailError('over-quota', 'Quota of messages exceeded');
  }

  /** @throws MailError limit when the mailbox has no such many UIDs left */
  checkUids(box: BoxDraft, count: number): void {
    if (box.uidNext + count - 1 > MAX_UID) throw new MailError('limit', 'The mailbox has no UIDs left');
  }

  /** @throws MailError too-big */
  checkSize(octets: number): void {
    if (!(octets >= 0 && octets <= MAX_SIZE)) throw new MailError('too-big', 'Message is too large');
  }

  push(op: Op): void {
    this.ops.push(op);
    this.#changes++;
  }

  addKeywords(box: BoxDraft, added: readonly string[]): void {
    for (const name of added) {
      this.push({ op: 'keyword', box: box.record.id, bit: FIRST_KEYWORD_BIT + box.keywords.length, name });
      box.keywords = [...box.keywords, name];
    }
  }

  /** Appends a message that comes from outside, into the add op of this mailbox if it still may. Counts usage. */
  place(box: BoxDraft, message: Omit<Placed, 'uid'>, key: string | undefined): number {
    const uid = box.uidNext++;
    if (box.add === undefined) {
      box.add = { op: 'add', box: box.record.id, messages: [] };
      this.ops.push(box.add);
    }
    const { messages } = box.add;
    if (key !== undefined || box.add.keys !== undefined) {
      box.add.keys ??= messages.map(() => '');
      box.add.keys.push(key ?? '');
    }
    messages.push({ uid, ...message });
    this.octets += message.size;
    this.messages++;
    this.#changes++;
    if (key !== undefined) {
      this.#keys ??= new Map();
      this.#keys.set(key, { key, box: box.record.id, uid, seq: this.seq, at: this.at });
    }
    return uid;
  }

  /** What an earlier delivery with this key gave, in this draft or within the last day. */
  recentKey(key: string): RecentKey | undefined {
    return this.#keys?.get(key) ?? this.state.recentKey(key, this.at);
  }

  #box(record: MailboxRecord): BoxDraft {
    let box = this.#boxes.get(record.id);
    if (box === undefined) {
      box = { record, uidNext: record.uidNext, keywords: record.keywords, add: undefined };
      this.#boxes.set(record.id, box);
    }
    return box;
  }
}
