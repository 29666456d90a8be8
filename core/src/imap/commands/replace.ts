import { defineCommand } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { appendMessage } from '../grammar/append.ts';
import { args } from '../grammar/args.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { oneMessage } from '../grammar/sequence-set.ts';
import { findTarget, othersOf } from '../mailboxes.ts';
import { receivedMessage } from '../received-message.ts';

/**
 * REPLACE and UID REPLACE: RFC 8508. The old message goes in the same entry of the journal in which the new one comes; of two accounts, when the
 * new one is there.
 */
export const replace = defineCommand({
  name: 'REPLACE',
  tellsProgress: true,
  uidForm: true,
  states: ['selected'],
  capability: 'REPLACE',
  mayExpunge: true,
  args: args({ message: oneMessage, mailbox: mailboxName, by: appendMessage }),

  async handle({ session, selected: view, by, respond, signal }, { message, mailbox, by: replacement }) {
    view.requireWritable();
    const [uid] = view.living(view.resolve(message, by));
    const target = await findTarget(session, mailbox);
    if (uid === undefined) throw new ImapNo(by === 'sequence' ? 'EXPUNGEISSUED' : 'NONEXISTENT', 'There is no such message');
    const { access, box } = view;
    const received = await receivedMessage(session, target, replacement);
    const {
      seq,
      uidValidity,
      uid: placed,
    } = session.selectedIn(target.access) === view
      ? await access.replace(box, uid, target.info.id, received, signal)
      : await othersOf(session).replace(access, box, uid, target.access, target.info.id, received, signal);
    // Before the EXPUNGE of the old one (RFC 8508 §3.3), which follows at the command's end.
    respond.ok(`APPENDUID ${uidValidity} ${placed}`, 'Message stored');
    return session.isQresync ? { code: `HIGHESTMODSEQ ${seq}`, text: 'REPLACE done' } : undefined;
  },
});
