/** `pochard start`: runs until SIGTERM or SIGINT, then drains; the second signal ends at once. SIGHUP reads certificates and plugins again. */
import { createLogger } from '../config/logger.ts';
import type { Config } from '../config/schema.ts';
import { type RunningServer, startServer } from '../server.ts';

export async function serve(
  config: Config,
  options: { readonly configFolder: string; readonly reread: () => Promise<Config> },
): Promise<void> {
  const server = await startWith(config, options.configFolder);
  await untilEnd(server, config, options.reread);
}

export async function startWith(config: Config, configFolder: string): Promise<RunningServer> {
  const log = createLogger(config.log);
  return startServer({
    config,
    configFolder,
    log,
    onFailure: () => process.exit(1), // what was acknowledged is on disk; nothing more can be done here
  });
}

/** `reread`: the configuration as its files say now; of it, certificates and plugins change without a restart. */
export async function untilEnd(server: RunningServer, config: Config, reread: () => Promise<Config> = async () => config): Promise<void> {
  const log = createLogger(config.log);
  process.on('SIGHUP', () => {
    const reload = async (): Promise<void> => {
      await server.reload(await reread());
      log.info({}, 'certificates and plugins read again');
    };
    reload().catch((error: unknown) => log.error({ err: error }, 'reload failed, the former certificates and plugins go on'));
  });
  await new Promise<void>((resolve) => {
    let asked = false;
    const end = (): void => {
      if (asked) process.exit(1);
      asked = true;
      resolve();
    };
    process.on('SIGTERM', end).on('SIGINT', end);
  });
  await server.drain();
}
