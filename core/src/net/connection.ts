import type { Socket } from 'node:net';

import { isLoopback } from './address.ts';
import type { TimerOwner, TimerWheel, WheelTimer } from './timer-wheel.ts';
import type { TlsTerminator } from './tls-terminator.ts';
import { upgradeToTls } from './upgrade.ts';

/** What a protocol makes of a connection. Neither method may throw; both may be called while a command runs. */
export interface Session {
  /** The server goes down: finish the command that runs, say goodbye (BYE, 421), end the socket. */
  drain(): void;
  /** Nobody has logged in for too long: say goodbye and end the socket. It is destroyed if it is still there `LAST_WORDS_MS` later. */
  loginTimedOut(): void;
}

export interface ListenerAddress {
  /** IP address, host name, or `*` for all. */
  readonly address: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly tls: 'none' | 'starttls' | 'implicit';
}

export interface ConnectionOptions {
  readonly id: number;
  readonly protocol: string;
  readonly listener: ListenerAddress;
  readonly remoteAddress: string;
  readonly wheel: TimerWheel;
  readonly loginTimeMs: number;
  readonly terminator: TlsTerminator | undefined;
}

/** For a goodbye to reach the client after the time before login is over. */
export const LAST_WORDS_MS = 2000;

/** One accepted connection, for its life; its socket changes with STARTTLS. */
export class Connection implements TimerOwner {
  /** Unique in this process; for logs. */
  readonly id: number;
  readonly protocol: string;
  readonly listener: ListenerAddress;
  /** IPv4 in plain form, also when it came in over IPv6. */
  readonly remoteAddress: string;
  readonly #wheel: TimerWheel;
  readonly #terminator: TlsTerminator | undefined;
  #socket: Socket;
  #isSecure = false;
  #session: Session | undefined;
  #timer: WheelTimer | undefined;
  #hasLastWords = false;

  constructor(socket: Socket, { id, protocol, listener, remoteAddress, wheel, loginTimeMs, terminator }: ConnectionOptions) {
    this.id = id;
    this.protocol = protocol;
    this.listener = listener;
    this.remoteAddress = remoteAddress;
    this.#socket = socket;
    this.#wheel = wheel;
    this.#terminator = terminator;
    this.#timer = wheel.start(this, loginTimeMs);
  }

  get socket(): Socket {
    return this.#socket;
  }

  /** TLS is on, from the start or by STARTTLS. */
  get isSecure(): boolean {
    return this.#isSecure;
  }

  get isLoopback(): boolean {
    return isLoopback(this.remoteAddress);
  }

  /** STARTTLS may be offered. */
  get canUpgrade(): boolean {
    return this.listener.tls === 'starttls' && !this.#isSecure && this.#terminator !== undefined;
  }

  /**
   * STARTTLS, as `upgradeToTls`: flush the reply, take off your listeners and empty your line buffer first.
   * @returns octets that had come in clear behind the command, all discarded
   * @throws HandshakeFailed; the socket is then destroyed
   */
  async upgrade(): Promise<number> {
    if (!this.canUpgrade || this.#terminator === undefined) throw new Error('STARTTLS was not offered here');
    const { socket, discardedOctets } = await upgradeToTls(this.#socket, this.#terminator);
    this.becomeSecure(socket);
    return discardedOctets;
  }

  /** The time before login no longer runs. Idle time is the session's own, on the same wheel. */
  loggedIn(): void {
    if (this.#timer !== undefined) this.#wheel.stop(this.#timer);
    this.#timer = undefined;
  }

  /** For the listener: TLS is on. */
  becomeSecure(socket: Socket): void {
    socket.on('error', ignoreSocketError);
    this.#socket = socket;
    this.#isSecure = true;
  }

  /** For the listener: from now on `session` is asked to end. */
  serve(session: Session): void {
    this.#session = session;
  }

  /** For the listener: the server goes down. Without a session (TLS handshake) there is nobody to say goodbye to. */
  drain(): void {
    if (this.#session === undefined) this.#socket.destroy();
    else this.#session.drain();
  }

  onTimeout(): void {
    if (this.#session === undefined || this.#hasLastWords) {
      this.#socket.destroy();
      return;
    }
    this.#hasLastWords = true;
    this.#timer = this.#wheel.start(this, LAST_WORDS_MS);
    this.#session.loginTimedOut();
  }
}

/** A reset by the client is no fault; `close` follows and tells everybody. Without a listener it would end the process. */
export function ignoreSocketError(): void {}
