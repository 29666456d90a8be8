/** A raw SMTP or LMTP client for exact octets: sends lines, returns whole replies, and knows no more. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

export interface SmtpReply {
  readonly code: number;
  /** All lines, code and separator kept, joined by CRLF. */
  readonly text: string;
}

export class SmtpScript {
  readonly socket: Socket;
  #text = '';
  #wake: () => void = () => undefined;
  closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1');
      this.#wake();
    });
    const end = (): void => {
      this.closed = true;
      this.#wake();
    };
    socket.on('close', end);
    socket.on('end', end);
    socket.on('error', end);
  }

  static async connect(t: TestContext | undefined, port: number): Promise<SmtpScript> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const script = new SmtpScript(socket);
    t?.after(() => socket.destroy());
    await script.expect(220);
    return script;
  }
  /** Connects and says LHLO or EHLO. */
  static async open(t: TestContext | undefined, port: number, hello: 'LHLO' | 'EHLO'): Promise<SmtpScript> {
    const script = await SmtpScript.connect(t, port);
    await script.command(`${hello} client.example.org`, 250);
    return script;
  }

  /** The next reply, all its lines. Throws at the end of the connection. */
  async reply(): Promise<SmtpReply> {
    for (;;) {
      const match = /^(?:\d{3}-[^\r\n]*\r\n)*(\d{3})(?: [^\r\n]*)?\r\n/.exec(this.#text);
      if (match !== null) {
        this.#text = this.#text.slice(match[0].length);
        return { code: Number(match[1]), text: match[0].slice(0, -2) };
      }
      if (this.closed) throw new Error('connection closed');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
  async expect(code: number): Promise<SmtpReply> {
    const reply = await this.reply();
    if (reply.code !== code) throw new Error(`wanted ${code}: ${reply.text}`);
    return reply;
  }
  async command(line: string, code?: number): Promise<SmtpReply> {
    this.socket.write(`${line}\r\n`, 'latin1');
    return code === undefined ? this.reply() : this.expect(code);
  }
  /** Envelope and DATA up to 354; the message itself is the caller's. */
  async begin(from: string, to: readonly string[]): Promise<void> {
    await this.command(`MAIL FROM:<${from}>`, 250);
    for (const recipient of to) await this.command(`RCPT TO:<${recipient}>`, 250);
    await this.command('DATA', 354);
  }
  /** A whole transaction. Answers with as many replies as the protocol gives: one, or one a recipient (LMTP). */
  async deliver(from: string, to: readonly string[], message: Uint8Array, replies = 1): Promise<readonly SmtpReply[]> {
    await this.begin(from, to);
    this.socket.write(dotStuffed(message));
    this.socket.write('.\r\n');
    const got: SmtpReply[] = [];
    for (let i = 0; i < replies; i++) got.push(await this.reply());
    return got;
  }
  /** Until the other side closes. */
  async end(): Promise<void> {
    while (!this.closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
  close(): void {
    this.socket.destroy();
  }
}

/** RFC 5321 §4.5.2. The message must end with CRLF. */
function dotStuffed(message: Uint8Array): Buffer {
  const octets = Buffer.from(message.buffer, message.byteOffset, message.length);
  if (octets[0] !== 0x2e && !octets.includes('\r\n.')) return octets;
  return Buffer.from(octets.toString('latin1').replace(/(^|\r\n)\./g, '$1..'), 'latin1');
}
