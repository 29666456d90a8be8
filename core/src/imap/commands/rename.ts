import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { withoutTrailingDelimiter } from '../mailboxes.ts';

/** RENAME: RFC 9051 §6.3.6. The whole subtree; INBOX gives its messages and stays. */
export const rename = defineCommand({
  name: 'RENAME',
  states: ['authenticated'],
  mayExpunge: true,
  args: args({ name: mailboxName, newName: mailboxName }),

  async handle({ access }, { name, newName }) {
    await access.rename(name, withoutTrailingDelimiter(newName));
  },
});
