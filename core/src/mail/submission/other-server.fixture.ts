/** Another mail server for tests, on smtp-server: keeps what it takes, and answers as it is told. */
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { SMTPServer, type SMTPServerAddress, type SMTPServerOptions } from 'smtp-server';

export interface TakenMessage {
  readonly from: string;
  readonly mailArgs: Readonly<Record<string, unknown>>;
  readonly to: readonly string[];
  readonly rcptArgs: Readonly<Record<string, unknown>>;
  /** Latin1: an octet a character. */
  readonly raw: string;
  readonly isSecure: boolean;
  readonly user: unknown;
}
export interface OtherServer {
  readonly port: number;
  readonly taken: TakenMessage[];
  /** Replies that are no acceptance, by recipient; `DATA` for the message, `MAIL` for the sender. */
  readonly replies: Map<string, readonly [code: number, text: string]>;
  close(): Promise<void>;
}

export async function startOtherServer(t: TestContext, options: SMTPServerOptions = {}): Promise<OtherServer> {
  const taken: TakenMessage[] = [];
  const replies = new Map<string, readonly [code: number, text: string]>();
  const answer = (name: string): Error | null => {
    const reply = replies.get(name);
    return reply === undefined ? null : Object.assign(new Error(reply[1]), { responseCode: reply[0] });
  };
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    hideDSN: false,
    disableReverseLookup: true,
    logger: false,
    onMailFrom: (_address, _session, done) => done(answer('MAIL')),
    onRcptTo: ({ address }, _session, done) => done(answer(address)),
    onData(stream, session, done) {
      const pieces: Buffer[] = [];
      stream.on('data', (piece: Buffer) => pieces.push(piece));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        const refusal = answer('DATA');
        if (refusal === null) {
          taken.push({
            from: mailFrom === false ? '' : mailFrom.address,
            mailArgs: argsOf(mailFrom),
            to: rcptTo.map(({ address }) => address),
            rcptArgs: argsOf(rcptTo[0] ?? false),
            raw: Buffer.concat(pieces).toString('latin1'),
            isSecure: session.secure,
            user: session.user,
          });
        }
        done(refusal);
      });
    },
    ...options,
  });
  server.on('error', () => undefined); // clients that leave in the middle
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const address = server.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const close = async (): Promise<void> => {
    for (const connection of server.connections) connection.send(421, 'Going down');
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  t.after(close);
  return { port, taken, replies, close };
}

function argsOf(address: SMTPServerAddress | false): Readonly<Record<string, unknown>> {
  return address === false || address.args === false ? {} : { ...address.args };
}
