/** A Redis server of its own for a test: a free port, a temporary folder, and ends that can be provoked. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { needsProgram } from '../e2e/support/skip.ts';
import { freePort } from './free-port.ts';

const START_MS = 20_000;

export interface RedisOptions {
  /** Options of redis-server, e.g. `--requirepass`, `secret`. */
  readonly args?: readonly string[];
  /** Lines of a configuration file that the server may rewrite, as a Sentinel does. */
  readonly config?: string;
}

export class TestRedis {
  readonly folder: string;
  readonly port: number;
  readonly #options: RedisOptions;
  #child: ChildProcess | undefined;

  constructor(folder: string, port: number, options: RedisOptions) {
    this.folder = folder;
    this.port = port;
    this.#options = options;
  }
  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts, or starts again on the same port, empty; resolves when it accepts connections. */
  async start(): Promise<void> {
    const { args = [], config } = this.#options;
    const file = join(this.folder, 'redis.conf');
    if (config !== undefined && !existsSync(file)) await writeFile(file, config);
    const command = [
      'redis-server',
      ...(config === undefined ? ['--save', '', '--appendonly', 'no'] : [file]),
      ...['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder],
      ...args,
    ];
    // Ends with this process, however that ends.
    if (existsSync('/usr/bin/setpriv')) command.unshift('setpriv', '--pdeathsig', 'KILL');
    const [program = '', ...rest] = command;
    const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    const log = createWriteStream(join(this.folder, 'redis.log'), { flags: 'a' });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    child.once('exit', () => log.end());
    this.#child = child;
    const deadline = Date.now() + START_MS;
    for (;;) {
      const socket = await this.#connected();
      if (socket !== undefined) {
        socket.destroy();
        return;
      }
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(`redis-server did not start:\n${(await readFile(join(this.folder, 'redis.log'), 'utf8')).slice(-2000)}`);
      await delay(20);
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
  /** One command, words without spaces; the raw reply. */
  async command(...words: readonly string[]): Promise<string> {
    const socket = await this.#connected();
    if (socket === undefined) throw new Error('redis-server is not running');
    const reply = once(socket, 'data');
    socket.write(`${words.join(' ')}\r\n`);
    const [data] = await reply;
    socket.destroy();
    return String(data);
  }

  async #connected(): Promise<Socket | undefined> {
    const socket = connect(this.port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return socket;
    } catch {
      return undefined; // not there (yet)
    }
  }
  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGCONT');
    child.kill(signal);
    await exited;
  }
}

/** `undefined`, and the test is skipped loudly, when Redis is not installed. */
export async function startRedis(t: TestContext, options: RedisOptions = {}): Promise<TestRedis | undefined> {
  if (!needsProgram(t, 'redis-server')) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'pochard-redis-'));
  const server = new TestRedis(folder, await freePort(), options);
  t.after(async () => {
    await server.kill();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  await server.start();
  return server;
}
