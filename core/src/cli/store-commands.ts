/** `pochard store`: the database itself. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { silentLogger } from '../config/logger.ts';
import type { Config } from '../config/schema.ts';
import type { Store } from '../store/store.ts';
import { runningServer } from './administration.ts';
import { type Terminal, UsageError } from './output.ts';
import { ProgressBar } from './progress-bar.ts';

interface MoveArguments {
  readonly from: string;
  readonly to: string;
}

export function storeCommands(program: Command, terminal: Terminal, config: () => Promise<Config>): void {
  const store = program.command('store').description('the store itself');
  store
    .command('migrate')
    .description('bring the store of the configuration to the schema of this version; every start does so too')
    .action(async () => {
      const loaded = await config();
      await refuseRunning(loaded);
      if (loaded.store.driver === 'sqlite' && !existsSync(loaded.data))
        throw new UsageError(`${loaded.data}: there is no such data folder`);
      const { openStore } = await import('../open-mail.ts');
      await (await openStore({ config: loaded, log: silentLogger() })).close();
      terminal.stdout.write(`the ${loaded.store.driver} store has the schema of this version\n`);
    });
  store
    .command('move')
    .description('everything of one store into another, empty one; no server may run on either; called again it goes on')
    .requiredOption('--from <store>', 'sqlite:FOLDER, mongodb://HOST/DATABASE, or "config": the store of the configuration')
    .requiredOption('--to <store>', 'the same')
    .action(async ({ from, to }: MoveArguments) => {
      const { moveStore } = await import('../mail/store-move.ts');
      const loaded = await config();
      const interrupted = new AbortController();
      const interrupt = (): void => interrupted.abort(new Error('interrupted: call the same command again, and it goes on'));
      process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
      const source = await opened(from, loaded, 'source');
      try {
        const target = await opened(to, loaded, 'target');
        try {
          let bar: ProgressBar | undefined;
          const report = await moveStore({
            from: source,
            to: target,
            signal: interrupted.signal,
            show({ account, done, total, contents, octets, phase }) {
              // Checking reads both stores again: half of the way.
              bar ??= new ProgressBar('store move', total * 2, terminal.stderr);
              const note = `${phase} account ${done + 1} of ${total} (${account}), ${contents} messages, ${Math.round(octets / 1e6)} MB`;
              bar.show(phase === 'moving' ? done : total + done, note);
            },
          });
          bar?.finish(`${report.accounts} accounts, ${report.contents} messages, ${Math.round(report.octets / 1e6)} MB`);
          for (const problem of report.problems) terminal.stdout.write(`${problem}\n`);
          if (report.problems.length > 0) throw new Error(`${report.problems.length} problems found: the target is not to be used`);
          terminal.stdout.write(`${report.accounts} accounts moved; both stores hold the same octets, fsck finds no problems\n`);
        } finally {
          await target.close();
        }
      } finally {
        process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
        await source.close();
      }
    });
}

async function refuseRunning({ data }: Config): Promise<void> {
  const running = await runningServer(data);
  if (running !== undefined) throw new UsageError(`a server (process ${running.pid}) has this data folder open: stop it first`);
}

async function opened(name: string, config: Config, role: 'source' | 'target'): Promise<Store> {
  if (name === 'config') {
    await refuseRunning(config);
    if (role === 'source' && config.store.driver === 'sqlite' && !existsSync(config.data))
      throw new UsageError(`${config.data}: there is no such data folder`);
    const { openStore } = await import('../open-mail.ts');
    return openStore({ config, log: silentLogger() });
  }
  if (name.startsWith('sqlite:')) {
    const folder = name.slice('sqlite:'.length);
    if (role === 'source' && !existsSync(folder)) throw new UsageError(`${folder}: there is no such data folder`);
    const running = await runningServer(folder);
    if (running !== undefined) throw new UsageError(`a server (process ${running.pid}) has ${folder} open: stop it first`);
    const { openSqliteStore } = await import('../store/sqlite/sqlite-store.ts');
    return openSqliteStore({ folder });
  }
  const database = /^mongodb(?:\+srv)?:\/\/[^/?#]+\/([A-Za-z0-9_-]{1,38})(?:\?|$)/.exec(name)?.[1];
  if (database === undefined) throw new UsageError(`not a store: sqlite:FOLDER, mongodb://HOST/DATABASE or "config"`);
  const { openMongoStore } = await import('../store/mongodb/mongo-store.ts');
  return openMongoStore({ url: name, database, tidyEveryMs: 0 });
}
