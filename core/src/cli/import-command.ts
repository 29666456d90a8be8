import type { Command } from 'commander';
import type { WithAdministration } from './account-commands.ts';
import { findMessages } from './import/find.ts';
import { ImportError } from './import/source.ts';
import type { Terminal } from './output.ts';
import { ProgressBar } from './progress-bar.ts';

interface ImportOptions {
  readonly mailbox: string;
}

/** `pochard import`: mail from mbox, Maildir and .eml files. */
export function importCommand(
  program: Command,
  withAdministration: WithAdministration,
  terminal: Terminal,
  messageOctets: () => Promise<number>,
): void {
  const { stderr } = terminal;
  program
    .command('import <account> <path...>')
    .description('mail from mbox files, Maildirs, .eml files or folders of them; flags and dates are kept')
    .option('--mailbox <name>', 'into this mailbox; folders below it', 'INBOX')
    .action((name: string, paths: readonly string[], { mailbox }: ImportOptions) =>
      withAdministration(async (administration) => {
        const { id, username } = await administration.find(name);
        const maxOctets = await messageOctets();
        let stored = 0;
        let failed = 0;
        let unread = 0;
        for (const path of paths) {
          const before = stored;
          const note = () => `${stored - before} messages`;
          try {
            const source = await findMessages(path, { mailbox, maxOctets });
            const progress = new ProgressBar(path, source.totalOctets, stderr);
            let octetsDone = 0;
            for await (const message of source.messages()) {
              try {
                await administration.append(id, message);
                stored += 1;
              } catch (error) {
                failed += 1;
                stderr.write(`\n${message.where}: ${error instanceof Error ? error.message : String(error)}\n`);
              }
              octetsDone += message.octets.length;
              progress.show(octetsDone, note());
            }
            progress.finish(note());
          } catch (error) {
            if (!(error instanceof ImportError)) throw error;
            unread += 1; // it names its path; the other paths are imported all the same
            stderr.write(`pochard: ${error.message}\n`);
          }
        }
        terminal.stdout.write(`${username}: ${stored} messages imported${failed === 0 ? '' : `, ${failed} refused`}\n`);
        if (failed > 0) throw new Error(`${failed} messages were not imported`);
        if (unread > 0) throw new Error(`${unread} of ${paths.length} paths could not be imported, or not to the end`);
      }),
    );
}
