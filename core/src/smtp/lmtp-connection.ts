/**
 * LMTP (RFC 2033): one connection, an engine of its own, as this is the way of most mail behind an MX and each message counts. A recipient's
 * 250 after the message means that it is durably stored for that recipient; each has a reply of its own.
 */
import type { Socket } from 'node:net';
import { MailError } from '../mail/errors.ts';
import type { DeliveryOutcome, DeliverySession, MessageSource, Recipient } from '../mail/services.ts';
import { type Connection, LAST_WORDS_MS, type Session } from '../net/connection.ts';
import type { TimerOwner, TimerWheel, WheelTimer } from '../net/timer-wheel.ts';
import { IncomingData } from './incoming-data.ts';
import { type MailArguments, readMailArguments } from './mail-arguments.ts';
import type { MaildropOptions } from './maildrop.ts';
import { type Reply, replyTo } from './replies.ts';

export interface LmtpOptions extends Pick<MaildropOptions, 'hostname' | 'delivery' | 'spool' | 'limits' | 'log'> {
  readonly wheel: TimerWheel;
}

interface Transaction {
  readonly reversePath: string;
  readonly utf8: boolean;
  readonly declaredOctets: number | undefined;
  /** One for each accepted RCPT, as each has its reply. */
  readonly recipients: Recipient[];
}

const LF = 0x0a;
const CR = 0x0d;
const NOTHING = Buffer.alloc(0);
/** Octets of commands that may wait for the one that runs before the socket is paused. */
const WAITING_OCTETS = 64 * 1024;
/** Replies that nobody reads: who sends commands without end and reads nothing is cut off. */
const UNREAD_OCTETS = 1024 * 1024;
const GATHERED_REPLIES = 16 * 1024;
const LOOKUPS_IN_A_ROW = 64;
const MAX_BAD_COMMANDS = 20;
const BEYOND_ASCII = /[^\0-\x7f]/;
const SIZE = /^\d{1,20}$/;
const HOSTNAME = /^[^\s\x00-\x1f\x7f()<>]{1,255}$/;
const CONTROLS = /[\x00-\x1f\x7f]/g;
const ACCEPTED = reply(250, '2.1.0', 'Accepted');
const RECIPIENT_ACCEPTED = reply(250, '2.1.5', 'Accepted');
const STORED = reply(250, '2.0.0', 'Stored');
/** Those that are offered (RFC 1870, RFC 6152, RFC 6531), and what a value of theirs is. */
const MAIL_PARAMETERS: ReadonlyMap<string, (value: string) => boolean> = new Map([
  ['SIZE', (value) => SIZE.test(value)],
  ['BODY', (value) => /^(?:7BIT|8BITMIME)$/i.test(value)],
  ['SMTPUTF8', (value) => value === ''],
]);
/** Sockets know their connection, so that one set of listener functions serves all. */
const served = new WeakMap<Socket, LmtpConnection>();

function onData(this: Socket, chunk: Buffer): void {
  served.get(this)?.received(chunk);
}
function onEnd(this: Socket): void {
  served.get(this)?.inputEnded();
}
function onClose(this: Socket): void {
  served.get(this)?.closed();
}

export class LmtpConnection implements Session, TimerOwner {
  readonly #options: LmtpOptions;
  readonly #connection: Connection;
  readonly #session: DeliverySession;
  readonly #timer: WheelTimer;
  #socket: Socket;
  /** Received and not looked at yet. */
  #input: Buffer = NOTHING;
  #waiting: Buffer[] = [];
  #waitingOctets = 0;
  #replies = '';
  #helo: string | undefined;
  #transaction: Transaction | undefined;
  /** After DATA, until the message's end was read. */
  #data: IncomingData | undefined;
  #abort: AbortController | undefined;
  /** Of the last message: its replies were sent, but perhaps not read. */
  #unsettled: readonly DeliveryOutcome[] | undefined;
  #badCommands = 0;
  #lookups = 0;
  #lastWords: NodeJS.Timeout | undefined;
  /** A command waits for something: what comes waits too. */
  #isBusy = false;
  /** The socket is paused until what waits was taken. */
  #isHeldUp = false;
  #isLeaving = false;
  #hasInputEnded = false;
  #isEnded = false;

  constructor(options: LmtpOptions, connection: Connection) {
    this.#options = options;
    this.#connection = connection;
    this.#socket = connection.socket;
    const { protocol, id, remoteAddress } = connection;
    this.#session = { id: `${protocol}-${id}`, listener: protocol, remoteAddress };
    this.#timer = options.wheel.start(this, options.limits.idleMs);
    connection.loggedIn(); // nobody logs in here: the time for silence holds
    this.#listen();
    this.#socket.write(`220 ${options.hostname} LMTP\r\n`, 'latin1');
  }

  #listen(): void {
    const socket = this.#connection.socket;
    this.#socket = socket;
    served.set(socket, this);
    socket.on('data', onData);
    socket.on('end', onEnd);
    socket.on('close', onClose);
  }

  /** Octets from the client. */
  received(chunk: Buffer): void {
    this.#options.wheel.restart(this.#timer);
    if (this.#isEnded) return;
    if (this.#isBusy) {
      this.#waiting.push(chunk);
      this.#waitingOctets += chunk.length;
      if (this.#input.length + this.#waitingOctets <= WAITING_OCTETS) return;
      this.#isHeldUp = true;
      this.#socket.pause();
      return;
    }
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    this.#run();
  }

  /** The client says nothing more, and may still read: what it said before is answered. */
  inputEnded(): void {
    this.#hasInputEnded = true;
    if (!this.#isBusy && !this.#isEnded) this.#end();
  }

  closed(): void {
    this.#isEnded = true;
    this.#input = NOTHING;
    this.#waiting = [];
    this.#unsettled = undefined;
    this.#options.wheel.stop(this.#timer);
    clearTimeout(this.#lastWords);
    const gone = Object.assign(new Error('The connection ended before the message did'), { code: 'ECONNECTION' });
    this.#data?.gone(gone);
    this.#abort?.abort(gone);
  }

  onTimeout(): void {
    // What takes long here is not the client's silence.
    if (this.#isBusy) this.#options.wheel.restart(this.#timer);
    else this.#leave(421, '4.4.2', 'Nothing was said for too long');
  }
  drain(): void {
    this.#isLeaving = true;
    if (!this.#isBusy && this.#data === undefined) this.#leave(421, '4.3.2', 'Server shutting down');
  }
  loginTimedOut(): void {
    this.#socket.destroy();
  }

  #run(): void {
    try {
      do {
        while (!this.#isBusy && !this.#isEnded && this.#input.length > 0) {
          if (this.#data !== undefined) this.#takeData(this.#data);
          else if (!this.#takeLine()) break;
        }
      } while (this.#takeWaiting());
    } catch (error) {
      this.#options.log.error({ session: this.#session.id, err: error }, 'LMTP command failed');
      this.#leave(421, '4.3.0', 'Local error in processing');
    }
    if (this.#isEnded) return;
    if (this.#isBusy) {
      // Replies to pipelined commands go out together, but a client that pipelines without end has them too.
      if (this.#replies.length > GATHERED_REPLIES) this.#flush();
    } else if (this.#hasInputEnded) this.#end();
    else this.#flush();
  }
  /** The command that ran is done: on with what came meanwhile. */
  #resume(): void {
    this.#isBusy = false;
    if (this.#isEnded) return;
    if (this.#isLeaving && this.#data === undefined) {
      this.#leave(421, '4.3.2', 'Server shutting down');
      return;
    }
    this.#run();
  }
  /** All before it was done: a client that sends faster than its commands run waits in its own socket. */
  #takeWaiting(): boolean {
    if (this.#isBusy || this.#isEnded || this.#waiting.length === 0) return false;
    this.#input = Buffer.concat([this.#input, ...this.#waiting]);
    this.#waiting = [];
    this.#waitingOctets = 0;
    this.#goOnReading();
    return true;
  }
  #goOnReading(): void {
    if (!this.#isHeldUp) return;
    this.#isHeldUp = false;
    this.#socket.resume();
  }

  #say({ code, enhanced, text }: Reply): void {
    this.#replies += `${code} ${enhanced} ${text.replace(CONTROLS, ' ')}\r\n`;
  }
  #flush(): void {
    const replies = this.#replies;
    if (replies === '') return;
    this.#replies = '';
    if (this.#socket.writableLength > UNREAD_OCTETS) this.#socket.destroy();
    else if (this.#socket.writable) this.#socket.write(replies);
  }
  /** Last words; nothing more is read. */
  #leave(code: number, enhanced: string, text: string): void {
    if (this.#isEnded) return;
    this.#say({ code, enhanced, text });
    this.#end();
  }
  #end(): void {
    this.#flush();
    this.#isEnded = true;
    this.#input = NOTHING;
    this.#waiting = [];
    this.#goOnReading();
    this.#data?.gone(new MailError('invalid', 'The connection was ended'));
    // The octets that still come are dropped, so that the client can read the last words; one that reads nothing does not hold the socket.
    const socket = this.#socket;
    socket.end();
    this.#lastWords = setTimeout(() => socket.destroy(), LAST_WORDS_MS);
    this.#lastWords.unref();
  }

  /* ── Commands ────────────────────────────────────────────────────────────────────────────────────────────── */

  /** False: the line is not there to its end. */
  #takeLine(): boolean {
    const input = this.#input;
    const lf = input.indexOf(LF);
    if (lf === -1 ? input.length > this.#options.limits.commandLineOctets : lf > this.#options.limits.commandLineOctets) {
      this.#leave(500, '5.5.2', 'Line too long');
      return false;
    }
    if (lf === -1) return false;
    this.#input = lf + 1 === input.length ? NOTHING : input.subarray(lf + 1);
    this.#command(input.toString('utf8', 0, lf > 0 && input[lf - 1] === CR ? lf - 1 : lf));
    return true;
  }

  #command(line: string): void {
    this.#settle();
    const space = line.indexOf(' ');
    const verb = (space === -1 ? line : line.slice(0, space)).toUpperCase();
    if (verb === 'QUIT') {
      this.#leave(221, '2.0.0', 'Bye');
      return;
    }
    const answer = this.#replyTo(verb, space === -1 ? '' : line.slice(space + 1).trim());
    if (answer === undefined) return;
    this.#say(answer);
    if (answer.code >= 500 && ++this.#badCommands > MAX_BAD_COMMANDS) this.#leave(421, '4.7.0', 'Too many bad commands');
  }

  /** `undefined`: the command has said, or will say, by itself. */
  #replyTo(verb: string, text: string): Reply | undefined {
    switch (verb) {
      case 'LHLO':
        return this.#lhlo(text);
      case 'MAIL':
        return this.#mail(text);
      case 'RCPT':
        return this.#rcpt(text);
      case 'DATA':
        return this.#startData(text);
      case 'RSET':
        this.#transaction = undefined;
        return reply(250, '2.0.0', 'Reset');
      case 'NOOP':
        return reply(250, '2.0.0', 'OK');
      case 'VRFY':
        return reply(252, '2.5.0', 'Send it and see');
      case 'HELP':
        return reply(214, '2.0.0', 'RFC 2033');
      case 'STARTTLS':
        return this.#startTls(text);
      case 'HELO':
      case 'EHLO':
        return reply(500, '5.5.1', 'This is LMTP: LHLO');
      default:
        return reply(500, '5.5.1', 'Unknown command');
    }
  }

  #lhlo(name: string): Reply | undefined {
    if (!HOSTNAME.test(name)) return reply(501, '5.5.4', 'LHLO and a host name');
    const { hostname, limits } = this.#options;
    this.#helo = name;
    this.#transaction = undefined;
    const lines = [
      hostname,
      'PIPELINING',
      `SIZE ${limits.messageOctets}`,
      '8BITMIME',
      'SMTPUTF8',
      'ENHANCEDSTATUSCODES',
      ...(this.#connection.canUpgrade ? ['STARTTLS'] : []),
      `LIMITS RCPTMAX=${limits.recipients}`,
    ];
    for (const [at, line] of lines.entries()) this.#replies += `250${at === lines.length - 1 ? ' ' : '-'}${line}\r\n`;
    return undefined;
  }

  #mail(text: string): Reply {
    if (this.#helo === undefined) return reply(503, '5.5.1', 'LHLO first');
    if (this.#transaction !== undefined) return reply(503, '5.5.1', 'A transaction is open');
    const read = readMailArguments(text, 'FROM');
    if (read === undefined) return reply(501, '5.5.4', 'MAIL FROM:<address> and parameters');
    const { messageOctets } = this.#options.limits;
    for (const [keyword, value] of read.parameters) {
      const isGood = MAIL_PARAMETERS.get(keyword);
      if (isGood === undefined) return reply(555, '5.5.4', 'Unknown parameter');
      if (!isGood(value)) return reply(501, '5.5.4', `Bad value of ${keyword}`);
    }
    const utf8 = read.parameters.has('SMTPUTF8');
    const size = Number(read.parameters.get('SIZE') ?? 0);
    if (size > messageOctets) return reply(552, '5.3.4', `Larger than ${messageOctets} octets`);
    const refusal = addressRefusal(read, utf8);
    if (refusal !== undefined) return refusal;
    this.#transaction = { reversePath: read.address, utf8, declaredOctets: size === 0 ? undefined : size, recipients: [] };
    return ACCEPTED;
  }

  #rcpt(text: string): Reply | undefined {
    const transaction = this.#transaction;
    if (transaction === undefined) return reply(503, '5.5.1', 'MAIL first');
    const read = readMailArguments(text, 'TO');
    if (read === undefined || read.address === '') return reply(501, '5.1.3', 'RCPT TO:<address>');
    if (read.parameters.size > 0) return reply(555, '5.5.4', 'Unknown parameter');
    const refusal = addressRefusal(read, transaction.utf8);
    if (refusal !== undefined) return refusal;
    const { delivery, limits } = this.#options;
    if (transaction.recipients.length >= limits.recipients) return reply(452, '4.5.3', 'Too many recipients');
    this.#isBusy = true;
    delivery.resolve(read.address, transaction, this.#session).then(
      (recipient) => {
        transaction.recipients.push(recipient);
        this.#say(RECIPIENT_ACCEPTED);
        this.#lookedUp();
      },
      (error: unknown) => {
        this.#say(this.#failed(error));
        this.#lookedUp();
      },
    );
    return undefined;
  }

  /** Thousands that were pipelined leave the loop to others in between. */
  #lookedUp(): void {
    this.#lookups = (this.#lookups + 1) % LOOKUPS_IN_A_ROW;
    if (this.#lookups === 0) setImmediate(() => this.#resume());
    else this.#resume();
  }

  #startTls(text: string): Reply | undefined {
    if (!this.#connection.canUpgrade) return reply(502, '5.5.1', 'STARTTLS is not offered');
    if (text !== '') return reply(501, '5.5.4', 'STARTTLS has no arguments');
    this.#say(reply(220, '2.0.0', 'Ready'));
    this.#flush();
    this.#isBusy = true;
    // What was said in clear is forgotten, what came behind the command is thrown away (RFC 3207 §4.2).
    this.#helo = undefined;
    this.#transaction = undefined;
    this.#input = NOTHING;
    this.#waiting = [];
    this.#waitingOctets = 0;
    this.#isHeldUp = false; // the handshake goes on reading
    this.#socket.off('data', onData);
    this.#socket.off('end', onEnd);
    this.#socket.off('close', onClose);
    this.#connection.upgrade().then(
      () => {
        this.#listen();
        this.#resume();
      },
      (error: unknown) => {
        this.#options.log.info({ session: this.#session.id, err: error }, 'no TLS after STARTTLS');
        this.closed();
      },
    );
    return undefined;
  }

  /* ── The message ─────────────────────────────────────────────────────────────────────────────────────────── */

  #startData(text: string): Reply | undefined {
    if (text !== '') return reply(501, '5.5.4', 'DATA has no arguments');
    const transaction = this.#transaction;
    if (transaction === undefined) return reply(503, '5.5.1', 'MAIL first');
    if (transaction.recipients.length === 0) return reply(503, '5.5.1', 'No valid recipients'); // RFC 2033 §4.2
    this.#badCommands = 0;
    this.#abort ??= new AbortController();
    this.#data = new IncomingData(this.#options.spool, {
      limitOctets: this.#options.limits.messageOctets,
      signal: this.#abort.signal,
      pause: () => this.#socket.pause(),
      resume: () => this.#socket.resume(),
    });
    this.#replies += '354 End data with <CR><LF>.<CR><LF>\r\n';
    return undefined;
  }

  #takeData(data: IncomingData): void {
    const input = this.#input;
    this.#input = NOTHING;
    const step = data.push(input);
    if (step.state === 'more') return;
    const transaction = this.#transaction;
    this.#data = undefined;
    this.#transaction = undefined;
    if (transaction === undefined) throw new MailError('bug', 'a message without a transaction');
    if (step.state === 'violation') {
      // The client's fault, which is no news for the log.
      data.gone(new MailError('invalid', 'Only CRLF ends a line'));
      for (const _ of transaction.recipients) this.#say(reply(554, '5.5.2', 'Only CRLF ends a line: bare CR or LF beside a dot'));
      this.#end();
      return;
    }
    this.#input = step.rest;
    this.#isBusy = true;
    this.#deliver(transaction, data).then(
      () => this.#resume(),
      (error: unknown) => {
        this.#isBusy = false;
        this.#options.log.error({ session: this.#session.id, err: error }, 'LMTP reply failed');
        this.#leave(421, '4.3.0', 'Local error in processing');
      },
    );
  }

  /** Says one reply for each accepted RCPT; a recipient that was named twice gets one copy. */
  async #deliver(transaction: Transaction, data: IncomingData): Promise<void> {
    const { recipients, reversePath, utf8 } = transaction;
    let source: MessageSource | undefined;
    try {
      const held = data.finish();
      source = held instanceof Promise ? await held : held;
      const places = new Map<string, number>();
      const to: Recipient[] = [];
      for (const recipient of recipients) {
        const name = recipient.address.toLowerCase();
        if (!places.has(name)) places.set(name, to.push(recipient) - 1);
      }
      const message = {
        source,
        reversePath,
        recipients: to,
        origin: 'lmtp',
        helo: this.#helo ?? '',
        esmtp: { utf8, tls: this.#connection.isSecure },
      } as const;
      const signal = (this.#abort ??= new AbortController()).signal;
      const outcomes = await this.#options.delivery.deliver(message, this.#session, signal);
      this.#unsettled = outcomes;
      for (const { address } of recipients) {
        const outcome = outcomes[places.get(address.toLowerCase()) ?? -1];
        if (outcome === undefined) throw new MailError('bug', 'a recipient has no outcome');
        this.#say(outcome.stored ? STORED : this.#failed(outcome.error));
      }
    } catch (error) {
      const failure = this.#failed(error);
      for (const _ of recipients) this.#say(failure);
    } finally {
      await source?.dispose();
    }
  }

  /** A client that goes on in its session has read the replies before: it will not send those messages again. */
  #settle(): void {
    const outcomes = this.#unsettled;
    if (outcomes === undefined) return;
    this.#unsettled = undefined;
    for (const outcome of outcomes) if (outcome.stored) outcome.settle?.();
  }

  #failed(error: unknown): Reply {
    const answer = replyTo(error);
    const fields = { session: this.#session.id, listener: this.#session.listener, err: error };
    const { log } = this.#options;
    if (error instanceof Error && 'code' in error && error.code === 'ECONNECTION')
      log.info(fields, 'client has gone in the middle of a message');
    else if (!(error instanceof MailError) || error.code === 'bug') log.error(fields, 'delivery failed');
    else if (answer.code < 500) log.warn(fields, 'delivery put off');
    return answer;
  }
}

function reply(code: number, enhanced: string, text: string): Reply {
  return { code, enhanced, text };
}

/** Addresses beyond ASCII need SMTPUTF8 (RFC 6531 §3.2), and must be UTF-8. */
function addressRefusal({ address }: MailArguments, utf8: boolean): Reply | undefined {
  if (!BEYOND_ASCII.test(address)) return undefined;
  if (!utf8) return reply(553, '5.6.7', 'The address needs SMTPUTF8');
  return address.includes('\ufffd') ? reply(553, '5.6.7', 'The address is not UTF-8') : undefined;
}
