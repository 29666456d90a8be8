/** What the server gives to its plugin host. A service that is left out makes its member of the plugin context throw when it is used. */
import type { Account, AccountId, Bytes, Commit, Flag, Kdf, MailboxRef, Message, MessageRef, SpecialUse } from '@pochard/plugin-sdk';
import type { AccountContext, CallContext } from './hook-calls.ts';
import type { HttpTransport } from './plugin-http.ts';

export interface HostServices {
  readonly accounts?: {
    get(id: AccountId): Promise<Account | undefined>;
    find(usernameOrAddress: string): Promise<Account | undefined>;
  };
  readonly mailboxes?: {
    find(accountId: AccountId, which: SpecialUse | { readonly name: string }): Promise<MailboxRef | undefined>;
    list(accountId: AccountId): AsyncIterable<MailboxRef>;
  };
  /** Through `fetch.authorize` and the codecs, as the context's actor and session. Throws Locked, Gone, Refusal. */
  readonly messages?: { open(message: MessageRef, context: AccountContext): Promise<Message> };
  readonly mail?: HostMailWriter;
  readonly passwords?: HostPasswords;
  readonly tables?: TableStore;
  /** True on the one instance that may run the task for the next `forMs`. Left out: there is one instance. */
  readonly leases?: { take(name: string, forMs: number): Promise<boolean> };
  /** For tests; otherwise node:http and node:https. Private addresses are then the transport's business. */
  readonly http?: HttpTransport;
}

/** Acts as the context's actor, through the same gates as a client. */
export interface HostMailWriter {
  /** `key` is unique to the plugin; the same key again stores nothing new. */
  store(
    target: MailboxRef,
    content: Bytes,
    options: {
      readonly key: string;
      readonly flags: readonly Flag[];
      readonly internalDate: Date | undefined;
      readonly origin: 'import' | 'api';
    },
    context: CallContext,
  ): Promise<MessageRef>;
  createMailbox(accountId: AccountId, name: string, context: CallContext): Promise<MailboxRef>;
  flag(
    messages: readonly MessageRef[],
    change: { readonly add: readonly Flag[]; readonly remove: readonly Flag[] },
    context: CallContext,
  ): Promise<void>;
  move(messages: readonly MessageRef[], target: MailboxRef, context: CallContext): Promise<void>;
}

/** Gets octets, which are wiped when the tap ends: copy them before awaiting. Off the event loop, at most four derivations at once. */
export interface HostPasswords {
  verify(secret: Uint8Array, storedHash: string, signal: AbortSignal): Promise<boolean>;
  hash(secret: Uint8Array, signal: AbortSignal): Promise<string>;
  /** `context` is bound into the key. */
  deriveKey(
    secret: Uint8Array,
    options: { readonly salt: Uint8Array; readonly octets: number; readonly kdf: Kdf; readonly context: string },
    signal: AbortSignal,
  ): Promise<Uint8Array>;
}

/** Rows as octets, under `table` ("<plugin>/<name>"); what belongs to an account leaves with it. */
export interface TableStore {
  get(table: string, owner: AccountId | 'all', key: string): Promise<Uint8Array | undefined>;
  put(
    table: string,
    owner: AccountId | 'all',
    key: string,
    row: Uint8Array,
    options: { readonly in: Commit | undefined; readonly expiresAt: Date | undefined },
  ): Promise<void>;
  delete(table: string, owner: AccountId | 'all', key: string, options: { readonly in: Commit | undefined }): Promise<void>;
  entries(table: string, owner: AccountId | 'all', prefix: string): AsyncIterable<readonly [key: string, row: Uint8Array]>;
}
