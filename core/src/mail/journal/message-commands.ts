/** Commands on messages, computed at the head: APPEND, STORE, COPY, MOVE, EXPUNGE, REPLACE. */
import type { ContentId, MailboxId, NewContent, Seq } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { AppendItem, FlagChange, Limits, Relocated, SubmissionChange } from './account-mail.ts';
import { type Guest, requireRights, rightsOf } from './acl.ts';
import type { Command } from './command.ts';
import type { BoxDraft, Draft } from './draft.ts';
import type { FlagBits, GoneCause, Placed, UidRuns } from './entry.ts';
import { DELETED, SEEN } from './entry.ts';
import { FIRST_KEYWORD_BIT, indexOfKeyword, keywordsOf, resolveFlags } from './flag-names.ts';
import { carryMarks, type GuestFlags, guestFlags, hasRoomForMarks, marksChangedSince, marksToChange } from './guest-flags.ts';
import { contentAtRow, DATE, FLAGS, SIZE } from './layout.ts';
import type { GonePlan, PackedMailbox } from './mailbox-state.ts';
import { intersectUids, NO_UIDS, runOf, subtractUids, UidRunsBuilder, unionUids } from './uid-runs.ts';

const MAX_KEY_LENGTH = 256;
const SYSTEM_BITS = (1 << FIRST_KEYWORD_BIT) - 1;

export interface AppendAnswer {
  readonly seq: Seq;
  readonly uidValidity: number;
  readonly uids: readonly number[];
  readonly duplicate: boolean;
}

export interface AppendOptions {
  readonly guest?: Guest | undefined;
  /** Lands with the messages or not at all; its name must be this command's only. */
  readonly note?: readonly [name: string, value: string] | undefined;
}

export function appendCommand(
  box: MailboxId,
  items: readonly AppendItem[],
  origin: string,
  limits: Limits,
  options: AppendOptions = {},
): Command<AppendAnswer> {
  let weight = 0;
  for (const item of items) weight += contentOctets(item.content);
  const compute = (draft: Draft): AppendAnswer => {
    if (options.guest !== undefined) requireRights(rightsOf(draft.state.notes, box, options.guest), 'i', 'no-such-target');
    const answer = computeAppend(draft, box, items, limits, options.guest);
    if (options.note !== undefined) draft.push({ op: 'note', name: options.note[0], value: options.note[1] });
    return answer;
  };
  return { origin, alone: false, weight, touches: undefined, compute };
}

/** Items whose key is known are not placed again: their first UID is answered, `duplicate` when that holds for all. */
function computeAppend(
  draft: Draft,
  box: MailboxId,
  items: readonly AppendItem[],
  limits: Limits,
  guest?: Guest | undefined,
): AppendAnswer {
  const keyed = items.some((item) => item.key !== undefined);
  const known = keyed ? items.map((item) => (item.key === undefined ? undefined : draft.recentKey(checkedKey(item.key)))) : undefined;
  const first = known?.find((recent) => recent !== undefined);
  if (known !== undefined && first !== undefined && known.every((recent) => recent !== undefined)) {
    // Also when that mailbox has gone since: the delivery was acknowledged once, and what became of it is the user's business.
    const uidValidity = draft.state.byId(first.box)?.uidValidity ?? 0;
    return { seq: first.seq, uidValidity, uids: known.map((recent) => recent.uid), duplicate: true };
  }
  const target = draft.target(box);
  let octets = 0;
  for (const [n, item] of items.entries()) {
    if (known?.[n] !== undefined) continue;
    draft.checkSize(item.content.sizeOctets);
    octets += item.content.sizeOctets;
  }
  draft.checkQuota(octets, items.length, limits);
  draft.checkUids(target, items.length);
  const uids: number[] = [];
  const may = guest === undefined ? undefined : guestFlags(draft, box, guest);
  const seen = may === undefined ? undefined : new UidRunsBuilder();
  for (const [n, item] of items.entries()) uids.push(known?.[n]?.uid ?? placeItem(draft, target, item, may, seen));
  pushMarks(draft, box, may, seen);
  return { seq: items.length === 0 ? draft.head : draft.seq, uidValidity: target.record.uidValidity, uids, duplicate: false };
}

/** Flags that a guest may not set are left out (RFC 4314 §4); his own \Seen is collected in `seen`. */
function placeItem(
  draft: Draft,
  target: BoxDraft,
  item: AppendItem,
  may: GuestFlags | undefined,
  seen: UidRunsBuilder | undefined,
): number {
  const mask = may?.mask ?? 0xffff_ffff;
  const { bits: asked, added } = resolveFlags(item.flags, target.keywords, mask >>> FIRST_KEYWORD_BIT === 0 ? 'skip' : 'add');
  const bits = (asked & mask) >>> 0;
  if (added.length > 0) draft.addKeywords(target, added);
  draft.contents.push(item.content);
  const message = {
    content: item.content.id,
    size: item.content.sizeOctets,
    date: seconds32(item.date),
    saved: draft.seconds,
    flags: bits,
  };
  const uid = draft.place(target, message, item.key);
  if ((asked & SEEN) !== 0 && may?.ownSeen !== undefined) seen?.push(uid);
  return uid;
}

function pushMarks(draft: Draft, box: MailboxId, may: GuestFlags | undefined, seen: UidRunsBuilder | undefined): void {
  if (seen === undefined || seen.isEmpty || may?.ownSeen === undefined || !hasRoomForMarks(draft, box, may.ownSeen)) return;
  draft.push({ op: 'seen', box, who: may.ownSeen.id, uids: seen.done(), seen: true });
}

/** Several share an entry; when the records of one find that another writer was first, all of them are told so, and none has landed. */
export function submissionCommand(change: SubmissionChange, origin: string): Command<void> {
  const { file, outcomes, keeps, drops, records } = change;
  let weight = 64 * outcomes.length + 512 * records.length;
  for (const content of file === undefined ? keeps : [...keeps, file.item.content]) weight += contentOctets(content);
  return {
    origin,
    alone: false,
    weight,
    touches: undefined,
    compute(draft) {
      if (file !== undefined) computeAppend(draft, file.box, [file.item], file.limits);
      for (const outcome of outcomes) draft.push({ op: 'outcome', ...outcome });
      draft.contents.push(...keeps);
      draft.dead.push(...drops);
      draft.records.push(...records);
    },
  };
}

export interface StoreAnswer {
  readonly seq: Seq;
  readonly changed: UidRuns;
  readonly modified: UidRuns;
}

export function storeCommand(
  box: MailboxId,
  uids: UidRuns,
  change: FlagChange,
  origin: string,
  unchangedSince: Seq | undefined,
  guest?: Guest | undefined,
): Command<StoreAnswer> {
  return {
    origin,
    alone: false,
    weight: 64 + uids.length * 4,
    touches: { box, uids },
    compute(draft) {
      if (guest !== undefined) return computeGuestStore(draft, box, uids, change, unchangedSince, guest);
      const { box: source, packed } = draft.source(box);
      const { bits, added } = resolveFlags(change.flags, source.keywords, change.mode === 'remove' ? 'skip' : 'add');
      const set = change.mode === 'remove' ? 0 : bits;
      const clear = change.mode === 'add' ? 0 : change.mode === 'remove' ? bits : ~bits >>> 0;
      const plan = packed.planFlags(uids, set, clear, unchangedSince);
      if (plan.changed.length === 0) return { seq: draft.head, changed: NO_UIDS, modified: plan.modified };
      draft.addKeywords(source, added);
      const { changed, modified, ...counts } = plan;
      draft.push({ op: 'flag', box, uids: changed, set, clear, ...counts });
      return { seq: draft.seq, changed, modified };
    },
  };
}

/**
 * What he may of it, as long as that is something (RFC 4314 §4): flags of the messages, and his own \Seen. A message counts as changed since
 * when either was.
 */
function computeGuestStore(
  draft: Draft,
  box: MailboxId,
  uids: UidRuns,
  change: FlagChange,
  unchangedSince: Seq | undefined,
  guest: Guest,
): StoreAnswer {
  const rights = rightsOf(draft.state.notes, box, guest);
  requireRights(rights, 'r');
  const { mask, ownSeen } = guestFlags(draft, box, guest, rights);
  const { box: source, packed } = draft.source(box);
  const isRemoval = change.mode === 'remove';
  const mayName = mask >>> FIRST_KEYWORD_BIT !== 0;
  const { bits, added } = resolveFlags(change.flags, source.keywords, isRemoval || !mayName ? 'skip' : 'add');
  const becomesSeen = !isRemoval && (bits & SEEN) !== 0;
  const marks = ownSeen !== undefined && (change.mode === 'replace' || (bits & SEEN) !== 0);
  const named = change.mode === 'replace' ? mask : bits & mask;
  // A keyword that the mailbox has never had is taken away by doing nothing.
  const isMoot = isRemoval && mayName && change.flags.some((name) => !name.startsWith('\\') && indexOfKeyword(source.keywords, name) < 0);
  if (named === 0 && !marks && !isMoot && change.flags.length > 0)
    throw new MailError('forbidden', 'The access control list does not allow to change these flags');

  const since = unchangedSince === undefined ? NO_UIDS : marksChangedSince(draft, box, guest, unchangedSince);
  const late = packed.existing(intersectUids(uids, since));
  const asked = subtractUids(uids, late);
  const set = isRemoval ? 0 : (bits & mask) >>> 0;
  const clear = change.mode === 'add' ? 0 : ((isRemoval ? bits : ~bits) & mask) >>> 0;
  const { changed, modified, ...counts } = packed.planFlags(asked, set, clear, unchangedSince);
  const marked = marks ? packed.existing(subtractUids(asked, modified)) : NO_UIDS;
  const toMark = marksToChange(draft, box, guest, marked, becomesSeen);
  if (toMark.length > 0 && !hasRoomForMarks(draft, box, guest)) throw new MailError('limit', 'Too many users have marks of their own here');
  const failed = unionUids(modified, late);
  if (changed.length === 0 && toMark.length === 0) return { seq: draft.head, changed: NO_UIDS, modified: failed };
  if (changed.length > 0) {
    draft.addKeywords(source, added);
    draft.push({ op: 'flag', box, uids: changed, set, clear, ...counts });
  }
  if (toMark.length > 0) draft.push({ op: 'seen', box, who: guest.id, uids: toMark, seen: becomesSeen });
  return { seq: draft.seq, changed: unionUids(changed, toMark), modified: failed };
}

export function copyCommand(
  box: MailboxId,
  uids: UidRuns,
  to: MailboxId,
  origin: string,
  limits: Limits,
  guest?: Guest | undefined,
): Command<Relocated> {
  return {
    origin,
    alone: false,
    weight: 64 + uids.length * 4,
    touches: { box, uids },
    compute(draft) {
      const may = guest === undefined ? undefined : mayRelocate(draft, box, 'r', to, guest);
      const { packed } = draft.source(box);
      return place(draft, packed, uids, to, limits, 'copy', may).relocated;
    },
  };
}

/** @throws MailError forbidden, no-such-mailbox, no-such-target */
function mayRelocate(draft: Draft, box: MailboxId, needed: string, to: MailboxId, guest: Guest): GuestFlags {
  requireRights(rightsOf(draft.state.notes, box, guest), needed);
  const rights = rightsOf(draft.state.notes, to, guest);
  requireRights(rights, 'i', 'no-such-target');
  return guestFlags(draft, to, guest, rights);
}

export function moveCommand(box: MailboxId, uids: UidRuns, to: MailboxId, origin: string, guest: Guest | undefined): Command<Relocated> {
  return {
    origin,
    alone: false,
    weight: 64 + uids.length * 4,
    touches: { box, uids },
    compute(draft) {
      const may = guest === undefined ? undefined : mayRelocate(draft, box, 'rte', to, guest); // RFC 6851 §4.1
      const { packed } = draft.source(box);
      return place(draft, packed, uids, to, {}, 'move', may).relocated;
    },
  };
}

/** COPY, and MOVE with its `gone`: also onto the same mailbox, where the messages get new UIDs. Used by RENAME INBOX too. */
function place(
  draft: Draft,
  packed: PackedMailbox,
  uids: UidRuns,
  to: MailboxId,
  limits: Limits,
  how: 'copy' | 'move',
  may: GuestFlags | undefined,
): { readonly relocated: Relocated } {
  const target = draft.target(to);
  const plan = packed.planGone(uids, 0);
  const count = plan.contents.length;
  if (count === 0) return { relocated: { seq: draft.head, uidValidity: target.record.uidValidity, from: NO_UIDS, to: NO_UIDS } };
  if (how === 'copy') draft.checkQuota(plan.octets, count, limits);
  draft.checkUids(target, count);
  const first = target.uidNext;
  // What is \Seen to the owner stays so.
  const mask = may === undefined ? 0xffff_ffff : may.mask | SEEN;
  const { messages, added } = placements(packed, plan.uids, target.keywords, packed.info.id === to, first, draft.seconds, mask);
  draft.addKeywords(target, added);
  target.uidNext += count;
  // A later append must not join an add op with lower UIDs.
  target.add = undefined;
  draft.push({ op: 'add', box: to, messages, from: packed.info.id, fromUids: plan.uids, ...(how === 'move' ? { moved: true } : {}) });
  if (how === 'copy') {
    draft.octets += plan.octets;
    draft.messages += count;
  } else pushGone(draft, packed.info.id, plan, 'move');
  carryMarks(draft, packed.info.id, plan.uids, to, first);
  return {
    relocated: { seq: draft.seq, uidValidity: target.record.uidValidity, from: plan.uids, to: runOf(first, first + count - 1) },
  };
}

/** The messages as another mailbox would hold them: keywords by name, UIDs from `first` on. @throws MailError limit */
export function placements(
  packed: PackedMailbox,
  uids: UidRuns,
  table: readonly string[],
  sameTable: boolean,
  first: number,
  saved: number,
  mask: FlagBits = 0xffff_ffff,
): { readonly messages: Placed[]; readonly added: readonly string[] } {
  let used = 0;
  packed.visit(uids, (words, at) => {
    used |= (words[at + FLAGS] as number) & mask;
  });
  const names = sameTable ? [] : keywordsOf(used, packed.info.keywords);
  const map: { readonly from: FlagBits; readonly to: FlagBits }[] = [];
  const added = resolveFlags(names, table, 'add').added;
  const grown = [...table, ...added];
  for (const name of names) {
    const from = resolveFlags([name], packed.info.keywords, 'skip').bits;
    map.push({ from, to: resolveFlags([name], grown, 'skip').bits });
  }
  const messages: Placed[] = [];
  packed.visit(uids, (words, at) => {
    const flags = (words[at + FLAGS] as number) & mask;
    let mapped = sameTable ? flags : flags & SYSTEM_BITS;
    for (const bit of map) if ((flags & bit.from) !== 0) mapped |= bit.to;
    messages.push({
      uid: first + messages.length,
      content: contentAtRow(words, at) as ContentId,
      size: words[at + SIZE] as number,
      date: words[at + DATE] as number,
      saved,
      flags: mapped >>> 0,
    });
  });
  return { messages, added };
}

export interface ExpungeAnswer {
  readonly seq: Seq;
  readonly gone: UidRuns;
}

export function expungeCommand(
  box: MailboxId,
  uids: UidRuns,
  cause: GoneCause,
  origin: string,
  which: 'all' | 'only-deleted',
  guest?: Guest | undefined,
): Command<ExpungeAnswer> {
  return {
    origin,
    alone: false,
    weight: 64 + uids.length * 4,
    touches: { box, uids },
    compute(draft) {
      if (guest !== undefined) requireRights(rightsOf(draft.state.notes, box, guest), which === 'all' ? 'te' : 'e');
      const { packed } = draft.source(box);
      const plan = packed.planGone(uids, which === 'only-deleted' ? DELETED : 0);
      if (plan.contents.length === 0) return { seq: draft.head, gone: NO_UIDS };
      pushGone(draft, box, plan, cause);
      return { seq: draft.seq, gone: plan.uids };
    },
  };
}

/** Says that messages are on their way into another account. Their rights are judged here; what follows is not refused any more. */
export function beginTransferCommand(box: MailboxId, note: string, origin: string, guest?: Guest | undefined): Command<void> {
  return {
    origin,
    alone: true,
    weight: 0,
    touches: undefined,
    compute(draft) {
      if (guest !== undefined) requireRights(rightsOf(draft.state.notes, box, guest), 'rte');
      if (draft.state.byId(box) === undefined) throw new MailError('no-such-mailbox', 'No such mailbox');
      draft.push({ op: 'note', name: note, value: '' });
    },
  };
}

/** They have arrived: removes them here, and the note. Nothing when the note has gone, so that it may be tried again. */
export function endTransferCommand(box: MailboxId, uids: UidRuns, note: string, origin: string): Command<Seq> {
  return {
    origin,
    alone: true,
    weight: 0,
    touches: { box, uids },
    compute(draft) {
      if (draft.state.notes?.has(note) !== true) return draft.head;
      // With the mailbox deleted meanwhile there is nothing left to remove.
      const plan = draft.state.byId(box)?.selectable === true ? draft.source(box).packed.planGone(uids, 0) : undefined;
      if (plan !== undefined && plan.contents.length > 0) pushGone(draft, box, plan, 'expunge');
      draft.push({ op: 'note', name: note, value: null });
      return draft.seq;
    },
  };
}

/** Contents of a move live on in the other mailbox; all others become candidates for the sweep. */
export function pushGone(draft: Draft, box: MailboxId, plan: GonePlan, cause: GoneCause): void {
  draft.push({ op: 'gone', box, cause, ...plan });
  if (cause === 'move') return;
  draft.octets -= plan.octets;
  draft.messages -= plan.contents.length;
  for (const content of plan.contents) draft.dead.push(content);
}

export interface ReplaceAnswer {
  readonly seq: Seq;
  readonly uidValidity: number;
  readonly uid: number;
}

/** The quota is judged by what the account holds after the entry. */
export function replaceCommand(
  box: MailboxId,
  uid: number,
  to: MailboxId,
  item: AppendItem,
  origin: string,
  limits: Limits,
  guest?: Guest | undefined,
): Command<ReplaceAnswer> {
  const uids = runOf(uid, uid);
  return {
    origin,
    alone: false,
    weight: contentOctets(item.content),
    touches: { box, uids },
    compute(draft) {
      const may = guest === undefined ? undefined : mayRelocate(draft, box, 'rte', to, guest);
      const { packed } = draft.source(box);
      const target = draft.target(to);
      const plan = packed.planGone(uids, 0);
      if (plan.contents.length === 0) throw new MailError('expunged', 'The message to replace has gone');
      draft.checkSize(item.content.sizeOctets);
      draft.checkQuota(item.content.sizeOctets - plan.octets, 0, limits);
      draft.checkUids(target, 1);
      const seen = may === undefined ? undefined : new UidRunsBuilder();
      const placed = placeItem(draft, target, item, may, seen);
      pushMarks(draft, to, may, seen);
      pushGone(draft, box, plan, 'replace');
      return { seq: draft.seq, uidValidity: target.record.uidValidity, uid: placed };
    },
  };
}

/** INTERNALDATE as a row holds it: from 1970 to 2106. */
function seconds32(seconds: number): number {
  return Number.isFinite(seconds) ? Math.min(Math.max(Math.floor(seconds), 0), 0xffff_ffff) : 0;
}

function checkedKey(key: string): string {
  if (key.length === 0 || key.length > MAX_KEY_LENGTH) throw new MailError('invalid', 'Idempotency key is empty or too long');
  return key;
}

function contentOctets(content: NewContent): number {
  let octets = 128;
  for (const segment of content.segments) octets += segment.data?.length ?? 64;
  if ('sealed' in content.meta) return octets + content.meta.sealed.length;
  const { envelope, structure, body, head, parts } = content.meta;
  return octets + envelope.length + structure.length + body.length + head.length + parts.length;
}
