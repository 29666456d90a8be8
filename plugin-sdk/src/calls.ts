/** The second argument of every tap. */
import type { Actor, Session } from './actor.ts';
import type { Account } from './values.ts';

export interface Call {
  readonly signal: AbortSignal; // aborts at the tap's deadline, or when the client has gone
  readonly log: Log; // carries plugin, hook, session; redacts Secret and Message
  readonly actor: Actor;
  readonly session: Session | undefined;
}

export interface AccountCall extends Call {
  readonly account: Account; // whose mail it is
}

export interface CodecCall extends AccountCall {
  /** Account and content in canonical octets: bind it into what you seal, so that moved ciphertext does not open. */
  readonly binding: Uint8Array;
  /** Small values of this content, kept with its metadata and sealed with it: set while encoding (a chunk table, say), there when decoding. */
  readonly notes: { get(name: string): Uint8Array | undefined; set(name: string, octets: Uint8Array): void };
}

export interface FollowCall extends AccountCall {
  readonly attempt: number; // from 1
}

export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}
