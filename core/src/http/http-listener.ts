/** Hands sockets that our own listeners accepted (limits, TLS, drain) to the HTTP server, which listens nowhere itself. */
import type { Connection, Session } from '../net/connection.ts';
import type { Api } from './resources.ts';

export function serveHttp(api: Api, connection: Connection): Session {
  connection.loggedIn(); // requests carry their own credentials; slow ones are ended by Node's request timeouts
  const { socket } = connection;
  api.server.emit('connection', socket);
  return {
    drain: () => {
      api.server.closeIdleConnections();
      if (!socket.destroyed) socket.once('finish', () => socket.end());
    },
    loginTimedOut: () => socket.destroy(),
  };
}
