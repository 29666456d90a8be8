import { isSpecialUse, mailboxIdText } from '../../mail/sdk-values.ts';
import { defineCommand } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { args, optionalList } from '../grammar/args.ts';
import { createSpecialUse } from '../grammar/mailbox-arguments.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { withoutTrailingDelimiter } from '../mailboxes.ts';

/** CREATE: RFC 9051 §6.3.4, RFC 6154 §5 (CREATE-SPECIAL-USE), RFC 8474 §4.1. */
export const create = defineCommand({
  name: 'CREATE',
  states: ['authenticated'],
  capability: ['SPECIAL-USE', 'CREATE-SPECIAL-USE'],
  mayExpunge: true,
  args: args({ name: mailboxName, specialUse: optionalList(createSpecialUse) }),

  async handle({ access }, { name, specialUse = [] }) {
    const known = specialUse.filter(isSpecialUse);
    if (known.length < specialUse.length) throw new ImapNo('USEATTR', 'Special use is not known');
    const info = await access.create(withoutTrailingDelimiter(name), known.length > 0 ? { specialUse: known } : {});
    return { code: `MAILBOXID (${mailboxIdText(info.id)})`, text: 'Mailbox created' };
  },
});
