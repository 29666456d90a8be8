/** Who is logged in here, by account, so that a changed password or a disabled account ends its sessions. */
import type { Account, Actor, Session } from '@pochard/plugin-sdk';
import type { HookCalls } from '../../plugins/hook-calls.ts';
import type { AccountId, Bus } from '../../store/store.ts';
import type { LoggedIn, MailAccess } from '../services.ts';

type EndReason = Parameters<LoggedIn['end']>[0];
const NEWS = 'revoked';

export class Sessions {
  readonly #hooks: HookCalls;
  readonly #now: () => number;
  readonly #opened: (id: AccountId, session: LoggedIn) => void;
  readonly #bus: Pick<Bus, 'tell'> | undefined;
  readonly #byAccount = new Map<AccountId, Set<OpenSession>>();

  /** `opened` is told of each new session. */
  constructor(options: {
    readonly hooks: HookCalls;
    now(): number;
    opened(id: AccountId, session: LoggedIn): void;
    readonly bus?: Pick<Bus, 'tell' | 'hear'>;
  }) {
    this.#hooks = options.hooks;
    this.#now = options.now;
    this.#opened = options.opened;
    this.#bus = options.bus;
    options.bus?.hear(NEWS, (about) => {
      const [id = '', credentialId] = about.split(' ');
      this.#revokeHere(id as AccountId, credentialId);
    });
  }

  /** Oldest first. */
  of(id: AccountId): readonly Session[] {
    return [...(this.#byAccount.get(id) ?? [])].map(({ session }) => session);
  }

  open(id: AccountId, login: Pick<LoggedIn, 'account' | 'actor' | 'session' | 'access' | 'credentialId'>): LoggedIn {
    const session = new OpenSession(login, this.#now(), (opened, reason) => this.#closed(id, opened, reason));
    const others = this.#byAccount.get(id);
    if (others === undefined) this.#byAccount.set(id, new Set([session]));
    else others.add(session);
    this.#opened(id, session);
    return session;
  }

  /** Ends all sessions of the account, or those of one credential, on every instance; protocols that asked are told. */
  async revoke(id: AccountId, credentialId?: string): Promise<void> {
    this.#revokeHere(id, credentialId);
    await this.#bus?.tell(NEWS, credentialId === undefined ? id : `${id} ${credentialId}`);
  }
  #revokeHere(id: AccountId, credentialId: string | undefined): void {
    for (const session of [...(this.#byAccount.get(id) ?? [])]) {
      if (credentialId === undefined || session.credentialId === credentialId) session.revoke();
    }
  }

  #closed(id: AccountId, session: OpenSession, reason: EndReason): void {
    const others = this.#byAccount.get(id);
    others?.delete(session);
    if (others?.size === 0) this.#byAccount.delete(id);
    const { actor, account } = session;
    const end = { durationMs: this.#now() - session.since, reason };
    void this.#hooks.endSession(end, { actor, account, session: session.session }); // never rejects
  }
}

class OpenSession implements LoggedIn {
  readonly account: Account;
  readonly actor: Actor;
  readonly session: Session;
  readonly access: MailAccess;
  readonly credentialId: string;
  readonly since: number;
  #closed: ((session: OpenSession, reason: EndReason) => void) | undefined;
  #hear: (() => void) | undefined;

  constructor(
    login: Pick<LoggedIn, 'account' | 'actor' | 'session' | 'access' | 'credentialId'>,
    since: number,
    closed: (session: OpenSession, reason: EndReason) => void,
  ) {
    this.account = login.account;
    this.actor = login.actor;
    this.session = login.session;
    this.access = login.access;
    this.credentialId = login.credentialId;
    this.since = since;
    this.#closed = closed;
  }

  end(reason: EndReason): void {
    const closed = this.#closed;
    this.#closed = undefined;
    closed?.(this, reason);
  }

  onRevoked(hear: () => void): void {
    this.#hear = hear;
  }

  revoke(): void {
    this.end('revoked');
    this.#hear?.();
  }
}
