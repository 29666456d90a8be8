import { RIGHTS } from '../../mail/journal/acl.ts';
import { defineCommand } from '../command.ts';
import { aclIdentifier } from '../grammar/acl.ts';
import { args } from '../grammar/args.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { atomOrString, mailbox } from '../grammar/write.ts';
import { findMailbox } from '../mailboxes.ts';

/** No right depends on another; those of RFC 2086 stand for others and come last (RFC 4314 §2.1.1). */
const OPTIONAL = [...RIGHTS, 'c', 'd'].join(' ');

/** LISTRIGHTS: RFC 4314 §3.4. The owner has all rights, always; nobody else has any that could not be taken away. */
export const listRights = defineCommand({
  name: 'LISTRIGHTS',
  states: ['authenticated'],
  mayExpunge: true,
  leavesAtRest: true,
  args: args({ name: mailboxName, identifier: aclIdentifier }),

  async handle({ session, respond }, { name, identifier }) {
    const { access } = await findMailbox(session, name, 'a');
    const rights = identifier === access.account.username ? `${RIGHTS}cd` : `"" ${OPTIONAL}`;
    respond.untagged(`LISTRIGHTS ${mailbox(name, session.names)} ${atomOrString(identifier, session.names)} ${rights}`);
  },
});
