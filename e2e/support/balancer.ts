/** Ports that hand each new connection to the next of several servers, leaving out those that are down. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** The port; closed after the test. */
export async function startBalancer(t: TestContext, targets: readonly number[]): Promise<number> {
  const open = new Set<Socket>();
  let next = 0;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    open.add(near);
    near.on('close', () => open.delete(near)).on('error', () => near.destroy());
    join(near, targets.length);
  });
  const join = (near: Socket, attempts: number): void => {
    const far = connect({ port: targets[next++ % targets.length] ?? 0, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
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
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
