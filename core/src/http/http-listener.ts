/** Hands sockets that our own listeners accepted (limits, TLS, drain) to the HTTP server, which listens nowhere itself. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Connection, Session } from '../net/connection.ts';
import type { Api } from './resources.ts';

export type HttpClient = Pick<Connection, 'isSecure' | 'remoteAddress'> & { readonly listener: string };
/** Who is at the other end of a socket. */
export class HttpClients {
  readonly #bySocket = new WeakMap<Socket, HttpClient>();
  add({ socket, isSecure, remoteAddress, listener }: Connection): void {
    this.#bySocket.set(socket, { isSecure, remoteAddress, listener: `${listener.address}:${listener.port}` });
  }
  of(socket: Socket): HttpClient | undefined {
    return this.#bySocket.get(socket);
  }
}

/** For `ListenerGroupOptions.serve`. */
export function httpSessions(api: Api, clients: HttpClients): (connection: Connection) => Session {
  const { server } = api;
  const answering = new WeakMap<Socket, ServerResponse>();
  // Node counts and times out the connections of a server that listens; without this event its request timeouts never run.
  server.emit('listening');
  server.on('request', ({ socket }: { readonly socket: Socket }, response: ServerResponse) => {
    answering.set(socket, response);
    response.once('close', () => answering.delete(socket));
  });
  return (connection) => {
    connection.loggedIn(); // requests carry their own credentials; slow ones are ended by Node's request timeouts
    const { socket } = connection;
    clients.add(connection);
    server.emit('connection', socket);
    return {
      drain: () => {
        const response = answering.get(socket);
        if (response === undefined || isEventStream(response)) socket.destroySoon();
        else {
          response.shouldKeepAlive = false;
          response.once('close', () => socket.destroySoon());
        }
      },
      loginTimedOut: () => socket.destroy(),
    };
  };
}

/** Such a response has no end of its own; its client resumes with Last-Event-ID. */
function isEventStream(response: ServerResponse): boolean {
  return response.getHeader('content-type') === 'text/event-stream';
}
