/** Proves who a client is, for `auth.verify`. Never sees a password: it asks the core whether a secret fits, and for a MAC of it. */
import { createHmac, randomBytes } from 'node:crypto';
import type { Call, Log, LoginAttempt, LoginVerdict, Passwords, SecretHandle } from '@pochard/plugin-sdk';
import type { Config } from './config.ts';
import { AcceptedCache, RejectedCache } from './credential-caches.ts';
import type { Counter, Database } from './database.ts';
import { AmbiguousName, type Directory, type DirectoryUser } from './directory.ts';
import { type LookupName, lookupName } from './names.ts';
import type { UpdateStatement } from './statements.ts';

const MAC_OCTETS = 32;

export interface LoginParts {
  readonly directory: Directory;
  readonly database: Database;
  readonly passwords: Passwords;
  readonly config: Pick<Config, 'cache' | 'passwordScheme'>;
  readonly rehash: UpdateStatement | undefined;
  readonly log: Log;
  readonly counters: LoginCounters;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}
export interface LoginCounters {
  readonly acceptedHits: Counter;
  readonly rejectedHits: Counter;
  readonly checks: Counter;
  readonly unreadable: Counter;
  readonly rehashed: Counter;
}

type Attempt = Pick<LoginAttempt, 'username' | 'mechanism' | 'secret' | 'protocol'>;

export class LoginVerifier {
  readonly #parts: LoginParts;
  readonly #key = randomBytes(32);
  readonly #accepted: AcceptedCache<DirectoryUser>;
  readonly #rejected: RejectedCache;

  constructor(parts: LoginParts) {
    this.#parts = parts;
    const { acceptedMs, rejectedMs, entries } = parts.config.cache;
    this.#accepted = new AcceptedCache({ ttlMs: acceptedMs, maxEntries: entries, now: parts.now });
    this.#rejected = new RejectedCache({ ttlMs: rejectedMs, maxEntries: entries, now: parts.now });
  }

  /** `undefined`: no such user here. @throws DatabaseUnavailable, and what the core's password work throws: never "wrong password" */
  async verify({ username, mechanism, secret, protocol }: Attempt, { signal }: Pick<Call, 'signal'>): Promise<LoginVerdict | undefined> {
    // A token is for whoever issued it to judge.
    if (mechanism === 'OAUTHBEARER' || mechanism === 'XOAUTH2') return undefined;
    const verdict = await this.#verify(username, secret, signal);
    // Before an account is made for somebody who may not come in this way.
    if (verdict?.result === 'accept' && verdict.account.allow?.includes(protocol) === false)
      return { result: 'reject', reason: 'disabled' };
    return verdict;
  }

  /** The password was changed: what is remembered of the user is old. */
  forget(username: string): void {
    const name = lookupName(username);
    if (name !== undefined) this.#accepted.forget(name.full);
  }

  async #verify(username: string, secret: SecretHandle, signal: AbortSignal): Promise<LoginVerdict | undefined> {
    const name = lookupName(username);
    if (name === undefined) return undefined;
    const mac = await this.#macOf(name, secret, signal);
    const remembered = this.#accepted.find(name.full, mac);
    if (remembered !== undefined) {
      this.#parts.counters.acceptedHits.add();
      return { result: 'accept', account: remembered.seed };
    }
    try {
      return await this.#fullCheck(name, secret, mac, signal);
    } catch (error) {
      if (!(error instanceof AmbiguousName)) throw error;
      this.#parts.log.error('login refused: the database has the name twice', { error });
      return { result: 'reject', reason: 'policy' };
    }
  }

  async #fullCheck(name: LookupName, secret: SecretHandle, mac: Uint8Array, signal: AbortSignal): Promise<LoginVerdict | undefined> {
    const { directory, database } = this.#parts;
    const user = await directory.login(name, signal);
    const verdict = user === undefined ? undefined : await this.#check(name, user, secret, mac, signal);
    if (verdict?.result === 'accept' || !database.hasReplicas) return verdict;
    // A replica may lag: a no counts when the primary says so too, if it can be asked.
    const now = await this.#onPrimary(name, signal);
    if (now === 'no answer' || (now?.password === user?.password && now?.mayLogIn === user?.mayLogIn)) return verdict;
    return now === undefined ? undefined : this.#check(name, now, secret, mac, signal);
  }

  async #onPrimary(name: LookupName, signal: AbortSignal): Promise<DirectoryUser | undefined | 'no answer'> {
    try {
      return await this.#parts.directory.login(name, signal, 'primary');
    } catch (error) {
      signal.throwIfAborted();
      this.#parts.log.warn('the primary could not confirm what a replica said', { error });
      return 'no answer';
    }
  }

  async #check(name: LookupName, user: DirectoryUser, secret: SecretHandle, mac: Uint8Array, signal: AbortSignal): Promise<LoginVerdict> {
    const { counters, passwords } = this.#parts;
    const stored = this.#stored(user.password);
    if (stored === undefined) return { result: 'reject', reason: 'disabled' };
    if (this.#rejected.has(name.full, mac, stored)) {
      counters.rejectedHits.add();
      return { result: 'reject', reason: 'credentials' };
    }
    counters.checks.add();
    let matches: boolean;
    try {
      matches = await passwords.verify(secret, stored, signal);
    } catch (error) {
      if (!isUnusable(error)) throw error;
      // Of this user alone, and not for a while: a temporary failure here would count against everybody's logins.
      counters.unreadable.add();
      this.#parts.log.error('login refused: the stored password cannot be used', { error });
      return { result: 'reject', reason: 'policy' };
    }
    if (!matches) {
      this.#accepted.forget(name.full); // it may have been changed
      this.#rejected.remember(name.full, mac, stored);
      return { result: 'reject', reason: 'credentials' };
    }
    // Only who knows the password learns that the user is disabled.
    if (!user.mayLogIn) return { result: 'reject', reason: 'disabled' };
    this.#accepted.remember(name.full, mac, user);
    await this.#rehash(user, stored, secret, signal);
    return { result: 'accept', account: user.seed };
  }

  /** `undefined`: nobody can log in with it. */
  #stored(password: string | undefined): string | undefined {
    // A lock in front, as usermod -L writes it.
    if (password === undefined || password === '' || password.startsWith('!') || password.startsWith('*')) return undefined;
    const { passwordScheme } = this.#parts.config;
    return passwordScheme === undefined || /^\{|\$/.test(password) ? password : `{${passwordScheme}}${password}`;
  }

  /** Bound to the name, under a key of this process. */
  async #macOf(name: LookupName, secret: SecretHandle, signal: AbortSignal): Promise<Uint8Array> {
    const salt = createHmac('sha256', this.#key).update(name.full).digest();
    return this.#parts.passwords.deriveKey(secret, { salt, octets: MAC_OCTETS, kdf: { name: 'hkdf' } }, signal);
  }

  /** The login stands whatever comes of it. */
  async #rehash(user: DirectoryUser, stored: string, secret: SecretHandle, signal: AbortSignal): Promise<void> {
    const { rehash, passwords, database, log, counters } = this.#parts;
    if (rehash === undefined || user.password === undefined || /^(?:\{ARGON2ID\})?\$argon2id\$/i.test(stored)) return;
    try {
      const hash = await passwords.hash(secret, signal);
      // Only in place of what was checked: somebody may be changing the password now.
      const changed = await database.update(rehash, hash, user.login, user.password, signal);
      if (changed > 0) counters.rehashed.add();
    } catch (error) {
      log.warn('password was not hashed anew', { error });
    }
  }
}

/** The core's words for a stored password that no attempt can ever match. */
function isUnusable(error: unknown): boolean {
  return (
    typeof error === 'object' && error !== null && 'code' in error && (error.code === 'invalid-stored' || error.code === 'weak-scheme')
  );
}
