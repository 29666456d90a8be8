/** A raw IMAP client for exact octets: sends lines, returns what came back, knows literals and nothing else. */
import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { constants, createDeflateRaw, createInflateRaw } from 'node:zlib';

export class ImapScript {
  socket: Duplex;
  #pieces: Buffer[] = [];
  #buffered = Buffer.alloc(0);
  #wake: () => void = () => undefined;
  #tag = 0;
  closed = false;
  /** Of everything that came, after decompression. */
  octetsRead = 0;

  constructor(socket: Duplex) {
    this.socket = socket;
    if (socket instanceof Socket) socket.setNoDelay(true);
    this.#listen(socket);
  }

  #listen(socket: Duplex): void {
    socket.on('data', (chunk: Buffer) => {
      this.octetsRead += chunk.length;
      this.#pieces.push(chunk);
      this.#wake();
    });
    const end = (): void => {
      this.closed = true;
      this.#wake();
    };
    socket.on('close', end);
    socket.on('error', end);
  }

  static async connect(t: TestContext | undefined, port: number): Promise<ImapScript> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const script = new ImapScript(socket);
    t?.after(() => socket.destroy());
    await script.response();
    return script;
  }
  /** Implicit TLS; whose certificate it is does not matter here. */
  static async connectTls(t: TestContext | undefined, port: number): Promise<ImapScript> {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const script = new ImapScript(socket);
    t?.after(() => socket.destroy());
    await script.response();
    return script;
  }
  static async login(t: TestContext | undefined, port: number, user: string, password: string): Promise<ImapScript> {
    const script = await ImapScript.connect(t, port);
    const { done } = await script.command(`LOGIN "${user}" "${password}"`);
    if (!done.startsWith('OK')) throw new Error(`login: ${done}`);
    return script;
  }

  /** One complete response line with its literals, latin1, without the last CRLF. Throws at the end of the connection. */
  async response(): Promise<string> {
    let from = 0;
    for (;;) {
      const end = this.#buffered.indexOf('\r\n', from);
      if (end === -1) {
        await this.#more();
        continue;
      }
      const literal = /\{(\d+)\}$/.exec(this.#buffered.toString('latin1', Math.max(from, end - 24), end));
      if (literal === null) {
        const line = this.#buffered.toString('latin1', 0, end);
        this.#buffered = this.#buffered.subarray(end + 2);
        return line;
      }
      from = end + 2 + Number(literal[1]);
      while (this.#buffered.length < from) await this.#more();
    }
  }

  /** The tag of the next command. */
  get nextTag(): string {
    return `t${this.#tag + 1}`;
  }
  /** For a caller that writes its commands itself. */
  takeTag(): string {
    this.#tag += 1;
    return `t${this.#tag}`;
  }
  /** Sends a command and collects until its tagged response. `done` is that response without the tag. */
  async command(line: string, ...literals: readonly (string | Uint8Array)[]): Promise<{ untagged: string[]; done: string }> {
    this.#tag += 1;
    const tag = `t${this.#tag}`;
    this.socket.write(`${tag} ${line}\r\n`, 'latin1');
    const untagged: string[] = [];
    let sent = 0;
    for (;;) {
      const response = await this.response();
      if (response.startsWith('+')) {
        const literal = literals[sent];
        if (literal === undefined) return { untagged, done: response };
        sent += 1;
        this.socket.write(typeof literal === 'string' ? Buffer.from(`${literal}\r\n`, 'latin1') : literal);
        if (typeof literal !== 'string' && sent === literals.length) this.socket.write('\r\n');
      } else if (response.startsWith(`${tag} `)) return { untagged, done: response.slice(tag.length + 1) };
      else untagged.push(response);
    }
  }
  /** APPEND with a synchronising literal; returns the tagged response. */
  async append(mailbox: string, message: Uint8Array, options = ''): Promise<string> {
    return (await this.command(`APPEND "${mailbox}" ${options}${options === '' ? '' : ' '}{${message.length}}`, message)).done;
  }
  /** Everything that comes until the wanted line; for IDLE. */
  async until(wanted: RegExp): Promise<string> {
    for (;;) {
      const line = await this.response();
      if (wanted.test(line)) return line;
    }
  }
  /** COMPRESS DEFLATE, and from then on everything goes through it. */
  async compress(): Promise<void> {
    const { done } = await this.command('COMPRESS DEFLATE');
    if (!done.startsWith('OK')) throw new Error(`COMPRESS: ${done}`);
    const { socket } = this;
    for (const event of ['data', 'close', 'error']) socket.removeAllListeners(event);
    const deflate = createDeflateRaw({ flush: constants.Z_SYNC_FLUSH });
    const inflate = createInflateRaw({ finishFlush: constants.Z_SYNC_FLUSH });
    deflate.pipe(socket);
    socket.pipe(inflate);
    this.socket = Duplex.from({ readable: inflate, writable: deflate });
    socket.on('error', () => this.socket.destroy());
    socket.on('close', () => this.socket.destroy());
    this.#listen(this.socket);
  }
  close(): void {
    this.socket.destroy();
  }

  async #more(): Promise<void> {
    while (this.#pieces.length === 0) {
      if (this.closed) throw new Error('connection closed');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#buffered = Buffer.concat([this.#buffered, ...this.#pieces]);
    this.#pieces = [];
  }
}
