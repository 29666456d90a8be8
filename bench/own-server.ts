/** A server of its own for a benchmark: one process on a temporary data folder, gone afterwards, with its accounts (password {@link PASSWORD}). */
import { rm } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import { type InstanceOptions, startInstance, type TestServer, temporaryFolder } from '../e2e/support/instance.ts';

export const PASSWORD = 'bench';

export interface OwnServer {
  readonly server: TestServer;
  /** Ends the process and starts another on the same data. */
  restart(): Promise<TestServer>;
}

/** Runs the benchmark; whatever comes of it, process and data are gone then. */
export async function withOwnServer(
  accounts: readonly string[],
  options: Pick<InstanceOptions, 'config' | 'nodeOptions'>,
  run: (own: OwnServer) => Promise<void>,
): Promise<void> {
  const closers: (() => unknown)[] = [];
  const context = { after: (close: () => unknown) => closers.unshift(close) } as unknown as TestContext;
  try {
    const data = await temporaryFolder(context);
    let server = await startInstance(context, { ...options, data });
    for (const account of accounts) await server.createAccount(account, PASSWORD);
    await run({
      get server() {
        return server;
      },
      async restart() {
        await server.stop();
        await rm(`${data}/run.json`, { force: true });
        server = await startInstance(context, { ...options, data });
        return server;
      },
    });
    await server.stop();
  } finally {
    for (const close of closers) await close();
  }
}
