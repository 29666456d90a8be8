import type { UidRuns } from '../../mail/journal/entry.ts';
import { NO_UIDS, subtractUids } from '../../mail/journal/uid-runs.ts';
import { type CommandContext, type Completion, defineCommand } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { type RowItem, rowPlan } from '../fetch/fetch-plan.ts';
import { FetchRun } from '../fetch/fetch-run.ts';
import { args } from '../grammar/args.ts';
import { storeRequest } from '../grammar/fetch.ts';
import { messageSet } from '../grammar/sequence-set.ts';
import type { StoreRequest } from '../grammar/syntax-tree.ts';
import { numberSet, runsOf } from '../grammar/write.ts';
import { withinLimit } from '../message-limit.ts';
import type { SelectedMailbox } from '../selected-mailbox.ts';

/** STORE and UID STORE: RFC 9051 §6.4.6, RFC 7162 §3.1.3 (UNCHANGEDSINCE). */
export const store = defineCommand({
  name: 'STORE',
  tellsProgress: true,
  uidForm: true,
  states: ['selected'],
  mayExpunge: false,
  args: args({ messages: messageSet, request: storeRequest }),

  async handle(context, { messages, request }) {
    const { selected: view, session, by } = context;
    view.requireWritable();
    if (request.unchangedSince !== undefined) session.enableCondstore();
    const uids = view.resolve(messages, by);
    const { uids: living, code } = withinLimit(view, view.living(uids));
    const isShort = by === 'sequence' && view.anyGone(uids);
    if (living.length === 0) {
      if (isShort) throw new ImapNo('EXPUNGEISSUED', 'The messages are gone');
      return;
    }
    const modified = await change(context, view, living, request);
    if (code === undefined) return completion(view, by, modified, isShort);
    if (modified.length === 0) return { code, text: 'STORE done in part' };
    context.respond.ok(code, 'Some messages were left out');
    return completion(view, by, modified, isShort);
  },
});

/** @returns what UNCHANGEDSINCE kept from being changed */
async function change(context: CommandContext, view: SelectedMailbox, living: UidRuns, request: StoreRequest): Promise<UidRuns> {
  const { session } = context;
  const { mode, flags, silent, unchangedSince } = request;
  const options = unchangedSince === undefined ? undefined : { unchangedSince };
  const { seq, changed, modified, unannounced } = await view.among(() => view.access.store(view.box, living, { mode, flags }, options));

  const items: RowItem[] = (context.isUid || session.isQresync) && !session.isUidOnly ? ['UID'] : [];
  if (!silent) items.push('FLAGS');
  if (session.isCondstore) items.push('MODSEQ'); // even if silent (RFC 7162 §3.1.3)
  const shown = subtractUids(living, modified);
  const shownUpTo = view.info.highestModSeq;
  if (!silent || session.isCondstore) {
    await new FetchRun(context, view, rowPlan(items), { changedSince: undefined, seenNow: NO_UIDS }).run(shown);
  }
  if (silent) view.markShown(subtractUids(changed, unannounced), seq);
  else view.markShown(shown, shownUpTo);
  return modified;
}

/** Numbers in the form of the command. */
function completion(view: SelectedMailbox, by: 'uid' | 'sequence', modified: UidRuns, isShort: boolean): Completion {
  if (modified.length > 0) {
    return {
      code: `MODIFIED ${by === 'uid' ? numberSet(modified) : sequencesText(view, modified)}`,
      text: 'Some messages were changed meanwhile',
    };
  }
  return isShort ? { code: 'EXPUNGEISSUED', text: 'Some messages are gone' } : { text: 'STORE done' };
}

function sequencesText(view: SelectedMailbox, uids: UidRuns): string {
  const sequences: number[] = [];
  view.visit(uids, (_words, _at, _uid, sequence) => {
    sequences.push(sequence);
  });
  return numberSet(runsOf(sequences));
}
