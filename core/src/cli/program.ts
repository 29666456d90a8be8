/** `pochard`: all commands. Errors are one line on standard error and exit status 1; wrong use is 2. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { describeConfig } from '../config/describe.ts';
import { type ConfigSources, checkConfig, loadConfig } from '../config/load.ts';
import { ConfigError, problemText } from '../config/problem.ts';
import type { Config } from '../config/schema.ts';
import { processEnvironment, startSources } from '../config/sources.ts';
import { accountCommands, type WithAdministration } from './account-commands.ts';
import { remoteAdministration, runningServer } from './administration.ts';
import { appPasswordCommands } from './app-password-commands.ts';
import { importCommand } from './import-command.ts';
import { mailboxCommands } from './mailbox-commands.ts';
import { type Terminal, UsageError } from './output.ts';
import { foreignCommand, pluginCommands, runForeign } from './plugin-commands.ts';
import { queueCommands } from './queue-commands.ts';
import { storeCommands } from './store-commands.ts';

export interface ProgramParts {
  readonly terminal: Terminal;
  readonly version: string;
  /** Folder of default.yaml and local.yaml. */
  readonly configFolder: string;
  readonly serve: (config: Config, options: { readonly configFolder: string; readonly reread: () => Promise<Config> }) => Promise<void>;
  readonly demo: (options: { readonly keep?: string }) => Promise<void>;
  /** Yields one line for each problem; the last line is a summary. */
  readonly fsck: (config: Config, account: string | undefined) => AsyncIterable<{ readonly problem: boolean; readonly text: string }>;
}

interface CommonOptions {
  readonly config?: string;
  readonly data?: string;
}

/** @returns the exit status */
export async function run(args: readonly string[], parts: ProgramParts): Promise<number> {
  const { terminal } = parts;
  const program = new Command('pochard');
  program
    .description('A mail server whose every step passes through typed hooks')
    .version(parts.version)
    .option('--config <file>', 'configuration file (YAML)')
    .option('--data <folder>', 'folder of everything that the server keeps')
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .configureOutput({ writeOut: (text) => terminal.stdout.write(text), writeErr: (text) => terminal.stderr.write(text) });

  const sources = (): ConfigSources => {
    const { config, data } = program.opts<CommonOptions>();
    return startSources({ configFile: config, data, directory: parts.configFolder, env: processEnvironment() });
  };
  /** Where relative plugin paths and packages are looked up. */
  const configFolder = (): string => {
    const { config: file } = program.opts<CommonOptions>();
    return file === undefined ? parts.configFolder : join(file, '..');
  };
  const withAdministration: WithAdministration = async (work) => {
    const config = await loadConfig(sources());
    const running = await runningServer(config.data);
    if (running === undefined && !existsSync(config.data)) terminal.stderr.write(`pochard: new data folder ${config.data}\n`);
    const administration =
      running === undefined
        ? await (await import('./local-administration.ts')).localAdministration(config, configFolder())
        : await remoteAdministration(config, running);
    try {
      await work(administration);
    } finally {
      await administration.close();
    }
  };

  program
    .command('start')
    .description('run the server until SIGTERM')
    .action(async () => {
      const reread = () => loadConfig(sources());
      await parts.serve(await reread(), { configFolder: configFolder(), reread });
    });
  program
    .command('demo')
    .description('run on a temporary store with a demo account and a few messages')
    .option('--keep <folder>', 'use this data folder and keep it')
    .action((options: { readonly keep?: string }) => parts.demo(options));
  program
    .command('config')
    .description('the configuration')
    .command('check')
    .description('check everything, certificates and plugins too; print what is in force, secrets left out')
    .action(async () => {
      const { config, problems } = await checkConfig(sources());
      if (config === undefined) throw new ConfigError(problems);
      const deep = await (await import('./config-files.ts')).configFileProblems(config, configFolder());
      if (deep.length > 0) throw new ConfigError(deep);
      terminal.stdout.write(describeConfig(config));
    });
  program
    .command('fsck [account]')
    .description('check the store, or one account; changes nothing')
    .action(async (account: string | undefined) => {
      const config = await loadConfig(sources());
      const running = await runningServer(config.data);
      if (config.store.driver !== 'mongodb') {
        if (running !== undefined) throw new UsageError(`a server (process ${running.pid}) has this data folder open: stop it first`);
        if (!existsSync(config.data)) throw new UsageError(`${config.data}: there is no such data folder`);
      }
      let problems = 0;
      for await (const { problem, text } of parts.fsck(config, account)) {
        if (problem) problems += 1;
        terminal.stdout.write(`${text}\n`);
      }
      if (problems > 0) throw new Error(`${problems} problems found`);
    });
  accountCommands(program, withAdministration, terminal);
  appPasswordCommands(program, withAdministration, terminal);
  mailboxCommands(program, withAdministration, terminal);
  pluginCommands(program, withAdministration, terminal);
  queueCommands(program, withAdministration, terminal);
  importCommand(program, withAdministration, terminal, async () => (await loadConfig(sources())).limits.messageOctets);
  storeCommands(program, terminal, () => loadConfig(sources()));
  // Commander's own settings are per command: the options above may also stand behind the command's name.
  for (const command of everyCommand(program)) command.exitOverride().enablePositionalOptions(false);

  try {
    const hoisted = hoistCommonOptions(args);
    const foreign = foreignCommand(program, hoisted);
    if (foreign === undefined) await program.parseAsync(hoisted, { from: 'user' });
    else {
      program.parseOptions([...foreign.before]);
      const hasPlugins = (await loadConfig(sources())).plugins.length > 0;
      await runForeign(foreign, { hasPlugins, withAdministration, terminal });
    }
    return 0;
  } catch (error) {
    return report(error, terminal);
  }
}

function report(error: unknown, { stderr }: Terminal): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof ConfigError) {
    for (const problem of error.problems) stderr.write(`${problemText(problem)}\n`);
    return 2;
  }
  stderr.write(`pochard: ${error instanceof Error ? error.message : String(error)}\n`);
  return error instanceof UsageError ? 2 : 1;
}

/** `pochard start --config F --data D` and `pochard --config F start` mean the same. */
function hoistCommonOptions(args: readonly string[]): string[] {
  const common: string[] = [];
  const rest: string[] = [];
  for (let i = 0; i < args.length; i += 1) {
    const arg = args[i] ?? '';
    if (arg === '--') {
      rest.push(...args.slice(i));
      break;
    }
    if (arg === '--config' || arg === '--data') {
      common.push(arg, ...args.slice(i + 1, i + 2));
      i += 1;
    } else if (arg.startsWith('--config=') || arg.startsWith('--data=')) common.push(arg);
    else rest.push(arg);
  }
  return [...common, ...rest];
}

function* everyCommand(command: Command): Generator<Command> {
  yield command;
  for (const inner of command.commands) yield* everyCommand(inner);
}
