/** What of a change of flags a guest may do, and where his \Seen goes: into the owner's journal, under his own name. */
import type { MailboxId, Seq } from '../../store/store.ts';
import { type Guest, hasRight, type RightSet, rightsOf } from './acl.ts';
import { isSeenShared } from './annotation-notes.ts';
import type { Draft } from './draft.ts';
import { DELETED, type FlagBits, SEEN, type UidRuns } from './entry.ts';
import { fewWithin } from './few-uids.ts';
import { carriedOver } from './seen-marks.ts';
import { NO_UIDS, subtractUids } from './uid-runs.ts';

/** Users with marks of their own times mailboxes, in one account: marks lie in memory and in each snapshot. */
export const MAX_SEEN_MARKS = 10_000;
/** Users whose marks go along when messages are copied or moved. */
const MAX_CARRIED = 256;
const SYSTEM_AND_KEYWORDS = ~(SEEN | DELETED) >>> 0;

export interface GuestFlags {
  /** Bits of the messages themselves that the guest may change. */
  readonly mask: FlagBits;
  /** Who keeps \Seen for himself here; undefined when he may not, or when it is everybody's. */
  readonly ownSeen: Guest | undefined;
}

export function guestFlags(
  draft: Draft,
  box: MailboxId,
  guest: Guest,
  rights: RightSet = rightsOf(draft.state.notes, box, guest),
): GuestFlags {
  const isShared = isSeenShared((name) => draft.state.notes?.get(name), box);
  const maySee = hasRight(rights, 's');
  let mask = hasRight(rights, 'w') ? SYSTEM_AND_KEYWORDS : 0;
  if (hasRight(rights, 't')) mask |= DELETED;
  if (maySee && isShared) mask |= SEEN;
  return { mask: mask >>> 0, ownSeen: maySee && !isShared ? guest : undefined };
}

/** Marks of one more user fit into the account. */
export function hasRoomForMarks(draft: Draft, box: MailboxId, { id }: Guest): boolean {
  return (draft.state.seenBy?.length ?? 0) < MAX_SEEN_MARKS || draft.state.seenMarks(box, id) !== undefined;
}

/** Of `uids`, all existing, those whose mark differs from `seen`. */
export function marksToChange(draft: Draft, box: MailboxId, { id }: Guest, uids: UidRuns, seen: boolean): UidRuns {
  const marked = draft.state.seenMarks(box, id)?.uids ?? NO_UIDS;
  const already = fewWithin(uids, marked);
  return seen ? subtractUids(uids, already) : already;
}

/** UIDs whose mark changed after `seq`: they fail UNCHANGEDSINCE as if the message had changed. */
export function marksChangedSince(draft: Draft, box: MailboxId, { id }: Guest, seq: Seq): UidRuns {
  return draft.state.seenMarks(box, id)?.changedSince(seq) ?? NO_UIDS;
}

/** COPY and MOVE inside an account: what users have seen of the messages they have seen of the copies, where the target is shared too. */
export function carryMarks(draft: Draft, from: MailboxId, uids: UidRuns, to: MailboxId, first: number): void {
  const { state } = draft;
  if (state.seenBy === undefined || isSeenShared((name) => state.notes?.get(name), to)) return;
  let left = MAX_CARRIED;
  for (const marks of state.seenBy) {
    if (marks.box !== from) continue;
    const carried = carriedOver(marks.uids, uids, first);
    if (carried.length === 0) continue;
    if (left-- === 0) return;
    if (!hasRoomForMarks(draft, to, { id: marks.who, name: '' })) return;
    draft.push({ op: 'seen', box: to, who: marks.who, uids: carried, seen: true });
  }
}
