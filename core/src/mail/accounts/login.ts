/** A login: throttle, `auth.normalize`, `auth.verify`, the account, `auth.succeeded`, session. The same for every protocol. */
import { type AccountSeed, type LoginFailure, type LoginVerdict, Refusal, type Session } from '@pochard/plugin-sdk';
import type { LoginThrottle } from '../../net/throttle.ts';
import { PasswordError } from '../../passwords/password-error.ts';
import { pretendedScramKeys } from '../../passwords/scram-keys.ts';
import { createActor, createLogin, createSession } from '../../plugins/identities.ts';
import { createSecret, secretOctets } from '../../plugins/secrets.ts';
import { commitWith } from '../commit-batch.ts';
import { MailError } from '../errors.ts';
import { asMailError } from '../hook-errors.ts';
import { HookedMailAccess } from '../mail-access.ts';
import { accountOf, type MailParts } from '../mail-parts.ts';
import { sdkAccountId } from '../sdk-values.ts';
import type { AccountRecord, LoggedIn, LoginRequest, ScramLogin } from '../services.ts';
import type { AccountCreation } from './account-creation.ts';
import { type Credentials, PASSWORD } from './credentials.ts';
import { normalizeAddress } from './names.ts';
import type { Sessions } from './sessions.ts';

export interface LoginOptions {
  readonly parts: MailParts;
  readonly credentials: Credentials;
  readonly creation: AccountCreation;
  readonly sessions: Sessions;
  readonly throttle: LoginThrottle;
}
/** What core's own tap knows of a verdict of its own. */
interface OwnVerdict {
  readonly record: AccountRecord;
  readonly credentialId: string;
}

export class Logins {
  readonly #options: LoginOptions;
  readonly #own = new WeakMap<LoginVerdict, OwnVerdict>();
  /** ms that {@link #pretend} took last. */
  #pretendMs = Number.POSITIVE_INFINITY;

  constructor(options: LoginOptions) {
    this.#options = options;
    const { parts, credentials } = options;
    parts.hooks.core.decide(
      'auth.verify',
      'verify',
      async ({ username, mechanism, secret, protocol, remoteAddress }, context): Promise<LoginVerdict | undefined> => {
        if (!hasPassword(mechanism)) return undefined; // no password of ours
        const record = await parts.directory.find(username);
        if (record === undefined) return undefined;
        const use = { protocol, remoteAddress, now: parts.now() };
        const match = await credentials.verify(record.id, secretOctets(secret), use, context.signal ?? NEVER);
        if (match === undefined) return undefined; // its password is somebody else's to know
        if (match === 'mismatch') return { result: 'reject', reason: 'credentials' };
        if (match === 'out of scope') return { result: 'reject', reason: 'disabled' };
        const verdict: LoginVerdict = { result: 'accept', account: { username: record.username } };
        this.#own.set(verdict, { record, credentialId: match.credentialId });
        return verdict;
      },
    );
  }

  /** @throws MailError credentials, disabled, rate, unavailable, policy. Wipes the secret. */
  async login(request: LoginRequest, signal: AbortSignal): Promise<LoggedIn> {
    const { parts, throttle } = this.#options;
    const { hooks, actors } = parts;
    const { remoteAddress } = request.session;
    using secret = createSecret('exchange' in request ? new Uint8Array(0) : request.secret);
    const session = createSession(request.session);
    const context = { actor: actors.system, session, signal };
    const fail = (reason: LoginFailure['reason']) =>
      hooks.observe('auth.failed', { username: request.username, mechanism: request.mechanism, reason }, context);
    let budget = request.username;
    try {
      const username = await this.#normalized(request.username, context);
      budget = await this.#budgetOf(username ?? request.username);
      if ((await throttle.wait(remoteAddress, budget, signal)) === 'blocked') throw new MailError('rate', 'Too many failed logins');
      const asked = performance.now();
      if (username !== undefined && hooks.has('auth.mechanism'))
        await hooks.gate('auth.mechanism', { mechanism: request.mechanism, username }, context);
      const verdict =
        'exchange' in request
          ? await this.#scram(username, request)
          : username === undefined
            ? undefined
            : await hooks.decide(
                'auth.verify',
                { username, mechanism: request.mechanism, secret, protocol: request.session.protocol, remoteAddress },
                context,
              );
      if (verdict === undefined) {
        if (hasPassword(request.mechanism)) await this.#pretend(secret.bytes(), signal);
        throw new Rejected('unknown');
      }
      if (verdict.result === 'reject') {
        // Stored under a cheap scheme, or known from memory to be wrong: it must not tell that there is such a user.
        const isQuick = performance.now() - asked < this.#pretendMs / 2;
        if (verdict.reason === 'credentials' && hasPassword(request.mechanism) && isQuick) await this.#pretend(secret.bytes(), signal);
        throw new Rejected(verdict.reason);
      }
      const loggedIn = await this.#accepted(verdict, secret.bytes(), session, request, signal);
      throttle.succeeded(remoteAddress, budget);
      return loggedIn;
    } catch (error) {
      if (error instanceof Rejected) {
        await throttle.failed(remoteAddress, budget);
        fail(error.reason);
        throw error.mailError();
      }
      if (error instanceof PasswordError) {
        parts.log.error({ err: error }, 'a password could not be checked');
        fail('unavailable');
        throw new MailError('unavailable', 'Authentication is not available now', { cause: error });
      }
      const known = asMailError(error);
      if (!signal.aborted && known instanceof MailError)
        fail(known.code === 'disabled' ? 'disabled' : error instanceof Refusal ? 'policy' : 'unavailable');
      throw known;
    }
  }

  /** One budget for an account, however it is spelled and by whichever of its addresses; of a name that is no account's here, its own. */
  async #budgetOf(name: string): Promise<string> {
    const record = await this.#options.parts.directory.find(name);
    return record === undefined ? name : `account ${record.id}`;
  }

  /** As long as a password of our own making takes. */
  async #pretend(secret: Uint8Array, signal: AbortSignal): Promise<void> {
    const started = performance.now();
    await this.#options.credentials.pretend(secret, signal);
    this.#pretendMs = performance.now() - started;
  }

  /** Whether or not there is such a user the client is asked for its proof. */
  async #scram(username: string | undefined, request: ScramLogin): Promise<LoginVerdict | undefined> {
    const { parts, credentials } = this.#options;
    const record = username === undefined ? undefined : await parts.directory.find(username);
    const keys = record === undefined ? undefined : await credentials.scramKeys(record.id);
    const isRight = await request.exchange(keys ?? pretendedScramKeys(parts.digestKey, username ?? request.username));
    if (record === undefined || keys === undefined) return undefined;
    if (!isRight) return { result: 'reject', reason: 'credentials' };
    const verdict: LoginVerdict = { result: 'accept', account: { username: record.username } };
    this.#own.set(verdict, { record, credentialId: PASSWORD });
    return verdict;
  }

  /** `undefined`: no account can have this name. */
  async #normalized(
    typed: string,
    context: { readonly actor: MailParts['actors']['system']; readonly session: Session },
  ): Promise<string | undefined> {
    const { hooks } = this.#options.parts;
    const name = hooks.has('auth.normalize') ? await hooks.transform('auth.normalize', typed, context) : typed;
    try {
      return normalizeAddress(name).full;
    } catch (error) {
      if (error instanceof MailError && error.code === 'invalid') return undefined;
      throw error;
    }
  }

  async #accepted(
    verdict: LoginVerdict & { readonly account: AccountSeed },
    secret: Uint8Array,
    session: Session,
    request: LoginRequest,
    signal: AbortSignal,
  ): Promise<LoggedIn> {
    const { parts, creation, sessions } = this.#options;
    const { hooks, mails } = parts;
    const own = this.#own.get(verdict);
    const credentialId = own?.credentialId ?? PASSWORD;
    const { record, first } =
      own === undefined
        ? await creation.fromSeed(verdict.account, hasPassword(request.mechanism) ? secret : undefined)
        : { record: own.record, first: false };
    // The directory's word of a moment ago may be older than the administrator's.
    const now = (await parts.directory.fresh(record.id))?.record;
    if (now === undefined) throw new Rejected('unknown');
    if (now.disabled || !now.allow.includes(request.session.protocol)) throw new Rejected('disabled');
    const account = await accountOf(parts, now);
    const actor = createActor({ type: 'user', name: now.username, accountId: sdkAccountId(now.id) });
    const mail = await mails.get(now.id);
    const by = request.session.protocol === 'http' ? 'api' : request.session.protocol;
    try {
      if (hooks.has('auth.succeeded')) {
        const gate = async ({ commit }: { readonly commit: Parameters<typeof createLogin>[0]['commit'] }) => {
          // A token or a proof opens nothing that is sealed under a password.
          using lent = hasPassword(request.mechanism) ? createSecret(Uint8Array.from(secret)) : undefined;
          const login = createLogin({ credentialId, secret: lent, session, first, commit });
          await hooks.gate('auth.succeeded', login, { actor, session, account, signal });
        };
        await commitWith(gate, async (writes) => {
          if (writes.length === 0) return;
          await mail.writeRecords(writes, { by, actor: actor.name });
          await parts.codecs.forget(now.id);
        });
      }
      const access = new HookedMailAccess(parts, { account, mail, actor, session, by });
      return sessions.open(now.id, { account, actor, session, access, credentialId });
    } catch (error) {
      hooks.wipeSessionSecrets(session);
      throw error;
    }
  }
}

const NEVER = new AbortController().signal;

/** Others carry a token for a plugin to judge (RFC 7628), or a proof. */
function hasPassword(mechanism: LoginRequest['mechanism']): boolean {
  return mechanism === 'PLAIN' || mechanism === 'LOGIN' || mechanism === 'HTTP';
}

/** Somebody knows the answer, and it is no. */
class Rejected extends Error {
  readonly reason: 'credentials' | 'disabled' | 'policy' | 'unknown';
  constructor(reason: Rejected['reason']) {
    super(reason);
    this.reason = reason;
  }
  mailError(): MailError {
    switch (this.reason) {
      case 'disabled':
        return new MailError('disabled', 'This account may not log in here');
      case 'policy':
        return new MailError('policy', 'Login refused');
      default:
        return new MailError('credentials', 'Wrong user name or password');
    }
  }
}
