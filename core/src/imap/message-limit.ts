/**
 * MESSAGELIMIT (RFC 9738): how many messages one command works on, where the administrator has set a limit. FETCH, STORE,
 * MOVE and UID EXPUNGE do the highest of them and say where they stopped; COPY and APPEND, which are all or nothing, do nothing. SEARCH works in
 * slices and needs none; what it saves may have one of its own, SAVELIMIT.
 */
import { DELETED, type UidRuns } from '../mail/journal/entry.ts';
import { FLAGS } from '../mail/journal/layout.ts';
import { countUids, UidRunsBuilder } from '../mail/journal/uid-runs.ts';
import type { CommandContext } from './command.ts';
import { ImapNo } from './errors.ts';
import { partOfRuns } from './partial.ts';
import type { SelectedMailbox } from './selected-mailbox.ts';

export interface WithinLimit {
  readonly uids: UidRuns;
  /** Response code when some were left out. */
  readonly code: string | undefined;
}

/** `all`: of messages that are there. */
function cutTo(limit: number, all: UidRuns): WithinLimit {
  if (countUids(all) <= limit) return { uids: all, code: undefined };
  const uids = partOfRuns(all, { first: -1, last: -limit });
  return { uids, code: `MESSAGELIMIT ${limit} ${uids[0] ?? 0}` };
}

/** The highest messages of the view within the runs whose MODSEQ is above `changedSince`, as many as are allowed. */
export function withinLimit(view: SelectedMailbox, uids: UidRuns, changedSince = -1): WithinLimit {
  const limit = view.messageLimit;
  if (limit === 0) return { uids, code: undefined };
  return cutTo(limit, view.partOf(uids, { first: -1, last: -(limit + 1) }, changedSince));
}

/** The same of those that are \Deleted: what UID EXPUNGE works on. */
export function deletedWithinLimit(view: SelectedMailbox, uids: UidRuns): WithinLimit {
  const limit = view.messageLimit;
  if (limit === 0 || view.info.deleted <= limit) return { uids, code: undefined };
  const deleted = new UidRunsBuilder();
  view.state.visit(uids, (words, at, uid) => {
    if (((words[at + FLAGS] as number) & DELETED) !== 0) deleted.push(uid);
    return undefined;
  });
  return cutTo(limit, deleted.done());
}

/** Keeps the result of a SEARCH for `$` (RFC 5182), the highest messages where they are too many. @returns a response code in that case */
export function saveResult({ session, selected: view }: CommandContext, uids: UidRuns): string | undefined {
  const limit = session.env.limits.imapSavedMessages;
  const saved = limit === 0 ? { uids, code: undefined } : cutTo(limit, uids);
  view.saved = saved.uids;
  return saved.code;
}

/** For commands that are done whole or not at all. @throws ImapNo MESSAGELIMIT */
export function requireWithinLimit(limit: number, messages: number): void {
  if (limit > 0 && messages > limit) throw new ImapNo(`MESSAGELIMIT ${limit}`, 'Too many messages for one command');
}
