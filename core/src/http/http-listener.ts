/** Hands sockets that our own listeners accepted (limits, TLS, drain) to the HTTP server, which listens nowhere itself. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Connection, Session } from '../net/connection.ts';
import type { Api } from './resources.ts';

/** For `ListenerGroupOptions.serve`. */
export function httpSessions(api: Api): (connection: Connection) => Session {
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
