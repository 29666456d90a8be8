/** `pochard start`: runs until SIGTERM or SIGINT, then drains; the second signal ends at once. SIGHUP reads certificates and plugins again. */
import cluster from 'node:cluster';
import { mkdir } from 'node:fs/promises';
import { createLogger, type Logger } from '../config/logger.ts';
import type { Config } from '../config/schema.ts';
import { removeRunFile, writeRunFile } from '../run-file.ts';
import { type RunningServer, type ServerOptions, startServer } from '../server.ts';
import { WorkerLink } from '../workers/worker-link.ts';
import { WorkerPool } from '../workers/worker-pool.ts';

interface ServeOptions {
  readonly configFolder: string;
  readonly reread: () => Promise<Config>;
}

export async function serve(config: Config, options: ServeOptions): Promise<void> {
  if (config.workers > 1) return cluster.isPrimary ? serveByWorkers(config) : serveAsWorker(config, options);
  const server = await startWith(config, options.configFolder);
  await untilEnd(server, config, options.reread);
}

async function serveByWorkers(config: Config): Promise<void> {
  const log = createLogger(config.log);
  await mkdir(config.data, { recursive: true, mode: 0o700 });
  const pool = new WorkerPool({ count: config.workers, log, graceMs: config.limits.shutdownTimeMs });
  // From now on: a signal during the start ends the start in order, too.
  const asked = untilAsked();
  const started = pool.start().then((listeners) => writeRunFile(config.data, listeners));
  started.catch(() => undefined); // told by the race, unless the end was asked for meanwhile
  await Promise.race([started, asked]);
  process.on('SIGHUP', () => pool.reload());
  await asked;
  await pool.drain();
  await removeRunFile(config.data);
}

async function serveAsWorker(config: Config, { configFolder, reread }: ServeOptions): Promise<void> {
  const link = new WorkerLink();
  const server = await startWith(config, configFolder, link);
  const { promise: asked, resolve: onDrain } = Promise.withResolvers<void>();
  const log = createLogger(config.log);
  link.open(server.listeners, { onReload: () => reload(server, reread, log), onDrain, metrics: () => server.metrics.json() });
  // A terminal's Ctrl-C reaches all processes: the parent tells its workers what to do. The service manager's SIGTERM may come first.
  process.on('SIGINT', () => undefined).on('SIGTERM', onDrain);
  await asked;
  await server.drain();
  process.disconnect();
}

export async function startWith(config: Config, configFolder: string, worker?: ServerOptions['worker']): Promise<RunningServer> {
  const log = createLogger(config.log);
  return startServer({
    config,
    configFolder,
    log,
    ...(worker === undefined ? {} : { worker }),
    onFailure: () => process.exit(1), // what was acknowledged is on disk; nothing more can be done here
  });
}

/** `reread`: the configuration as its files say now; of it, certificates and plugins change without a restart. */
export async function untilEnd(server: RunningServer, config: Config, reread: () => Promise<Config> = async () => config): Promise<void> {
  const log = createLogger(config.log);
  process.on('SIGHUP', () => reload(server, reread, log));
  await untilAsked();
  await server.drain();
}

function reload(server: RunningServer, reread: () => Promise<Config>, log: Logger): void {
  reread()
    .then((config) => server.reload(config))
    .then(() => log.info({}, 'certificates and plugins read again'))
    .catch((error: unknown) => log.error({ err: error }, 'reload failed, the former certificates and plugins go on'));
}

/** SIGTERM or SIGINT; a second one ends at once. */
function untilAsked(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const end = (): void => {
      if (asked) process.exit(1);
      asked = true;
      resolve();
    };
    process.on('SIGTERM', end).on('SIGINT', end);
  });
}
