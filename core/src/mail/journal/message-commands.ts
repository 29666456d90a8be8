/** Commands on messages, computed at the head: APPEND, STORE, COPY, MOVE, EXPUNGE, REPLACE. */
import type { ContentId, MailboxId, NewContent, Seq } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { AppendItem, FlagChange, Limits, Relocated, SubmissionChange } from './account-mail.ts';
import type { Command } from './command.ts';
import type { BoxDraft, Draft } from './draft.ts';
import type { FlagBits, GoneCause, Placed, UidRuns } from './entry.ts';
import { DELETED } from './entry.ts';
import { FIRST_KEYWORD_BIT, keywordsOf, resolveFlags } from './flag-names.ts';
import { contentAtRow, DATE, FLAGS, SIZE } from './layout.ts';
import type { GonePlan, PackedMailbox } from './mailbox-state.ts';
import { NO_UIDS, runOf } from './uid-runs.ts';

const MAX_KEY_LENGTH = 256;
const SYSTEM_BITS = (1 << FIRST_KEYWORD_BIT) - 1;

export interface AppendAnswer {
  readonly seq: Seq;
  readonly uidValidity: number;
  readonly uids: readonly number[];
  readonly duplicate: boolean;
}

export function appendCommand(box: MailboxId, items: readonly AppendItem[], origin: string, limits: Limits): Command<AppendAnswer> {
  let weight = 0;
  for (const item of items) weight += contentOctets(item.content);
  return { origin, alone: false, weight, touches: undefined, compute: (draft) => computeAppend(draft, box, items, limits) };
}

/** Items whose key is known are not placed again: their first UID is answered, `duplicate` when that holds for all. */
function computeAppend(draft: Draft, box: MailboxId, items: readonly AppendItem[], limits: Limits): AppendAnswer {
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
  for (const [n, item] of items.entries()) uids.push(known?.[n]?.uid ?? placeItem(draft, target, item));
  return { seq: items.length === 0 ? draft.head : draft.seq, uidValidity: target.record.uidValidity, uids, duplicate: false };
}

function placeItem(draft: Draft, target: BoxDraft, item: AppendItem): number {
  const { bits, added } = resolveFlags(item.flags, target.keywords, 'add');
  if (added.length > 0) draft.addKeywords(target, added);
  draft.contents.push(item.content);
  const message = {
    content: item.content.id,
    size: item.content.sizeOctets,
    date: seconds32(item.date),
    saved: draft.seconds,
    flags: bits,
  };
  return draft.place(target, message, item.key);
}

/** Alone in its entry: its records may find that another writer was first. */
export function submissionCommand(change: SubmissionChange, origin: string): Command<void> {
  const { file, outcomes, keeps, drops, records } = change;
  return {
    origin,
    alone: true,
    weight: 0,
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
): Command<StoreAnswer> {
  return {
    origin,
    alone: false,
    weight: 64 + uids.length * 4,
    touches: { box, uids },
    compute(draft) {
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

export function copyCommand(box: MailboxId, uids: UidRuns, to: MailboxId, origin: string, limits: Limits): Command<Relocated> {
  return {
    origin,
    alone: false,
    weight: 64 + uids.length * 4,
    touches: { box, uids },
    compute(draft) {
      const { packed } = draft.source(box);
      return place(draft, packed, uids, to, limits, 'copy').relocated;
    },
  };
}

export function moveCommand(box: MailboxId, uids: UidRuns, to: MailboxId, origin: string): Command<Relocated> {
  return {
    origin,
    alone: false,
    weight: 64 + uids.length * 4,
    touches: { box, uids },
    compute(draft) {
      const { packed } = draft.source(box);
      return place(draft, packed, uids, to, {}, 'move').relocated;
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
): { readonly relocated: Relocated } {
  const target = draft.target(to);
  const plan = packed.planGone(uids, 0);
  const count = plan.contents.length;
  if (count === 0) return { relocated: { seq: draft.head, uidValidity: target.record.uidValidity, from: NO_UIDS, to: NO_UIDS } };
  if (how === 'copy') draft.checkQuota(plan.octets, count, limits);
  draft.checkUids(target, count);
  const first = target.uidNext;
  const { messages, added } = placements(packed, plan.uids, target.keywords, packed.info.id === to, first, draft.seconds);
  draft.addKeywords(target, added);
  target.uidNext += count;
  // A later append must not join an add op with lower UIDs.
  target.add = undefined;
  draft.push({ op: 'add', box: to, messages, from: packed.info.id, fromUids: plan.uids, ...(how === 'move' ? { moved: true } : {}) });
  if (how === 'copy') {
    draft.octets += plan.octets;
    draft.messages += count;
  } else pushGone(draft, packed.info.id, plan, 'move');
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
): { readonly messages: Placed[]; readonly added: readonly string[] } {
  let used = 0;
  packed.visit(uids, (words, at) => {
    used |= words[at + FLAGS] as number;
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
    const flags = words[at + FLAGS] as number;
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
): Command<ExpungeAnswer> {
  return {
    origin,
    alone: false,
    weight: 64 + uids.length * 4,
    touches: { box, uids },
    compute(draft) {
      const { packed } = draft.source(box);
      const plan = packed.planGone(uids, which === 'only-deleted' ? DELETED : 0);
      if (plan.contents.length === 0) return { seq: draft.head, gone: NO_UIDS };
      pushGone(draft, box, plan, cause);
      return { seq: draft.seq, gone: plan.uids };
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
): Command<ReplaceAnswer> {
  const uids = runOf(uid, uid);
  return {
    origin,
    alone: false,
    weight: contentOctets(item.content),
    touches: { box, uids },
    compute(draft) {
      const { packed } = draft.source(box);
      const target = draft.target(to);
      const plan = packed.planGone(uids, 0);
      if (plan.contents.length === 0) throw new MailError('expunged', 'The message to replace has gone');
      draft.checkSize(item.content.sizeOctets);
      draft.checkQuota(item.content.sizeOctets - plan.octets, 0, limits);
      draft.checkUids(target, 1);
      const placed = placeItem(draft, target, item);
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
