import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { statusItems } from '../grammar/list.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { writeStatus } from '../mailbox-status.ts';
import { findMailbox } from '../mailboxes.ts';

/** STATUS: RFC 9051 §6.3.11, RFC 7162, RFC 7889, RFC 8438, RFC 8474, RFC 9208. */
export const status = defineCommand({
  name: 'STATUS',
  states: ['authenticated'],
  capability: 'STATUS=SIZE',
  looksAnew: true,
  mayExpunge: true,
  args: args({ name: mailboxName, items: statusItems }),

  async handle(context, { name, items }) {
    await writeStatus(context, await findMailbox(context.session, name, 'r'), items);
  },
});
