/**
 * What one session knows of the mailbox it has selected, over the packed state at the head that all sessions share (design/journal.md
 * row 18). The session's messages are those at the head below the UIDNEXT that it was told of, and those that have gone since and that
 * it was not told of: they keep their sequence numbers until EXPUNGE may be sent (RFC 9051 §7.5.1).
 */
import type { MailboxInfo, MailboxListener, MailboxState, OpenMailbox } from '../mail/journal/account-mail.ts';
import { type Entry, MAX_KEYWORDS, SEEN, type UidRuns } from '../mail/journal/entry.ts';
import { FLAGS, modSeqAtRow, uidAtRow, WORDS } from '../mail/journal/layout.ts';
import {
  containsUid as contains,
  countUids as countOf,
  intersectUids,
  NO_UIDS,
  runsOf,
  subtractUids,
  UidRunsBuilder,
  unionUids,
} from '../mail/journal/uid-runs.ts';
import type { MailAccess } from '../mail/services.ts';
import type { MailboxId, Seq } from '../store/store.ts';
import { EarlyListener } from './early-listener.ts';
import { ImapBad, ImapNo } from './errors.ts';
import type { DecodePlaces } from './fetch/decode-places.ts';
import { type FlagTexts, mailboxFlags } from './flag-texts.ts';
import { resolveSet } from './grammar/sequence-set.ts';
import { type PartialRange, type SequenceSet, STAR } from './grammar/syntax-tree.ts';
import { mayKeep } from './guest-view.ts';
import { ownIdIn } from './mailboxes.ts';
import { partOfRuns } from './partial.ts';
import { PendingExpunges } from './pending-expunges.ts';
import { RecentMarks } from './recent-marks.ts';
import type { Responder } from './responder.ts';
import { below, from } from './run-cuts.ts';
import { TimeSlice } from './time-slice.ts';
import { uidsText } from './uid-text.ts';

/** What the view needs to know of its session; implemented once, by the session. */
export interface ViewOwner {
  /** The mailbox changed: in IDLE it is time to speak. Must not throw. */
  viewChanged(view: SelectedMailbox): void;
  /** The mailbox has gone or cannot be followed any more: the session must end or let go of it. */
  viewLost(view: SelectedMailbox, reason: 'deleted' | 'out-of-step'): void;
  /** IMAP4rev2 is on: no \Recent. */
  readonly isRev2: boolean;
  readonly isCondstore: boolean;
  /** VANISHED with UIDs in place of EXPUNGE (RFC 7162 §3.2.10, RFC 9586 §3). */
  readonly tellsVanished: boolean;
  /** No sequence number goes either way (RFC 9586). */
  readonly isUidOnly: boolean;
  readonly messageLimit: number;
}
export type Visit = (words: Uint32Array, at: number, uid: number, sequence: number) => boolean | undefined;

interface Overheard {
  readonly uids: UidRuns;
  readonly seq: Seq;
}

const ALL: UidRuns = Uint32Array.of(1, 0xffff_ffff);
/** Lines between two looks at the clock. */
const PAGE = 512;
/** UIDs in one VANISHED: 64 KiB of text at most, mostly far less. */
const VANISHED_PAGE = 8192;

export class SelectedMailbox implements MailboxListener {
  readonly access: MailAccess;
  readonly box: MailboxId;
  readonly isReadOnly: boolean;
  readonly flagTexts: FlagTexts;
  /** Live, also at rest. */
  readonly info: MailboxInfo;
  /** Result of the last SEARCH with SAVE (RFC 5182). */
  saved: UidRuns = NO_UIDS;
  /** Of parts that the session gets in pieces. */
  decodePlaces: DecodePlaces | undefined;
  readonly #owner: ViewOwner;
  readonly #open: OpenMailbox;
  readonly #recent: RecentMarks;
  #pending: PendingExpunges | undefined;
  /** The session knows of no UID from here on. */
  #before: number;
  #toldExists: number;
  #toldRecent = 0;
  #toldKeywords: number;
  /** Flag changes up to here were told. */
  #toldFlags: Seq;
  #flagsChanged = false;
  /** What the session has changed itself, or was shown with FLAGS by the command that runs, up to this MODSEQ. */
  #shown: UidRuns = NO_UIDS;
  #shownUpTo: Seq = 0;
  /** Changes of flags, while a STORE of the session's own waits for its turn. */
  #overheard: Overheard[] | undefined;
  #isLost = false;
  #isResting = false;
  #waking: Promise<void> | undefined;
  /** The state was read anew while the view rested: to be compared when it wakes. */
  #compareOnWaking = false;

  private constructor(access: MailAccess, open: OpenMailbox, options: SelectOptions) {
    const { info } = open.state;
    this.access = access;
    this.info = info;
    this.box = info.id;
    this.isReadOnly = options.access === 'read-only';
    this.flagTexts = options.flagTexts(info);
    this.#owner = options.owner;
    this.#open = open;
    this.#before = info.uidNext;
    this.#toldExists = info.messages;
    this.#toldKeywords = info.keywords.length;
    this.#toldFlags = info.highestModSeq;
    this.#recent = new RecentMarks();
    this.#takeRecent();
    this.#toldRecent = this.recentCount();
  }

  /** @throws MailError no-such-mailbox, not-selectable, forbidden */
  static async open(access: MailAccess, box: MailboxId, options: SelectOptions): Promise<SelectedMailbox> {
    const early = new EarlyListener();
    const open = await access.open(box, early);
    const view = new SelectedMailbox(access, open, options);
    early.view = view;
    if (early.isClosed) view.closed();
    return view;
  }

  /** Stops listening. Idempotent as far as `OpenMailbox.close` is. */
  close(): void {
    this.#open.close();
  }

  get state(): MailboxState {
    return this.#open.state;
  }

  /* ── At rest: nothing but what this object holds stays in memory ───────────────────────────────────────────── */

  get isResting(): boolean {
    return this.#isResting;
  }

  /** The session is quiet: the packed state may go. Only `info`, `announceAtRest`, `wake` and `close` may be used until `wake`. */
  rest(): void {
    if (this.#isResting || this.#isLost || this.#waking !== undefined) return;
    this.#isResting = true;
    this.decodePlaces = undefined;
    this.#open.rest();
  }

  /** @throws MailError unavailable; the view rests on then */
  wake(): Promise<void> {
    if (!this.#isResting) return Promise.resolve();
    this.#waking ??= this.#wakeUp().finally(() => {
      this.#waking = undefined;
    });
    return this.#waking;
  }

  async #wakeUp(): Promise<void> {
    try {
      await this.#open.wake();
    } catch (error) {
      this.#open.rest();
      throw error;
    }
    this.#isResting = false;
    if (!this.#compareOnWaking) return;
    this.#compareOnWaking = false;
    this.#compare();
  }

  /**
   * Tells what can be told without the packed state: nothing, or new messages. A delivery to an idle session reads nothing.
   * @returns false: wake first
   */
  announceAtRest(respond: Responder): boolean {
    const { info } = this;
    if (this.hasPendingExpunges || this.#flagsChanged || this.#compareOnWaking || this.#toldKeywords < info.keywords.length) return false;
    const { uidNext, messages } = info;
    if (uidNext > this.#before && !this.#isLost) {
      if (!this.#owner.isRev2) {
        this.#takeRecent();
        const fresh = Uint32Array.of(this.#before, uidNext - 1);
        // Marks that another session has taken in part: the state knows how many of the messages are still there.
        if (countOf(intersectUids(this.#recent.runs, fresh)) !== countOf(fresh)) return false;
      }
      this.#before = uidNext;
      this.#tellGrown(respond, messages, this.#owner.isRev2 ? 0 : this.#toldRecent + messages - this.#toldExists);
    }
    this.#toldFlags = info.highestModSeq;
    return true;
  }

  /** The mailbox was deleted; nothing but the messages not yet told to be gone is left of it. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Number of messages as the session counts them: the largest sequence number. */
  get exists(): number {
    return this.#toldExists;
  }

  /** The largest UID that the session may know, 0 in an empty mailbox. */
  get lastUid(): number {
    const { exists } = this;
    return exists === 0 ? 0 : this.uidOf(exists);
  }

  get hasPendingExpunges(): boolean {
    return this.#pending !== undefined && this.#pending.count > 0;
  }

  /** HIGHESTMODSEQ as far as the session has been told, so never above an unannounced expunge (RFC 7162 §3.1.2.1). */
  get highestModSeq(): Seq {
    const { highestModSeq } = this.info;
    return this.hasPendingExpunges ? Math.min(highestModSeq, (this.#pending?.firstSeq ?? 1) - 1) : highestModSeq;
  }

  /** Messages that one command may work on, 0 for any number (RFC 9738). */
  get messageLimit(): number {
    return this.#owner.messageLimit;
  }

  /** @throws ImapNo when the mailbox was opened with EXAMINE */
  requireWritable(): void {
    if (this.isReadOnly) throw new ImapNo('NOPERM', 'Mailbox is read-only');
  }

  /* ── Sequence numbers and UIDs of the view ─────────────────────────────────────────────────────────────────── */

  /** `sequence` is from 1 to `exists`. */
  uidOf(sequence: number): number {
    const pending = this.#pending;
    if (pending === undefined || pending.count === 0) return this.state.uidAt(sequence);
    // How many of the gone have a sequence number up to this one?
    let low = 0;
    let high = pending.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#sequenceOfGone(pending, middle) <= sequence) low = middle + 1;
      else high = middle;
    }
    if (low > 0 && this.#sequenceOfGone(pending, low - 1) === sequence) return pending.uids[low - 1] as number;
    return this.state.uidAt(sequence - low);
  }

  #sequenceOfGone(pending: PendingExpunges, index: number): number {
    return this.state.countBelow(pending.uids[index] as number) + index + 1;
  }

  /** Undefined when the session knows no such message. */
  sequenceOf(uid: number): number | undefined {
    if (uid >= this.#before) return undefined;
    const pending = this.#pending;
    const goneBelow = pending?.countBelow(uid) ?? 0;
    if (!this.state.has(uid) && pending?.uids[goneBelow] !== uid) return undefined;
    return this.state.countBelow(uid) + goneBelow + 1;
  }

  /** Some of them have gone, and the session does not know. */
  anyGone(uids: UidRuns): boolean {
    const pending = this.#pending;
    if (pending === undefined) return false;
    for (let at = 0; at < uids.length; at += 2) {
      const first = pending.uids[pending.countBelow(uids[at] as number)];
      if (first !== undefined && first <= (uids[at + 1] as number)) return true;
    }
    return false;
  }

  /** Everything that the session may know of, as one run. */
  get everything(): UidRuns {
    return below(ALL, this.#before);
  }

  /**
   * A message set as UID runs; there may be UIDs in the runs that no message has.
   * @throws ImapBad for a sequence number that no message has (RFC 9051 §9, seq-number)
   */
  resolve(set: SequenceSet, by: 'uid' | 'sequence'): UidRuns {
    if (set.saved) return this.saved;
    if (by === 'uid') return this.#resolveUids(set);
    this.#requireSequenceNumbers();
    for (const number of set.ranges) {
      if (number > this.exists || (number === STAR && this.exists === 0)) throw new ImapBad('No message has this sequence number');
    }
    return this.resolveLoosely(set, by);
  }

  /** The same for SEARCH, where a number that no message has just matches nothing. */
  resolveLoosely(set: SequenceSet, by: 'uid' | 'sequence'): UidRuns {
    if (set.saved) return this.saved;
    if (by === 'uid') return this.#resolveUids(set);
    this.#requireSequenceNumbers();
    const runs = resolveSet(set, this.exists).slice();
    for (let at = 0; at < runs.length; at++) runs[at] = this.uidOf(runs[at] as number);
    return runs;
  }

  /** @throws ImapBad */
  #requireSequenceNumbers(): void {
    if (this.#owner.isUidOnly) throw new ImapBad('Message numbers are not allowed after UIDONLY', 'UIDREQUIRED');
  }

  #resolveUids(set: SequenceSet): UidRuns {
    const { ranges } = set;
    // `*` is the last message, though numbers above it may be asked for: 4:* of three messages is the last one.
    return below(resolveSet(set, ranges.includes(STAR) ? this.lastUid : this.#before - 1), this.#before);
  }

  /** The same for messages that may have gone: `*` is the highest UID that there ever was. */
  resolveGone(set: SequenceSet): UidRuns {
    return set.saved ? this.saved : resolveSet(set, this.#before - 1);
  }

  /**
   * Calls `visit` for each message of the view within the runs, ascending, gone ones included. Valid until the next await.
   * Return false to stop.
   */
  visit(uids: UidRuns, visit: Visit): void {
    const known = below(uids, this.#before);
    const pending = this.#pending;
    if (pending === undefined || pending.count === 0) {
      this.state.visit(known, visit);
      return;
    }
    let gone = 0;
    let isStopped = false;
    const visitGone = (uid: number): boolean => {
      for (; gone < pending.count && (pending.uids[gone] as number) < uid; gone++) {
        const goneUid = pending.uids[gone] as number;
        if (!contains(known, goneUid) || !pending.hasRow(gone)) continue;
        if (visit(pending.rows, gone * WORDS, goneUid, this.#sequenceOfGone(pending, gone)) === false) return false;
      }
      return true;
    };
    this.state.visit(known, (words, at, uid, sequence) => {
      if (!visitGone(uid) || visit(words, at, uid, sequence + gone) === false) {
        isStopped = true;
        return false;
      }
      return true;
    });
    if (!isStopped) visitGone(Number.POSITIVE_INFINITY);
  }

  /** Sequence number of the first message without \Seen, undefined when there is none. */
  firstUnseen(): number | undefined {
    const { state } = this;
    if (state.info.unseen === 0) return undefined;
    let before = 0;
    for (const chunk of state.chunks) {
      const isAllSeen = (chunk.everyFlags & SEEN) !== 0;
      for (let row = 0; row < chunk.count && !isAllSeen; row++) {
        if (((chunk.words[row * WORDS + FLAGS] as number) & SEEN) !== 0) continue;
        const uid = uidAtRow(chunk.words, row * WORDS, chunk.n);
        return uid < this.#before ? before + row + 1 : undefined;
      }
      before += chunk.count;
    }
    return undefined;
  }

  /* ── \Recent ───────────────────────────────────────────────────────────────────────────────────────────────── */

  isRecent(uid: number): boolean {
    return this.#recent.has(uid);
  }

  /** Known messages that are \Recent to this session, as runs. */
  recentUids(): UidRuns {
    return below(this.#recent.runs, this.#before);
  }

  ownEmailId(id: string): string {
    return ownIdIn(this.access, id);
  }

  /** What the session was told last. */
  get recent(): number {
    return this.#toldRecent;
  }

  recentCount(): number {
    if (this.#owner.isRev2) return 0;
    let count = 0;
    const runs = this.recentUids();
    for (let at = 0; at < runs.length; at += 2) {
      const low = runs[at] as number;
      const after = (runs[at + 1] as number) + 1;
      const { state } = this;
      count += state.countBelow(after) - state.countBelow(low);
      if (this.#pending !== undefined) count += this.#pending.countBelow(after) - this.#pending.countBelow(low);
    }
    return count;
  }

  /** SELECT takes the mark; EXAMINE looks at it only (RFC 9051 does away with it, RFC 3501 §2.3.2). */
  #takeRecent(): void {
    if (this.#owner.isRev2) return;
    if (this.isReadOnly) {
      this.#recent.add(this.info.recentFrom, this.info.uidNext);
      return;
    }
    const taken = this.access.mail.takeRecent(this.box);
    this.#recent.add(taken.from, taken.before);
  }

  /* ── The session has shown or done something itself ────────────────────────────────────────────────────────── */

  /** These flags were shown (or are known to the client who set them) as of `upTo`: not announced again at the end of the command. */
  markShown(uids: UidRuns, upTo: Seq): void {
    this.#shown = uids;
    this.#shownUpTo = upTo;
  }

  /** Nothing has happened that the session was not told of, but that these have gone. */
  knowsAllBut(gone: UidRuns): boolean {
    return !this.#flagsChanged && this.info.uidNext === this.#before && (this.#pending?.count ?? 0) === countOf(gone);
  }

  /** Messages whose flags others have changed, and the session was not told yet. */
  unannounced(): UidRuns {
    return this.#flagsChanged ? this.state.changedSince(this.#toldFlags) : NO_UIDS;
  }

  /**
   * Calls `store`, the session's own, which gets a turn among those of others.
   * @returns its outcome, and the messages whose flags others had changed before it without the session being told
   */
  async among<Outcome extends { readonly seq: Seq }>(store: () => Promise<Outcome>): Promise<Outcome & { readonly unannounced: UidRuns }> {
    const before = this.unannounced();
    const overheard: Overheard[] = [];
    this.#overheard = overheard;
    try {
      const outcome = await store();
      const meanwhile = overheard.filter(({ seq }) => seq < outcome.seq).reduce((all, { uids }) => unionUids(all, uids), before);
      return { ...outcome, unannounced: meanwhile };
    } finally {
      this.#overheard = undefined;
    }
  }

  /* ── What is new ───────────────────────────────────────────────────────────────────────────────────────────── */

  /** FLAGS and PERMANENTFLAGS of the mailbox as it is now. */
  tellFlags(respond: Responder): void {
    const { keywords } = this.info;
    this.#toldKeywords = keywords.length;
    respond.untagged(`FLAGS ${mailboxFlags(keywords)}`);
    respond.ok(`PERMANENTFLAGS ${this.permanentFlags()}`, this.isReadOnly ? 'No flags can be changed' : 'Flags that stay');
  }

  permanentFlags(): string {
    if (this.isReadOnly) return '()';
    const { keywords } = this.info;
    const names = mailboxFlags(keywords, (flag) => mayKeep(this.access, this.box, flag));
    if (keywords.length >= MAX_KEYWORDS || !mayKeep(this.access, this.box, '\\*')) return names;
    return names === '()' ? '(\\*)' : `${names.slice(0, -1)} \\*)`;
  }

  /** A keyword must be in FLAGS before a FETCH shows it (RFC 9051 §7.3.5). */
  tellNewKeywords(respond: Responder): void {
    if (this.#toldKeywords < this.info.keywords.length) this.tellFlags(respond);
  }

  /**
   * Tells what has changed: EXPUNGE only when `expunges` is `tell`, then EXISTS and RECENT, then flags that others changed. Nothing to
   * tell costs nothing. Large news go out in pages with backpressure.
   */
  announce(respond: Responder, expunges: 'tell' | 'keep', flags: 'tell' | 'keep' = 'tell'): undefined | Promise<void> {
    this.tellNewKeywords(respond);
    const pending = this.#pending;
    if (expunges === 'tell' && pending !== undefined && pending.count > 0) {
      if (pending.count > PAGE) return this.#announceMany(respond, pending, flags);
      this.#tellExpunges(respond, pending, 0);
    }
    return this.#announceRest(respond, flags);
  }

  async #announceMany(respond: Responder, pending: PendingExpunges, flags: 'tell' | 'keep'): Promise<void> {
    const slice = new TimeSlice();
    const page = this.#owner.tellsVanished ? VANISHED_PAGE : PAGE;
    while (pending.count > 0) {
      this.#tellExpunges(respond, pending, Math.max(0, pending.count - page));
      if (respond.isFull) await respond.drained();
      if (slice.isOver) await slice.pass();
    }
    await this.#announceRest(respond, flags);
  }

  /** From the highest down to index `downTo`, so that the numbers below stay as they are. */
  #tellExpunges(respond: Responder, pending: PendingExpunges, downTo: number): void {
    let text = '';
    const many = pending.count;
    if (this.#owner.tellsVanished) text = `* VANISHED ${uidsText(pending.uids.subarray(downTo))}\r\n`;
    else for (let index = many - 1; index >= downTo; index--) text += `* ${this.#sequenceOfGone(pending, index)} EXPUNGE\r\n`;
    this.#toldExists -= many - downTo;
    pending.truncate(downTo);
    if (pending.count === 0) this.#pending = undefined;
    // Not told of as such: an EXPUNGE of a recent message implies it.
    this.#toldRecent = Math.min(this.#toldRecent, this.recentCount());
    respond.lines(text);
  }

  #announceRest(respond: Responder, flags: 'tell' | 'keep'): undefined | Promise<void> {
    const { info } = this;
    const knownBefore = this.#before;
    if (info.uidNext > knownBefore && !this.#isLost) {
      this.#before = info.uidNext;
      this.#takeRecent();
      this.#tellGrown(respond, info.messages + (this.#pending?.count ?? 0), this.recentCount());
    }
    if (flags === 'keep' && this.#flagsChanged) return undefined; // told later, from where we are
    const since = this.#toldFlags;
    const shown = this.#shown;
    const shownUpTo = this.#shownUpTo;
    this.#toldFlags = info.highestModSeq; // new messages have a MODSEQ too, and EXISTS is all that is told of them
    this.#shown = NO_UIDS;
    if (!this.#flagsChanged) return undefined;
    this.#flagsChanged = false;
    const changed = below(this.state.changedSince(since), knownBefore);
    if (changed.length === 0) return undefined;
    const rest = this.#tellChanged(respond, changed, shown, shownUpTo);
    return rest.length > 0 ? this.#tellChangedSlowly(respond, rest, shown, shownUpTo) : undefined;
  }

  #tellGrown(respond: Responder, exists: number, recent: number): void {
    if (exists !== this.#toldExists) {
      this.#toldExists = exists;
      respond.untagged(`${exists} EXISTS`);
    }
    if (recent !== this.#toldRecent) {
      this.#toldRecent = recent;
      respond.untagged(`${recent} RECENT`);
    }
  }

  async #tellChangedSlowly(respond: Responder, changed: UidRuns, shown: UidRuns, shownUpTo: Seq): Promise<void> {
    const slice = new TimeSlice();
    for (let rest = changed; rest.length > 0; ) {
      if (respond.isFull) await respond.drained();
      if (slice.isOver) await slice.pass();
      rest = this.#tellChanged(respond, rest, shown, shownUpTo);
    }
  }

  /** A page of unsolicited FETCH; returns what is left. */
  #tellChanged(respond: Responder, changed: UidRuns, shown: UidRuns, shownUpTo: Seq): UidRuns {
    let text = '';
    let left = PAGE;
    let next = 0;
    this.visit(changed, (words, at, uid, sequence) => {
      if (left === 0) {
        next = uid;
        return false;
      }
      left -= 1;
      if (shown.length > 0 && modSeqAtRow(words, at) <= shownUpTo && contains(shown, uid)) return true;
      text += this.#flagsLine(words, at, uid, sequence);
      return true;
    });
    if (text !== '') respond.lines(text);
    return next === 0 ? NO_UIDS : from(changed, next);
  }

  #flagsLine(words: Uint32Array, at: number, uid: number, sequence: number): string {
    const flags = this.flagText(words[at + FLAGS] as number, uid);
    if (this.#owner.isUidOnly) {
      return `* ${uid} UIDFETCH (FLAGS ${flags}${this.#owner.isCondstore ? ` MODSEQ (${modSeqAtRow(words, at)})` : ''})\r\n`;
    }
    if (!this.#owner.isCondstore) return `* ${sequence} FETCH (FLAGS ${flags})\r\n`;
    return `* ${sequence} FETCH (UID ${uid} FLAGS ${flags} MODSEQ (${modSeqAtRow(words, at)}))\r\n`;
  }

  flagText(bits: number, uid: number): string {
    return this.flagTexts.text(bits, this.info.keywords, !this.#owner.isRev2 && this.#recent.has(uid));
  }

  /* ── MailboxListener ───────────────────────────────────────────────────────────────────────────────────────── */

  added(): void {
    this.#owner.viewChanged(this);
  }

  flagged(uids: UidRuns, entry: Entry): void {
    this.#flagsChanged = true;
    this.#overheard?.push({ uids, seq: entry.seq });
    this.#owner.viewChanged(this);
  }

  gone(uids: UidRuns, rows: Uint32Array, entry: Entry): void {
    this.#pending ??= new PendingExpunges();
    this.#pending.add(uids, rows, this.#before, entry.seq);
    this.#owner.viewChanged(this);
  }

  keywords(): void {
    // Told with the next flags, or at the end of the command.
  }

  closed(): void {
    this.#isLost = true;
    this.#owner.viewLost(this, 'deleted');
  }

  /** Flags may have changed. If the counts still agree, no message has gone, for UIDs never come back; else the view cannot be mended. */
  reloaded(): void {
    if (this.#isResting) {
      this.#compareOnWaking = true;
      this.#owner.viewChanged(this);
    } else this.#compare();
  }

  #compare(): void {
    const known = this.state.countBelow(this.#before) + (this.#pending?.count ?? 0);
    if (known !== this.#toldExists || this.info.uidNext < this.#before) {
      this.#owner.viewLost(this, 'out-of-step');
      return;
    }
    this.#flagsChanged = true;
    this.#overheard?.push({ uids: ALL, seq: 0 });
    this.#owner.viewChanged(this);
  }

  /** Live messages of the runs: exact, without those that have gone. */
  living(uids: UidRuns): UidRuns {
    return this.state.existing(below(uids, this.#before));
  }

  /** A page of those messages of the view within the runs whose MODSEQ is above `changedSince` (RFC 9394). */
  partOf(uids: UidRuns, range: PartialRange, changedSince: Seq): UidRuns {
    const known = below(uids, this.#before);
    if (changedSince < 0 && !this.hasPendingExpunges) return partOfRuns(this.state.existing(known), range);
    const shown = new UidRunsBuilder();
    this.visit(known, (words, at, uid) => {
      if (modSeqAtRow(words, at) > changedSince) shown.push(uid);
      return undefined;
    });
    return partOfRuns(shown.done(), range);
  }

  /** UIDs of the runs that no message of the view has. */
  missing(uids: UidRuns): UidRuns {
    const known = below(uids, this.#before);
    const missing = subtractUids(known, this.state.existing(known));
    return this.#pending === undefined ? missing : subtractUids(missing, runsOf(this.#pending.uids));
  }

  /** Number of messages of the view within the runs. */
  countIn(uids: UidRuns): number {
    const known = below(uids, this.#before);
    let count = countOf(this.state.existing(known));
    if (this.#pending !== undefined) for (const uid of this.#pending.uids) if (contains(known, uid)) count += 1;
    return count;
  }
}

export interface SelectOptions {
  readonly access: 'read-write' | 'read-only';
  readonly owner: ViewOwner;
  flagTexts(info: MailboxInfo): FlagTexts;
}
