/** Another mail server, on smtp-server: keeps what it takes, and answers as it is told. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { SMTPServer, type SMTPServerAddress, type SMTPServerOptions } from 'smtp-server';

export interface Taken {
  readonly from: string;
  readonly mailArgs: Readonly<Record<string, unknown>>;
  readonly to: readonly { readonly address: string; readonly args: Readonly<Record<string, unknown>> }[];
  /** Latin1: an octet a character. */
  readonly raw: string;
  readonly secure: boolean;
  readonly user: string | undefined;
}
export type Answer = 'ok' | { readonly code: number; readonly text: string };
export interface SinkBehaviour {
  rcpt?: (address: string) => Answer;
  /** Before the reply to the message; it may wait. */
  data?: (message: Taken) => Answer | Promise<Answer>;
}

export class RelaySink {
  readonly taken: Taken[] = [];
  behaviour: SinkBehaviour = {};
  #server: SMTPServer | undefined;
  #port = 0;
  #wake: () => void = () => undefined;
  readonly #options: SMTPServerOptions;
  constructor(options: SMTPServerOptions) {
    this.#options = options;
  }

  get port(): number {
    return this.#port;
  }

  /** On the port it had before, if it had one. */
  async open(): Promise<void> {
    const server = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS'],
      hideDSN: false,
      disableReverseLookup: true,
      logger: false,
      onRcptTo: ({ address }, _session, done) => done(errorOf(this.behaviour.rcpt?.(address) ?? 'ok')),
      onData: (stream, session, done) => {
        const pieces: Buffer[] = [];
        stream.on('data', (piece: Buffer) => pieces.push(piece));
        stream.on('end', () => {
          const { mailFrom, rcptTo } = session.envelope;
          const message: Taken = {
            from: mailFrom === false ? '' : mailFrom.address,
            mailArgs: argsOf(mailFrom),
            to: rcptTo.map((recipient) => ({ address: recipient.address, args: argsOf(recipient) })),
            raw: Buffer.concat(pieces).toString('latin1'),
            secure: session.secure,
            user: typeof session.user === 'string' ? session.user : undefined,
          };
          Promise.resolve(this.behaviour.data?.(message) ?? 'ok').then((answer) => {
            if (answer === 'ok') {
              this.taken.push(message);
              this.#wake();
            }
            done(errorOf(answer));
          }, done);
        });
      },
      ...this.#options,
    });
    server.on('error', () => undefined); // clients that are killed
    server.listen(this.#port, '127.0.0.1');
    await once(server.server, 'listening');
    this.#server = server;
    this.#port = (server.server.address() as AddressInfo).port;
  }
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    for (const connection of server.connections) connection._socket?.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
  /** Until that many messages were taken. */
  async until(count: number, withinMs = 20_000): Promise<void> {
    const end = Date.now() + withinMs;
    while (this.taken.length < count) {
      const left = end - Date.now();
      if (left <= 0) throw new Error(`the relay has taken ${this.taken.length} of ${count} messages`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      const timer = setTimeout(resolve, left);
      await promise;
      clearTimeout(timer);
    }
  }
}

export async function openSink(t: TestContext, options: SMTPServerOptions = {}): Promise<RelaySink> {
  const sink = new RelaySink(options);
  await sink.open();
  t.after(() => sink.close());
  return sink;
}

function argsOf(address: SMTPServerAddress | false): Readonly<Record<string, unknown>> {
  return address === false || address.args === false ? {} : { ...address.args };
}
function errorOf(answer: Answer): Error | null {
  return answer === 'ok' ? null : Object.assign(new Error(answer.text), { responseCode: answer.code });
}
