/**
 * Submission (RFC 6409, RFC 8314), on smtp-server: AUTH first, and only where a password may travel; who may send as whom; then
 * mail/submission. 250 after DATA means that the message is durably queued for all recipients.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { SMTPServerAddress, SMTPServerDataStream, SMTPServerOptions, SMTPServerSession } from 'smtp-server';
import type { SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js';
import { MailError, type MailErrorCode } from '../mail/errors.ts';
import type {
  Accounts,
  DeliverySession,
  DsnNotify,
  LoggedIn,
  MessageSource,
  Spool,
  SubmissionRecipient,
  Submissions,
} from '../mail/services.ts';
import { isLoopback } from '../net/address.ts';
import { bearerChallenge } from '../sasl/bearer.ts';
import { type Ask, type AuthMechanism, AuthSyntaxError, type Credentials, mechanisms } from './auth-dialogue.ts';
import type { MaildropLog } from './maildrop.ts';
import { type Reply, replyTo } from './replies.ts';
import { closeGently, isGone, ReplyError, StrictConnection, StrictServer } from './strict-server.ts';

export interface SubmissionOptions {
  /** Name of the listener, for scopes and logs. */
  readonly listener: string;
  readonly tls: 'none' | 'starttls' | 'implicit';
  /** PEM; needed unless `tls` is `none`. */
  readonly certificate?: { readonly key: string | Buffer; readonly cert: string | Buffer };
  readonly hostname: string;
  /** Where a password may come without TLS. */
  readonly cleartextLogin: 'never' | 'loopback' | 'always';
  /** Whether somebody judges tokens now: OAUTHBEARER and XOAUTH2 are offered. */
  readonly takesTokens: () => boolean;
  readonly accounts: Pick<Accounts, 'login'>;
  readonly submissions: Submissions;
  readonly spool: Spool;
  readonly limits: {
    readonly messageOctets: number;
    readonly recipients: number;
    readonly commandLineOctets: number;
    readonly authLineOctets: number;
    readonly idleMs: number;
    readonly loginFailures: number;
  };
  readonly log: MaildropLog;
}
export interface SubmissionListener {
  /** Takes over an accepted socket; with `tls: implicit` one whose handshake is done. `loggedIn` is called when somebody has logged in. */
  connect(socket: Socket | TLSSocket, loggedIn: () => void): void;
  /** New certificate for handshakes from now on. */
  useCertificate(certificate: { readonly key: string | Buffer; readonly cert: string | Buffer }): void;
  readonly connections: number;
  /** Finishes messages in progress, answers 421 to the rest, ends by force after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** To AUTH (RFC 4954 §6): a backend that is down is never a wrong password. */
const authReplies: Partial<Record<MailErrorCode, Reply>> = {
  credentials: { code: 535, enhanced: '5.7.8', text: 'Authentication credentials invalid' },
  disabled: { code: 535, enhanced: '5.7.13', text: 'This account may not send here' },
  policy: { code: 535, enhanced: '5.7.1', text: 'Login refused' },
};
const AUTH_UNAVAILABLE: Reply = { code: 454, enhanced: '4.7.0', text: 'Authentication is not available now, try again later' };
const NEEDS_TLS: Reply = { code: 538, enhanced: '5.7.11', text: 'Use TLS to log in' };
const NOTIFY_WORDS: ReadonlyMap<string, DsnNotify> = new Map([
  ['NEVER', 'never'],
  ['SUCCESS', 'success'],
  ['FAILURE', 'failure'],
  ['DELAY', 'delay'],
]);

class SubmissionConnection extends StrictConnection {
  readonly #options: SubmissionOptions;
  readonly #loggedIn: () => void;
  readonly abort = new AbortController();
  /** Of the transaction, by address as given. */
  readonly recipients = new WeakMap<SMTPServerSession['envelope'], Map<string, SubmissionRecipient>>();
  login: LoggedIn | undefined;
  #failures = 0;

  constructor(
    server: StrictServer,
    socket: Socket | TLSSocket,
    more: SMTPConnectionOptions | null | undefined,
    options: SubmissionOptions,
    loggedIn: () => void,
  ) {
    super(server, socket, more);
    this.#options = options;
    this.#loggedIn = loggedIn;
  }

  get #mayLogIn(): boolean {
    const { cleartextLogin } = this.#options;
    return this.secure || cleartextLogin === 'always' || (cleartextLogin === 'loopback' && isLoopback(this.remoteAddress));
  }

  /** AUTH is offered only where it is taken, with the mechanisms of now. */
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const isHello = code === 250 && Array.isArray(data);
    super.send(code, isHello ? data.flatMap((line) => (/^AUTH( |$)/.test(line) ? this.#offer : [line])) : data, context);
  }

  get #mechanisms(): readonly AuthMechanism[] {
    return this.#options.takesTokens() ? ['PLAIN', 'LOGIN', 'OAUTHBEARER', 'XOAUTH2'] : ['PLAIN', 'LOGIN'];
  }
  get #offer(): readonly string[] {
    return this.#mayLogIn ? [`AUTH ${this.#mechanisms.join(' ')}`] : [];
  }

  override handler_AUTH(command: Buffer, callback: () => void): void {
    const [, name = '', initial, ...more] = command.toString('latin1').trim().split(/\s+/);
    command.fill(0);
    const mechanism = this.#mechanisms.find((offered) => offered === name.toUpperCase());
    const refusal = !this.#mayLogIn
      ? NEEDS_TLS
      : this.session.user !== false && this.session.user !== undefined
        ? { code: 503, enhanced: '5.5.1', text: 'Already logged in' }
        : mechanism === undefined
          ? { code: 504, enhanced: '5.5.4', text: 'Mechanism is not supported' }
          : more.length > 0 || name === ''
            ? { code: 501, enhanced: '5.5.4', text: 'Syntax: AUTH mechanism [response]' }
            : undefined;
    if (refusal !== undefined || mechanism === undefined) {
      this.#reply(refusal ?? NEEDS_TLS);
      callback();
      return;
    }
    // Each line of the exchange has a callback of its own, which lets the next line be read.
    let done = callback;
    const ask: Ask = (challenge) =>
      new Promise((resolve) => {
        this._nextHandler = (line, next) => {
          done = next;
          resolve(line);
        };
        this.send(334, challenge);
        done();
      });
    this.#logIn(mechanism, () => mechanisms[mechanism](initial, ask), ask)
      .catch((error: unknown) => this.#options.log.error({ session: this.id, err: error }, 'a login failed in an unknown way'))
      .finally(() => done());
  }

  async #logIn(mechanism: AuthMechanism, read: () => Promise<Credentials>, ask: Ask): Promise<void> {
    const { accounts, listener, log } = this.#options;
    const session = { id: `submission-${this.id}`, protocol: 'submission', listener, remoteAddress: this.remoteAddress } as const;
    const wasSecure = this.secure;
    try {
      const { username, secret } = await read();
      const login = await accounts.login({ username, secret, mechanism, session }, this.abort.signal);
      if (this.abort.signal.aborted || this.secure !== wasSecure) {
        login.end('closed');
        return;
      }
      this.login = login;
      login.onRevoked(() => {
        this.login = undefined;
        this.send(421, '4.7.0 The account has changed, log in again');
      });
      this.session.user = login.account.username;
      this.session.transmissionType = this._transmissionType();
      this.#loggedIn();
      this.send(235, '2.7.0 Authentication successful');
    } catch (error) {
      if (error instanceof AuthSyntaxError) {
        this.#reply({ code: 501, enhanced: '5.5.2', text: error.message });
        return;
      }
      const reply = (error instanceof MailError ? authReplies[error.code] : undefined) ?? AUTH_UNAVAILABLE;
      if (reply === AUTH_UNAVAILABLE && !this.abort.signal.aborted) log.warn({ session: session.id, err: error }, 'a login was put off');
      // Whatever the client says to it (^A, nothing, a cancel) ends the exchange (RFC 7628 §3.2.3).
      if (reply.code === 535 && (mechanism === 'OAUTHBEARER' || mechanism === 'XOAUTH2'))
        await ask(bearerChallenge(mechanism, reply === authReplies.credentials ? 'token' : 'other'));
      this.#reply(reply);
      if (reply.code === 535) this.#failures += 1;
      if (this.#failures >= this.#options.limits.loginFailures) this.send(421, '4.7.0 Too many failed logins');
    }
  }

  /** RFC 3207 §4.2: what was known before TLS is forgotten. */
  override upgrade(callback: () => void, secureCallback?: () => void): void {
    this.end('closed');
    super.upgrade(callback, secureCallback);
  }
  override handler_QUIT(command: Buffer, callback: () => void): void {
    this.end('logout');
    super.handler_QUIT(command, callback);
  }
  end(reason: Parameters<LoggedIn['end']>[0]): void {
    this.login?.end(reason);
    this.login = undefined;
  }
  #reply({ code, enhanced, text }: Reply): void {
    this.send(code, `${enhanced} ${text}`);
  }
}

export function createSubmission(options: SubmissionOptions): SubmissionListener {
  const { submissions, spool, limits, log, listener } = options;
  const byId = new Map<string, SubmissionConnection>();

  function connectionOf({ id }: SMTPServerSession): { readonly connection: SubmissionConnection; readonly login: LoggedIn } {
    const connection = byId.get(id);
    if (connection?.login === undefined) throw new MailError('unavailable', 'The session has ended');
    return { connection, login: connection.login };
  }
  const deliverySession = ({ id, remoteAddress }: SMTPServerSession): DeliverySession => ({ id, listener, remoteAddress });

  function failed(error: unknown, from: SMTPServerSession): ReplyError {
    const reply = replyTo(error);
    const fields = { session: from.id, listener, err: error };
    if (isGone(error)) log.info(fields, 'client has gone in the middle of a message');
    else if (!(error instanceof MailError) || error.code === 'bug') log.error(fields, 'submission failed');
    else if (reply.code < 500) log.warn(fields, 'submission put off');
    return new ReplyError(reply);
  }

  async function mailFrom({ address }: SMTPServerAddress, from: SMTPServerSession): Promise<void> {
    const { login } = connectionOf(from);
    requireAsciiOrUtf8(address, from);
    if (address !== '') await submissions.requireIdentity(login, address, 'reverse-path');
  }

  async function rcptTo({ address, dsn }: SMTPServerAddress, from: SMTPServerSession): Promise<void> {
    const { connection, login } = connectionOf(from);
    requireAsciiOrUtf8(address, from);
    const { envelope } = from;
    const goes = await submissions.resolve(login, address, reversePathOf(envelope), deliverySession(from));
    const notify = dsn?.notify?.flatMap((word) => NOTIFY_WORDS.get(word) ?? []);
    const known = connection.recipients.get(envelope) ?? new Map<string, SubmissionRecipient>();
    known.set(address.toLowerCase(), {
      address,
      goes,
      ...(notify === undefined || notify.length === 0 ? {} : { notify }),
      ...(dsn?.orcpt === undefined ? {} : { originalRecipient: dsn.orcpt }),
    });
    connection.recipients.set(envelope, known);
  }

  async function data(stream: SMTPServerDataStream, from: SMTPServerSession): Promise<string> {
    const { connection, login } = connectionOf(from);
    const { signal } = connection.abort;
    const { envelope } = from;
    const known = connection.recipients.get(envelope);
    const recipients = envelope.rcptTo.map(({ address }) => {
      const recipient = known?.get(address.toLowerCase());
      if (recipient === undefined) throw new MailError('bug', 'recipient was not resolved');
      return recipient;
    });
    const source: MessageSource = await spool.receive(stream, { limitOctets: limits.messageOctets, signal });
    try {
      const { ret, envid } = envelope.dsn ?? {};
      const request = {
        source,
        reversePath: reversePathOf(envelope),
        recipients,
        ...(ret === 'FULL' ? { returns: 'full' as const } : ret === 'HDRS' ? { returns: 'headers' as const } : {}),
        ...(typeof envid === 'string' && envid !== '' ? { envelopeId: envid } : {}),
        way: 'submission',
        esmtp: { utf8: envelope.smtpUtf8 === true, tls: from.secure },
      } as const;
      const { id } = await submissions.submit(request, login, signal);
      return `2.0.0 Queued as ${id}`;
    } finally {
      await source.dispose();
    }
  }

  const settings: SMTPServerOptions = {
    name: options.hostname,
    secure: options.tls === 'implicit',
    authMethods: ['PLAIN', 'LOGIN'],
    authRequiredMessage: '5.7.0 Log in first',
    // Which connections may log in is decided for each of them.
    allowInsecureAuth: true,
    disabledCommands: ['XCLIENT', 'XFORWARD', 'WIZ', 'SHELL', 'KILL', ...(options.tls === 'starttls' ? [] : ['STARTTLS'])],
    ...options.certificate,
    minVersion: 'TLSv1.2',
    hideENHANCEDSTATUSCODES: false,
    hideDSN: false,
    hideREQUIRETLS: true,
    disableReverseLookup: true,
    size: limits.messageOctets,
    rejectOversized: true,
    maxRecipients: limits.recipients,
    maxCommandLength: Math.max(limits.commandLineOctets, limits.authLineOctets),
    socketTimeout: limits.idleMs,
    logger: false,
    heloResponse: '%s',
    onMailFrom(address, from, done) {
      mailFrom(address, from).then(
        () => done(),
        (error: unknown) => done(failed(error, from)),
      );
    },
    onRcptTo(address, from, done) {
      rcptTo(address, from).then(
        () => done(),
        (error: unknown) => done(failed(error, from)),
      );
    },
    onData(stream, from, done) {
      data(stream, from).then(
        (text) => done(null, text),
        (error: unknown) => {
          stream.resume();
          done(failed(error, from));
        },
      );
    },
    onClose({ id }) {
      const connection = byId.get(id);
      byId.delete(id);
      connection?.abort.abort(new Error('connection closed'));
      connection?.end('closed');
    },
  };
  const notices = new WeakMap<Socket | TLSSocket, () => void>();
  const server = new StrictServer(settings, (socket, more) => {
    const connection = new SubmissionConnection(server, socket, more, options, notices.get(socket) ?? (() => undefined));
    byId.set(connection.id, connection);
    return connection;
  });
  // Errors of single connections: resets, failed handshakes. Without a listener one of them would end the process.
  server.on('error', (error: Error) => log.info({ listener, err: error }, 'connection ended'));

  return {
    connect(socket, loggedIn) {
      notices.set(socket, loggedIn);
      server.connect(socket);
    },
    useCertificate: (certificate) => server.updateSecureContext(certificate),
    get connections() {
      return server.connections.size;
    },
    close: (graceMs) => closeGently(server, graceMs, ({ id }) => byId.get(id)?.abort.abort(new Error('server is shutting down'))),
  };
}

function reversePathOf({ mailFrom }: SMTPServerSession['envelope']): string {
  return mailFrom === false ? '' : mailFrom.address;
}

/** RFC 6531 §3.4: such an address comes only with SMTPUTF8. */
function requireAsciiOrUtf8(address: string, { envelope }: SMTPServerSession): void {
  if (envelope.smtpUtf8 !== true && /[^\0-\x7f]/.test(address)) throw new MailError('invalid-name', 'SMTPUTF8 is needed for this address');
}
