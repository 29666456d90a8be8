import { isSpecialUse, mailboxIdText } from '../../mail/sdk-values.ts';
import { defineCommand } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { args, optionalList } from '../grammar/args.ts';
import { createSpecialUse } from '../grammar/mailbox-arguments.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { idIn, placeOf, withoutTrailingDelimiter } from '../mailboxes.ts';

/** CREATE: RFC 9051 §6.3.4, RFC 6154 §5 (CREATE-SPECIAL-USE), RFC 8474 §4.1. */
export const create = defineCommand({
  name: 'CREATE',
  states: ['authenticated'],
  capability: ['SPECIAL-USE', 'CREATE-SPECIAL-USE'],
  mayExpunge: true,
  args: args({ name: mailboxName, specialUse: optionalList(createSpecialUse) }),

  async handle({ session }, { name, specialUse = [] }) {
    const known = specialUse.filter(isSpecialUse);
    if (known.length < specialUse.length) throw new ImapNo('USEATTR', 'Special use is not known');
    const place = await placeOf(session, withoutTrailingDelimiter(name));
    // As where nobody has given the right to create (RFC 4314 §4): whether there is such a user is not told.
    if (place === undefined) throw new ImapNo('NOPERM', 'You may not create mailboxes there');
    const info = await place.access.create(place.name, known.length > 0 ? { specialUse: known } : {});
    return { code: `MAILBOXID (${idIn(place.access, mailboxIdText(info.id))})`, text: 'Mailbox created' };
  },
});
