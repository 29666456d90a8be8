import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

import type { TlsTerminator } from './tls-terminator.ts';

export interface Upgraded {
  readonly socket: TLSSocket;
  /** Octets that came in clear behind the STARTTLS command and were thrown away (RFC 9051 §6.2.1, RFC 3207 §6). */
  readonly discardedOctets: number;
}

/**
 * STARTTLS: call after the positive reply has been flushed, with your own `data`, `readable` and `end` listeners removed and your own
 * line buffer emptied. What the socket still holds was injected in clear and is discarded, never read as if it had come over TLS.
 * @throws HandshakeFailed; `socket` is then destroyed
 */
export async function upgradeToTls(socket: Socket, terminator: TlsTerminator): Promise<Upgraded> {
  socket.pause();
  let discardedOctets = 0;
  for (;;) {
    const chunk: unknown = socket.read();
    if (chunk === null) break;
    discardedOctets += Buffer.isBuffer(chunk) || typeof chunk === 'string' ? chunk.length : 0;
  }
  return { socket: await terminator.secure(socket), discardedOctets };
}
