/** For tests: an IMAP client that knows exact octets and nothing of what they mean. Octets are latin1 strings. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type SecureVersion } from 'node:tls';
import { constants, createDeflateRaw, createInflateRaw, type DeflateRaw } from 'node:zlib';

/** On the slowest machine something has come by then, or nothing ever will: a test that waits in vain says so rather than hang. */
const SILENCE_MS = 120_000;

export class WireClient {
  #socket: Socket;
  #deflate: DeflateRaw | undefined;
  #text = '';
  #waiting: (() => void) | undefined;
  #ended = false;
  #tags = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen(socket);
  }

  static async open(port: number): Promise<WireClient> {
    const socket = connect(port, '127.0.0.1');
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new WireClient(socket);
  }

  get socket(): Socket {
    return this.#socket;
  }

  #listen(socket: Socket): void {
    socket.on('error', () => undefined); // 'close' follows
    socket.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
    socket.on('end', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  send(text: string): void {
    (this.#deflate ?? this.#socket).write(Buffer.from(text, 'latin1'));
  }

  /** One response: a line with its literals, without the last CRLF. Undefined when the server has closed. */
  async response(): Promise<string | undefined> {
    for (;;) {
      const end = endOfResponse(this.#text);
      if (end >= 0) {
        const response = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return response;
      }
      if (this.#ended) return undefined;
      await this.#more();
    }
  }

  /** @throws Error when nothing comes */
  async #more(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting = resolve;
    const timer = setTimeout(
      () => reject(new Error(`nothing came for ${SILENCE_MS} ms; unread: ${JSON.stringify(this.#text.slice(-200))}`)),
      SILENCE_MS,
    );
    try {
      await promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Responses up to one that begins with `prefix`, which is the last. */
  async until(prefix: string): Promise<string[]> {
    const found: string[] = [];
    for (;;) {
      const response = await this.response();
      if (response === undefined) throw new Error(`closed before ${prefix}; got ${JSON.stringify(found)}`);
      found.push(response);
      if (response.startsWith(prefix)) return found;
    }
  }

  /** Sends a command and collects its responses; the tag stands as `$` in the last one. */
  async run(command: string): Promise<string[]> {
    const tag = this.tag();
    this.send(`${tag} ${command}\r\n`);
    return this.end(tag);
  }

  tag(): string {
    this.#tags += 1;
    return `t${this.#tags}`;
  }

  /** What the command of this tag answers. Continuation requests stand among it. */
  async end(tag: string): Promise<string[]> {
    const responses = await this.until(`${tag} `);
    return responses.map((line, index) =>
      index === responses.length - 1 ? `$${line.slice(tag.length)}` : line.replace(`"${tag}"`, '"$"'),
    );
  }

  /** The command answers exactly this. UIDVALIDITY stands as V. */
  async expect(command: string, ...responses: string[]): Promise<void> {
    assert.deepEqual((await this.run(command)).map(withoutUidValidity), responses, command);
  }

  /** Only the tagged response counts. */
  async expectEnd(command: string, end: string): Promise<void> {
    assert.equal((await this.run(command)).map(withoutUidValidity).at(-1), end, command);
  }

  /** The next response that nobody asked for. */
  async hears(response: string): Promise<void> {
    assert.equal(await this.response(), response);
  }

  /** APPEND with a synchronising literal. */
  async append(mailbox: string, message: string, options = ''): Promise<string[]> {
    const tag = this.tag();
    this.send(`${tag} APPEND ${mailbox} ${options === '' ? '' : `${options} `}{${message.length}}\r\n`);
    const first = await this.response();
    if (first === undefined) throw new Error('closed');
    if (!first.startsWith('+')) return [first.replace(tag, '$')];
    this.send(`${message}\r\n`);
    return this.end(tag);
  }

  /** True when the server closes without another word. */
  async isClosed(): Promise<boolean> {
    return (await this.response()) === undefined;
  }

  async startTls(maxVersion?: SecureVersion): Promise<void> {
    const plain = this.#socket;
    plain.removeAllListeners('data');
    plain.removeAllListeners('end');
    plain.removeAllListeners('close');
    const secure = connectTls({ socket: plain, rejectUnauthorized: false, ...(maxVersion === undefined ? {} : { maxVersion }) });
    await new Promise<void>((resolve, reject) => {
      secure.once('secureConnect', resolve);
      secure.once('error', reject);
    });
    this.#socket = secure;
    this.#listen(secure);
  }

  /** After the OK of COMPRESS; by hand, so that tests may send what they like. */
  compressed(): void {
    const socket = this.#socket;
    for (const event of ['data', 'end', 'close']) socket.removeAllListeners(event);
    const inflate = createInflateRaw({ finishFlush: constants.Z_SYNC_FLUSH });
    inflate.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('data', (chunk: Buffer) => inflate.write(chunk));
    socket.on('end', () => inflate.end());
    const ended = (): void => {
      this.#ended = true;
      this.#wake();
    };
    inflate.on('end', ended);
    socket.on('close', () => {
      if (!inflate.writableEnded) inflate.end();
    });
    this.#deflate = createDeflateRaw({ flush: constants.Z_SYNC_FLUSH });
    this.#deflate.on('data', (chunk: Buffer) => socket.write(chunk));
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Index of the CRLF that ends the first response, -1 when it is not all there. */
function endOfResponse(text: string): number {
  for (let from = 0; ; ) {
    const end = text.indexOf('\r\n', from);
    if (end < 0) return -1;
    const literal = /\{(\d+)\}$/.exec(text.slice(Math.max(from, end - 20), end));
    if (literal === null) return end;
    from = end + 2 + Number(literal[1]);
    if (from > text.length) return -1;
  }
}

/** Made of the clock, so no test can name it. */
export function withoutUidValidity(response: string): string {
  return response.replace(/\b(UIDVALIDITY|APPENDUID|COPYUID) \d+/, '$1 V');
}
