/** A plugin and what it is given. */
import type { Static, TSchema } from 'typebox';
import type { Session } from './actor.ts';
import type { Awaitable } from './brand.ts';
import type { Bytes, Stream } from './bytes.ts';
import type { AccountCall, Call, Log } from './calls.ts';
import type { Hooks } from './hooks.ts';
import type { Commit, Login } from './login.ts';
import type { Message } from './message.ts';
import type { Permission, With } from './permissions.ts';
import type { NoConfig } from './schema.ts';
import type { SecretHandle } from './secret.ts';
import type { Account, AccountId, Flag, MailboxRef, MessageRef, SpecialUse } from './values.ts';

export interface PluginContext<P extends Permission> {
  readonly hooks: Hooks<P>; // open for taps until `apply` returns
  readonly log: Log;
  readonly accounts: {
    get(id: AccountId): Promise<Account | undefined>;
    find(usernameOrAddress: string): Promise<Account | undefined>;
  };
  readonly mailboxes: {
    find(accountId: AccountId, which: SpecialUse | { readonly name: string }): Promise<MailboxRef | undefined>;
    list(accountId: AccountId): AsyncIterable<MailboxRef>;
  };
  /** Content, through the fetch gates and codecs, with the call's actor and session. Throws `Locked`, `Gone`, `Refusal`. */
  readonly messages: With<P, 'plaintext', { open(message: MessageRef, call: AccountCall): Promise<Message> }>;
  readonly mail: With<P, 'write', MailWriter>;
  readonly http: With<P, 'network', Http>;
  readonly tasks: With<P, 'schedule', Tasks>;
  readonly passwords: Passwords;
  /** Small durable state, by account or for all; it leaves with the account, and is carried by backup and store moves. */
  table<S extends TSchema>(name: string, row: S): Table<Static<S>>;
  /** A place for something that lives as long as one session. Only who holds it can read it. */
  sessionSecret<T>(options: { wipe(value: T): void }): SessionSecret<T>;
  counter(name: string, help: string): { add(n?: number): void }; // pochard_plugin_<plugin>_<name>
  now(): Date;
  onClose(close: () => Awaitable<void>): void; // last registered, first closed; after calls in flight have ended
}

export interface SessionSecret<T> {
  attach(login: Login, value: T): void;
  of(session: Session | undefined): T | undefined;
}

export interface Table<Row> {
  get(accountId: AccountId | 'all', key: string): Promise<Row | undefined>;
  put(accountId: AccountId | 'all', key: string, row: Row, options?: { readonly in?: Commit; readonly expiresAt?: Date }): Promise<void>;
  delete(accountId: AccountId | 'all', key: string, options?: { readonly in?: Commit }): Promise<void>;
  entries(accountId: AccountId | 'all', prefix?: string): AsyncIterable<readonly [key: string, row: Row]>;
}

/** The core's password work: off the event loop, at most four derivations at once. None of it shows the password. */
export interface Passwords {
  verify(secret: SecretHandle, storedHash: string, signal: AbortSignal): Promise<boolean>; // every scheme that the core knows
  hash(secret: SecretHandle, signal: AbortSignal): Promise<string>;
  deriveKey(
    secret: SecretHandle,
    options: { readonly salt: Uint8Array; readonly octets: number; readonly kdf: Kdf },
    signal: AbortSignal,
  ): Promise<Uint8Array>; // bound to the plugin's name
}

export type Kdf = { readonly name: 'argon2id'; readonly memoryKiB: number; readonly passes: number } | { readonly name: 'hkdf' }; // hkdf: for secrets that are random already

export interface MailWriter {
  store(
    target: MailboxRef,
    content: Bytes,
    options: {
      readonly key: string;
      readonly flags?: readonly Flag[];
      readonly internalDate?: Date;
      readonly origin: 'import' | 'api';
    },
    call: Call,
  ): Promise<MessageRef>; // the same key again stores nothing new
  createMailbox(accountId: AccountId, name: string, call: Call): Promise<MailboxRef>;
  flag(
    messages: readonly MessageRef[],
    change: { readonly add?: readonly Flag[]; readonly remove?: readonly Flag[] },
    call: Call,
  ): Promise<void>;
  move(messages: readonly MessageRef[], target: MailboxRef, call: Call): Promise<void>;
}

/** `fetch` with the house rules: private addresses refused unless the entry allows them, no redirects, bounded replies. */
export interface Http {
  send(
    request: {
      readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'HEAD';
      readonly url: string;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string | Bytes;
    },
    signal: AbortSignal,
  ): Promise<{
    readonly status: number;
    readonly headers: Headers;
    readonly body: Stream;
    text(): Promise<string>;
    json(): Promise<unknown>;
  }>;
}

export interface Tasks {
  every(task: { readonly name: string; readonly periodMs: number; run(call: Call): Awaitable<void> }): void; // on one instance at a time
  start(task: { readonly name: string; readonly accountId: AccountId; run(call: AccountCall): Awaitable<void> }): void; // once per name and account while it runs; drained at shutdown
}

export interface PluginDefinition<P extends Permission, S extends TSchema> {
  readonly name: string; // kebab-case; also the name of its taps, tables, metrics, routes
  readonly permissions?: readonly P[];
  readonly config?: S; // defaults and checks come from the schema; unknown keys are errors
  /** What the schema cannot say of a configuration that it lets pass: mistakes, a sentence each. Opens nothing: `pochard config check` calls it too. */
  check?(config: Static<S>): Awaitable<readonly string[]>;
  apply(context: PluginContext<P>, config: Static<S>): Awaitable<void>;
}

export interface Plugin {
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly config: TSchema | undefined;
  readonly sdk: string; // stamped here, so that it is the SDK which the plugin was really built with
  check?(config: never): Awaitable<readonly string[]>;
  apply(context: never, config: never): Awaitable<void>;
}

export const sdkVersion = '1.0.0';

export function definePlugin<const P extends Permission = never, S extends TSchema = NoConfig>(definition: PluginDefinition<P, S>): Plugin {
  return { permissions: [], config: undefined, ...definition, sdk: sdkVersion };
}
