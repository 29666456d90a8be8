/**
 * A MongoDB server for tests: the one that POCHARD_TEST_MONGODB names, else `mongod` from PATH, else the DocumentDB engine from Debian
 * behind a gateway. One server serves all test processes of the machine (mongodb-keeper.ts); each test has databases of its own.
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { skipLoudly } from '../e2e/support/skip.ts';
import type { KeeperLine } from './mongodb-keeper.ts';

export interface TestMongoDb {
  /** `mongodb://...`, without a database. */
  readonly url: string;
  /** Of this test alone; dropped after it. */
  readonly database: string;
  /** Where `url` leads, for a fault proxy; the first host where there are several. */
  readonly host: string;
  readonly port: number;
}

const KEEPER_MS = 10_000;
const NO_SERVER =
  'no MongoDB server is here (POCHARD_TEST_MONGODB=mongodb://HOST:PORT npm test; as root on Debian the tests set one up by themselves)';

/** One of this process for all its tests: connecting to the keeper once is enough. */
let shared: Promise<string | undefined> | undefined;

/** `undefined`, and the test is skipped loudly, where no server can be had. */
export async function startMongoDb(t: TestContext): Promise<TestMongoDb | undefined> {
  shared ??= serverUrl();
  const url = await shared;
  if (url === undefined) {
    skipLoudly(t, NO_SERVER);
    return undefined;
  }
  const database = `pochard-test-${process.pid}-${randomBytes(5).toString('hex')}`;
  t.after(async () => {
    const client = new MongoClient(url);
    await client.db(database).dropDatabase();
    await client.close();
  });
  const [, host = '127.0.0.1', port = '27017'] = /^mongodb:\/\/(?:[^@/]*@)?([^:/,]+):?(\d*)/.exec(url) ?? [];
  return { url, database, host, port: port === '' ? 27017 : Number(port) };
}

async function serverUrl(): Promise<string | undefined> {
  const named = process.env['POCHARD_TEST_MONGODB'];
  if (named !== undefined && named !== '') return named;
  if (process.platform !== 'linux') return undefined;
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'pochard', 'documentdb');
  const hasMongod = isInPath('mongod');
  if (!hasMongod && (process.getuid?.() !== 0 || !existsSync('/etc/debian_version') || !isInPath('apt-get'))) return undefined;
  return askKeeper(hasMongod ? 'mongod' : 'documentdb', cache);
}

/** Connects to the keeper, starting one when there is none; the connection holds it until this process ends. */
async function askKeeper(kind: 'mongod' | 'documentdb', cache: string): Promise<string> {
  const hash = createHash('sha256')
    .update(`${import.meta.dirname} ${kind} ${cache}`)
    .digest('hex')
    .slice(0, 16);
  const name = `pochard-test-mongodb-${process.getuid?.() ?? 0}-${hash}`;
  const deadline = Date.now() + KEEPER_MS;
  mkdirSync(cache, { recursive: true });
  for (let attempt = 0; ; attempt++) {
    const socket = await connected(name);
    if (socket !== undefined) {
      const url = await urlFrom(socket);
      if (url !== undefined) return url; // else it was about to end: nobody had needed it for a while
    } else if (attempt % 20 === 0) {
      const log = openSync(join(cache, 'keeper.log'), 'w');
      const script = join(import.meta.dirname, 'mongodb-keeper.ts');
      spawn(process.execPath, [script, name, kind, cache], { detached: true, stdio: ['ignore', log, log] }).unref();
    }
    if (Date.now() > deadline) throw new Error(`no answer from the keeper of the MongoDB test server: see ${join(cache, 'keeper.log')}`);
    await delay(50);
  }
}

async function connected(name: string): Promise<Socket | undefined> {
  const socket = connect({ path: `\0${name}` });
  try {
    await once(socket, 'connect');
    return socket;
  } catch {
    return undefined; // nobody listens: the caller starts one
  }
}

async function urlFrom(socket: Socket): Promise<string | undefined> {
  for await (const line of createInterface(socket)) {
    const told: KeeperLine = JSON.parse(line);
    if ('failed' in told) throw new Error(`the MongoDB test server does not start: ${told.failed}`);
    if ('say' in told) console.error(told.say);
    else {
      holdWithoutKeepingAlive(socket);
      return told.url;
    }
  }
  return undefined;
}

function holdWithoutKeepingAlive(socket: Socket): void {
  socket.on('error', () => undefined); // the keeper is gone; the test notices by its own connection
  socket.unref();
}

function isInPath(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
