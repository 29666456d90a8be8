/** A MariaDB server of its own for a test: fresh data in a temporary folder, a free port, a general log, and ends that can be provoked. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { mustRun, runProgram } from './run-program.ts';
import { needsProgram } from './skip.ts';

const START_MS = 60_000;

export const databaseUser = { user: 'pochard', password: "it's a s3cret" } as const;

export class MariaDb {
  readonly folder: string;
  readonly port: number;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;

  /** `args`: further options of mariadbd. */
  constructor(folder: string, port: number, args: readonly string[]) {
    this.folder = folder;
    this.port = port;
    this.#args = args;
  }
  get socket(): string {
    return join(this.folder, 'db.sock');
  }

  /** Starts, or starts again on the same port and data; resolves when it answers. */
  async start(): Promise<void> {
    const child = spawn(
      'mariadbd',
      [
        '--no-defaults',
        `--user=${serverUser()}`,
        `--datadir=${join(this.folder, 'data')}`,
        `--socket=${this.socket}`,
        `--port=${this.port}`,
        '--bind-address=127.0.0.1',
        `--pid-file=${join(this.folder, 'db.pid')}`,
        '--skip-log-bin',
        '--innodb-buffer-pool-size=32M',
        '--innodb-log-file-size=8M',
        '--innodb-flush-log-at-trx-commit=0',
        '--general-log',
        '--log-output=FILE',
        `--general-log-file=${join(this.folder, 'general.log')}`,
        ...this.#args,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const log = createWriteStream(join(this.folder, 'mariadbd.out'), { flags: 'a' });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    child.once('exit', () => log.end());
    this.#child = child;
    const deadline = Date.now() + START_MS;
    for (;;) {
      const { code } = await runProgram('mariadb-admin', ['--no-defaults', `--socket=${this.socket}`, '--user=root', 'ping']);
      if (code === 0) return;
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(`mariadbd did not start:\n${(await readFile(join(this.folder, 'mariadbd.out'), 'utf8')).slice(-3000)}`);
      await delay(50);
    }
  }
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }
  /** Connections stay open and nothing is answered, until `thaw`. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }
  thaw(): void {
    this.#child?.kill('SIGCONT');
  }
  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGCONT');
    child.kill(signal);
    await exited;
  }

  /** As root, any number of statements. */
  async sql(text: string, database?: string): Promise<string> {
    const args = ['--no-defaults', `--socket=${this.socket}`, '--user=root', '--default-character-set=utf8mb4', '--batch'];
    return (await mustRun('mariadb', database === undefined ? args : [...args, database], { input: text })).stdout;
  }
  /** A database that the user `pochard` may read and write. */
  async createDatabase(name: string, schema: string): Promise<void> {
    await this.sql(
      `CREATE DATABASE \`${name}\` CHARACTER SET utf8mb4; GRANT SELECT, UPDATE ON \`${name}\`.* TO '${databaseUser.user}'@'%'; USE \`${name}\`;\n${schema}`,
    );
  }
  async generalLog(): Promise<string> {
    return readFile(join(this.folder, 'general.log'), 'utf8');
  }
  /** The members of `connection` in the plugin's configuration. */
  connection(database: string): Readonly<Record<string, unknown>> {
    return { host: '127.0.0.1', port: this.port, ...databaseUser, database };
  }
}

/** `undefined`, and the test is skipped loudly, when MariaDB is not installed. */
export async function startMariaDb(t: TestContext, args: readonly string[] = []): Promise<MariaDb | undefined> {
  for (const program of ['mariadbd', 'mariadb-install-db', 'mariadb-admin', 'mariadb']) {
    if (!needsProgram(t, program, 'mariadb-server')) return undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), 'pochard-db-'));
  const name = serverUser();
  if (name === 'mysql') {
    const { stdout } = await mustRun('id', ['-u', name]);
    const { stdout: group } = await mustRun('id', ['-g', name]);
    chownSync(folder, Number(stdout), Number(group));
  }
  const server = new MariaDb(folder, await freePort(), args);
  t.after(async () => {
    await server.kill();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  await mustRun('mariadb-install-db', [
    '--no-defaults',
    `--user=${name}`,
    `--datadir=${join(folder, 'data')}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
  ]);
  await server.start();
  await server.sql(`CREATE USER '${databaseUser.user}'@'%' IDENTIFIED BY '${databaseUser.password.replaceAll("'", "''")}'`);
  return server;
}

/** mariadbd does not run as root unless it is told to. */
function serverUser(): string {
  const { username } = userInfo();
  return username === 'root' ? 'mysql' : username;
}
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
