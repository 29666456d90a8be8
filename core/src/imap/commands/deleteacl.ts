import { MailError } from '../../mail/errors.ts';
import { NO_RIGHTS } from '../../mail/journal/acl.ts';
import { defineCommand } from '../command.ts';
import { aclIdentifier } from '../grammar/acl.ts';
import { args } from '../grammar/args.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { findMailbox } from '../mailboxes.ts';
import type { ImapSession } from '../session.ts';

/** The entry of a user who has gone is removed by the name that it has. */
async function identified({ env }: ImapSession, identifier: string) {
  try {
    return await env.services.sharing.identify(identifier);
  } catch (error) {
    if (error instanceof MailError && error.code === 'no-such-account') return { identifier };
    throw error;
  }
}

/** DELETEACL: RFC 4314 §3.2. */
export const deleteAcl = defineCommand({
  name: 'DELETEACL',
  states: ['authenticated'],
  mayExpunge: true,
  leavesAtRest: true,
  args: args({ name: mailboxName, identifier: aclIdentifier }),

  async handle({ session }, { name, identifier }) {
    const { access, info } = await findMailbox(session, name, 'a');
    await access.setAcl(info.id, { ...(await identified(session, identifier)), mode: 'replace', rights: NO_RIGHTS });
  },
});
