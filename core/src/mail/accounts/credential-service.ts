/** Passwords and app passwords of accounts: set, changed, made, revoked, each in one commit with what `auth.credential` writes. */
import type { Account, Actor, Commit, CredentialChange, Secret, Session } from '@pochard/plugin-sdk';
import { PasswordError } from '../../passwords/password-error.ts';
import { createSecret } from '../../plugins/secrets.ts';
import type { AccountId, RecordWrite } from '../../store/store.ts';
import { commitWith } from '../commit-batch.ts';
import { MailError } from '../errors.ts';
import { asMailError, guarded } from '../hook-errors.ts';
import { accountOf, type MailParts } from '../mail-parts.ts';
import { accountIdOf } from '../sdk-values.ts';
import type { AppPassword, LoggedIn, MadeAppPassword, NewAppPassword } from '../services.ts';
import { checkedAppPassword, MAX_APP_PASSWORDS, newAppPassword, newAppPasswordId } from './app-passwords.ts';
import { type Credentials, PASSWORD } from './credentials.ts';
import type { Sessions } from './sessions.ts';

type Change = (commit: Commit) => CredentialChange<Secret>;
/** Who asks: the user in a session, or the server for an administrator. */
interface Asking {
  readonly actor: Actor;
  readonly session: Session | undefined;
  readonly account: Account;
}

export class CredentialService {
  readonly #parts: MailParts;
  readonly #credentials: Credentials;
  readonly #sessions: Sessions;

  constructor(options: { readonly parts: MailParts; readonly credentials: Credentials; readonly sessions: Sessions }) {
    this.#parts = options.parts;
    this.#credentials = options.credentials;
    this.#sessions = options.sessions;
  }

  /** An administrator's doing. Ends all sessions. @throws MailError */
  async setPassword(id: AccountId, password: { readonly password: Uint8Array } | { readonly passwordHash: string }): Promise<void> {
    const asking = await this.#administrator(id);
    if ('passwordHash' in password) {
      const hash = password.passwordHash;
      // Without the password nobody can wrap the key of sealed mail under it.
      if (asking.account.sealed) throw new MailError('unsupported', 'An encrypted account needs the password, not its hash');
      await this.#hashing(() => this.#credentials.requireUsable(hash));
      await this.#commit(id, asking, undefined, () => [this.#credentials.setting(id, PASSWORD, { hash })]);
      return this.#sessions.revoke(id);
    }
    const octets = password.password;
    try {
      using secret = createSecret(Uint8Array.from(octets));
      const change: Change = (commit) => ({ credentialId: PASSWORD, commit, change: 'reset', secret, consent: 'keep' });
      const stored = await this.#hashing(() => this.#credentials.hash(octets, NEVER));
      const isOwn = await this.#credentials.hasPassword(id);
      await this.#commit(id, asking, change, async () => {
        // A directory that holds the password may have taken the new one in its gate: then it is not kept twice.
        if (!isOwn && (await this.#isKnownElsewhere(asking, octets))) return [];
        return [this.#credentials.setting(id, PASSWORD, stored)];
      });
    } finally {
      octets.fill(0);
    }
    await this.#sessions.revoke(id);
  }

  /** By the user, who has just proved `former`. Ends all sessions; both secrets are wiped. @throws MailError unsupported when it is kept where nobody can change it */
  async changePassword(login: LoggedIn, former: Uint8Array, password: Uint8Array): Promise<void> {
    const id = accountIdOf(login.account.id);
    try {
      if (login.credentialId !== PASSWORD) throw new MailError('forbidden', 'Only the main password can change it');
      if (password.length === 0) throw new MailError('invalid', 'A password is not empty');
      using old = createSecret(Uint8Array.from(former));
      using secret = createSecret(Uint8Array.from(password));
      const change: Change = (commit) => ({ credentialId: PASSWORD, commit, change: 'changed', former: old, secret });
      const stored = await this.#hashing(() => this.#credentials.hash(password, NEVER));
      const isOwn = await this.#credentials.hasPassword(id);
      await this.#commit(id, login, change, async () => {
        if (isOwn) return [this.#credentials.setting(id, PASSWORD, stored)];
        if (await this.#isKnownElsewhere(login, password)) return [];
        throw new MailError('unsupported', 'The password is kept elsewhere: change it there');
      });
    } finally {
      former.fill(0);
      password.fill(0);
    }
    await this.#sessions.revoke(id);
  }

  /** @throws MailError invalid, limit, no-such-account */
  async createAppPassword(id: AccountId, wanted: NewAppPassword, by?: LoggedIn): Promise<MadeAppPassword> {
    requireMain(by);
    const asking = by ?? (await this.#administrator(id));
    const info: AppPassword = { id: newAppPasswordId(), ...checkedAppPassword(wanted, this.#parts.now()) };
    const password = newAppPassword();
    using secret = createSecret(Buffer.from(password, 'utf8'));
    const change: Change = (commit) => ({ credentialId: info.id, commit, change: 'created', secret });
    await this.#commit(id, asking, change, async () => {
      if ((await this.#credentials.appPasswords(id)).length >= MAX_APP_PASSWORDS)
        throw new MailError('limit', `An account has at most ${MAX_APP_PASSWORDS} app passwords`);
      return [this.#credentials.settingAppPassword(id, password, info)];
    });
    return { ...info, password };
  }

  /** @throws MailError no-such-account */
  async appPasswords(id: AccountId): Promise<readonly AppPassword[]> {
    await this.#administrator(id);
    return this.#credentials.appPasswords(id);
  }

  /** Ends the sessions that it opened. @throws MailError invalid when there is none */
  async revokeAppPassword(id: AccountId, appPasswordId: string, by?: LoggedIn): Promise<void> {
    requireMain(by);
    const asking = by ?? (await this.#administrator(id));
    if (!(await this.#credentials.appPasswords(id)).some((one) => one.id === appPasswordId))
      throw new MailError('invalid', 'There is no such app password');
    await this.#commit(
      id,
      asking,
      (commit) => ({ credentialId: appPasswordId, commit, change: 'revoked' }),
      () => [this.#credentials.removal(id, appPasswordId)],
    );
    await this.#sessions.revoke(id, appPasswordId);
  }

  /** `auth.credential`, then the rows and what plugins put beside them, in one commit. */
  async #commit(
    id: AccountId,
    { actor, session, account }: Asking,
    change: Change | undefined,
    rows: () => readonly RecordWrite[] | Promise<readonly RecordWrite[]>,
  ): Promise<void> {
    const { hooks, mails, codecs } = this.#parts;
    try {
      await commitWith(
        async ({ commit }) => {
          if (change === undefined || !hooks.has('auth.credential')) return;
          await guarded(() => hooks.gate('auth.credential', change(commit), { actor, session, account }));
        },
        async (writes) => {
          const all = [...(await rows()), ...writes];
          if (all.length > 0) await (await mails.get(id)).writeRecords(all, { by: 'api', actor: actor.name });
          await codecs.forget(id);
        },
      );
    } catch (error) {
      throw asMailError(error);
    }
  }

  /** Whether a directory says that the password is right; the core keeps none of this account. @throws MailError unavailable */
  async #isKnownElsewhere({ actor, session, account }: Asking, password: Uint8Array): Promise<boolean> {
    const { hooks } = this.#parts;
    using secret = createSecret(Uint8Array.from(password));
    const attempt = {
      username: account.username,
      mechanism: 'PLAIN',
      secret,
      protocol: session?.protocol ?? 'http',
      remoteAddress: session?.remoteAddress ?? '127.0.0.1',
    } as const;
    const verdict = await guarded(() => hooks.decide('auth.verify', attempt, { actor, session }));
    return verdict?.result === 'accept' && verdict.account.username === account.username;
  }

  async #administrator(id: AccountId): Promise<Asking> {
    const record = (await this.#parts.directory.fresh(id))?.record;
    if (record === undefined) throw new MailError('no-such-account', 'No such account');
    return { actor: this.#parts.actors.system, session: undefined, account: await accountOf(this.#parts, record) };
  }

  async #hashing<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof PasswordError)) throw error;
      const isBusy = error.code === 'unavailable' || error.code === 'closed';
      throw new MailError(isBusy ? 'unavailable' : 'invalid', isBusy ? 'Try again later' : error.message, { cause: error });
    }
  }
}

const NEVER = new AbortController().signal;

/** Who holds an app password must not be able to make others, wider ones. */
function requireMain(by: LoggedIn | undefined): void {
  if (by !== undefined && by.credentialId !== PASSWORD) throw new MailError('forbidden', 'Only the main password can do this');
}
