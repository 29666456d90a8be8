import { defineCommand } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { messageSet } from '../grammar/sequence-set.ts';
import { findTarget, othersOf } from '../mailboxes.ts';
import { withinLimit } from '../message-limit.ts';
import { copyUidCode } from '../uid-text.ts';

/** MOVE and UID MOVE: RFC 6851, RFC 9051 §6.4.8. */
export const move = defineCommand({
  name: 'MOVE',
  tellsProgress: true,
  uidForm: true,
  states: ['selected'],
  capability: 'MOVE',
  mayExpunge: true,
  args: args({ messages: messageSet, destination: mailboxName }),

  async handle({ session, selected: view, by, respond, signal }, { messages, destination }) {
    view.requireWritable();
    const uids = view.resolve(messages, by);
    const target = await findTarget(session, destination);
    if (by === 'sequence' && view.anyGone(uids)) throw new ImapNo('EXPUNGEISSUED', 'Some messages are gone');
    const { uids: living, code } = withinLimit(view, view.living(uids));
    if (living.length === 0) return;
    const moved =
      session.selectedIn(target.access) === view
        ? await view.access.move(view.box, living, target.info.id)
        : await othersOf(session).move(view.access, view.box, living, target.access, target.info.id, signal);
    // COPYUID precedes the EXPUNGEs, while the client can still map the old UIDs (RFC 6851 §4.3); they follow at the command's end.
    if (moved.from.length === 0) return;
    respond.ok(copyUidCode(moved), 'Messages moved');
    const highest = `HIGHESTMODSEQ ${moved.seq}`; // RFC 6851 §4.4
    if (code === undefined) return session.isQresync ? { code: highest, text: 'MOVE done' } : undefined;
    if (session.isQresync) respond.ok(highest, 'Highest mod-sequence');
    return { code, text: 'MOVE done in part' };
  },
});
