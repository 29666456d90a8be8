/** A raw SMTP and LMTP client for exact octets: sends what it is told, reads whole replies. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

export class MailScript {
  readonly socket: Socket;
  #text = '';
  #wake: () => void = () => undefined;
  closed = false;

  private constructor(socket: Socket) {
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
    socket.on('error', end);
  }

  /** Reads the greeting and says `hello` (`EHLO x`, `LHLO x`). */
  static async connect(t: TestContext, port: number, hello: string): Promise<MailScript> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const script = new MailScript(socket);
    t.after(() => socket.destroy());
    await script.reply();
    await script.command(hello);
    return script;
  }

  /** One reply, all its lines. @throws Error at the end of the connection */
  async reply(): Promise<string> {
    for (;;) {
      const match = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\n/.exec(this.#text);
      if (match !== null) {
        this.#text = this.#text.slice(match[0].length);
        return match[0].trimEnd();
      }
      if (this.closed) throw new Error(`connection closed, unread: ${JSON.stringify(this.#text)}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
  async command(line: string): Promise<string> {
    this.socket.write(`${line}\r\n`, 'latin1');
    return this.reply();
  }
  /** A whole transaction, dots stuffed, pipelined up to DATA (RFC 2920). Returns the reply to RCPT or DATA when that refuses, else the one after the dot. */
  async send(message: Uint8Array, to: string, from = 'sender@example.org'): Promise<string> {
    this.socket.write(`MAIL FROM:<${from}> SIZE=${message.length}\r\nRCPT TO:<${to}>\r\nDATA\r\n`);
    const replies = [await this.reply(), await this.reply(), await this.reply()];
    const refused = replies.find((reply) => /^[45]/.test(reply));
    if (refused !== undefined) return refused;
    this.socket.write(stuffed(message));
    return this.reply();
  }
}

/** RFC 5321 §4.5.2, with the end of the data. The message gets a CRLF at its end when it has none. */
function stuffed(message: Uint8Array): Buffer {
  const text = Buffer.from(message).toString('latin1');
  const lines = text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`;
  return Buffer.from(`${`\n${lines}`.replaceAll('\n.', '\n..').slice(1)}.\r\n`, 'latin1');
}
