/** Writes responses. One for each connection; holds nothing between them. */
import type { SocketOutput } from '../net/output.ts';

/** Texts go out as they are when they are printable ASCII; anything else would break the line or the client. */
export function safeText(text: string): string {
  let clean = text.length <= 400 && text !== '';
  for (let at = 0; at < text.length && clean; at++) {
    const code = text.charCodeAt(at);
    clean = code >= 0x20 && code < 0x7f;
  }
  if (clean) return text;
  const short = text.slice(0, 400).replaceAll(/[^ -~]/g, '?');
  return short === '' ? 'Done' : short;
}

export type Condition = 'OK' | 'NO' | 'BAD' | 'BYE';

function condition(kind: Condition, code: string | undefined, text: string): string {
  return code === undefined ? `${kind} ${safeText(text)}\r\n` : `${kind} [${code}] ${safeText(text)}\r\n`;
}

export class Responder {
  readonly #output: SocketOutput;

  constructor(output: SocketOutput) {
    this.#output = output;
  }

  /** `* ` + text + CRLF. The text is latin1 and the caller's own: names and strings in it are quoted already. */
  untagged(text: string): void {
    this.#output.write(`* ${text}\r\n`);
  }

  /** Whole lines, CRLF included. */
  lines(text: string): void {
    this.#output.write(text);
  }

  bytes(octets: Uint8Array): void {
    this.#output.write(octets);
  }

  /** Octets that change when the call has returned. */
  copied(octets: Uint8Array): void {
    this.#output.copy(octets);
  }

  /** Untagged OK, NO, BAD or BYE with an optional response code. */
  status(kind: Condition, code: string | undefined, text: string): void {
    this.#output.write(`* ${condition(kind, code, text)}`);
  }

  /** Untagged OK (RFC 9051 §7.1.1). */
  ok(code: string | undefined, text: string): void {
    this.status('OK', code, text);
  }

  tagged(tag: string, kind: Condition, code: string | undefined, text: string): void {
    this.#output.write(`${tag} ${condition(kind, code, text)}`);
  }

  /** Command continuation request, sent at once. `text` is base64 or plain ASCII. */
  proceed(text: string): void {
    this.#output.write(`+ ${text}\r\n`);
    this.#output.flush();
  }

  flush(): void {
    this.#output.flush();
  }

  /** True when the next thing to do is `await drained()`. */
  get isFull(): boolean {
    return this.#output.isFull;
  }

  /** @throws OutputClosed */
  drained(): Promise<void> {
    return this.#output.drained();
  }

  /** A body of any size with bounded memory. @throws OutputClosed, or what `source` throws */
  body(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    return this.#output.writeAll(source);
  }
}
