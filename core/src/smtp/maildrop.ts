/**
 * The maildrop for the MX side: SMTP, on smtp-server. 250 after DATA means that the message is durably stored for all recipients; the one
 * reply is that of the worst.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { SMTPServerDataStream, SMTPServerOptions, SMTPServerSession } from 'smtp-server';
import type { SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js';
import { MailError } from '../mail/errors.ts';
import type { Delivery, DeliveryOutcome, DeliverySession, MessageSource, Recipient, Spool } from '../mail/services.ts';
import { replyTo } from './replies.ts';
import { closeGently, isGone, ReplyError, StrictConnection, StrictServer } from './strict-server.ts';

export interface MaildropOptions {
  /** Name of the listener, for scopes and logs. */
  readonly listener: string;
  readonly tls: 'none' | 'starttls' | 'implicit';
  /** PEM; needed unless `tls` is `none`. */
  readonly certificate?: { readonly key: string | Buffer; readonly cert: string | Buffer };
  readonly hostname: string;
  readonly delivery: Delivery;
  readonly spool: Spool;
  readonly limits: {
    readonly messageOctets: number;
    readonly recipients: number;
    readonly commandLineOctets: number;
    readonly idleMs: number;
  };
  readonly log: MaildropLog;
}
export interface MaildropLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
export interface Maildrop {
  /** Takes over an accepted socket; with `tls: implicit` one whose handshake is done. */
  connect(socket: Socket | TLSSocket): void;
  /** New certificate for handshakes from now on. */
  useCertificate(certificate: { readonly key: string | Buffer; readonly cert: string | Buffer }): void;
  readonly connections: number;
  /** Finishes messages in progress, answers 421 to the rest, ends by force after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** What the maildrop knows of a transaction: recipients by the address as given. Reset with the envelope by RSET, EHLO and DATA. */
const NO_DOMAIN = '@without-domain.invalid';
const RECIPIENT_WITHOUT_DOMAIN = /^(\s*rcpt\s+to\s*:\s*<)([^<>@\s]{1,64})(>.*)$/i;

class MaildropConnection extends StrictConnection {
  readonly #onCommand: (session: SMTPServerSession) => void;
  constructor(
    server: StrictServer,
    socket: Socket | TLSSocket,
    options: SMTPConnectionOptions | null | undefined,
    onCommand: (session: SMTPServerSession) => void,
  ) {
    super(server, socket, options);
    this.#onCommand = onCommand;
  }
  override _onCommand(command: Buffer, callback?: () => void): void {
    this.#onCommand(this.session);
    super._onCommand(command, callback);
  }
  override _parseAddressCommand(name: string, command: Buffer | string) {
    if (name !== 'rcpt to') return super._parseAddressCommand(name, command);
    const bare = RECIPIENT_WITHOUT_DOMAIN.exec(command.toString());
    if (bare === null) return super._parseAddressCommand(name, command);
    const parsed = super._parseAddressCommand(name, `${bare[1]}${bare[2]}${NO_DOMAIN}${bare[3]}`);
    if (parsed !== false) parsed.address = parsed.address.slice(0, -NO_DOMAIN.length);
    return parsed;
  }
}

export function createMaildrop(options: MaildropOptions): Maildrop {
  const { delivery, spool, limits, log } = options;
  const recipients = new WeakMap<SMTPServerSession['envelope'], Map<string, Recipient>>();
  const aborts = new Map<string, AbortController>();
  /** Deliveries of a session whose reply was sent, but perhaps not read. */
  const unsettled = new Map<string, readonly DeliveryOutcome[]>();
  /** A client that goes on in its session has read the replies before: it will not send those messages again. */
  const settle = ({ id }: SMTPServerSession): void => {
    const outcomes = unsettled.get(id);
    if (outcomes === undefined) return;
    unsettled.delete(id);
    for (const outcome of new Set(outcomes)) if (outcome.stored) outcome.settle?.();
  };

  const session = ({ id, remoteAddress }: SMTPServerSession): DeliverySession => ({ id, listener: options.listener, remoteAddress });

  async function resolve(address: string, from: SMTPServerSession, declaredOctets: number | undefined): Promise<void> {
    const { envelope } = from;
    const reversePath = envelope.mailFrom === false ? '' : envelope.mailFrom.address;
    const resolved = await delivery.resolve(address, { reversePath, declaredOctets }, session(from));
    const known = recipients.get(envelope) ?? new Map<string, Recipient>();
    known.set(address, resolved);
    recipients.set(envelope, known);
  }

  async function receive(stream: SMTPServerDataStream, from: SMTPServerSession): Promise<readonly DeliveryOutcome[]> {
    const signal = abortFor(from).signal;
    const source: MessageSource = await spool.receive(stream, { limitOctets: limits.messageOctets, signal });
    try {
      const { envelope } = from;
      const known = recipients.get(envelope) ?? new Map<string, Recipient>();
      const to = envelope.rcptTo.map(({ address }) => {
        const recipient = known.get(address);
        if (recipient === undefined) throw new MailError('bug', 'recipient was not resolved');
        return recipient;
      });
      const message = {
        source,
        reversePath: envelope.mailFrom === false ? '' : envelope.mailFrom.address,
        recipients: to,
        origin: 'smtp',
        helo: from.hostNameAppearsAs,
        esmtp: { utf8: envelope.smtpUtf8 === true, tls: from.secure },
      } as const;
      return await delivery.deliver(message, session(from), signal);
    } finally {
      await source.dispose();
    }
  }

  function abortFor({ id }: SMTPServerSession): AbortController {
    let abort = aborts.get(id);
    if (abort === undefined) aborts.set(id, (abort = new AbortController()));
    return abort;
  }

  function failed(error: unknown, from: SMTPServerSession): ReplyError {
    const reply = replyTo(error);
    const fields = { session: from.id, listener: options.listener, err: error };
    if (isGone(error)) log.info(fields, 'client has gone in the middle of a message');
    else if (!(error instanceof MailError) || error.code === 'bug') log.error(fields, 'delivery failed');
    else if (reply.code < 500) log.warn(fields, 'delivery put off');
    return new ReplyError(reply);
  }

  const settings: SMTPServerOptions = {
    name: options.hostname,
    secure: options.tls === 'implicit',
    disabledCommands: ['AUTH', 'XCLIENT', 'XFORWARD', 'WIZ', 'SHELL', 'KILL', ...(options.tls === 'starttls' ? [] : ['STARTTLS'])],
    ...options.certificate,
    minVersion: 'TLSv1.2',
    hideENHANCEDSTATUSCODES: false,
    disableReverseLookup: true,
    size: limits.messageOctets,
    rejectOversized: true,
    maxRecipients: limits.recipients,
    maxCommandLength: limits.commandLineOctets,
    socketTimeout: limits.idleMs,
    logger: false,
    heloResponse: '%s',
    onRcptTo(address, from, done) {
      const size =
        from.envelope.mailFrom === false ? undefined : Number(from.envelope.mailFrom.args !== false && from.envelope.mailFrom.args['SIZE']);
      resolve(address.address, from, size === undefined || Number.isNaN(size) || size === 0 ? undefined : size).then(
        () => done(),
        (error: unknown) => done(failed(error, from)),
      );
    },
    onData(stream, from, done) {
      receive(stream, from).then(
        (outcomes) => {
          // The one reply puts all off when one recipient failed: then even the stored ones are sent again.
          if (outcomes.every(({ stored }) => stored)) unsettled.set(from.id, outcomes);
          const results = outcomes.map((outcome) => (outcome.stored ? '2.0.0 Stored' : failed(outcome.error, from)));
          answerForAll(results, done);
        },
        (error: unknown) => {
          stream.resume();
          done(failed(error, from));
        },
      );
    },
    onClose(from) {
      aborts.get(from.id)?.abort(Object.assign(new Error('connection closed'), { code: 'ECONNECTION' }));
      aborts.delete(from.id);
      unsettled.delete(from.id);
    },
  };
  const server = new StrictServer(settings, (socket, more) => new MaildropConnection(server, socket, more, settle));
  // Errors of single connections: resets, failed handshakes. Without a listener one of them would end the process.
  server.on('error', (error: Error) => log.info({ listener: options.listener, err: error }, 'connection ended'));

  return {
    connect: (socket) => server.connect(socket),
    useCertificate: (certificate) => server.updateSecureContext(certificate),
    get connections() {
      return server.connections.size;
    },
    close: (graceMs) => closeGently(server, graceMs, ({ id }) => aborts.get(id)?.abort(new Error('server is shutting down'))),
  };
}

/**
 * SMTP has one reply for all. A retry after 4xx is harmless (deliveries are idempotent), so one temporary failure puts the whole message
 * off; some permanent failures beside successes cannot be told here, as each RCPT was accepted: they are temporary too.
 */
function answerForAll(results: readonly (string | ReplyError)[], done: (error?: Error | null, message?: string) => void): void {
  const errors = results.filter((result) => result instanceof ReplyError);
  const temporary = errors.find(({ responseCode }) => responseCode < 500);
  if (errors.length === 0) done(null, '2.0.0 Stored');
  else if (temporary !== undefined) done(temporary);
  else if (errors.length === results.length) done(errors[0]);
  else done(new ReplyError({ code: 451, enhanced: '4.3.0', text: 'Not stored for all recipients, try again' }));
}
