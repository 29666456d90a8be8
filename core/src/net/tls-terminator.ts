import type { Socket } from 'node:net';
import { createServer, type SecureVersion, type Server, type TLSSocket } from 'node:tls';

/** The handshake failed, took too long or was given up; the socket is destroyed. */
export class HandshakeFailed extends Error {
  override readonly name = 'HandshakeFailed';
}

export interface TlsMaterial {
  readonly certificate: string | Buffer;
  readonly key: string | Buffer;
}

export interface TlsTerminatorOptions {
  readonly material: TlsMaterial;
  readonly minVersion: SecureVersion;
  /** ms for a handshake. */
  readonly handshakeTimeMs: number;
}

/**
 * Makes TLS of sockets that others accepted: a `tls.Server` that listens nowhere and is handed its connections, the documented way.
 * (A bare server-side `TLSSocket` would swallow TLS errors that come after the handshake.)
 */
export class TlsTerminator {
  readonly #server: Server;
  readonly #minVersion: SecureVersion;
  readonly #waiting = new Map<string, PromiseWithResolvers<TLSSocket>>();

  /** @throws Error of OpenSSL when certificate and key are bad or do not belong together */
  constructor({ material, minVersion, handshakeTimeMs }: TlsTerminatorOptions) {
    this.#minVersion = minVersion;
    this.#server = createServer({ handshakeTimeout: handshakeTimeMs, ...this.#contextOf(material) });
    this.#server.on('secureConnection', (socket) => this.#waiting.get(socketName(socket))?.resolve(socket));
    this.#server.on('tlsClientError', (error, socket) => {
      this.#waiting.get(socketName(socket))?.reject(new HandshakeFailed('TLS handshake failed', { cause: error }));
      socket.destroy();
    });
  }

  /**
   * Another certificate, for handshakes from now on.
   * @throws Error of OpenSSL as the constructor; the old certificate then stays
   */
  replace(material: TlsMaterial): void {
    this.#server.setSecureContext(this.#contextOf(material));
  }

  /**
   * Takes over a connected socket that nobody else reads and answers its TLS handshake.
   * @throws HandshakeFailed if there will be no TLS; `socket` is then destroyed
   */
  async secure(socket: Socket): Promise<TLSSocket> {
    const name = socketName(socket);
    const waiting = Promise.withResolvers<TLSSocket>();
    const onClose = (): void => waiting.reject(new HandshakeFailed('the connection was closed during the TLS handshake'));
    if (socket.destroyed || this.#waiting.has(name)) {
      socket.destroy();
      throw new HandshakeFailed('the connection is closed already');
    }
    this.#waiting.set(name, waiting);
    socket.once('close', onClose);
    try {
      this.#server.emit('connection', socket);
      return await waiting.promise;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      this.#waiting.delete(name);
      socket.off('close', onClose);
    }
  }

  #contextOf({ certificate, key }: TlsMaterial) {
    return { cert: certificate, key, minVersion: this.#minVersion, honorCipherOrder: true };
  }
}

/** Unique among open connections, and the same for a socket and the TLS over it. */
function socketName({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}
