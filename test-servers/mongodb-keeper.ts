/**
 * Keeps one MongoDB-compatible server for all test processes of this machine, while at least one holds a connection to its socket:
 *   node mongodb-keeper.ts NAME mongod|documentdb CACHE
 * The socket is abstract (`\0NAME`), so there is never a second keeper and nothing is left of a dead one. Lines of JSON go to its clients.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { DocumentDbGateway } from './documentdb-gateway.ts';
import { freePort } from './free-port.ts';

/** What a client is told. */
export type KeeperLine = { readonly say: string } | { readonly url: string } | { readonly failed: string };
interface Kept {
  readonly url: string;
  stop(): Promise<void>;
}

const IDLE_MS = 5_000;
const START_MS = 30_000;
const SCRIPT = join(import.meta.dirname, 'documentdb.sh');
const [name = '', kind = '', cache = ''] = process.argv.slice(2);

const clients = new Set<Socket>();
const lines: KeeperLine[] = [];
let idle: NodeJS.Timeout | undefined;
let kept: Kept | undefined;

const socketServer = createServer((client) => {
  clients.add(client);
  clearTimeout(idle);
  client.on('error', () => client.destroy());
  client.on('close', () => {
    clients.delete(client);
    restIfIdle();
  });
  client.resume();
  for (const line of lines) client.write(`${JSON.stringify(line)}\n`);
});
// Another keeper was first: the client that started this one connects to it.
socketServer.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EADDRINUSE' ? 0 : 1));
socketServer.listen({ path: `\0${name}` }, () => {
  open().then(
    (server) => {
      kept = server;
      tell({ url: server.url });
      restIfIdle();
    },
    (error: unknown) => {
      tell({ failed: String(error instanceof Error ? error.message : error) });
      socketServer.close();
      for (const client of clients) client.end();
    },
  );
});

function tell(line: KeeperLine): void {
  lines.push(line);
  for (const client of clients) client.write(`${JSON.stringify(line)}\n`);
}

function restIfIdle(): void {
  clearTimeout(idle);
  if (clients.size > 0 || kept === undefined) return;
  const server = kept;
  idle = setTimeout(() => {
    socketServer.close();
    server.stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  }, IDLE_MS);
}

async function open(): Promise<Kept> {
  return kind === 'mongod' ? openMongod() : openDocumentDb();
}

/** A replica set of one: as production has it, with majority writes and retryable writes. */
async function openMongod(): Promise<Kept> {
  const folder = await mkdtemp(join(tmpdir(), 'pochard-mongod-'));
  const port = await freePort();
  const child = spawnDying('mongod', ['--dbpath', folder, '--port', String(port), '--bind_ip', '127.0.0.1', '--replSet', 'test']);
  const url = `mongodb://127.0.0.1:${port}/?directConnection=true`;
  await answering(child, async () => {
    const client = new MongoClient(url, { serverSelectionTimeoutMS: 1_000 });
    try {
      const admin = client.db('admin');
      const { isWritablePrimary, setName } = await admin.command({ hello: 1 });
      if (setName === undefined)
        await admin.command({ replSetInitiate: { _id: 'test', members: [{ _id: 0, host: `127.0.0.1:${port}` }] } });
      if (isWritablePrimary !== true) throw new Error('no primary yet');
    } finally {
      await client.close();
    }
  });
  return {
    url,
    async stop() {
      await end(child);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function openDocumentDb(): Promise<Kept> {
  const root = join(cache, 'root');
  if (!existsSync(join(root, '.ready'))) {
    tell({ say: `setting up the DocumentDB engine in ${cache} (once, one to three minutes)` });
    await script('setup', cache);
  }
  for (const folder of await readdir(root)) {
    const owner = Number(/^db-(\d+)$/.exec(folder)?.[1]);
    if (owner > 0 && !existsSync(`/proc/${owner}`)) await rm(join(root, folder), { recursive: true, force: true });
  }
  const cluster = `db-${process.pid}`;
  const port = await freePort();
  await script('init', cache, cluster);
  const child = spawnDying(SCRIPT, ['run', cache, cluster, String(port)]);
  await answering(child, () =>
    script('sql', cache, String(port), 'set client_min_messages = warning; create extension if not exists documentdb cascade'),
  );
  const gateway = new DocumentDbGateway(port);
  const url = `mongodb://127.0.0.1:${await gateway.listen()}/?directConnection=true`;
  return {
    url,
    async stop() {
      await gateway.close();
      await end(child);
      await rm(join(root, cluster), { recursive: true, force: true });
    },
  };
}

/** Ends with this process, however that ends (documentdb.sh sees to it itself). */
function spawnDying(program: string, args: readonly string[]): ChildProcess {
  const dies = kind === 'mongod' && existsSync('/usr/bin/setpriv');
  const child = dies
    ? spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], { stdio: 'inherit' })
    : spawn(program, args, { stdio: 'inherit' });
  child.on('error', (error) => tell({ failed: error.message }));
  child.on('exit', () => {
    // Tests then fail by themselves; the next one finds no keeper and starts anew.
    if (kept !== undefined && clients.size > 0) process.exit(1);
  });
  return child;
}

async function answering(child: ChildProcess, ask: () => Promise<void>): Promise<void> {
  const deadline = Date.now() + START_MS;
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      if (child.exitCode !== null || Date.now() > deadline) throw error;
      await delay(100);
    }
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGQUIT');
  await exited;
}

async function script(...args: readonly string[]): Promise<void> {
  const child = spawn(SCRIPT, args, { stdio: ['ignore', 'inherit', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint = (complaint + chunk.toString('latin1')).slice(-2_000);
    process.stderr.write(chunk);
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`documentdb.sh ${args[0]}: ${complaint}`);
}
