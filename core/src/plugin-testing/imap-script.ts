/** The client's side of an IMAP connection in memory. Octets are latin1 strings here, as on the wire; scripts are UTF-8. */
import type { Duplex } from 'node:stream';

export class ImapScript {
  readonly #stream: Duplex;
  #text = '';
  #hasEnded = false;
  #wake: (() => void) | undefined;
  #idleTag: string | undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1');
      this.#wake?.();
    });
    const end = (): void => {
      this.#hasEnded = true;
      this.#wake?.();
    };
    stream.on('end', end).on('close', end).on('error', end);
  }

  /** One response with its literals, without the last CRLF. Undefined when the server has closed. */
  async response(): Promise<string | undefined> {
    for (;;) {
      const end = endOfResponse(this.#text);
      if (end >= 0) {
        const response = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return Buffer.from(response, 'latin1').toString('utf8');
      }
      if (this.#hasEnded) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Sends one line and returns its replies, the tagged one last; for IDLE those until the continuation. */
  async run(line: string): Promise<readonly string[]> {
    const octets = Buffer.from(line, 'utf8').toString('latin1');
    const replies: string[] = [];
    const pieces = literalPieces(octets);
    const tag = octets === 'DONE' && this.#idleTag !== undefined ? this.#idleTag : (octets.split(' ', 1)[0] ?? '');
    this.#idleTag = / IDLE$/i.test(octets) ? tag : undefined;
    for (const [index, piece] of pieces.entries()) {
      this.#stream.write(index === pieces.length - 1 ? `${piece}\r\n` : piece, 'latin1');
      const isLast = index === pieces.length - 1;
      for (;;) {
        const reply = await this.response();
        if (reply === undefined) return replies; // BYE is among them
        replies.push(reply);
        if (reply.startsWith(`${tag} `)) return replies;
        if (reply.startsWith('+') && (!isLast || this.#idleTag !== undefined)) break;
      }
    }
    return replies;
  }

  end(): void {
    this.#stream.end();
  }
  destroy(): void {
    this.#stream.destroy();
  }
}

/** The command cut behind each synchronising literal's `{n}` CRLF, where the client has to wait. */
function literalPieces(octets: string): readonly string[] {
  const pieces: string[] = [];
  let from = 0;
  for (let at = 0; ; ) {
    const end = octets.indexOf('\r\n', at);
    if (end < 0) break;
    const literal = /\{(\d{1,10})(\+?)\}$/.exec(octets.slice(Math.max(at, end - 20), end));
    if (literal === null) throw new TypeError('an IMAP line has a CRLF that is no literal: give each command as a line of its own');
    if (literal[2] === '') {
      pieces.push(octets.slice(from, end + 2));
      from = end + 2;
    }
    at = end + 2 + Number(literal[1]);
  }
  pieces.push(octets.slice(from));
  return pieces;
}

/** Index of the CRLF that ends the first response, -1 when it is not all there. */
function endOfResponse(text: string): number {
  for (let from = 0; ; ) {
    const end = text.indexOf('\r\n', from);
    if (end < 0) return -1;
    const literal = /\{(\d{1,10})\}$/.exec(text.slice(Math.max(from, end - 20), end));
    if (literal === null) return end;
    from = end + 2 + Number(literal[1]);
    if (from > text.length) return -1;
  }
}
