import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

import { plainAddress } from './address.ts';
import { Connection, ignoreSocketError, type ListenerAddress, type Session } from './connection.ts';
import type { ConnectionGate, Refusal } from './connection-gate.ts';
import { type NetLog, QuietLog } from './log.ts';
import type { TimerOwner, TimerWheel } from './timer-wheel.ts';
import type { TlsTerminator } from './tls-terminator.ts';

const BACKLOG = 1024;
/** A client that vanished without a word is found by TCP, which costs no timer here. */
const KEEP_ALIVE_AFTER_MS = 300_000;

export interface ListenerGroupOptions {
  /** `imap`, `smtp`...; for logs and `Connection.protocol`. */
  readonly protocol: string;
  readonly listeners: readonly ListenerAddress[];
  /** Shared by all protocols of a server. */
  readonly gate: ConnectionGate;
  readonly wheel: TimerWheel;
  /** Needed if a listener has TLS of some kind. */
  readonly terminator?: TlsTerminator | undefined;
  /** ms from accept, TLS handshake included, to `Connection.loggedIn`. */
  readonly loginTimeMs: number;
  /** The line, with CRLF, that a refused client of a plain listener reads. */
  readonly refusalLine?: (reason: Refusal) => string;
  /** Called when the client may speak, after the handshake of an implicit listener. */
  readonly serve: (connection: Connection) => Session;
  /** `allow`: when the client has closed its side, the session still writes and must end the socket itself. Default `close`. */
  readonly halfOpen?: 'allow' | 'close';
  readonly log: NetLog;
  /** Source of `Connection.id`, shared by all groups of a server. */
  readonly nextId: () => number;
}

/** The listening sockets of one protocol and the connections that they accepted. */
export class ListenerGroup implements TimerOwner {
  readonly #options: ListenerGroupOptions;
  readonly #servers: Server[] = [];
  readonly #connections = new Map<Socket, Connection>();
  readonly #quietRefusal: QuietLog;
  readonly #quietError: QuietLog;
  readonly #onClose: (this: Socket) => void;
  #allClosed: PromiseWithResolvers<void> | undefined;
  #forced = 0;

  /** @throws Error if a listener needs TLS and there is no terminator */
  constructor(options: ListenerGroupOptions) {
    const { protocol, listeners, terminator, log, wheel } = options;
    if (terminator === undefined && listeners.some(({ tls }) => tls !== 'none')) throw new Error(`${protocol}: no certificate for TLS`);
    this.#options = options;
    this.#quietRefusal = new QuietLog(
      (details, message) => log.warn(details, message),
      () => wheel.now(),
    );
    this.#quietError = new QuietLog(
      (details, message) => log.error(details, message),
      () => wheel.now(),
    );
    const forget = (socket: Socket): void => this.#forget(socket);
    this.#onClose = function onClose() {
      forget(this); // one function for all connections
    };
  }

  get openConnections(): number {
    return this.#connections.size;
  }

  /**
   * Listens everywhere and answers with the addresses, in the order of the listeners, ports filled in.
   * @throws Error naming the first address that cannot be had; nothing listens then
   */
  async open(): Promise<AddressInfo[]> {
    const addresses: AddressInfo[] = [];
    for (const listener of this.#options.listeners) {
      try {
        addresses.push(await this.#listen(listener));
      } catch (error) {
        await this.stopAccepting();
        const { address, port } = listener;
        throw new Error(`${this.#options.protocol}: cannot listen on ${address} port ${port}: ${messageOf(error)}`, { cause: error });
      }
    }
    return addresses;
  }

  /** Settles when no listening socket is left; connections live on. */
  async stopAccepting(): Promise<void> {
    const servers = this.#servers.splice(0);
    // `close` calls back only when all connections have ended, which is the business of `drain`; the socket is closed at once.
    for (const server of servers) server.close();
  }

  /**
   * Stops accepting, lets sessions finish, and cuts those that have not ended after `graceMs`.
   * @returns how many were cut
   */
  async drain(graceMs: number): Promise<number> {
    await this.stopAccepting();
    if (this.#connections.size === 0) return 0;
    this.#allClosed ??= Promise.withResolvers<void>();
    const timer = this.#options.wheel.start(this, graceMs);
    for (const connection of [...this.#connections.values()]) connection.drain();
    await this.#allClosed.promise;
    this.#options.wheel.stop(timer);
    return this.#forced;
  }

  /** Drain's time is up. */
  onTimeout(): void {
    this.#forced = this.#connections.size;
    if (this.#forced > 0) this.#options.log.warn({ protocol: this.#options.protocol, connections: this.#forced }, 'cut at shutdown');
    for (const [socket, connection] of [...this.#connections]) {
      connection.socket.destroy();
      socket.destroy();
    }
  }

  #listen(listener: ListenerAddress): Promise<AddressInfo> {
    const server = createServer({
      allowHalfOpen: this.#options.halfOpen === 'allow',
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_AFTER_MS,
    });
    const host = listener.address === '*' ? {} : { host: listener.address };
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port: listener.port, backlog: BACKLOG, ...host }, () => {
        server.off('error', reject);
        server.on('error', (error) => this.acceptFailed(error));
        server.on('connection', (socket) => this.#onConnection(socket, listener));
        this.#servers.push(server);
        const address = server.address();
        if (address === null || typeof address === 'string') reject(new Error('no TCP address'));
        else resolve(address);
      });
    });
  }

  /** Out of descriptors (EMFILE, ENFILE): libuv has turned the client away; the server lives, and says so at most once a second. */
  acceptFailed(error: Error): void {
    this.#quietError.say(
      { err: error, protocol: this.#options.protocol, connections: this.#connections.size },
      'cannot accept connections',
    );
  }

  #onConnection(socket: Socket, listener: ListenerAddress): void {
    socket.on('error', ignoreSocketError);
    const { gate, protocol, wheel, loginTimeMs, terminator, nextId } = this.#options;
    const remoteAddress = plainAddress(socket.remoteAddress ?? '');
    if (remoteAddress === undefined) {
      socket.destroy(); // gone before it was accepted
      return;
    }
    const refusal = gate.admit(remoteAddress);
    if (refusal !== undefined) {
      this.#refuse(socket, listener, remoteAddress, refusal);
      return;
    }
    const connection = new Connection(socket, { id: nextId(), protocol, listener, remoteAddress, wheel, loginTimeMs, terminator });
    this.#connections.set(socket, connection);
    socket.on('close', this.#onClose);
    if (listener.tls === 'implicit') void this.#secure(connection, socket);
    else this.#serve(connection);
  }

  #refuse(socket: Socket, { tls }: ListenerAddress, remoteAddress: string, reason: Refusal): void {
    const { protocol, refusalLine } = this.#options;
    this.#quietRefusal.say({ protocol, remoteAddress, reason }, 'connection refused');
    if (tls !== 'implicit' && refusalLine !== undefined) socket.write(refusalLine(reason), 'latin1');
    // Not `end`: that would leave it to the client when the descriptor is free again.
    socket.destroySoon();
  }

  async #secure(connection: Connection, socket: Socket): Promise<void> {
    const { terminator, protocol } = this.#options;
    if (terminator === undefined) return;
    try {
      connection.becomeSecure(await terminator.secure(socket));
    } catch (error) {
      const { remoteAddress } = connection;
      this.#quietRefusal.say({ protocol, remoteAddress, reason: messageOf(error), cause: causeOf(error) }, 'no TLS');
      return;
    }
    this.#serve(connection);
  }

  #serve(connection: Connection): void {
    if (this.#allClosed !== undefined) {
      connection.socket.destroy(); // its handshake ended after drain had begun
      return;
    }
    try {
      connection.serve(this.#options.serve(connection));
    } catch (error) {
      this.#options.log.error({ err: error, protocol: this.#options.protocol, connection: connection.id }, 'session could not be started');
      connection.socket.destroy();
    }
  }

  #forget(socket: Socket): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    this.#connections.delete(socket);
    connection.loggedIn();
    this.#options.gate.release(connection.remoteAddress);
    if (this.#connections.size === 0) this.#allClosed?.resolve();
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
function causeOf(error: unknown): string {
  return error instanceof Error && error.cause instanceof Error ? error.cause.message : '';
}
