/** smtp-server with our own data mode and greeting, and texts that begin with their enhanced status code: what maildrop and submission share. */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js';
import type { SMTPStream } from 'smtp-server/lib/smtp-stream.js';
import type { Reply } from './replies.ts';
import { StrictSmtpStream } from './strict-stream.ts';

const ENHANCED = /^[245]\.\d{1,3}\.\d{1,3} /;
const CONTROL_CHARACTERS = /[\0-\x1f\x7f]/g;

/** What the library turns into a reply. */
export class ReplyError extends Error {
  readonly responseCode: number;
  constructor({ code, enhanced, text }: Reply) {
    super(`${enhanced} ${text}`);
    this.responseCode = code;
  }
}

export class StrictConnection extends SMTPConnection {
  #isGreeted = false;
  #replies = '';
  #isFlushDue = false;
  /** Of the listener that accepted the socket: it counts connections by them. */
  #closeListeners: readonly ((hadError: boolean) => void)[] = [];

  /** No pause for early talkers: the listener in front limits connections, and clients are ours or log in. */
  override init(): void {
    this.#closeListeners = this._socket.listeners('close') as ((hadError: boolean) => void)[];
    super.init();
    setImmediate(() => {
      if (!this._closing && !this._closed && !this._ready) this.connectionReady();
    });
  }
  /** The library's own timer calls it too, and on a busy loop before `_ready` is set: one greeting is enough. */
  override connectionReady(next?: () => void): void {
    if (this.#isGreeted) return;
    this.#isGreeted = true;
    super.connectionReady(next);
  }
  /** The library takes all listeners off the socket before the handshake, those of the socket's owner too. */
  override upgrade(callback: () => void, secureCallback?: () => void): void {
    const socket = this._socket;
    super.upgrade(callback, secureCallback);
    for (const listener of this.#closeListeners) socket.on('close', listener);
  }
  override _createParser(): SMTPStream {
    const parser = new StrictSmtpStream({ maxCommandLength: this._server.options.maxCommandLength }, () => this.#refuseLineEnds());
    parser.oncommand = (command, callback) => this._onCommand(command, callback);
    parser.on('error', (error) => this.send(421, `4.5.2 ${error.message}`));
    return parser;
  }
  /**
   * Texts of our own begin with their enhanced status code. The replies to MAIL and RCPT wait for the next or for the end of the turn: to
   * a client that pipelines they go out with DATA's, in one write.
   */
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const own = typeof data === 'string' && ENHANCED.test(data);
    if (Array.isArray(data) || (code !== 250 && code !== 354)) {
      this.#flush();
      super.send(code, data, own ? false : context);
      return;
    }
    const status = own ? '' : this._getEnhancedStatusCode(code, context);
    this.#replies += `${code} ${status}${status === '' ? '' : ' '}${(data ?? '').replace(CONTROL_CHARACTERS, ' ')}\r\n`;
    if (context !== 'MAIL_FROM_OK' && context !== 'RCPT_TO_OK') this.#flush();
    else if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      setImmediate(() => {
        this.#isFlushDue = false;
        this.#flush();
      });
    }
  }
  #flush(): void {
    const replies = this.#replies;
    if (replies === '') return;
    this.#replies = '';
    if (!this._upgrading && this._socket.readyState === 'open') this._socket.write(replies);
  }
  get isReceiving(): boolean {
    return this._dataStream !== false && this._dataStream !== null;
  }
  #refuseLineEnds(): void {
    this.send(554, '5.5.2 Only CRLF ends a line: bare CR or LF beside a dot');
    this.close();
  }
}

export class StrictServer extends SMTPServer {
  readonly #create: (socket: Socket | TLSSocket, options: SMTPConnectionOptions | null | undefined) => StrictConnection;
  constructor(
    options: SMTPServerOptions,
    create: (socket: Socket | TLSSocket, options: SMTPConnectionOptions | null | undefined) => StrictConnection,
  ) {
    super(options);
    this.#create = create;
  }
  override connect(socket: Socket | TLSSocket, options?: SMTPConnectionOptions | null): void {
    const connection = this.#create(socket, options);
    this.connections.add(connection);
    connection.on('error', (error: Error) => this.emit('error', error));
    connection.init();
  }
}

/** Finishes messages in progress, answers 421 to the rest, ends by force after `graceMs`. */
export async function closeGently(server: StrictServer, graceMs: number, cut: (connection: SMTPConnection) => void): Promise<void> {
  const deadline = Date.now() + graceMs;
  const isBusy = (connection: SMTPConnection): boolean => connection instanceof StrictConnection && connection.isReceiving;
  for (const connection of server.connections) if (!isBusy(connection)) connection.send(421, SHUTTING_DOWN);
  while (server.connections.size > 0 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (const connection of server.connections) if (!isBusy(connection)) connection.send(421, SHUTTING_DOWN);
  }
  for (const connection of server.connections) {
    connection.send(421, SHUTTING_DOWN);
    cut(connection);
  }
}
const SHUTTING_DOWN = '4.3.2 Server shutting down';

/** The library's word for a connection that ended before the message did. */
export function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNECTION';
}
