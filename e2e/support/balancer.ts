/** Ports that hand each new connection to the next of several servers, leaving out those that are down. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** A port at `address`; closed after the test. Servers see clients of this machine come from the address that they came to. */
export async function startBalancer(t: TestContext, address: string, targets: readonly number[]): Promise<number> {
  const open = new Set<Socket>();
  let next = 0;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    open.add(near);
    near.on('close', () => open.delete(near)).on('error', () => near.destroy());
    join(near, targets.length);
  });
  const join = (near: Socket, attempts: number): void => {
    const { localAddress: host = '127.0.0.1' } = near;
    const far = connect({ port: targets[next++ % targets.length] ?? 0, host, allowHalfOpen: true, noDelay: true });
    const tryNext = (): void => {
      if (attempts > 1 && !near.destroyed) join(near, attempts - 1);
      else near.resetAndDestroy();
    };
    far.once('error', tryNext);
    far.once('connect', () => {
      far.off('error', tryNext);
      // A server's reset often follows its last words: those still go on.
      far.on('error', () => near.destroySoon());
      near.on('close', () => far.destroy());
      far.on('close', () => near.destroySoon());
      near.pipe(far).pipe(near);
    });
  };
  server.listen(0, address);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  return bound.port;
}
