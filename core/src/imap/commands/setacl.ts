import { rightSet } from '../../mail/journal/acl.ts';
import { defineCommand } from '../command.ts';
import { ImapBad } from '../errors.ts';
import { aclIdentifier, rightsChange } from '../grammar/acl.ts';
import { args } from '../grammar/args.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { findMailbox } from '../mailboxes.ts';

/** SETACL: RFC 4314 §3.1. A user that there is not has no rights to be given; without rights the entry goes. */
export const setAcl = defineCommand({
  name: 'SETACL',
  states: ['authenticated'],
  capability: ['ACL', 'RIGHTS=texk'],
  mayExpunge: true,
  leavesAtRest: true,
  args: args({ name: mailboxName, identifier: aclIdentifier, change: rightsChange }),

  async handle({ session }, { name, identifier, change: { mode, letters } }) {
    const rights = rightSet(letters);
    if (rights === undefined) throw new ImapBad('Unknown right'); // never left out silently (RFC 4314 §3.1)
    const { access, info } = await findMailbox(session, name, 'a');
    const who = await session.env.services.sharing.identify(identifier);
    await access.setAcl(info.id, { ...who, mode, rights });
  },
});
