import { SEEN, type UidRuns } from '../../mail/journal/entry.ts';
import { FLAGS, modSeqAtRow } from '../../mail/journal/layout.ts';
import { intersectUids, NO_UIDS, UidRunsBuilder } from '../../mail/journal/uid-runs.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { ImapBad } from '../errors.ts';
import { planFetch } from '../fetch/fetch-plan.ts';
import { FetchRun } from '../fetch/fetch-run.ts';
import { args } from '../grammar/args.ts';
import { fetchRequest } from '../grammar/fetch.ts';
import { messageSet } from '../grammar/sequence-set.ts';
import type { FetchRequest } from '../grammar/syntax-tree.ts';
import { mayIn } from '../guest-view.ts';
import { withinLimit } from '../message-limit.ts';
import type { SelectedMailbox } from '../selected-mailbox.ts';
import { vanishedSince, writeVanishedEarlier } from '../vanished.ts';

/** FETCH and UID FETCH: RFC 3501 §6.4.5, RFC 9051 §6.4.5, RFC 7162 §3.1.4 and §3.2.6, RFC 3516, RFC 8474, RFC 8514, RFC 8970, RFC 9394. */
export const fetch = defineCommand({
  name: 'FETCH',
  uidForm: true,
  states: ['selected'],
  capability: ['BINARY', 'CONDSTORE', 'PREVIEW', 'SAVEDATE'],
  mayExpunge: false,
  args: args({ messages: messageSet, request: fetchRequest }),

  async handle(context, { messages, request }) {
    const { selected: view, session } = context;
    // UIDFETCH begins with it (RFC 9586 §3.3).
    const plan = planFetch(request, { uid: context.isUid && !session.isUidOnly ? 'always' : 'asked' });
    if (request.vanished) requireVanished(context, request);
    if (plan.showsModSeq) session.enableCondstore();
    if (request.vanished && request.changedSince !== undefined) {
      const named = view.resolveGone(messages);
      await writeVanishedEarlier(context, await vanishedSince(view, request.changedSince, named, { signal: context.signal }));
    }

    let uids = view.resolve(messages, context.by);
    if (request.changedSince !== undefined && !view.hasPendingExpunges) {
      uids = intersectUids(uids, view.state.changedSince(request.changedSince)); // reads the changes, not the mailbox
    }
    if (request.partial !== undefined) uids = view.partOf(uids, request.partial, request.changedSince ?? -1);
    const limited = withinLimit(view, uids, request.changedSince);
    uids = limited.uids;
    if (uids.length === 0) return;
    await view.access.authorize(view.box, view.living(uids), plan.needsContent || plan.columns.length > 0 ? 'content' : 'metadata');

    const seenNow =
      plan.setsSeen && !view.isReadOnly && mayIn(view.access, view.box, 's')
        ? await markSeen(context, view, uids, request.changedSince)
        : NO_UIDS;
    const shownUpTo = view.info.highestModSeq; // rows are read from here on
    await new FetchRun(context, view, plan, { changedSince: request.changedSince, seenNow }).run(uids);
    if (plan.showsFlags && (plan.showsModSeq || !session.isCondstore)) view.markShown(uids, shownUpTo);
    return limited.code === undefined ? undefined : { code: limited.code, text: 'FETCH done in part' };
  },
});

/** RFC 7162 §3.2.6. @throws ImapBad */
function requireVanished({ session, by }: CommandContext, { changedSince }: FetchRequest): void {
  if (!session.isQresync) throw new ImapBad('QRESYNC is not enabled');
  if (by !== 'uid') throw new ImapBad('VANISHED needs UID FETCH');
  if (changedSince === undefined) throw new ImapBad('VANISHED needs CHANGEDSINCE');
}

/** \Seen on all that lack it, in one store. @returns those that have got it now */
async function markSeen(context: CommandContext, view: SelectedMailbox, uids: UidRuns, changedSince: number | undefined): Promise<UidRuns> {
  const unseen = new UidRunsBuilder();
  view.visit(uids, (words, at, uid) => {
    if (((words[at + FLAGS] as number) & SEEN) === 0 && modSeqAtRow(words, at) > (changedSince ?? -1)) unseen.push(uid);
  });
  const living = view.living(unseen.done());
  if (living.length === 0) return NO_UIDS;
  const { changed, seq } = await view.access.store(view.box, living, { mode: 'add', flags: ['\\Seen'] });
  context.selected.markShown(changed, seq);
  return changed;
}
