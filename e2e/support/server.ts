/**
 * Starts the real server for a test: one process on a temporary data folder, or, with POCHARD_E2E_PROFILE=distributed, two instances over
 * one MongoDB and one Redis behind ports that hand each connection to the next instance. Tests need not know which.
 */
import type { TestContext } from 'node:test';
import { startBehindBalancer, writeConfig } from './distributed.ts';
import { type ServerOptions, startInstance, type TestServer, temporaryFolder } from './instance.ts';

export { type RunningListener, type ServerOptions, TestServer, temporaryFolder } from './instance.ts';

export const isDistributed = process.env['POCHARD_E2E_PROFILE'] === 'distributed';

export async function startServer(t: TestContext, options: ServerOptions = {}): Promise<TestServer> {
  const data = options.data ?? (await temporaryFolder(t));
  const server = await (isDistributed ? startBehindBalancer(t, { ...options, data }) : startInstance(t, { ...options, data }));
  for (const [username, password] of Object.entries(options.accounts ?? {})) await server.createAccount(username, password);
  return server;
}

/** For commands on a store that no server has open: what `--config` names before the first start; `undefined` where none is needed. */
export async function closedStore(t: TestContext, data: string): Promise<string | undefined> {
  return isDistributed ? writeConfig(t, data) : undefined;
}
