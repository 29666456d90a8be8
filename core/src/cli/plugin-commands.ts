/** `pochard plugin`, `explain`, `auth test`, and the commands that plugins declare. */
import { resolve } from 'node:path';
import { Argument, type Command } from 'commander';
import { type Explainable, explainable } from '../mail/explainable.ts';
import type { WithAdministration } from './account-commands.ts';
import { passwordFromStdin, type Terminal, UsageError } from './output.ts';
import { scaffoldPlugin } from './plugin-scaffold.ts';

export function pluginCommands(program: Command, withAdministration: WithAdministration, { stdout, ...terminal }: Terminal): void {
  const say = (line: string): void => {
    stdout.write(`${shown(line)}\n`);
  };
  const plugin = program.command('plugin').description('plugins of this server');
  plugin
    .command('new <name>')
    .description('make a folder of that name with a plugin that type-checks and passes its own test')
    .option('--folder <folder>', 'another folder')
    .action(async (name: string, { folder = name }: { readonly folder?: string }) => {
      for (const file of await scaffoldPlugin(name, resolve(folder))) say(`${folder}/${file}`);
      say(`\ncd ${folder} && npm install && npm test`);
    });
  plugin
    .command('list')
    .description('the plugins that run: SDK version, state, permissions, hooks')
    .option('--json', 'one JSON object a line')
    .action(({ json }: { readonly json?: boolean }) =>
      withAdministration(async ({ plugins }) => {
        for (const info of await plugins.list()) {
          const { id, version, state, permissions, hooks } = info;
          if (json === true) say(JSON.stringify(info));
          else
            say(`${id}\tsdk ${version}\t${state}\tpermissions: ${permissions.join(', ') || 'none'}\thooks: ${hooks.join(', ') || 'none'}`);
        }
      }),
    );

  program
    .command('explain')
    .description('which taps a login, a delivery or a fetch meets, in order; with a name, what each decides. Changes nothing')
    .addArgument(new Argument('<what>', 'what to explain').choices(explainable))
    .argument('[name]', 'user name, or the address of a recipient')
    .action((what: Explainable, name: string | undefined) =>
      withAdministration(async ({ plugins }) => {
        for (const line of await plugins.explain(what, name)) say(line);
      }),
    );
  program
    .command('auth')
    .description('logins')
    .command('test <user>')
    .description(
      'log in with the password on the first line of standard input or asked for, and show what each tap decided, never the password',
    )
    .action(async (user: string) => {
      const password = await passwordFromStdin({ stdout, ...terminal }, { kind: 'known' });
      await withAdministration(async ({ plugins }) => {
        const { accepted, lines } = await plugins.testLogin(user, password);
        for (const line of lines) say(line);
        if (!accepted) throw new Error('the login was not accepted');
      });
    });
}

/** A command that is not ours, perhaps a plugin's. */
export interface ForeignCommand {
  /** The common options before it. */
  readonly before: readonly string[];
  readonly name: string;
  readonly args: readonly string[];
}
/** `args` begin with the common options. */
export function foreignCommand(program: Command, args: readonly string[]): ForeignCommand | undefined {
  let at = 0;
  while (/^--(config|data)(=|$)/.test(args[at] ?? '')) at += args[at]?.includes('=') === true ? 1 : 2;
  const name = args[at];
  if (name === undefined || name.startsWith('-') || name === 'help') return undefined;
  if (program.commands.some((command) => command.name() === name || command.aliases().includes(name))) return undefined;
  return { before: args.slice(0, at), name, args: args.slice(at + 1) };
}

export async function runForeign(
  { name, args }: ForeignCommand,
  parts: { readonly hasPlugins: boolean; readonly withAdministration: WithAdministration; readonly terminal: Terminal },
): Promise<void> {
  const { hasPlugins, withAdministration, terminal } = parts;
  if (!hasPlugins || !/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) throw new UsageError(`unknown command "${shown(name)}"`);
  await withAdministration(({ plugins }) => plugins.run(name, args, (line) => terminal.stdout.write(`${shown(line)}\n`)));
}

/** What plugins and clients wrote must not move the cursor. */
function shown(line: string): string {
  return line.replaceAll(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, '?');
}
