/** Makes the values that plugins cannot: who acts, through which session, with which login, in which commit. */
import type { AccountId, Actor, Commit, Login, Protocol, Secret, Session } from '@pochard/plugin-sdk';

export function createActor(options: { readonly type: Actor['type']; readonly name: string; readonly accountId?: AccountId }): Actor {
  return Object.freeze({ type: options.type, name: options.name, accountId: options.accountId }) as unknown as Actor;
}

/** One object for the life of the connection's login: session secrets hang on its identity. */
export function createSession(options: {
  readonly id: string;
  readonly protocol: Protocol;
  readonly listener: string;
  readonly remoteAddress: string;
}): Session {
  return Object.freeze({ ...options }) as unknown as Session;
}

/** A login that has been accepted, for `auth.succeeded`. The caller wipes the secret when the gate has returned. */
export function createLogin(options: {
  readonly credentialId: string;
  readonly secret: Secret | undefined;
  readonly session: Session;
  readonly first: boolean;
  readonly commit: Commit;
}): Login<Secret> {
  return Object.freeze({ ...options }) as unknown as Login<Secret>;
}

class PreparedCommit<Batch> {
  readonly #batch: Batch;
  constructor(batch: Batch) {
    this.#batch = batch;
  }
  static batchOf(commit: PreparedCommit<unknown>): unknown {
    return commit.#batch;
  }
}
/** Hides the store's own idea of a commit that is being prepared in what plugins pass to `table.put`. */
export function createCommit(batch: unknown): Commit {
  return new PreparedCommit(batch) as unknown as Commit;
}
/** @throws TypeError when it was not made by `createCommit` */
export function commitBatch(commit: Commit): unknown {
  const made: unknown = commit;
  if (!(made instanceof PreparedCommit)) throw new TypeError('not a commit of this server');
  return PreparedCommit.batchOf(made);
}

/** The `Login` that one tap of `auth.succeeded` sees: session secrets can be attached while it runs. */
class TapLogin {
  readonly credentialId: string;
  readonly secret: Secret | undefined;
  readonly session: Session;
  readonly first: boolean;
  readonly commit: Commit;
  #isOpen = true;
  constructor(login: Login<Secret>, secret: Secret | undefined) {
    this.credentialId = login.credentialId;
    this.secret = secret;
    this.session = login.session;
    this.first = login.first;
    this.commit = login.commit;
  }
  static close(login: TapLogin): void {
    login.#isOpen = false;
  }
  static sessionOf(login: TapLogin): Session {
    if (!login.#isOpen) throw new TypeError('session secrets can be attached only while auth.succeeded runs');
    return login.session;
  }
}
export function lendLogin(login: Login<Secret>, secret: Secret | undefined): { readonly lent: Login<Secret>; take(): void } {
  const lent = new TapLogin(login, secret);
  Object.freeze(lent); // or `session` could be set to another's
  return { lent: lent as unknown as Login<Secret>, take: () => TapLogin.close(lent) };
}
/** @throws TypeError unless `login` is what a tap of `auth.succeeded` was given, and that tap runs */
export function sessionOfOpenLogin(login: Login): Session {
  const made: unknown = login;
  if (!(made instanceof TapLogin)) throw new TypeError('not the login of auth.succeeded');
  return TapLogin.sessionOf(made);
}
