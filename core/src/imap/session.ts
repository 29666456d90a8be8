/** What a session has come to: who is logged in, which mailbox is selected, what was enabled. The connection around it speaks. */
import type { Account, Session as SdkSession } from '@pochard/plugin-sdk';
import type { LoggedIn, LoginRequest, MailAccess, PasswordLogin, SessionInfo } from '../mail/services.ts';
import type { ChannelBindingType } from '../net/channel-binding.ts';
import type { MailboxId } from '../store/store.ts';
import type { AppendLiterals } from './append-literals.ts';
import type { SessionState } from './command.ts';
import type { CommandProgress } from './command-progress.ts';
import type { ImapEnvironment } from './environment.ts';
import { ImapNo } from './errors.ts';
import type { ParseContext } from './grammar/syntax-tree.ts';
import type { Moment, NotificationWatch } from './notification-watch.ts';
import type { Responder } from './responder.ts';
import { SelectedMailbox, type ViewOwner } from './selected-mailbox.ts';

/** What a command may ask of the connection. */
export interface SessionWire {
  readonly respond: Responder;
  readonly signal: AbortSignal;
  readonly isSecure: boolean;
  /** A password may come over this connection as it is (DESIGN §6, LOGINDISABLED). */
  readonly mayLogin: boolean;
  readonly canStartTls: boolean;
  readonly isCompressed: boolean;
  readonly remoteAddress: string;
  /** Some channel binding can be had: SCRAM -PLUS is offered. */
  readonly canBind: boolean;
  /** Data of this TLS connection, undefined when it has none of the type. */
  channelBinding(type: ChannelBindingType): Buffer | undefined;
  /** Sends a continuation request and waits for one line. @throws ConnectionGone */
  ask(text: string): Promise<Buffer>;
  /** Login has succeeded: longer lines, other timeouts. */
  loggedIn(): void;
  /** A login failed; after some of them the connection ends with the reply. */
  loginFailed(): void;
  /** A view has news while the session idles, or was lost. */
  wake(): void;
  /** BYE and the end, as soon as the command that runs (if any) is done. */
  sayBye(code: string | undefined, text: string): void;
  /** News are told at once from `begin` to `end`: IDLE. */
  idle(on: 'begin' | 'end'): void;
  /** Messages that came with the command that runs. */
  readonly appends: AppendLiterals;
}

export type EndReason = Parameters<LoggedIn['end']>[0];

/** Bits of `enabled`. */
export const CONDSTORE = 1;
export const UTF8_ACCEPT = 2;
export const REV2 = 4;
export const QRESYNC = 8;
export const UIDONLY = 16;

const PLAIN_NAMES: ParseContext = Object.freeze({ utf8: false });
const UTF8_NAMES: ParseContext = Object.freeze({ utf8: true });

export class ImapSession implements ViewOwner {
  readonly env: ImapEnvironment;
  readonly info: SessionInfo;
  readonly wire: SessionWire;
  login: LoggedIn | undefined;
  selected: SelectedMailbox | undefined;
  /** NOTIFY is set (RFC 5465). */
  watch: NotificationWatch | undefined;
  /** `CONDSTORE`, `UTF8_ACCEPT`, `REV2`, `QRESYNC`, `UIDONLY`. */
  enabled = 0;
  /** Of the command that runs; undefined until there was one that tells it. */
  progress: CommandProgress | undefined;
  /** Counted among the user's connections. */
  #user: string | undefined;

  constructor(env: ImapEnvironment, info: SessionInfo, wire: SessionWire) {
    this.env = env;
    this.info = info;
    this.wire = wire;
  }

  get respond(): Responder {
    return this.wire.respond;
  }

  get signal(): AbortSignal {
    return this.wire.signal;
  }

  get state(): SessionState {
    if (this.login === undefined) return 'not-authenticated';
    return this.selected === undefined ? 'authenticated' : 'selected';
  }

  get names(): ParseContext {
    return (this.enabled & (UTF8_ACCEPT | REV2)) === 0 ? PLAIN_NAMES : UTF8_NAMES;
  }

  get isRev2(): boolean {
    return (this.enabled & REV2) !== 0;
  }

  get isCondstore(): boolean {
    return (this.enabled & CONDSTORE) !== 0;
  }

  get isQresync(): boolean {
    return (this.enabled & QRESYNC) !== 0;
  }

  get isUidOnly(): boolean {
    return (this.enabled & UIDONLY) !== 0;
  }

  /** MESSAGELIMIT; 0 for none. */
  get messageLimit(): number {
    return this.env.limits.imapMessagesPerCommand;
  }

  get tellsVanished(): boolean {
    return (this.enabled & (QRESYNC | UIDONLY)) !== 0;
  }

  /** Any command that names a MODSEQ does it; with a mailbox selected the client needs to know from where on (RFC 7162 §3.1). */
  enableCondstore(): void {
    if (this.isCondstore) return;
    this.enabled |= CONDSTORE;
    if (this.selected !== undefined) this.respond.ok(`HIGHESTMODSEQ ${this.selected.highestModSeq}`, 'Highest mod-sequence');
  }

  /** Who asks, for hooks. */
  get account(): Account | undefined {
    return this.login?.account;
  }

  get sdkSession(): SdkSession | undefined {
    return this.login?.session;
  }

  /** The secret is wiped. @throws MailError as `Accounts.login`; ImapNo LIMIT */
  logIn(username: string, secret: Uint8Array, mechanism: PasswordLogin['mechanism']): Promise<void> {
    return this.enter({ username, secret, mechanism, session: this.info });
  }

  /** The same for any way to log in. */
  async enter(request: LoginRequest): Promise<void> {
    let login: LoggedIn;
    try {
      login = await this.env.services.accounts.login(request, this.signal);
    } catch (error) {
      this.wire.loginFailed();
      throw error;
    }
    if (this.signal.aborted) {
      login.end('closed');
      this.signal.throwIfAborted();
    }
    const user: string = login.account.id;
    if (!this.env.perUser.enter(user, this.info.remoteAddress)) {
      login.end('closed');
      throw new ImapNo('LIMIT', 'Too many connections of this user from your address');
    }
    this.#user = user;
    this.login = login;
    login.onRevoked(() => this.wire.sayBye(undefined, 'The account or its password was changed'));
    this.wire.loggedIn();
  }

  /** @throws MailError no-such-mailbox, not-selectable, forbidden; nothing is selected then (RFC 9051 §6.3.2) */
  async select(mail: MailAccess, box: MailboxId, access: 'read-write' | 'read-only'): Promise<SelectedMailbox> {
    this.deselect();
    const view = await SelectedMailbox.open(mail, box, { access, owner: this, flagTexts: (info) => this.env.flagTexts.of(info) });
    if (this.signal.aborted) {
      view.close();
      this.signal.throwIfAborted();
    }
    this.selected = view;
    return view;
  }

  /** The selected mailbox when it is of this account: ids of mailboxes say nothing across accounts. */
  selectedIn({ mail }: MailAccess): SelectedMailbox | undefined {
    return this.selected?.access.mail.account === mail.account ? this.selected : undefined;
  }

  deselect(): void {
    const { selected } = this;
    this.selected = undefined;
    selected?.close();
  }

  /** News that may be told at this moment. Undefined when all was said at once. @throws OutputClosed, BrokenReply */
  announce(moment: Moment): undefined | Promise<void> {
    if (this.watch !== undefined) return this.watch.announce(moment);
    const view = this.selected;
    if (moment === 'between' || view === undefined) return undefined;
    const expunges = moment === 'no-expunge' ? 'keep' : 'tell';
    if (!view.isResting) return view.announce(this.respond, expunges);
    if (view.announceAtRest(this.respond)) return undefined;
    return this.wake()?.then(() => (view.isResting ? undefined : view.announce(this.respond, expunges)));
  }

  /** The selected mailbox need not stay in memory while nothing happens. With NOTIFY it is looked at between commands, too. */
  rest(): void {
    if (this.watch === undefined) this.selected?.rest();
  }

  /**
   * Undefined when nothing rests. When the mailbox cannot be read again the command that needs it hears of it from the state, and one that
   * does not (LOGOUT, SELECT of another) goes on.
   */
  wake(): undefined | Promise<void> {
    if (this.selected?.isResting !== true) return undefined;
    return this.selected.wake().catch((error: unknown) => {
      this.env.log.warn({ err: error, session: this.info.id }, 'a mailbox at rest could not be read again');
    });
  }

  /** Undefined where nobody else writes. When the store cannot be reached the session goes on with what it has: it is told later. */
  lookAnew(): undefined | Promise<void> {
    const own = this.login?.access.mail;
    const selected = this.selected?.access.mail;
    const looks = [own?.refresh(), selected === own ? undefined : selected?.refresh()].filter((look) => look !== undefined);
    if (looks.length === 0) return undefined;
    return Promise.all(looks).then(
      () => undefined,
      (error: unknown) => {
        this.env.log.warn({ err: error, session: this.info.id }, 'news of other instances could not be looked for');
      },
    );
  }

  /** Idempotent. */
  endWatch(): void {
    this.watch?.close();
    this.watch = undefined;
  }

  /** As before the login, on the same connection (RFC 8437). */
  unauthenticate(): void {
    this.end('logout');
    this.enabled = 0;
  }

  /** Lets go of everything; idempotent. */
  end(reason: EndReason): void {
    this.endWatch();
    this.deselect();
    const { login } = this;
    this.login = undefined;
    if (this.#user !== undefined) this.env.perUser.leave(this.#user, this.info.remoteAddress);
    this.#user = undefined;
    login?.end(reason);
  }

  /* ── ViewOwner ─────────────────────────────────────────────────────────────────────────────────────────────── */

  viewChanged(view: SelectedMailbox): void {
    if (view === this.selected) this.wire.wake();
  }

  viewLost(view: SelectedMailbox, reason: 'deleted' | 'out-of-step'): void {
    if (view !== this.selected) return;
    // RFC 2180 §3.3 leaves the choice; only a new connection is understood by every client.
    this.wire.sayBye(
      'UNAVAILABLE',
      reason === 'deleted' ? 'The selected mailbox was deleted' : 'The selected mailbox must be opened again',
    );
  }
}
