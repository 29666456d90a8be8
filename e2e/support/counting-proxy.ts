/** Stands between a client that we did not write and a server port: counts what the server says and keeps what the client asks. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** Of what a client asks the last so much is kept. */
const KEPT_OCTETS = 1024 * 1024;

export class CountingProxy {
  readonly port: number;
  /** From the server, on all connections. */
  octetsFromServer = 0;
  #asked = '';

  private constructor(port: number) {
    this.port = port;
  }

  static async start(t: TestContext, target: number): Promise<CountingProxy> {
    const server = createServer({ noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const proxy = new CountingProxy(address.port);
    const sockets = new Set<Socket>();
    server.on('connection', (client) => {
      const far = connect({ port: target, host: '127.0.0.1', noDelay: true });
      for (const [socket, other] of [
        [client, far],
        [far, client],
      ] as const) {
        sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          sockets.delete(socket);
          other.destroy();
        });
      }
      far.on('data', (octets: Buffer) => {
        proxy.octetsFromServer += octets.length;
      });
      client.on('data', (octets: Buffer) => {
        proxy.#asked = (proxy.#asked + octets.toString('latin1')).slice(-KEPT_OCTETS);
      });
      client.pipe(far);
      far.pipe(client);
    });
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return proxy;
  }

  /** What was asked and how many octets came since the last call. */
  take(): { readonly octets: number; readonly asked: string } {
    const taken = { octets: this.octetsFromServer, asked: this.#asked };
    this.octetsFromServer = 0;
    this.#asked = '';
    return taken;
  }
}
