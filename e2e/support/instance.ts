/** One process of the real server, on free ports, with a data folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { stringify } from 'yaml';
import { compileCacheEnv, keepCompiled } from './compile-cache.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** A start takes a second; several on a busy machine take many. */
const READY_MS = 60_000;

export interface ServerOptions {
  /** Username to password. */
  readonly accounts?: Readonly<Record<string, string>>;
  /** Laid over the configuration of the tests: free ports on loopback, log to a file. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** A data folder that outlives the server (crash tests); else a temporary one. */
  readonly data?: string;
  readonly nodeOptions?: readonly string[];
}
export interface InstanceOptions extends ServerOptions {
  readonly data: string;
  /** Where the configuration is written; its folder is where relative plugins are looked up. */
  readonly configFile?: string;
}
export interface RunningListener {
  readonly protocol: string;
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly tls: 'none' | 'starttls' | 'implicit';
}

export class TestServer {
  readonly child: ChildProcess;
  readonly data: string;
  readonly listeners: readonly RunningListener[];
  readonly token: string;
  constructor(child: ChildProcess, data: string, listeners: readonly RunningListener[], token: string) {
    this.child = child;
    this.data = data;
    this.listeners = listeners;
    this.token = token;
  }

  port(protocol: string, tls: RunningListener['tls'] = 'none'): number {
    const found = this.listeners.find((listener) => listener.protocol === protocol && listener.tls === tls);
    if (found === undefined) throw new Error(`no ${protocol} listener with tls ${tls}`);
    return found.port;
  }
  get pid(): number {
    const { pid } = this.child;
    if (pid === undefined) throw new Error('server did not start');
    return pid;
  }
  async api(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port('http')}${path}`, {
      method,
      headers: { authorization: `Bearer ${this.token}`, ...(body === undefined ? {} : { 'content-type': contentType }) },
      ...(body === undefined
        ? {}
        : { body: typeof body === 'string' || body instanceof Uint8Array ? (body as string) : JSON.stringify(body) }),
    });
  }
  async createAccount(username: string, password: string, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const reply = await this.api('POST', '/v1/accounts', { username, password, ...more });
    if (reply.status !== 201) throw new Error(`account ${username}: ${reply.status} ${await reply.text()}`);
  }
  async deliver(to: string, message: string | Uint8Array, from = 'sender@example.org'): Promise<void> {
    const query = new URLSearchParams({ to, from });
    const reply = await this.api('POST', `/v1/deliveries?${query}`, message, 'message/rfc822');
    const text = await reply.text();
    if (reply.status !== 200 || !text.includes('"stored":true')) throw new Error(`delivery: ${reply.status} ${text}`);
  }
  /** Resident set in octets. */
  async residentOctets(): Promise<number> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) * 1024;
  }
  async log(): Promise<string> {
    return readFile(join(this.data, 'server.log'), 'utf8');
  }
  /** Of a metric without labels, or with any. */
  async metric(name: string): Promise<number> {
    const text = await (await this.api('GET', '/v1/metrics')).text();
    let sum = 0;
    for (const [, value] of text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))) sum += Number(value);
    return sum;
  }
  /** Each with a log; one but in the distributed profile. */
  get instances(): readonly TestServer[] {
    return [this];
  }
  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }
  /** SIGTERM and wait; returns the exit code. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }
  async kill(): Promise<number | null> {
    return this.#end('SIGKILL');
  }
  async #end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.child.exitCode;
    const exited = once(this.child, 'exit');
    this.child.kill(signal);
    await exited;
    return this.child.exitCode;
  }
}

export async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'pochard-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** Ends with the test. */
export async function startInstance(t: TestContext, options: InstanceOptions): Promise<TestServer> {
  const { data } = options;
  const local = (tls: string) => ({ address: '127.0.0.1', port: 0, tls });
  const config = {
    hostname: 'mail.example.test',
    imap: { listeners: [local('none'), local('starttls'), local('implicit')] },
    smtp: { listeners: [local('none'), local('starttls')] },
    lmtp: { listeners: [local('none')] },
    http: { listeners: [local('none')] },
    // Tests make many accounts; what hashing costs is tested where it belongs.
    passwords: { memoryKib: 7_168 },
    ...options.config,
  };
  const file = options.configFile ?? join(data, 'pochard.yaml');
  await writeFile(file, stringify(config));
  await rm(join(data, 'run.json'), { force: true });
  // As `npm start` and the command's own first line run it.
  const args = [
    '--max-semi-space-size=8',
    ...keepCompiled,
    ...(options.nodeOptions ?? []),
    join(ROOT, 'core/src/main.ts'),
    'start',
    '--config',
    file,
    '--data',
    data,
  ];
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: data,
    env: { ...process.env, ...compileCacheEnv },
  });
  const log = createWriteStream(join(data, 'server.log'), { flags: 'a' });
  child.stdout?.pipe(log, { end: false });
  child.stderr?.pipe(log, { end: false });
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
    log.end();
  });
  const { listeners } = await ready(child, data);
  const token = (await readFile(join(data, 'api-token'), 'utf8')).trim();
  return new TestServer(child, data, listeners, token);
}

/** The server writes run.json when every listener is open. */
async function ready(child: ChildProcess, data: string): Promise<{ listeners: RunningListener[] }> {
  const deadline = Date.now() + READY_MS;
  while (Date.now() < deadline) {
    if (child.exitCode !== null || child.signalCode !== null) break;
    try {
      return JSON.parse(await readFile(join(data, 'run.json'), 'utf8'));
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 25)); // not written yet
    }
  }
  const log = await readFile(join(data, 'server.log'), 'utf8');
  throw new Error(`the server did not start:\n${log.slice(-4000)}`);
}
