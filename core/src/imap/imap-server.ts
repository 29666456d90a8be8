/** The IMAP server over the mail services: makes a session of each connection that net's listeners accept. */
import type { Actor } from '@pochard/plugin-sdk';
import type { Limits } from '../config/limits.ts';
import type { MailServices } from '../mail/services.ts';
import type { Connection, Session } from '../net/connection.ts';
import type { ReaderLimits } from '../net/line-reader.ts';
import { OutputPool } from '../net/output.ts';
import type { TimerWheel } from '../net/timer-wheel.ts';
import { UserConnections } from '../net/user-connections.ts';
import type { HookCalls } from '../plugins/hook-calls.ts';
import { features } from './capabilities.ts';
import { commandTable } from './command-table.ts';
import { ImapConnection } from './connection.ts';
import type { ImapEnvironment, ImapLog } from './environment.ts';
import { FlagTextCache } from './flag-texts.ts';
import { CommandRegistry } from './registry.ts';

export interface ImapServerOptions {
  readonly services: MailServices;
  readonly hooks: HookCalls;
  /** The server itself, for hooks that run before a login. */
  readonly actor: Actor;
  readonly limits: Limits;
  /** Where a password may come without TLS (`auth.cleartextLogin`). */
  readonly cleartextLogin: 'never' | 'loopback' | 'always';
  /** SCRAM-SHA-256 (`auth.scram`); off when absent. */
  readonly scram?: 'off' | 'on';
  /** OAUTHBEARER and XOAUTH2 while a plugin taps `auth.verify` (`auth.tokens`); off when absent. */
  readonly tokens?: 'off' | 'on';
  /** Usernames that may SETQUOTA (`auth.quotaAdministrators`); none when absent. */
  readonly quotaAdministrators?: readonly string[];
  readonly hostname: string;
  readonly version: string;
  readonly log: ImapLog;
  /** Shared by all protocols. */
  readonly wheel: TimerWheel;
  /** ms since 1970. */
  readonly now?: () => number;
}

/** For `ListenerGroupOptions`: `serve`, `refusalLine`, and `halfOpen: 'allow'`. */
export interface ImapServer {
  serve(connection: Connection): Session;
  /** What a client reads that is refused before it may speak. */
  refusalLine(): string;
}

const MIB = 1024 * 1024;

/** The reader's limits by the names of the configuration (design/reliability.md §1.2). */
function readerLimits(limits: Limits): { readonly beforeLogin: ReaderLimits; readonly afterLogin: ReaderLimits } {
  return {
    beforeLogin: {
      lineOctets: limits.imapLineBeforeLoginOctets,
      overlongLine: 'close',
      literalOctets: limits.imapLiteralBeforeLoginOctets,
      literals: 16, // LOGIN needs two, ID a few
      commandOctets: 2 * limits.imapLineBeforeLoginOctets + 2 * limits.imapLiteralBeforeLoginOctets,
      nonSyncOctets: Math.min(limits.imapNonSyncLiteralOctets, limits.imapLiteralBeforeLoginOctets),
      drainOctets: 64 * 1024,
    },
    afterLogin: {
      lineOctets: limits.imapLineOctets,
      overlongLine: 'skip',
      literalOctets: limits.imapLiteralOctets,
      literals: limits.imapLiteralsPerCommand,
      commandOctets: limits.imapLiteralsTotalOctets,
      nonSyncOctets: limits.imapNonSyncLiteralOctets,
      drainOctets: 64 * MIB, // a client that ignores LITERAL- sends a whole message
    },
  };
}

export function createImapServer(options: ImapServerOptions): ImapServer {
  const {
    services,
    hooks,
    actor,
    limits,
    cleartextLogin,
    tokens = 'off',
    scram = 'off',
    quotaAdministrators = [],
    hostname,
    version,
    log,
    wheel,
    now = Date.now,
  } = options;
  const { blockedWriteTimeMs, queuedOutputOctets } = limits;
  const env: ImapEnvironment = {
    services,
    hooks,
    actor,
    limits,
    cleartextLogin,
    tokens,
    scram,
    quotaAdministrators: new Set(quotaAdministrators),
    hostname,
    software: { name: 'Pochard', version },
    log,
    wheel,
    pool: new OutputPool({ wheel, blockedWriteTimeMs, queuedOutputOctets }),
    registry: new CommandRegistry(commandTable, features),
    flagTexts: new FlagTextCache(),
    perUser: new UserConnections(limits.imapConnectionsPerUserAndAddress),
    now,
  };
  const connectionLimits = readerLimits(limits);
  return {
    serve(connection) {
      const served = new ImapConnection(env, connection, connectionLimits);
      served.greet();
      return served;
    },
    refusalLine: () => '* BYE [UNAVAILABLE] Too many connections\r\n',
  };
}
