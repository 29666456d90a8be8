import type { Command } from 'commander';
import type { AccountRecord, NewAccount } from '../mail/services.ts';
import { checkAccounts, readAccounts } from './accounts-csv.ts';
import type { Administration } from './administration.ts';
import { passwordFromStdin, type Terminal, UsageError } from './output.ts';
import { ProgressBar } from './progress-bar.ts';

/** Runs `work` with the store or the running server, and closes it. */
export type WithAdministration = (work: (administration: Administration) => Promise<void>) => Promise<void>;

interface CreateOptions {
  readonly address?: readonly string[];
  readonly passwordStdin?: boolean;
  readonly passwordHash?: string;
  readonly quota?: string;
  readonly displayName?: string;
}

export function accountCommands(program: Command, withAdministration: WithAdministration, terminal: Terminal): void {
  const { stdout, stderr } = terminal;
  const account = program.command('account').description('accounts of this server');

  account
    .command('create <name>')
    .description('make an account; the name is with or without a domain, Unicode')
    .option('--address <address>', 'address that it receives mail at; may be repeated', collect)
    .option('--password-stdin', 'read the password from the first line of standard input; at a keyboard it is asked for')
    .option('--password-hash <hash>', '{SCHEME} and hash instead of a password')
    .option('--quota <octets>', 'octets that it may hold')
    .option('--display-name <text>', 'name for people')
    .action(async (username: string, options: CreateOptions) => {
      const { quota, passwordHash, displayName } = options;
      if (options.passwordStdin === true && passwordHash !== undefined)
        throw new UsageError('--password-stdin and --password-hash: only one of them');
      if (quota !== undefined && !/^\d{1,15}$/.test(quota)) throw new UsageError(`--quota ${quota}: not a number of octets`);
      const wanted: NewAccount = {
        username,
        addresses: options.address ?? [],
        ...(options.passwordStdin === true ? { password: await passwordFromStdin(terminal) } : {}),
        ...(passwordHash === undefined ? {} : { passwordHash }),
        ...(quota === undefined ? {} : { quotaOctets: Number(quota) }),
        ...(displayName === undefined ? {} : { displayName }),
      };
      await withAdministration(async (administration) => {
        const made = await administration.create(wanted);
        const hasPassword = wanted.password !== undefined || passwordHash !== undefined;
        stdout.write(`${made.username}: created, receives ${receives(made)}${hasPassword ? '' : '; it has no password yet'}\n`);
      });
    });

  account
    .command('list')
    .description('all accounts by name, with the addresses that they receive mail at')
    .option('--json', 'one JSON object a line')
    .action(({ json }: { readonly json?: boolean }) =>
      withAdministration(async (administration) => {
        for await (const found of all(administration)) stdout.write(`${json === true ? JSON.stringify(found) : lineOf(found)}\n`);
      }),
    );

  account
    .command('passwd <name>')
    .description('set the password, read from the first line of standard input or asked for; open sessions end')
    .action(async (name: string) => {
      const password = await passwordFromStdin(terminal);
      await withAdministration(async (administration) => {
        const { id, username } = await administration.find(name);
        await administration.setPassword(id, password);
        stdout.write(`${username}: password set\n`);
      });
    });

  account
    .command('delete <name>')
    .description('remove an account with all its mail')
    .option('--yes', 'do it; without it only says what would go')
    .action((name: string, { yes }: { readonly yes?: boolean }) =>
      withAdministration(async (administration) => {
        const found = await administration.find(name);
        const { id, username } = found;
        if (yes !== true) {
          stdout.write(`${username} (${receives(found)}) would be removed with all its mail; --yes does it\n`);
          return;
        }
        await administration.delete(id);
        stdout.write(`${username}: removed\n`);
      }),
    );

  account
    .command('import <file>')
    .description('accounts from CSV; columns username, password or passwordHash, addresses, quotaOctets, displayName, allow')
    .action((file: string) =>
      withAdministration(async (administration) => {
        await checkAccounts(file);
        const progress = new ProgressBar('accounts', 0, stderr);
        let made = 0;
        let failed = 0;
        for await (const { username, error } of administration.createMany(readAccounts(file))) {
          if (error === undefined) made += 1;
          else {
            failed += 1;
            stderr.write(`${username}: ${error.message}\n`);
          }
          progress.show(0, `${made} made, ${failed} failed`);
        }
        progress.finish(`${made} made, ${failed} failed`);
        if (failed > 0) throw new Error(`${failed} of ${made + failed} accounts could not be made`);
      }),
    );

  const address = program.command('address').description('addresses of accounts');
  address
    .command('add <account> <address>')
    .description('let an account receive mail for an address; *@domain is a catch-all')
    .action((name: string, wanted: string) =>
      withAdministration(async (administration) => {
        const changed = await administration.addAddress((await administration.find(name)).id, wanted);
        stdout.write(`${changed.username} receives ${receives(changed)}\n`);
      }),
    );
  address
    .command('remove <account> <address>')
    .description('stop receiving mail for an address')
    .action((name: string, unwanted: string) =>
      withAdministration(async (administration) => {
        const changed = await administration.removeAddress((await administration.find(name)).id, unwanted);
        stdout.write(`${changed.username} receives ${receives(changed)}\n`);
      }),
    );
  address
    .command('alias <address> [to...]')
    .description('an address that stands for others of this server; without any it is removed')
    .action((alias: string, to: readonly string[]) =>
      withAdministration(async (administration) => {
        await administration.setAlias(alias, to.length === 0 ? undefined : to);
        stdout.write(to.length === 0 ? `${alias}: removed\n` : `${alias} -> ${to.join(', ')}\n`);
      }),
    );
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

const PAGE = 500;

async function* all(administration: Administration): AsyncGenerator<AccountRecord> {
  let after: string | undefined;
  for (;;) {
    const page = await administration.list(after, PAGE);
    yield* page;
    if (page.length < PAGE) return;
    after = page.at(-1)?.username;
  }
}

/** An account receives mail under its own name too. */
function receives({ username, addresses }: AccountRecord): string {
  return [...new Set([username, ...addresses])].join(', ');
}

function lineOf(account: AccountRecord): string {
  return `${account.username}${account.disabled ? ' (disabled)' : ''}\t${receives(account)}`;
}
