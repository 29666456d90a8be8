/** What the test host offers: the types, so that a plugin's tests need nothing of the core but its presence. */
import type { Bytes } from '../bytes.ts';
import type { JournalEvent } from '../journal-events.ts';
import type { Plugin } from '../plugin.ts';
import type { PluginEntry } from '../plugin-entry.ts';
import type { HookName } from '../specs.ts';
import type { Account, Flag, MessageRef, Protocol } from '../values.ts';

/**
 * What goes wrong at a tap. `hang`: no answer, ever (move the clock on with `advance`). `nothing`: undefined. `twice`: the right answer,
 * and then once more. `busy`: the right answer, after the event loop was blocked for longer than the deadline. `backend down`: it throws
 * `Unavailable`.
 */
export const faults = ['throw', 'hang', 'garbage', 'nothing', 'twice', 'busy', 'backend down'] as const;
export type Fault = (typeof faults)[number];

/** How a call ended; `unavailable`: what the tap depends on is down; `unchecked`: the breaker was open, the tap was not called. `late` and `again` come beside the outcome that counted. */
export type CallOutcome =
  | 'ok'
  | 'not-mine'
  | 'refused'
  | 'locked'
  | 'damaged'
  | 'gone'
  | 'fault'
  | 'timeout'
  | 'unavailable'
  | 'unchecked'
  | 'aborted'
  | 'late'
  | 'again';

export interface SentRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly body: string;
}
/** `unreachable`: as if the network or the service were down. */
export type Answer =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  | 'unreachable';

/** A whole server in memory: the real guard, journal, services and IMAP engine over a memory store; no sockets, and a clock of its own. */
export interface TestHost extends AsyncDisposable {
  /** IMAP: a connection through the real engine. The others log in only. @throws Error with what the client would be told */
  login(username: string, password: string, protocol?: Protocol): Promise<TestSession>;
  /** Through the `rcpt`, `delivery` and `store` hooks. Strings are UTF-8, bare LF becomes CRLF. @throws what the sender would be told */
  deliver(mail: {
    readonly from: string;
    readonly to: string | readonly string[];
    readonly raw: string | Bytes;
  }): Promise<readonly MessageRef[]>;
  /** Makes the next calls of a plugin at a hook go wrong; once unless told otherwise. Not for `journal` and `observe` results, which nobody reads: use `throw` and `hang` there. */
  fault(plugin: string, hook: HookName, how: Fault, times?: number): void;
  /** Answers what plugins send out. A request that nothing answers fails the test when the host is closed. */
  onHttp(answer: (request: SentRequest) => Answer): void;
  /** Calls of a hook's taps until now, in the order in which they ended. */
  calls(hook: HookName): readonly { readonly plugin: string; readonly outcome: CallOutcome; readonly ms: number }[];
  /** The taps in their order of running: `stage plugin label`. */
  explain(hook: HookName): readonly string[];
  /** Lets followers of the journal and tasks run out, without moving the clock; what still waits then, and why. */
  settle(): Promise<{ readonly waiting: readonly WaitingEvent[] }>;
  /** Moves the clock: deadlines, schedules and backoffs fall due. */
  advance(ms: number): Promise<void>;
  /** Runs to its end what needs time to pass (a hanging tap): moves the clock, in steps of a second, until it settles. */
  whileWaiting<T>(work: Promise<T>, limitMs?: number): Promise<T>;
  /** All octets of store, tables and log: plant a canary, find none. */
  atRest(): AsyncIterable<Uint8Array>;
  /** Ends all sessions and starts again on what is durable. `kill`: nothing is finished, saved or closed first. */
  restart(how: 'drain' | 'kill'): Promise<void>;
  /** Puts other plugins in the place of those that run, as SIGHUP does. @throws what the administrator would read */
  reload(plugins: readonly TestPlugin[]): Promise<void>;
  /** What went out to other servers, which take everything. */
  readonly sent: readonly SentMail[];
  /** Warnings and errors of server and plugins, one line each. */
  readonly logged: readonly string[];
}
export interface SentMail {
  readonly from: string;
  readonly to: readonly string[];
  /** As on the wire, latin1: an octet a character. */
  readonly raw: string;
}
export interface WaitingEvent {
  readonly plugin: string;
  readonly event: JournalEvent | undefined; // undefined: pruned since
  readonly why: string;
}

export interface TestSession {
  readonly account: Account;
  /** A script: sends each line (with its literals) and returns all replies. A line needs its tag; `DONE` ends an IDLE. */
  imap(...lines: readonly string[]): Promise<readonly string[]>;
  append(mailbox: string, raw: string, flags?: readonly Flag[]): Promise<MessageRef>;
  /** As SMTP submission under the account's own address: to accounts here it is delivered, for others see `TestHost.sent`. @throws what the client would read */
  submit(to: readonly string[], raw: string): Promise<void>;
  /** Through the fetch gates and codecs, as this session. */
  read(message: MessageRef): Promise<string>;
  logout(): Promise<void>;
}

/** An entry of `plugins:` with the plugin at hand. `config` is checked against the plugin's schema, as the server does. */
export type TestPlugin = readonly [plugin: Plugin, config?: unknown, entry?: PluginEntry];

export interface TestHostOptions {
  readonly plugins: readonly TestPlugin[];
  /** Username to password. */
  readonly accounts?: Readonly<Record<string, string>>;
}
/** `await using host = await startHost({ plugins: [[plugin, config]], accounts: { 'ada@example.test': 'secret' } })` */
export type StartHost = (options: TestHostOptions) => Promise<TestHost>;

export interface ConformanceReport {
  readonly plugin: string;
  /** Each hook that the trial reached, with the calls that were made to go wrong. */
  readonly hooks: readonly { readonly hook: HookName; readonly faults: number }[];
  /** Hooks that the plugin taps and the trial did not reach: they need a test of their own. */
  readonly notReached: readonly HookName[];
}
/**
 * Runs a day of mail (logins, deliveries, every mailbox command) with every tap of the plugin going wrong in every way, with what it calls
 * outside answering 500 and being unreachable, for accounts in scope and outside of it, and closes it.
 * `answer`: what the outside says when it is well; 200 and `{}` when absent.
 * @throws Error listing what another session noticed, what never ended and what was not closed
 */
export type Conformance = (
  plugin: Plugin,
  config?: unknown,
  options?: { readonly entry?: PluginEntry; readonly answer?: (request: SentRequest) => Answer },
) => Promise<ConformanceReport>;
