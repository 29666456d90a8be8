import { defineCommand } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { args } from '../grammar/args.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { findName, placeOf, withoutTrailingDelimiter } from '../mailboxes.ts';

/** RENAME: RFC 9051 §6.3.6. The whole subtree; INBOX gives its messages and stays. */
export const rename = defineCommand({
  name: 'RENAME',
  states: ['authenticated'],
  mayExpunge: true,
  args: args({ name: mailboxName, newName: mailboxName }),

  async handle({ session }, { name, newName }) {
    const { access, info } = await findName(session, name);
    access.guest?.require(info.id, 'x');
    const to = await placeOf(session, withoutTrailingDelimiter(newName));
    if (to === undefined) throw new ImapNo('NOPERM', 'You may not create mailboxes there');
    if (to.access.mail.account !== access.mail.account) throw new ImapNo('CANNOT', 'A mailbox stays in its account');
    await access.rename(info.name, to.name);
  },
});
