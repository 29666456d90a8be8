/** `pochard app-password`: made, listed and revoked for an account. */
import type { Command } from 'commander';
import type { AppPassword, NewAppPassword, ProtocolName } from '../mail/services.ts';
import type { WithAdministration } from './account-commands.ts';
import { type Terminal, UsageError } from './output.ts';

const PROTOCOLS: Readonly<Record<string, ProtocolName>> = { imap: 'imap', submission: 'submission', smtp: 'submission', http: 'http' };
const DAY_MS = 86_400_000;

interface CreateOptions {
  readonly label: string;
  readonly scope: string;
  readonly network?: readonly string[];
  readonly days?: string;
}

export function appPasswordCommands(program: Command, withAdministration: WithAdministration, { stdout }: Terminal): void {
  const command = program.command('app-password').description('passwords of single programs of an account');

  command
    .command('create <account>')
    .description('make an app password and print it, this once')
    .requiredOption('--label <text>', 'what it is for')
    .option('--scope <protocols>', 'imap, submission, http; several with commas', 'imap,submission')
    .option('--network <range>', 'address range (CIDR) that it may be used from; may be repeated', collect)
    .option('--days <number>', 'days that it is good for; for ever when absent')
    .action((name: string, options: CreateOptions) => {
      const wanted = wantedOf(options, Date.now());
      return withAdministration(async (administration) => {
        const { id, username } = await administration.find(name);
        const made = await administration.appPasswords.create(id, wanted);
        stdout.write(`${username}: ${lineOf(made)}\n${made.password}\n`);
      });
    });

  command
    .command('list <account>')
    .description('app passwords of an account, without the passwords')
    .option('--json', 'one JSON object a line')
    .action((name: string, { json }: { readonly json?: boolean }) =>
      withAdministration(async (administration) => {
        const { id } = await administration.find(name);
        for (const one of await administration.appPasswords.list(id))
          stdout.write(`${json === true ? JSON.stringify(one) : lineOf(one)}\n`);
      }),
    );

  command
    .command('revoke <account> <id>')
    .description('end an app password and the sessions that it opened')
    .action((name: string, appPasswordId: string) =>
      withAdministration(async (administration) => {
        const { id, username } = await administration.find(name);
        await administration.appPasswords.revoke(id, appPasswordId);
        stdout.write(`${username}: ${appPasswordId} revoked\n`);
      }),
    );
}

function wantedOf({ label, scope, network, days }: CreateOptions, now: number): NewAppPassword {
  const protocols = scope.split(',').map((name) => {
    const known = Object.hasOwn(PROTOCOLS, name) ? PROTOCOLS[name] : undefined;
    if (known === undefined) throw new UsageError(`--scope ${name}: it is of imap, submission, http`);
    return known;
  });
  if (days !== undefined && !/^[1-9]\d{0,4}$/.test(days)) throw new UsageError(`--days ${days}: not a number of days`);
  return {
    label,
    scope: [...new Set(protocols)],
    ...(network === undefined ? {} : { networks: network }),
    ...(days === undefined ? {} : { expiresAt: now + Number(days) * DAY_MS }),
  };
}

function lineOf({ id, label, scope, networks, expiresAt }: AppPassword): string {
  const from = networks.length === 0 ? '' : `, from ${networks.join(' ')}`;
  const until = expiresAt === undefined ? '' : `, until ${new Date(expiresAt).toISOString()}`;
  return `${id}\t${label}\t${scope.join(', ')}${from}${until}`;
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}
