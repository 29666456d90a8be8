/**
 * Another account's mail as a guest may see and change it: what he may not look up is not there, \Seen is his own, and each change says
 * that it is a guest's, so that it is judged at the owner's head, in the entry (RFC 4314; DESIGN §2 rule 7).
 */
import type { AccountId, MailboxId, RecordWrite, Seq } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type {
  AccountMail,
  AclChange,
  AppendItem,
  FlagChange,
  Limits,
  MailboxInfo,
  MailboxListener,
  MailboxState,
  Marks,
  OpenMailbox,
  Origin,
  Relocated,
  SubmissionChange,
} from '../journal/account-mail.ts';
import { aclMailbox, type Guest, hasRight, NO_RIGHTS, type RightSet, requireRights } from '../journal/acl.ts';
import { annotationNotes, isSeenShared } from '../journal/annotation-notes.ts';
import type { Entry, GoneCause, UidRuns } from '../journal/entry.ts';
import { iterateUids, NO_UIDS } from '../journal/uid-runs.ts';
import { GuestInfo, type MarksNow } from './guest-info.ts';
import { GuestState, paintedRows } from './guest-state.ts';

export class GuestMail implements AccountMail {
  readonly #own: AccountMail;
  readonly #guest: Guest;

  constructor(own: AccountMail, guest: Guest) {
    this.#own = own;
    this.#guest = guest;
  }

  get account(): AccountId {
    return this.#own.account;
  }

  get head(): Seq {
    return this.#own.head;
  }

  get usage(): { readonly octets: number; readonly messages: number; readonly mailboxes: number } {
    return this.#own.usage;
  }

  /** What the guest may at the head. */
  rightsIn(box: MailboxId): RightSet {
    return this.#own.rights(box, this.#guest);
  }

  /** Somebody shares anything here with the guest. */
  get isShared(): boolean {
    for (const { id } of this.#own.mailboxes()) if (this.rightsIn(id) !== NO_RIGHTS) return true;
    return false;
  }

  /** Whose \Seen it is. */
  marksIn(box: MailboxId): MarksNow {
    return () => (this.#isSeenShared(box) ? 'shared' : this.#own.marks(box, this.#guest.id));
  }

  #isSeenShared(box: MailboxId): boolean {
    return isSeenShared((name) => this.#own.note(name), box);
  }

  #seenBy(info: MailboxInfo): MailboxInfo {
    return new GuestInfo(info, this.marksIn(info.id), () => this.#hasVisibleBelow(info.name));
  }

  #hasVisibleBelow(name: string): boolean {
    for (const info of this.#own.mailboxes()) if (info.name.startsWith(`${name}/`) && hasRight(this.rightsIn(info.id), 'l')) return true;
    return false;
  }

  /* ── The tree: who has no right at all sees nothing; LIST shows what may be looked up ── */

  /** Those that the guest may look up. */
  *mailboxes(): Iterable<MailboxInfo> {
    const visible = [...this.#own.mailboxes()].filter(({ id }) => hasRight(this.rightsIn(id), 'l'));
    const above = new Set(visible.flatMap(({ name }) => superiorsOf(name)));
    for (const info of visible) yield new GuestInfo(info, this.marksIn(info.id), () => above.has(info.name));
  }

  byName(name: string): MailboxInfo | undefined {
    return this.#visible(this.#own.byName(name));
  }

  byId(id: MailboxId): MailboxInfo | undefined {
    return this.#visible(this.#own.byId(id));
  }

  #visible(info: MailboxInfo | undefined): MailboxInfo | undefined {
    return info === undefined || this.rightsIn(info.id) === NO_RIGHTS ? undefined : this.#seenBy(info);
  }

  bySpecialUse(): undefined {
    return undefined;
  }

  /** A guest's subscriptions are in his own account. */
  subscriptions(): Iterable<string> {
    return [];
  }

  note(name: string): string | undefined {
    const own = this.#noteName(name);
    return own === undefined ? undefined : this.#own.note(own);
  }

  /** @param prefix of annotations, with the scope */
  *notes(prefix: string): Iterable<readonly [name: string, value: string]> {
    const own = this.#noteName(prefix);
    if (own === undefined) return;
    for (const [name, value] of this.#own.notes(own)) yield [prefix + name.slice(own.length), value];
  }

  /** Annotations only: private ones of the mailbox are the guest's own (RFC 5464 §3.2). */
  #noteName(name: string): string | undefined {
    const [scope, box, visibility] = name.split('/', 3);
    const id = Number(box) as MailboxId;
    if (scope !== 'meta' || !hasRight(this.rightsIn(id), 'r')) return undefined;
    if (visibility === 'shared') return name;
    return visibility === 'private' ? annotationNotes(id, this.#guest.id) + name.slice(annotationNotes(id).length) : undefined;
  }

  acl(box: MailboxId): readonly (readonly [identifier: string, rights: RightSet])[] {
    requireRights(this.rightsIn(box), 'a');
    return this.#own.acl(box);
  }

  rights(box: MailboxId, guest: Guest): RightSet {
    return this.#own.rights(box, guest);
  }

  marks(box: MailboxId, who: AccountId): Marks | undefined {
    return this.#own.marks(box, who);
  }

  /* ── Packed state ── */

  async open(box: MailboxId, listener: MailboxListener): Promise<OpenMailbox> {
    requireRights(this.rightsIn(box), 'r');
    const hears = new GuestListener(listener, this.#guest, {
      marks: this.marksIn(box),
      mayRead: () => hasRight(this.rightsIn(box), 'r'),
      isSeenShared: this.#isSeenShared(box),
    });
    const open = await this.#own.open(box, hears);
    const info = this.#own.byId(box);
    if (info === undefined || !hasRight(this.rightsIn(box), 'r')) {
      open.close();
      throw new MailError('no-such-mailbox', 'No such mailbox');
    }
    return new GuestOpen(open, this.#seenBy(info), this.marksIn(box));
  }

  async state(box: MailboxId): Promise<MailboxState> {
    requireRights(this.rightsIn(box), 'r');
    const state = await this.#own.state(box);
    return new GuestState(state, this.#seenBy(state.info), this.marksIn(box));
  }

  takeRecent(box: MailboxId): { readonly from: number; readonly before: number } {
    const uidNext = this.#own.byId(box)?.uidNext ?? 1;
    return { from: uidNext, before: uidNext };
  }

  /* ── Changes: judged by the owner's queue ── */

  #as(origin: Origin): Origin {
    return { ...origin, guest: this.#guest };
  }

  append(
    box: MailboxId,
    items: readonly AppendItem[],
    origin: Origin,
    limits: Limits,
    options?: { readonly note?: readonly [name: string, value: string] },
  ): ReturnType<AccountMail['append']> {
    return this.#own.append(box, items, this.#as(origin), limits, options);
  }

  store(
    box: MailboxId,
    uids: UidRuns,
    change: FlagChange,
    origin: Origin,
    options?: { readonly unchangedSince?: Seq },
  ): ReturnType<AccountMail['store']> {
    return this.#own.store(box, uids, change, this.#as(origin), options);
  }

  copy(box: MailboxId, uids: UidRuns, to: MailboxId, origin: Origin, limits: Limits): Promise<Relocated> {
    return this.#own.copy(box, uids, to, this.#as(origin), limits);
  }

  move(box: MailboxId, uids: UidRuns, to: MailboxId, origin: Origin): Promise<Relocated> {
    return this.#own.move(box, uids, to, this.#as(origin));
  }

  expunge(
    box: MailboxId,
    uids: UidRuns,
    cause: GoneCause,
    origin: Origin,
    options?: { readonly onlyDeleted?: boolean },
  ): ReturnType<AccountMail['expunge']> {
    return this.#own.expunge(box, uids, cause, this.#as(origin), options);
  }

  beginTransfer(box: MailboxId, note: string, origin: Origin): Promise<void> {
    return this.#own.beginTransfer(box, note, this.#as(origin));
  }

  endTransfer(box: MailboxId, uids: UidRuns, note: string, origin: Origin): Promise<Seq> {
    return this.#own.endTransfer(box, uids, note, this.#as(origin));
  }

  catchUp(): Promise<void> {
    return this.#own.catchUp();
  }

  refresh(): Promise<void> | undefined {
    return this.#own.refresh();
  }

  replace(
    box: MailboxId,
    uid: number,
    to: MailboxId,
    item: AppendItem,
    origin: Origin,
    limits: Limits,
  ): ReturnType<AccountMail['replace']> {
    return this.#own.replace(box, uid, to, item, this.#as(origin), limits);
  }

  createMailbox(
    name: string,
    origin: Origin,
    options: { readonly specialUse?: readonly string[]; readonly limits?: Limits } = {},
  ): Promise<MailboxId> {
    if ((options.specialUse?.length ?? 0) > 0) throw new MailError('forbidden', 'Special uses are set by the owner');
    return this.#own.createMailbox(name, this.#as(origin), options);
  }

  deleteMailbox(id: MailboxId, origin: Origin): Promise<void> {
    return this.#own.deleteMailbox(id, this.#as(origin));
  }

  renameMailbox(id: MailboxId, newName: string, origin: Origin): Promise<void> {
    return this.#own.renameMailbox(id, newName, this.#as(origin));
  }

  setAcl(box: MailboxId, change: AclChange, origin: Origin): Promise<void> {
    return this.#own.setAcl(box, change, this.#as(origin));
  }

  annotate(
    box: MailboxId | 0,
    entries: ReadonlyMap<string, string | null>,
    origin: Origin,
    options: { readonly atMost: number; readonly specialUse?: readonly string[] | undefined },
  ): Promise<void> {
    if (options.specialUse !== undefined) throw new MailError('forbidden', 'Special uses are set by the owner');
    return this.#own.annotate(box, entries, this.#as(origin), options);
  }

  /* ── What is the owner's alone ── */

  createMailboxes(_plans: readonly { readonly name: string }[]): Promise<void> {
    return refuse();
  }

  setSpecialUse(_id: MailboxId, _specialUse: readonly string[], _origin: Origin): Promise<void> {
    return refuse();
  }

  subscribe(_name: string, _on: 'subscribe' | 'unsubscribe', _origin: Origin): Promise<void> {
    return refuse();
  }

  setNote(_name: string, _value: string | null, _origin: Origin): Promise<void> {
    return refuse();
  }

  writeRecords(_records: readonly RecordWrite[], _origin: Origin): Promise<void> {
    return refuse();
  }

  submission(_change: SubmissionChange, _origin: Origin): Promise<void> {
    return refuse();
  }

  settleKey(): void {}

  abandon(): void {}

  liveContents(): Promise<ReadonlySet<number>> {
    return refuse();
  }

  /** Of one mailbox that is open: who reads the others learns of their ids and sizes. */
  changes(after: Seq): AsyncIterable<Entry> {
    return this.#own.changes(after);
  }

  listen(): () => void {
    throw new MailError('forbidden', 'Only the owner hears of all that happens');
  }

  /** Until the function that it returns is called. */
  hear(news: GuestNews): () => void {
    const mayRead = (box: MailboxId): boolean => hasRight(this.rightsIn(box), 'r');
    return this.#own.listen(({ ops }) => {
      for (const op of ops) {
        if (op.op === 'add' || op.op === 'gone') {
          if (mayRead(op.box)) news.messages(op.box);
        } else if (op.op === 'flag' || op.op === 'seen') {
          if ((op.op === 'flag' || op.who === this.#guest.id) && mayRead(op.box)) news.flags(op.box);
        } else if (op.op === 'box' || op.op === 'unbox' || (op.op === 'note' && aclMailbox(op.name) !== undefined)) news.tree();
      }
    });
  }
}

/** What a guest hears of an account as it happens. What he may see of it is to be asked when it is told. */
export interface GuestNews {
  /** In a mailbox that he may read there are new messages, or fewer. */
  messages(box: MailboxId): void;
  /** His own \Seen included. */
  flags(box: MailboxId): void;
  /** Mailboxes or rights have changed, perhaps none of his. */
  tree(): void;
}

async function refuse(): Promise<never> {
  throw new MailError('forbidden', 'Only the owner may do this');
}

function superiorsOf(name: string): string[] {
  const found: string[] = [];
  for (let at = name.indexOf('/'); at > 0; at = name.indexOf('/', at + 1)) found.push(name.slice(0, at));
  return found;
}

interface Hearing {
  readonly marks: MarksNow;
  readonly mayRead: () => boolean;
  /** Whose \Seen was shown when the mailbox was opened. */
  readonly isSeenShared: boolean;
}

/** Tells of flags when the guest's own marks change, shows messages that go with his marks, and closes when he may not read any more. */
class GuestListener implements MailboxListener {
  readonly #to: MailboxListener;
  readonly #guest: Guest;
  readonly #hearing: Hearing;
  /** As of the last entry: of a message that goes the marks have gone already. */
  #before: UidRuns = NO_UIDS;
  #isClosed = false;

  constructor(to: MailboxListener, guest: Guest, hearing: Hearing) {
    this.#to = to;
    this.#guest = guest;
    this.#hearing = hearing;
    this.#remember();
  }

  #remember(): void {
    const marks = this.#hearing.marks();
    this.#before = typeof marks === 'object' ? marks.uids : NO_UIDS;
  }

  added(uids: UidRuns, entry: Entry): void {
    this.#to.added(uids, entry);
    this.#remember();
  }

  flagged(uids: UidRuns, entry: Entry): void {
    this.#to.flagged(uids, entry);
  }

  gone(uids: UidRuns, rows: Uint32Array, entry: Entry): void {
    const marks = this.#hearing.marks();
    if (marks === 'shared') this.#to.gone(uids, rows, entry);
    else {
      const before = {
        uids: this.#before,
        seq: 0,
        changedSince: () => NO_UIDS,
        changedBy: () => 0,
        changed: () => marks?.changed() ?? NOTHING_CHANGED,
      };
      this.#to.gone(uids, paintedRows(rows, iterateUids(uids), before), entry);
    }
    this.#remember();
  }

  keywords(): void {
    this.#to.keywords();
  }

  closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#to.closed();
  }

  reloaded(): void {
    this.#remember();
    this.rights();
    if (!this.#isClosed) this.#to.reloaded();
  }

  seen(who: AccountId, uids: UidRuns, entry: Entry): void {
    if (who !== this.#guest.id || this.#hearing.marks() === 'shared') return;
    this.#remember();
    this.#to.flagged(uids, entry);
  }

  /** Also when \Seen is somebody else's from now on: every flag that was told may be wrong. */
  rights(): void {
    const isSeenShared = this.#hearing.marks() === 'shared';
    if (!this.#hearing.mayRead() || isSeenShared !== this.#hearing.isSeenShared) this.closed();
  }
}

const NOTHING_CHANGED = { runs: NO_UIDS, seqs: new Float64Array(0) };

class GuestOpen implements OpenMailbox {
  readonly #open: OpenMailbox;
  readonly #info: MailboxInfo;
  readonly #marks: MarksNow;
  #state: GuestState | undefined;

  constructor(open: OpenMailbox, info: MailboxInfo, marks: MarksNow) {
    this.#open = open;
    this.#info = info;
    this.#marks = marks;
  }

  get state(): MailboxState {
    return this.#over(this.#open.state);
  }

  #over(own: MailboxState): MailboxState {
    if (this.#state?.own !== own) this.#state = new GuestState(own, this.#info, this.#marks);
    return this.#state;
  }

  rest(): void {
    this.#state = undefined;
    this.#open.rest();
  }

  async wake(): Promise<MailboxState> {
    return this.#over(await this.#open.wake());
  }

  close(): void {
    this.#open.close();
  }
}
