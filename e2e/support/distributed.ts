/** The distributed profile: instances of the server over one MongoDB database and one Redis. */
import { randomBytes } from 'node:crypto';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { stringify } from 'yaml';
import { startMongoDb } from '../../test-servers/mongodb-server.ts';
import { startRedis } from '../../test-servers/redis-server.ts';
import { startBalancer } from './balancer.ts';
import { type RunningListener, type ServerOptions, startInstance, TestServer } from './instance.ts';

const INSTANCES = 2;

/** What all instances of one server share. */
export interface Backends {
  readonly mongodb: { readonly url: string; readonly database: string };
  readonly redis: { readonly url: string };
}

export interface DistributedOptions extends ServerOptions {
  readonly data: string;
  readonly backends: Backends;
  readonly instances?: number;
}

/** Instances that share everything; the first one's data folder is `data`, the others' lie in it. */
export async function startInstances(t: TestContext, options: DistributedOptions): Promise<readonly TestServer[]> {
  const { data, backends, instances = INSTANCES, ...rest } = options;
  const token = join(data, 'api-token');
  await writeFile(token, `pch_${randomBytes(24).toString('base64url')}\n`, { mode: 0o600, flag: 'wx' }).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  });
  const config = configOn(backends, rest.config);
  const started: TestServer[] = [];
  for (let n = 1; n <= instances; n++) {
    const own = n === 1 ? data : join(data, `instance-${n}`);
    if (n > 1) {
      await mkdir(own, { recursive: true });
      // One certificate and one administrator's token, as behind a load balancer.
      for (const shared of ['api-token', 'tls']) await cp(join(data, shared), join(own, shared), { recursive: true });
    }
    started.push(await startInstance(t, { ...rest, config, data: own, configFile: join(data, 'pochard.yaml') }));
  }
  return started;
}

/** One server to look at: every connection goes to the next instance. The same folder again is the same database. */
export async function startBehindBalancer(t: TestContext, options: ServerOptions & { readonly data: string }): Promise<TestServer> {
  const instances = await startInstances(t, { ...options, backends: await backendsOf(t, options.data) });
  const listeners: RunningListener[] = [];
  for (const [index, listener] of (instances[0]?.listeners ?? []).entries()) {
    const ports = instances.map((instance) => instance.listeners[index]?.port ?? 0);
    listeners.push({ ...listener, port: await startBalancer(t, listener.address, ports) });
  }
  return new BalancedServer(instances, listeners);
}

/** Writes the configuration of a store that no server has opened yet; for commands that run before {@link startBehindBalancer}. @returns its file */
export async function writeConfig(t: TestContext, data: string): Promise<string> {
  const file = join(data, 'pochard.yaml');
  await writeFile(file, stringify(configOn(await backendsOf(t, data), {})));
  return file;
}

function configOn({ mongodb, redis }: Backends, config: ServerOptions['config']): Readonly<Record<string, unknown>> {
  return { ...config, store: { ...sectionOf(config, 'store'), driver: 'mongodb', mongodb }, bus: { driver: 'redis', redis } };
}

async function backendsOf(t: TestContext, data: string): Promise<Backends> {
  const file = join(data, 'backends.json');
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  const mongodb = await startMongoDb(t);
  const redis = await startRedis(t);
  if (mongodb === undefined || redis === undefined) throw new Error('the distributed profile needs MongoDB and Redis');
  const backends: Backends = { mongodb: { url: mongodb.url, database: mongodb.database }, redis: { url: redis.url } };
  await writeFile(file, JSON.stringify(backends));
  return backends;
}

class BalancedServer extends TestServer {
  readonly #instances: readonly TestServer[];
  constructor(instances: readonly TestServer[], listeners: readonly RunningListener[]) {
    const [first] = instances;
    if (first === undefined) throw new Error('no instances');
    super(first.child, first.data, listeners, first.token);
    this.#instances = instances;
  }
  override async metric(name: string): Promise<number> {
    let sum = 0;
    for (const instance of this.#instances) sum += await instance.metric(name);
    return sum;
  }
  override get instances(): readonly TestServer[] {
    return this.#instances;
  }
  override signal(name: NodeJS.Signals): void {
    for (const instance of this.#instances) instance.signal(name);
  }
  override async log(): Promise<string> {
    return (await Promise.all(this.#instances.map((instance) => instance.log()))).join('');
  }
  override async stop(): Promise<number | null> {
    return worst(await Promise.all(this.#instances.map((instance) => instance.stop())));
  }
  override async kill(): Promise<number | null> {
    return worst(await Promise.all(this.#instances.map((instance) => instance.kill())));
  }
}

function worst(codes: readonly (number | null)[]): number | null {
  return codes.find((code) => code !== 0) ?? 0;
}

function sectionOf(config: ServerOptions['config'], name: string): object {
  const section = config?.[name];
  return typeof section === 'object' && section !== null ? section : {};
}
