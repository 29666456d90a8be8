/** `pochard mailbox`: who may what in a mailbox. */
import type { Command } from 'commander';
import type { WithAdministration } from './account-commands.ts';
import { type Terminal, UsageError } from './output.ts';

export function mailboxCommands(program: Command, withAdministration: WithAdministration, { stdout }: Terminal): void {
  const mailbox = program.command('mailbox').description('mailboxes of accounts');
  mailbox
    .command('acl <account> <mailbox> [identifier] [rights]')
    .description('who else may what in a mailbox (RFC 4314), or set what somebody may: letters of lrswipkxtea, or "none"')
    .action(async (account: string, name: string, identifier: string | undefined, rights: string | undefined) => {
      if (identifier !== undefined && rights === undefined) throw new UsageError('say which rights, or "none"');
      await withAdministration(async (administration) => {
        const { id, username } = await administration.find(account);
        if (identifier !== undefined && rights !== undefined) {
          await administration.acl.set(id, name, { identifier, rights: rights === 'none' ? '' : rights });
          stdout.write(`${name} of ${username}: ${identifier} ${rights}\n`);
          return;
        }
        for (const entry of await administration.acl.list(id, name)) stdout.write(`${entry.identifier} ${entry.rights}\n`);
      });
    });
}
