/** `pochard queue`: what is not with all its recipients yet. */
import type { Command } from 'commander';
import type { QueuedSubmission } from '../mail/services.ts';
import type { WithAdministration } from './account-commands.ts';
import type { Administration } from './administration.ts';
import { type Terminal, UsageError } from './output.ts';

const PAGE = 500;

export function queueCommands(program: Command, withAdministration: WithAdministration, { stdout }: Terminal): void {
  const queue = program.command('queue').description('submitted mail that is not with all its recipients yet');
  queue
    .command('list')
    .description('messages with their recipients, attempts and last replies')
    .option('--json', 'one JSON object a line')
    .action(({ json }: { readonly json?: boolean }) =>
      withAdministration(async (administration) => {
        for await (const message of all(administration)) {
          stdout.write(json === true ? `${JSON.stringify(message)}\n` : textOf(message));
        }
      }),
    );
  queue
    .command('retry [id]')
    .description('try one message now, or all with --all')
    .option('--all', 'all messages')
    .action((id: string | undefined, { all: everything }: { readonly all?: boolean }) => {
      if ((id === undefined) === (everything !== true)) throw new UsageError('give an id, or --all');
      return withAdministration(async (administration) => {
        if (id !== undefined) {
          if (!(await administration.queue.retry(id))) throw new Error(`no message "${id}" in the queue`);
          stdout.write(`${id}: is tried now\n`);
          return;
        }
        let count = 0;
        for await (const message of all(administration)) if (await administration.queue.retry(message.id)) count += 1;
        stdout.write(`${count} messages are tried now\n`);
      });
    });
  queue
    .command('delete <id>')
    .description('give a message up; its sender is told nothing')
    .option('--yes', 'do it; without it only says what would go')
    .action((id: string, { yes }: { readonly yes?: boolean }) =>
      withAdministration(async ({ queue: messages }) => {
        if (yes !== true) {
          stdout.write(`${id} would be given up; --yes does it\n`);
          return;
        }
        if (!(await messages.delete(id))) throw new Error(`no message "${id}" in the queue`);
        stdout.write(`${id}: given up\n`);
      }),
    );
}

async function* all({ queue }: Administration): AsyncGenerator<QueuedSubmission> {
  let after: string | undefined;
  for (;;) {
    const page = await queue.list(after === undefined ? { limit: PAGE } : { after, limit: PAGE });
    yield* page;
    if (page.length < PAGE) return;
    after = page.at(-1)?.id;
  }
}

function textOf({ id, username, reversePath, sizeOctets, submittedAt, dueAt, recipients }: QueuedSubmission): string {
  const head = `${id}\t${username}\t<${reversePath}>\t${sizeOctets} octets\tsince ${new Date(submittedAt).toISOString()}\tnext ${new Date(dueAt).toISOString()}\n`;
  const lines = recipients.map(
    ({ address, attempts, reply }) => `  <${address}>\t${attempts} attempts${reply === undefined ? '' : `\t${reply}`}\n`,
  );
  return shown(head) + lines.map(shown).join('');
}

/** What other servers wrote must not move the cursor. */
function shown(line: string): string {
  return line.replaceAll(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, '?');
}
