import type { UidRuns } from '../../mail/journal/entry.ts';
import { type CommandContext, type Completion, defineCommand } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { messageSet } from '../grammar/sequence-set.ts';
import { deletedWithinLimit } from '../message-limit.ts';

async function remove({ session, selected: view, respond }: CommandContext, uids: UidRuns, code?: string): Promise<Completion | undefined> {
  view.requireWritable();
  if (uids.length === 0) return;
  const { seq, gone, kept, keptText } = await view.access.expunge(view.box, uids, 'expunge', { onlyDeleted: true });
  // The EXPUNGEs of those that went are told all the same.
  if (kept.length > 0) throw new ImapNo('NOPERM', keptText ?? 'Some messages may not be removed');
  if (code !== undefined) {
    if (session.isQresync && gone.length > 0) respond.ok(`HIGHESTMODSEQ ${seq}`, 'Highest mod-sequence');
    return { code, text: 'Some messages were left out' };
  }
  // All up to our own change is told before the reply (RFC 7162 §3.2.7).
  return session.isQresync && gone.length > 0 ? { code: `HIGHESTMODSEQ ${seq}`, text: 'Messages removed' } : undefined;
}

/** EXPUNGE: RFC 9051 §6.4.3. */
export const expunge = defineCommand({
  name: 'EXPUNGE',
  tellsProgress: true,
  states: ['selected'],
  mayExpunge: true,
  args: args({}),
  handle: (context) => remove(context, context.selected.everything),
});

/** UID EXPUNGE: RFC 4315 §2.1, RFC 9051 §6.4.9. */
export const uidExpunge = defineCommand({
  name: 'UID EXPUNGE',
  tellsProgress: true,
  states: ['selected'],
  mayExpunge: true,
  args: args({ messages: messageSet }),
  handle(context, { messages }) {
    const { uids, code } = deletedWithinLimit(context.selected, context.selected.resolve(messages, 'uid'));
    return remove(context, uids, code);
  },
});
