/**
 * One IMAP connection: octets in, commands one after the other, replies out. Idle it holds no buffer, no timer of its own and nothing
 * of a finished command.
 */
import type { Socket } from 'node:net';
import { type ChannelBindingType, channelBinding, hasChannelBinding } from '../net/channel-binding.ts';
import { type Connection, LAST_WORDS_MS, type Session } from '../net/connection.ts';
import {
  type AnnouncedLiteral,
  type ClientCommand,
  LineReader,
  type LineReaderOwner,
  type LiteralDecision,
  type ReaderLimits,
  type Refusal,
} from '../net/line-reader.ts';
import { SocketOutput } from '../net/output.ts';
import type { TimerOwner, WheelTimer } from '../net/timer-wheel.ts';
import { AppendLiterals } from './append-literals.ts';
import { capabilityText } from './capabilities.ts';
import { type Command, CommandContext, type Completion } from './command.ts';
import { CommandProgress } from './command-progress.ts';
import { CompressedSocket, type CompressedSocketOwner } from './compressed-socket.ts';
import type { ImapEnvironment } from './environment.ts';
import { ConnectionGone, ImapBad, ImapBye, type ImapNo, isFault } from './errors.ts';
import { BrokenReply } from './fetch/section-writer.ts';
import { Cursor } from './grammar/cursor.ts';
import { commandName, commandTag } from './grammar/session-arguments.ts';
import { ImapSyntaxError } from './grammar/syntax-error.ts';
import { findPluginCommand } from './plugin-command.ts';
import { isAllowed } from './registry.ts';
import { isQuiet, refusalError, replyTo, wrongState } from './replies.ts';
import { Responder } from './responder.ts';
import { type EndReason, ImapSession, type SessionWire } from './session.ts';

/** Sockets know their connection, so that one set of listener functions serves all. */
const served = new WeakMap<Socket, ImapConnection>();

function onData(this: Socket, chunk: Buffer): void {
  served.get(this)?.received(chunk);
}
function onEnd(this: Socket): void {
  served.get(this)?.socketEnded();
}
function onClose(this: Socket): void {
  served.get(this)?.closed();
}

interface Waiter {
  resolve(line: Buffer): void;
  reject(error: Error): void;
}

/** ms without a command after which the packed state of the mailbox may leave memory. */
const QUIET_MS = 60_000;

/** What runs now, as far as its end needs it. */
interface Running {
  readonly tag: string;
  readonly name: string;
  readonly mayExpunge: boolean;
}

/** How many connections the login limits of the reader are made for: two sets for a server. */
export interface ConnectionLimits {
  readonly beforeLogin: ReaderLimits;
  readonly afterLogin: ReaderLimits;
}

export class ImapConnection implements Session, LineReaderOwner, TimerOwner, SessionWire, CompressedSocketOwner {
  readonly respond: Responder;
  readonly session: ImapSession;
  readonly #env: ImapEnvironment;
  readonly #limits: ConnectionLimits;
  readonly #connection: Connection;
  readonly #output: SocketOutput;
  readonly #reader: LineReader;
  #socket: Socket;
  /** On top of `#socket`, after COMPRESS. */
  #compressed: CompressedSocket | undefined;
  #abort: AbortController | undefined;
  #appends: AppendLiterals | undefined;
  #timer: WheelTimer | undefined;
  /** Of the wheel's clock: the last command. */
  #heardAt = 0;
  #waiter: Waiter | undefined;
  #bye: { readonly code: string | undefined; readonly text: string } | undefined;
  #endReason: EndReason = 'closed';
  #badCommands = 0;
  #failedLogins = 0;
  #isRunning = false;
  #isIdling = false;
  /** News on their way outside of a command or in IDLE; whatever else is written waits for its end. */
  #telling: Promise<void> | undefined;
  #tellAgain = false;
  #isWoken = false;
  #inputEnded = false;
  #isLeaving = false;
  #isClosed = false;

  constructor(env: ImapEnvironment, connection: Connection, limits: ConnectionLimits) {
    this.#env = env;
    this.#limits = limits;
    this.#connection = connection;
    this.#socket = connection.socket;
    this.#output = new SocketOutput(connection.socket, env.pool);
    this.respond = new Responder(this.#output);
    this.#reader = new LineReader(this, limits.beforeLogin);
    const { protocol, remoteAddress, listener, id } = connection;
    const info = { id: `${protocol}-${id}`, protocol: 'imap', listener: `${listener.address}:${listener.port}`, remoteAddress } as const;
    this.session = new ImapSession(env, info, this);
    this.#listen();
  }

  /** Sends the greeting; commands that came before it wait in the socket. */
  greet(): void {
    // A plugin may need a moment for the capabilities; nothing is read until then.
    this.#isRunning = true;
    const text = capabilityText(this.session);
    if (typeof text === 'string') this.#greeted(text);
    else {
      text.then(
        (late) => this.#greeted(late),
        (error: unknown) => this.#crashed(error, 'greeting'),
      );
    }
  }

  #greeted(capabilities: string): void {
    this.#isRunning = false;
    this.respond.ok(`CAPABILITY ${capabilities}`, `${this.#env.software.name} ready`);
    this.#socket.resume();
  }

  #listen(): void {
    const socket = this.#socket;
    served.set(socket, this);
    socket.on('data', onData);
    socket.on('end', onEnd);
    socket.on('close', onClose);
    if (this.#isRunning) socket.pause();
  }

  /* ── The socket ────────────────────────────────────────────────────────────────────────────────────────────── */

  received(chunk: Buffer): void {
    if (this.#compressed !== undefined) {
      if (!this.#isLeaving) this.#compressed.received(chunk);
    } else if (!this.#reader.push(chunk)) this.#socket.pause();
  }

  readable(): void {
    if (this.#isClosed) return;
    // Read to its end behind a literal that was thought about: no command can follow.
    if (this.#inputEnded && !this.#isRunning) this.#output.end();
    else if (this.#compressed === undefined) this.#socket.resume();
    else this.#compressed.resume();
  }

  inflated(octets: Buffer): boolean {
    return this.#reader.push(octets);
  }

  inputBroken(error: Error): void {
    this.#env.log.debug({ err: error, session: this.session.info.id }, 'compressed input is broken');
    this.#bye ??= { code: undefined, text: 'Compressed data is broken' };
    if (this.#isRunning && !this.#isIdling) this.#socket.destroy();
    else this.#leave();
  }

  /** The client's side of the socket has ended: compressed, there may be something left to inflate. */
  socketEnded(): void {
    if (this.#compressed === undefined) this.inputEnded();
    else this.#compressed.ended();
  }

  inputEnded(): void {
    this.#inputEnded = true;
    this.#waiter?.reject(new ConnectionGone('the client has closed its side'));
    this.#waiter = undefined;
    if (!this.#isRunning && !this.#reader.hasUnread) this.#output.end();
  }

  closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const gone = new ConnectionGone('the connection was closed');
    this.#reader.close(gone);
    this.#abort?.abort(gone);
    this.#waiter?.reject(gone);
    this.#waiter = undefined;
    this.#isIdling = false;
    if (this.#timer !== undefined) this.#env.wheel.stop(this.#timer);
    this.#timer = undefined;
    this.#appends?.dispose(this.#env.log);
    this.session.progress?.end();
    this.session.end(this.#endReason);
  }

  /* ── SessionWire ───────────────────────────────────────────────────────────────────────────────────────────── */

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#isClosed) this.#abort.abort(new ConnectionGone('the connection was closed'));
    }
    return this.#abort.signal;
  }

  get isSecure(): boolean {
    return this.#connection.isSecure;
  }

  get mayLogin(): boolean {
    if (this.#connection.isSecure || this.#env.cleartextLogin === 'always') return true;
    return this.#env.cleartextLogin === 'loopback' && this.#connection.isLoopback;
  }

  get canStartTls(): boolean {
    return this.#connection.canUpgrade;
  }

  get isCompressed(): boolean {
    return this.#compressed !== undefined;
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress;
  }

  get canBind(): boolean {
    return hasChannelBinding(this.#socket);
  }

  channelBinding(type: ChannelBindingType): Buffer | undefined {
    return channelBinding(this.#socket, type);
  }

  ask(text: string): Promise<Buffer> {
    if (this.#isClosed || this.#inputEnded) return Promise.reject(new ConnectionGone('the connection was closed'));
    this.respond.proceed(text);
    return new Promise<Buffer>((resolve, reject) => {
      this.#waiter = { resolve, reject };
      this.#reader.readLine();
    });
  }

  loggedIn(): void {
    this.#connection.loggedIn();
    this.#reader.limits = this.#limits.afterLogin;
    this.#badCommands = 0;
    if (this.#timer !== undefined) this.#env.wheel.stop(this.#timer);
    this.#heardAt = this.#env.wheel.now();
    this.#timer = this.#env.wheel.start(this, Math.min(QUIET_MS, this.#env.limits.idleTimeMs));
  }

  loginFailed(): void {
    this.#failedLogins += 1;
    if (this.#failedLogins >= this.#env.limits.loginFailuresPerSession) this.#bye ??= { code: undefined, text: 'Too many failed logins' };
  }

  /** An entry of the journal may add and remove in one mailbox: told in between, the numbers would be those of neither state. */
  wake(): void {
    if (this.#isWoken || !this.#mayTell) return;
    this.#isWoken = true;
    queueMicrotask(() => {
      this.#isWoken = false;
      if (this.#mayTell) this.#tellNews();
    });
  }

  idle(on: 'begin' | 'end'): void {
    this.#isIdling = on === 'begin' && !this.#isClosed;
    if (this.#isIdling) this.#tellNews();
  }

  sayBye(code: string | undefined, text: string): void {
    this.#bye ??= { code, text };
    if (!this.#isRunning || this.#isIdling) this.#leave();
  }

  /** One at a time, in the order of the changes; what comes meanwhile is told right after. */
  #tellNews(): void {
    if (this.#telling !== undefined) {
      this.#tellAgain = true;
      return;
    }
    let telling: undefined | Promise<void>;
    try {
      telling = this.session.announce(this.#isIdling ? 'idle' : 'between');
      this.#output.flush();
    } catch (error) {
      this.#crashed(error, 'news');
      return;
    }
    if (!(telling instanceof Promise)) {
      this.session.rest();
      return;
    }
    this.#telling = telling.then(
      () => {
        this.#telling = undefined;
        this.#output.flush();
        if (this.#tellAgain && this.#mayTell) {
          this.#tellAgain = false;
          this.#tellNews();
        } else if (this.#isIdling) this.session.rest();
      },
      (error: unknown) => {
        this.#telling = undefined;
        this.#crashed(error, 'news');
      },
    );
  }

  /** In IDLE; with NOTIFY also while no command runs (RFC 5465 §3.1). */
  get #mayTell(): boolean {
    return this.#isIdling || (this.session.watch !== undefined && !this.#isRunning && !this.#isLeaving && !this.#isClosed);
  }

  /** Calls it when nothing that is being told could be torn by it. */
  #afterNews(then: () => void): void {
    if (this.#telling === undefined) then();
    else void this.#telling.then(() => this.#afterNews(then)); // never rejects
  }

  /* ── net: Session, TimerOwner ──────────────────────────────────────────────────────────────────────────────── */

  drain(): void {
    this.#endReason = 'drain';
    this.sayBye('UNAVAILABLE', 'The server is going down');
  }

  loginTimedOut(): void {
    this.#endReason = 'idle';
    this.#bye ??= { code: undefined, text: 'Too long before login' };
    this.#leave();
  }

  onTimeout(timer: WheelTimer): void {
    if (this.#isLeaving) {
      this.#socket.destroy(); // the client does not close its side
      return;
    }
    if (this.session.login === undefined) {
      this.loginTimedOut();
      return;
    }
    const now = this.#env.wheel.now();
    const isBusy = this.#isRunning && !this.#isIdling;
    // A slow command is not silence; a client that reads nothing is the output's business.
    if (isBusy) this.#heardAt = now;
    if (now - this.#heardAt < this.#env.limits.idleTimeMs) {
      if (!isBusy && this.#telling === undefined) {
        this.session.rest();
        this.#compressed?.rest();
      }
      this.#env.wheel.restart(timer);
      return;
    }
    this.#endReason = 'idle';
    this.sayBye(undefined, 'Silent for too long');
  }

  /** BYE and the end of our side. */
  #leave(): void {
    if (this.#isClosed || this.#output.isClosed) return;
    const bye = this.#bye;
    if (bye !== undefined) this.respond.status('BYE', bye.code, bye.text);
    this.#isIdling = false;
    this.#waiter?.reject(new ConnectionGone('the session has ended'));
    this.#waiter = undefined;
    this.#hangUp();
  }

  #hangUp(): void {
    this.#isLeaving = true;
    this.#reader.close();
    this.#output.end();
    this.session.end(this.#endReason);
    if (this.#timer !== undefined) this.#env.wheel.stop(this.#timer);
    this.#timer = this.#env.wheel.start(this, LAST_WORDS_MS);
    // What the client still sends is read and dropped, so that its system does not answer our last words with a reset.
    this.#socket.resume();
  }

  #crashed(error: unknown, where: string): void {
    if (isQuiet(error)) return;
    this.#env.log.error({ err: error, session: this.session.info.id, where }, 'IMAP session failed');
    this.#socket.destroy();
  }

  /* ── LineReaderOwner ───────────────────────────────────────────────────────────────────────────────────────── */

  command(client: ClientCommand): void {
    this.#isRunning = true;
    if (this.#telling === undefined) this.#run(client);
    else this.#afterNews(() => this.#run(client));
  }

  #run(client: ClientCommand): void {
    if (this.#isClosed) return;
    this.#heard();
    this.#compressed?.mark();
    this.#output.cork();
    let running: Running = { tag: '*', name: '', mayExpunge: false };
    try {
      const cursor = new Cursor(client, this.session.names);
      running = { ...running, tag: commandTag(cursor) };
      const { name, uid } = commandName(cursor);
      const command = this.#find(uid ? `UID ${name}` : name);
      running = { tag: running.tag, name: command.name, mayExpunge: command.mayExpunge || uid };
      if (!isAllowed(command.states, this.session.state)) throw new ImapBad(wrongState(command, this.session));
      if (command.uidForm === true && !uid && this.session.isUidOnly) throw new ImapBad('Use the UID form', 'UIDREQUIRED'); // RFC 9586 §3.1
      const context = new CommandContext(this.session, running.tag, uid, client.literals);
      const given = command.args(cursor);
      const wake = () => (command.leavesAtRest === true ? undefined : this.session.wake());
      const looking = command.looksAnew === true ? this.session.lookAnew() : undefined;
      const waking = looking === undefined ? wake() : looking.then(wake);
      const result = waking === undefined ? command.handle(context, given) : waking.then(() => command.handle(context, given));
      if (result instanceof Promise) this.#later(result, running, command);
      else this.#succeeded(result, running);
    } catch (error) {
      this.#failed(error, running);
    }
  }

  #find(name: string): Command {
    const command = this.#env.registry.find(name) ?? findPluginCommand(this.session, name);
    if (command === undefined) throw new ImapBad('Unknown command');
    return command;
  }

  #later(result: Promise<Completion | undefined>, running: Running, { tellsProgress }: Command): void {
    if (tellsProgress === true) {
      this.session.progress ??= new CommandProgress(this.respond, this.#env.wheel);
      this.session.progress.begin(running.tag);
    }
    result.then(
      (completion) => this.#succeeded(completion, running),
      (error: unknown) => this.#failed(error, running),
    );
  }

  #heard(): void {
    if (this.#timer === undefined || this.session.login === undefined) return; // in all, not for each command
    this.#heardAt = this.#env.wheel.now();
    this.#env.wheel.restart(this.#timer);
  }

  line(line: Buffer): void {
    this.#heard();
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.resolve(line);
  }

  literal(announced: AnnouncedLiteral): LiteralDecision | Promise<LiteralDecision> {
    if (this.session.login === undefined) return 'memory';
    this.#appends ??= new AppendLiterals();
    return this.#appends.decide(announced, this.session);
  }

  continueLiteral(): void {
    this.#afterNews(() => this.respond.proceed('OK'));
  }

  refused(refusal: Refusal): void {
    this.#output.cork();
    const error = refusalError(refusal);
    if (refusal.fatal) this.#bye ??= { code: undefined, text: 'Command too large' };
    const waiter = this.#waiter;
    if (waiter !== undefined) {
      // In place of the line that a running command waits for.
      this.#output.uncork();
      this.#waiter = undefined;
      waiter.reject(error instanceof Error ? error : new Error('literal refused', { cause: error }));
      return;
    }
    this.#isRunning = true;
    let tag = '*';
    try {
      tag = commandTag(new Cursor({ text: refusal.text, literals: [] }, this.session.names));
    } catch (untagged) {
      if (!(untagged instanceof ImapSyntaxError)) throw untagged;
    }
    this.#failed(error, { tag, name: 'refused', mayExpunge: false });
  }

  /** The sources of messages that came with the command that runs. */
  get appends(): AppendLiterals {
    this.#appends ??= new AppendLiterals();
    return this.#appends;
  }

  /* ── The end of a command ──────────────────────────────────────────────────────────────────────────────────── */

  #succeeded(completion: Completion | undefined, running: Running): void {
    this.session.progress?.end();
    if (this.#isClosed) return;
    if (this.session.login !== undefined && this.#badCommands > 0) this.#badCommands -= 1;
    this.#tell(running, () => {
      this.respond.tagged(running.tag, 'OK', completion?.code, completion?.text ?? `${running.name} done`);
      this.#finish(completion?.after);
    });
  }

  #failed(error: unknown, running: Running): void {
    this.session.progress?.end();
    if (error instanceof BrokenReply && !this.#isClosed && !isQuiet(error)) {
      this.#crashed(error, running.name);
      return;
    }
    if (this.#isClosed || isQuiet(error)) {
      this.#abandon();
      return;
    }
    const reply = this.#replyTo(error, running);
    this.#tell(running, () => {
      this.respond.tagged(running.tag, reply instanceof ImapBad ? 'BAD' : 'NO', reply.code, reply.message);
      this.#finish(undefined);
    });
  }

  /** The connection is gone or going; there is nobody to tell. */
  #abandon(): void {
    this.#isRunning = false;
    this.#output.uncork();
    if (this.#inputEnded && !this.#isClosed) this.#output.end();
  }

  #replyTo(error: unknown, running: Running): ImapBad | ImapNo {
    const reply = replyTo(error);
    if (reply instanceof ImapBad) this.#countBad();
    if (error instanceof ImapBye) this.#bye ??= { code: error.code, text: error.message };
    else if (isFault(reply.cause)) {
      this.#env.log.error({ err: reply.cause, session: this.session.info.id, command: running.name }, 'IMAP command failed');
    }
    return reply;
  }

  #countBad(): void {
    this.#badCommands += 1;
    const { imapBadCommandsBeforeLogin, imapBadCommands } = this.#env.limits;
    const limit = this.session.login === undefined ? imapBadCommandsBeforeLogin : imapBadCommands;
    if (this.#badCommands >= limit) this.#bye ??= { code: undefined, text: 'Too many bad commands' };
  }

  /** News first, then what the command ends with. */
  #tell(running: Running, then: () => void): void {
    if (this.#telling !== undefined) {
      this.#afterNews(() => this.#tell(running, then)); // of IDLE that has just ended
      return;
    }
    let telling: undefined | Promise<void>;
    try {
      telling = this.session.announce(running.mayExpunge ? 'may-expunge' : 'no-expunge');
      if (!(telling instanceof Promise)) {
        then();
        return;
      }
    } catch (error) {
      this.#crashed(error, running.name);
      return;
    }
    telling.then(then).catch((error: unknown) => this.#crashed(error, running.name));
  }

  #finish(after: Completion['after']): void {
    this.#appends?.dispose(this.#env.log);
    this.#appends = undefined;
    if (after === 'start-tls') {
      this.#output.uncork();
      void this.#upgrade();
      return;
    }
    if (after === 'compress') this.#compress();
    if (after === 'unauthenticate') this.#awaitLogin();
    if (after === 'close') {
      this.#endReason = 'logout';
      this.#isRunning = false;
      this.#output.uncork();
      this.#hangUp();
      return;
    }
    if (this.#bye !== undefined) {
      this.#isRunning = false;
      this.#output.uncork();
      this.#leave();
      return;
    }
    this.#output.uncork();
    if (this.#output.isFull) {
      this.#output.drained().then(
        () => this.#next(),
        (error: unknown) => this.#crashed(error, 'output'),
      );
      return;
    }
    this.#next();
  }

  #next(): void {
    this.#isRunning = false;
    if (this.#bye !== undefined) {
      this.#leave();
      return;
    }
    this.#reader.next();
    if (this.session.watch !== undefined && this.#mayTell) this.#tellNews();
    // Commands that came before the end are answered; the reader, which may be in the middle of them, comes back here.
    if (this.#inputEnded && !this.#isRunning && !this.#reader.hasUnread && !this.#isClosed) this.#output.end();
  }

  /** A stranger again, with a stranger's limits and time. */
  #awaitLogin(): void {
    this.#reader.limits = this.#limits.beforeLogin;
    this.#badCommands = 0; // those of a user, who may have more of them
    if (this.#timer !== undefined) this.#env.wheel.stop(this.#timer);
    this.#timer = this.#env.wheel.start(this, this.#env.limits.loginTimeMs);
  }

  /** Whatever came behind the command is compressed already. */
  #compress(): void {
    this.#output.uncork();
    const { messageOctets, imapLiteralsTotalOctets } = this.#env.limits;
    const early = this.#reader.takeBuffered();
    this.#compressed = new CompressedSocket(this.#socket, this, messageOctets + imapLiteralsTotalOctets);
    this.#output.moveTo(this.#compressed);
    this.#compressed.received(early);
  }

  /** Nothing that came in clear behind STARTTLS is ever read (RFC 9051 §11.1). */
  async #upgrade(): Promise<void> {
    const plain = this.#socket;
    plain.off('data', onData);
    plain.off('end', onEnd);
    const dropped = this.#reader.takeBuffered().length;
    try {
      const discarded = dropped + (await this.#connection.upgrade());
      if (discarded > 0)
        this.#env.log.warn({ session: this.session.info.id, octets: discarded }, 'octets before the TLS handshake dropped');
    } catch (error) {
      this.#env.log.debug({ err: error, session: this.session.info.id }, 'TLS handshake failed');
      return; // the socket is destroyed and its close has told us
    }
    this.#socket = this.#connection.socket;
    this.#output.moveTo(this.#socket);
    this.#isRunning = false;
    this.#listen();
    this.#next();
  }
}
