import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { findMailbox } from '../mailboxes.ts';
import { myRightsLine } from '../my-rights.ts';

/** MYRIGHTS: RFC 4314 §3.5. */
export const myRights = defineCommand({
  name: 'MYRIGHTS',
  states: ['authenticated'],
  mayExpunge: true,
  leavesAtRest: true,
  args: args({ name: mailboxName }),

  async handle({ session, respond }, { name }) {
    const found = await findMailbox(session, name);
    respond.untagged(myRightsLine(session, found));
  },
});
