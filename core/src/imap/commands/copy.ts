import { countUids } from '../../mail/journal/uid-runs.ts';
import { defineCommand } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { messageSet } from '../grammar/sequence-set.ts';
import { findTarget, othersOf } from '../mailboxes.ts';
import { requireWithinLimit } from '../message-limit.ts';
import { copyUidCode } from '../uid-text.ts';

/** COPY and UID COPY: RFC 9051 §6.4.7. All or nothing. */
export const copy = defineCommand({
  name: 'COPY',
  tellsProgress: true,
  uidForm: true,
  states: ['selected'],
  mayExpunge: true,
  args: args({ messages: messageSet, destination: mailboxName }),

  async handle({ session, selected: view, by, signal }, { messages, destination }) {
    const uids = view.resolve(messages, by);
    const target = await findTarget(session, destination);
    // Numbers name messages that the client believes in; UIDs of missing ones are passed over (RFC 9051 §6.4.9).
    if (by === 'sequence' && view.anyGone(uids)) throw new ImapNo('EXPUNGEISSUED', 'Some messages are gone');
    const living = view.living(uids);
    if (living.length === 0) return { text: 'Nothing to copy' };
    requireWithinLimit(view.messageLimit, countUids(living));
    const copied =
      session.selectedIn(target.access) === view
        ? await view.access.copy(view.box, living, target.info.id)
        : await othersOf(session).copy(view.access, view.box, living, target.access, target.info.id, signal);
    return copied.from.length === 0 ? { text: 'Nothing to copy' } : { code: copyUidCode(copied), text: 'Messages copied' };
  },
});
