import { ALL_RIGHTS, shownLetters } from '../../mail/journal/acl.ts';
import { defineCommand } from '../command.ts';
import { args } from '../grammar/args.ts';
import { mailboxName } from '../grammar/mailbox-name.ts';
import { atomOrString, mailbox } from '../grammar/write.ts';
import { findMailbox } from '../mailboxes.ts';

/** GETACL: RFC 4314 §3.3. The owner stands first, with all rights. */
export const getAcl = defineCommand({
  name: 'GETACL',
  states: ['authenticated'],
  mayExpunge: true,
  leavesAtRest: true,
  args: args({ name: mailboxName }),

  async handle({ session, respond }, { name }) {
    const { access, info } = await findMailbox(session, name, 'a');
    const entries = [[access.account.username, ALL_RIGHTS] as const, ...access.acl(info.id)];
    const texts = entries.map(([identifier, rights]) => `${atomOrString(identifier, session.names)} ${shownLetters(rights)}`);
    respond.untagged(`ACL ${mailbox(name, session.names)} ${texts.join(' ')}`);
  },
});
