/**
 * The mail services as protocols see them: accounts, one account's mail for one actor, delivery. Every way in and out passes here, and
 * so through the same hooks (DESIGN §4). Protocols never see a driver, a hook or a plugin.
 */
import type { Account, Actor, SearchQuery, Session, SpecialUse } from '@pochard/plugin-sdk';
import type { MimePart } from '../mime/part.ts';
import type { ScramKeys } from '../passwords/scram-keys.ts';
import type { AccountId, ContentId, MailboxId, MetaColumn } from '../store/store.ts';
import type {
  AccountMail,
  AclChange,
  FlagChange,
  Limits,
  MailboxInfo,
  MailboxListener,
  OpenMailbox,
  Relocated,
} from './journal/account-mail.ts';
import type { RightSet } from './journal/acl.ts';
import type { GoneCause, UidRuns } from './journal/entry.ts';
import type { GuestAccess, Sharing } from './sharing/sharing.ts';

export interface ByteRange {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}
/** Octets that can be opened again and again, until disposed. Small ones lie in memory (`bytes`), others in an encrypted spool file. */
export interface MessageSource {
  readonly sizeOctets: number;
  /** Everything, when it lies in memory. */
  readonly bytes: Uint8Array | undefined;
  /** With `lends` a chunk may be the reader's only until it asks for the next; else it may be kept. */
  open(range?: ByteRange, options?: ReadOptions): AsyncIterable<Uint8Array>;
  dispose(): Promise<void>;
}
export interface Spool {
  /**
   * Reads a stream to its end: bare LF becomes CRLF (nothing else changes) unless line ends are to be kept, octets are counted.
   * @throws MailError too-big as soon as `limitOctets` is passed (the rest is not read), unavailable when the disk is full
   */
  receive(
    stream: AsyncIterable<Uint8Array>,
    options: { readonly limitOctets: number; readonly signal: AbortSignal; readonly lineEnds?: 'normalise' | 'keep' },
  ): Promise<MessageSource>;
  /** The same at once for a whole message that came in few pieces, which the caller gives away; `undefined` when memory has no room for it now. */
  hold(pieces: readonly Uint8Array[], octets: number): MessageSource | undefined;
  /** The same for octets in memory; the caller gives the buffer away. */
  fromBytes(bytes: Uint8Array): MessageSource;
}

/* ── Accounts ──────────────────────────────────────────────────────────────────────────────────────────────── */

export type ProtocolName = 'imap' | 'submission' | 'http';
/** A record of the directory. Names are normalised: PRECIS UsernameCaseMapped, NFC, domain as U-label in lower case. */
export interface AccountRecord {
  readonly id: AccountId;
  readonly username: string;
  readonly domain: string;
  readonly displayName: string | undefined;
  readonly addresses: readonly string[];
  /** `undefined`: the configured default. */
  readonly quotaOctets: number | undefined;
  readonly allow: readonly ProtocolName[];
  readonly disabled: boolean;
  readonly createdAt: number;
}
export interface NewAccount {
  readonly username: string;
  readonly displayName?: string;
  readonly addresses?: readonly string[];
  readonly quotaOctets?: number;
  readonly allow?: readonly ProtocolName[];
  /** Exactly one of the two, or neither (no login yet). Octets are wiped. */
  readonly password?: Uint8Array;
  readonly passwordHash?: string;
}
export interface AccountChange {
  readonly displayName?: string | null;
  readonly quotaOctets?: number | null;
  readonly allow?: readonly ProtocolName[];
  readonly disabled?: boolean;
}
export interface PasswordLogin {
  readonly username: string;
  /** A password; with OAUTHBEARER and XOAUTH2 a token, which only plugins can judge. Wiped when `login` settles. */
  readonly secret: Uint8Array;
  readonly mechanism: 'PLAIN' | 'LOGIN' | 'OAUTHBEARER' | 'XOAUTH2' | 'HTTP';
  readonly session: SessionInfo;
}
/** SCRAM-SHA-256 (RFC 5802): the password is never here. */
export interface ScramLogin {
  readonly username: string;
  readonly mechanism: 'SCRAM-SHA-256';
  /** Asks the client for its proof; of a user who is not there too, whom no proof fits. @returns whether the proof is right */
  readonly exchange: (keys: ScramKeys) => Promise<boolean>;
  readonly session: SessionInfo;
}
export type LoginRequest = PasswordLogin | ScramLogin;
export interface SessionInfo {
  readonly id: string;
  readonly protocol: ProtocolName;
  readonly listener: string;
  readonly remoteAddress: string;
}
/** Who is logged in: made by `login` only. `end` tells plugins, wipes session secrets; idempotent. */
export interface LoggedIn {
  readonly account: Account;
  readonly actor: Actor;
  readonly session: Session;
  readonly access: MailAccess;
  /** `password`, or the id of the app password. */
  readonly credentialId: string;
  end(reason: 'logout' | 'closed' | 'idle' | 'revoked' | 'drain'): void;
  /** Called at once when the account was deleted or disabled or its password changed: say BYE and close. The session has ended already. One listener. */
  onRevoked(hear: () => void): void;
}
/** A password of a program's own: random, good for some protocols only, ended without touching the others. */
export interface AppPassword {
  readonly id: string;
  /** What it is for, in the user's words. */
  readonly label: string;
  readonly scope: readonly ProtocolName[];
  /** Ranges in CIDR form that it may be used from; none: from anywhere. */
  readonly networks: readonly string[];
  /** ms since 1970. */
  readonly createdAt: number;
  readonly expiresAt: number | undefined;
}
export interface NewAppPassword {
  readonly label: string;
  readonly scope: readonly ProtocolName[];
  readonly networks?: readonly string[];
  readonly expiresAt?: number;
}
/** `password` is kept nowhere: this is the only time that it can be shown. */
export type MadeAppPassword = AppPassword & { readonly password: string };
export interface Accounts {
  /** Throttled per address and per user. @throws MailError credentials, disabled, rate, unavailable, policy */
  login(request: LoginRequest, signal: AbortSignal): Promise<LoggedIn>;
  /** @throws MailError invalid (name, address, taken: message says which), policy */
  create(account: NewAccount): Promise<AccountRecord>;
  /** Bulk: one failed row does not stop the others. 5 000 with hashes in seconds. */
  createMany(
    accounts: AsyncIterable<NewAccount>,
  ): AsyncIterable<{ readonly username: string; readonly account?: AccountRecord; readonly error?: Error }>;
  get(id: AccountId): Promise<AccountRecord | undefined>;
  /** By username or any address, normalised. */
  find(usernameOrAddress: string): Promise<AccountRecord | undefined>;
  list(options: { readonly after?: string; readonly limit: number }): Promise<readonly AccountRecord[]>;
  update(id: AccountId, change: AccountChange): Promise<AccountRecord>;
  /** Ends its sessions, removes addresses, mail and records. */
  delete(id: AccountId): Promise<void>;
  setPassword(id: AccountId, password: { readonly password: Uint8Array } | { readonly passwordHash: string }): Promise<void>;
  /** By the user, who has just proved `former`; ends all sessions. @throws MailError forbidden, unsupported (it is kept elsewhere), policy */
  changePassword(login: LoggedIn, former: Uint8Array, password: Uint8Array): Promise<void>;
  /** `by`: the user; absent: an administrator. @throws MailError invalid, limit, forbidden (not with an app password) */
  createAppPassword(id: AccountId, wanted: NewAppPassword, by?: LoggedIn): Promise<MadeAppPassword>;
  appPasswords(id: AccountId): Promise<readonly AppPassword[]>;
  /** Ends the sessions that it opened. @throws MailError invalid when there is none */
  revokeAppPassword(id: AccountId, appPasswordId: string, by?: LoggedIn): Promise<void>;
  /** `*@domain` is a catch-all. @throws MailError taken, or invalid when malformed */
  addAddress(id: AccountId, address: string): Promise<AccountRecord>;
  removeAddress(id: AccountId, address: string): Promise<AccountRecord>;
  /** An address that forwards to others of this server (alias, list). */
  setAlias(address: string, to: readonly string[] | undefined): Promise<void>;
  /** Without a password: the administrator's or the server's own act. */
  access(id: AccountId, actor: Actor, session?: Session): Promise<MailAccess>;
}

/* ── One account's mail, for one actor ─────────────────────────────────────────────────────────────────────── */

export interface ContentMetaRow {
  readonly envelope?: string;
  readonly structure?: string;
  readonly body?: string;
  readonly preview?: string;
  readonly sentAt?: number | null;
  readonly head?: Uint8Array;
  /** `head` as latin1. */
  readonly headText?: string;
  readonly parts?: Uint8Array;
}
/** `once`: whoever goes through a whole mailbox keeps nothing in memory for the next reader, and leaves there what others read again. */
export type ContentUse = 'again' | 'once';
/** A message's octets as received, whatever lies at rest. */
export interface ReadOptions {
  /** A chunk is the reader's only until it asks for the next. */
  readonly lends: boolean;
}
export interface OpenContent {
  readonly id: ContentId;
  readonly sizeOctets: number;
  readonly head: Uint8Array;
  readonly parts: MimePart;
  /** To be asked before the first octet of a reply. @throws MailError unavailable when a codec that the body needs is not loaded */
  requireReadable(): void;
  /** The octets [from, to) when they are in memory anyway, else `undefined`: use `read`. */
  bytes(from: number, to: number): Uint8Array | undefined;
  /** The same in the pieces in which they lie, none of them copied. */
  pieces(from: number, to: number): readonly Uint8Array[] | undefined;
  /**
   * The same when it takes no more than making them again: what is returned is to be run at once, and gives octets that are the taker's
   * only during the call. @throws MailError damaged
   */
  lent(from: number, to: number): ((take: (octets: Uint8Array) => void) => void) | undefined;
  /** Loads only the segments it needs. @throws MailError damaged */
  read(from: number, to: number, signal: AbortSignal, options?: ReadOptions): AsyncIterable<Uint8Array>;
}
export interface ContentReader {
  /** In the order asked, `undefined` where a content is gone. Page by at most 500. @throws MailError locked, damaged */
  meta(ids: readonly ContentId[], columns: readonly MetaColumn[]): Promise<readonly (ContentMetaRow | undefined)[]>;
  open(ids: readonly ContentId[], use?: ContentUse): Promise<readonly (OpenContent | undefined)[]>;
}

export interface AppendMessage {
  readonly source: MessageSource;
  readonly flags: readonly string[];
  /** INTERNALDATE, seconds since 1970; now when absent. */
  readonly internalDate?: number;
}
/** How far a search has come: messages looked at, of how many. Written by the search. */
export interface SearchProgress {
  done: number;
  goal: number;
}
/** Rights, hooks and quota around an AccountMail. Reads of the tree and of packed state go to `mail` directly; everything that changes or shows content goes through here. */
export interface MailAccess {
  readonly account: Account;
  readonly mail: AccountMail;
  readonly content: ContentReader;
  /** Undefined in one's own account. */
  readonly guest: GuestAccess | undefined;

  open(box: MailboxId, listener: MailboxListener): Promise<OpenMailbox>;
  create(name: string, options?: { readonly specialUse?: readonly SpecialUse[] }): Promise<MailboxInfo>;
  delete(name: string): Promise<void>;
  rename(name: string, newName: string): Promise<void>;
  subscribe(name: string, on: 'subscribe' | 'unsubscribe'): Promise<void>;
  /**
   * Annotations of a mailbox or of the server (`undefined`), by entry name in lower case, all or nothing; `null` removes.
   * @throws MailError no-such-mailbox, limit, forbidden (shared annotations of the server are the administrator's), invalid (special use)
   */
  annotate(box: MailboxId | undefined, entries: ReadonlyMap<string, Uint8Array | null>): Promise<void>;

  /** Entries of the access control list (RFC 4314), the owner's not among them. @throws MailError forbidden, no-such-mailbox */
  acl(box: MailboxId): readonly (readonly [identifier: string, rights: RightSet])[];
  /** @throws MailError forbidden, no-such-mailbox, limit, unsupported (the owner's own rights, or sealed mail) */
  setAcl(box: MailboxId, change: AclChange): Promise<void>;

  /** Before a literal is asked for: `append.before`, message limit, advisory quota. @throws MailError no-such-target, too-big, over-quota, policy */
  mayAppend(box: MailboxId, sizeOctets: number): Promise<void>;
  /** Parse, `append.match`, `store.before`, codecs, commit: all or nothing. Sources are disposed by the caller. */
  append(
    box: MailboxId,
    messages: readonly AppendMessage[],
    signal: AbortSignal,
  ): Promise<{ readonly uidValidity: number; readonly uids: readonly number[] }>;
  store(
    box: MailboxId,
    uids: UidRuns,
    change: FlagChange,
    options?: { readonly unchangedSince?: number },
  ): Promise<{ readonly seq: number; readonly changed: UidRuns; readonly modified: UidRuns }>;
  copy(box: MailboxId, uids: UidRuns, to: MailboxId): Promise<Relocated>;
  move(box: MailboxId, uids: UidRuns, to: MailboxId): Promise<Relocated>;
  /** `expunge.before` may keep some. */
  expunge(
    box: MailboxId,
    uids: UidRuns,
    cause: GoneCause,
    options?: { readonly onlyDeleted?: boolean },
  ): Promise<{ readonly seq: number; readonly gone: UidRuns; readonly kept: UidRuns; readonly keptText: string | undefined }>;

  /**
   * REPLACE (RFC 8508): as {@link append} and {@link expunge} of one message, in one entry. @throws MailError held when `expunge.before`
   * keeps the old one, expunged when it has gone; nothing has changed then
   */
  replace(
    box: MailboxId,
    uid: number,
    to: MailboxId,
    message: AppendMessage,
    signal: AbortSignal,
  ): Promise<{ readonly seq: number; readonly uidValidity: number; readonly uid: number }>;

  /** `fetch.authorize`, once per command. @throws MailError forbidden, locked, policy */
  authorize(box: MailboxId, uids: UidRuns, wants: 'metadata' | 'content'): Promise<void>;
  /** `search.rewrite`, `search.plan`, then columns, then text; exact. Works in slices. UIDs ascending, at the head. */
  search(
    box: MailboxId,
    query: SearchQuery,
    options: { readonly within: UidRuns; readonly signal: AbortSignal; readonly progress?: SearchProgress | undefined },
  ): Promise<Uint32Array>;
  limits(): Promise<Limits>;
}

/* ── Delivery ──────────────────────────────────────────────────────────────────────────────────────────────── */

export interface Recipient {
  /** As given in RCPT TO. */
  readonly address: string;
  /** Where it goes: one or more accounts (alias, list), with the +label if there was one. */
  readonly targets: readonly { readonly account: Account; readonly address: string; readonly label: string | undefined }[];
}
export type DeliveryOutcome =
  | {
      readonly address: string;
      readonly stored: true;
      readonly duplicate: boolean /** Call it once the sender has surely got the reply: then an equal message is no retry. */;
      readonly settle?: () => void;
    }
  | { readonly address: string; readonly stored: false; readonly error: Error };
export interface Delivery {
  /** `rcpt.resolve`, `rcpt.expand`, `rcpt.accept`, advisory quota. @throws MailError no-such-recipient, over-quota, policy, unavailable */
  resolve(
    address: string,
    envelope: { readonly reversePath: string; readonly declaredOctets: number | undefined },
    session: DeliverySession,
  ): Promise<Recipient>;
  /**
   * `delivery.received`, `delivery.scan`, per recipient `delivery.route`, then as APPEND. One outcome per recipient, in order; an
   * outcome `stored` is durable. Trace header fields (Return-Path, Delivered-To, Received) are prepended here.
   * @throws MailError when nothing could be attempted at all
   */
  deliver(
    message: {
      readonly source: MessageSource;
      readonly reversePath: string;
      readonly recipients: readonly Recipient[];
      readonly origin: 'smtp' | 'lmtp' | 'api';
      /** For the Received field. */
      readonly helo?: string;
      readonly esmtp?: { readonly utf8: boolean; readonly tls: boolean };
    },
    session: DeliverySession,
    signal: AbortSignal,
  ): Promise<readonly DeliveryOutcome[]>;
}

/* ── Submission ────────────────────────────────────────────────────────────────────────────────────────────── */

/** Whose message it is, and who acts: somebody who has logged in, or the administrator. */
export interface SubmissionSender {
  readonly account: Account;
  readonly actor: Actor;
  readonly session: Session | undefined;
  readonly access: Pick<MailAccess, 'mail'>;
}
/** RFC 3461 §4.1. */
export type DsnNotify = 'never' | 'success' | 'failure' | 'delay';
export interface SubmissionRecipient {
  /** As given in RCPT TO. */
  readonly address: string;
  /** To an account of this server, or to another server. */
  readonly goes: 'here' | 'out';
  /** Absent: the sender did not say. */
  readonly notify?: readonly DsnNotify[];
  /** ORCPT, decoded: `rfc822;ada@example.org`. */
  readonly originalRecipient?: string;
}
export interface SubmissionRequest {
  readonly source: MessageSource;
  /** Empty: the null path. */
  readonly reversePath: string;
  readonly recipients: readonly SubmissionRecipient[];
  /** RET and ENVID of RFC 3461 §4.3, §4.4. */
  readonly returns?: 'full' | 'headers';
  readonly envelopeId?: string;
  readonly way: 'submission' | 'api';
  readonly esmtp?: { readonly utf8: boolean; readonly tls: boolean };
  /** A second request with the same key of the same account is answered as the first one was, for a day. */
  readonly idempotencyKey?: string;
}
export interface Submissions {
  /** The account's own addresses, then `submission.identity`. @throws MailError forbidden, unavailable */
  requireIdentity(sender: SubmissionSender, address: string, where: 'reverse-path' | 'from'): Promise<void>;
  /** Whether the address is of this server. @throws MailError no-such-recipient, disabled, policy, unavailable, invalid-name */
  resolve(sender: SubmissionSender, address: string, reversePath: string, session: DeliverySession): Promise<'here' | 'out'>;
  /**
   * `submission.before`, `submission.message`, `submission.sentCopy`, then one commit: queued for all recipients, filed for the sender.
   * Settles when that is durable. The source is the caller's to dispose of.
   * @throws MailError rate, forbidden (From), invalid, policy, over-quota (the filed copy), too-big, unavailable
   */
  submit(
    request: SubmissionRequest,
    sender: SubmissionSender,
    signal: AbortSignal,
  ): Promise<{ readonly id: string; readonly duplicate: boolean }>;
}
/** A message that is not with all its recipients yet, as the administrator sees it. */
export interface QueuedSubmission {
  readonly id: string;
  readonly username: string;
  readonly reversePath: string;
  readonly sizeOctets: number;
  /** ms since 1970. */
  readonly submittedAt: number;
  readonly dueAt: number;
  /** Those that are waited for. */
  readonly recipients: readonly { readonly address: string; readonly attempts: number; readonly reply: string | undefined }[];
}
export interface SubmissionQueue {
  /** By id, which is by time. */
  list(options: { readonly after?: string; readonly limit: number }): Promise<readonly QueuedSubmission[]>;
  /** Makes it due now. @returns false when there is no such message */
  retry(id: string): Promise<boolean>;
  /** Takes it out without a report to its sender. @returns false when there is no such message */
  delete(id: string): Promise<boolean>;
}

export interface DeliverySession {
  readonly id: string;
  readonly listener: string;
  readonly remoteAddress: string;
}
export interface MailServices {
  readonly accounts: Accounts;
  readonly delivery: Delivery;
  readonly submissions: Submissions;
  readonly spool: Spool;
  readonly sharing: Sharing;
}
