/** Stands between a program and a TCP server and misbehaves as networks do. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** `pass`: octets go through; `refuse`: connections are closed as they come; `blackhole`: connections open, and no octet goes anywhere. */
export type ProxyMode = 'pass' | 'refuse' | 'blackhole';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

export class FaultProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #pairs = new Set<Pair>();
  #mode: ProxyMode = 'pass';
  #delayMs = 0;

  constructor(server: Server, port: number, target: { readonly host: string; readonly port: number }) {
    this.port = port;
    this.#server = server;
    this.#target = target;
    server.on('connection', (near) => this.#connect(near));
  }

  get connections(): number {
    return this.#pairs.size;
  }
  /** A partition: no connection ends and nothing arrives, in both directions, until `pass`; what was sent meanwhile then arrives, as TCP has it. */
  blackhole(): void {
    this.#mode = 'blackhole';
    for (const { near, far } of this.#pairs) {
      near.pause();
      far.pause();
    }
  }
  /** The server is gone: open connections are reset, new ones too. */
  refuse(): void {
    this.#mode = 'refuse';
    this.cut();
  }
  /** Open connections are reset; new ones go through. */
  cut(): void {
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
    this.#pairs.clear();
  }
  /** Each piece of octets is held back so long, in both directions. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }
  /** Undoes `blackhole` and `refuse`. */
  pass(): void {
    this.#mode = 'pass';
    for (const { near, far } of this.#pairs) {
      near.resume();
      far.resume();
    }
  }
  async close(): Promise<void> {
    this.refuse();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #connect(near: Socket): void {
    if (this.#mode === 'refuse') {
      near.on('error', () => undefined);
      near.resetAndDestroy();
      return;
    }
    const far = connect(this.#target.port, this.#target.host);
    const pair = { near, far };
    this.#pairs.add(pair);
    this.#forward(pair, near, far);
    this.#forward(pair, far, near);
    if (this.#mode === 'blackhole') {
      near.pause();
      far.pause();
    }
  }
  #forward(pair: Pair, from: Socket, to: Socket): void {
    from.setNoDelay(true);
    from.on('data', (octets) => {
      if (this.#delayMs === 0) to.write(octets);
      else setTimeout(() => !to.destroyed && to.write(octets), this.#delayMs);
    });
    from.on('end', () => to.end());
    from.on('error', () => to.destroy());
    from.on('close', () => {
      to.destroySoon();
      this.#pairs.delete(pair);
    });
  }
}

/** On a free port of 127.0.0.1; closed after the test. */
export async function startFaultProxy(t: TestContext, target: { readonly host?: string; readonly port: number }): Promise<FaultProxy> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const proxy = new FaultProxy(server, address.port, { host: target.host ?? '127.0.0.1', port: target.port });
  t.after(() => proxy.close());
  return proxy;
}
