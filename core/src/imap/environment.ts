/** What all sessions of a server share: services, limits, the command table and caches. Made once, by `createImapServer`. */
import type { Actor } from '@pochard/plugin-sdk';
import type { Limits } from '../config/limits.ts';
import type { MailServices } from '../mail/services.ts';
import type { OutputPool } from '../net/output.ts';
import type { TimerWheel } from '../net/timer-wheel.ts';
import type { UserConnections } from '../net/user-connections.ts';
import type { HookCalls } from '../plugins/hook-calls.ts';
import type { FlagTextCache } from './flag-texts.ts';
import type { CommandRegistry } from './registry.ts';

/** Details first, then a fixed sentence; never mail content or passwords. */
export interface ImapLog {
  debug(details: Readonly<Record<string, unknown>>, message: string): void;
  info(details: Readonly<Record<string, unknown>>, message: string): void;
  warn(details: Readonly<Record<string, unknown>>, message: string): void;
  error(details: Readonly<Record<string, unknown>>, message: string): void;
}

export interface ImapEnvironment {
  readonly services: MailServices;
  readonly hooks: HookCalls;
  /** The server itself, for hooks that run before a login. */
  readonly actor: Actor;
  readonly limits: Limits;
  readonly cleartextLogin: 'never' | 'loopback' | 'always';
  /** SCRAM-SHA-256 is offered (`auth.scram`). */
  readonly scram: 'off' | 'on';
  /** Usernames that may set quota (`auth.quotaAdministrators`). */
  readonly quotaAdministrators: ReadonlySet<string>;
  /** Some plugin judges tokens: OAUTHBEARER and XOAUTH2 are offered (`auth.tokens`). */
  readonly tokens: 'off' | 'on';
  /** Name and version that ID tells. */
  readonly software: { readonly name: string; readonly version: string };
  readonly hostname: string;
  readonly log: ImapLog;
  readonly wheel: TimerWheel;
  readonly pool: OutputPool;
  readonly registry: CommandRegistry;
  readonly flagTexts: FlagTextCache;
  /** Open sessions of each user from each address (limit `imapConnectionsPerUserAndAddress`). */
  readonly perUser: UserConnections;
  /** ms since 1970. */
  readonly now: () => number;
}
