/** Passwords of accounts, hashed, as records that leave with the account. */
import type { CredentialCache } from '../../passwords/credential-cache.ts';
import type { Passwords } from '../../passwords/passwords.ts';
import { deriveScramKeys, readScramKeys, type ScramKeys, writeScramKeys } from '../../passwords/scram-keys.ts';
import type { AccountId, RecordRow, Records, RecordWrite } from '../../store/store.ts';
import type { MailLog } from '../log.ts';
import type { AppPassword } from '../services.ts';
import { APP_PASSWORD, appPasswordOf, appPasswordValue, type CredentialUse, isAppPassword, mayBeUsed } from './app-passwords.ts';

/** Id of the account's main password; app passwords have ids of their own. */
export const PASSWORD = 'password';
const MAX_CREDENTIALS = 100;

/** A password as it is kept. */
export interface StoredPassword {
  readonly hash: string;
  /** Keys of SCRAM-SHA-256, when `auth.scram` was on and the password itself was at hand. */
  readonly scram?: string | undefined;
}

export class Credentials {
  readonly #records: Records;
  readonly #passwords: Passwords;
  readonly #cache: CredentialCache;
  readonly #log: MailLog;
  readonly #upgrade: 'onLogin' | 'never';
  readonly #scram: 'off' | 'on';

  constructor(options: {
    readonly records: Records;
    readonly passwords: Passwords;
    readonly cache: CredentialCache;
    readonly log: MailLog;
    readonly upgrade: 'onLogin' | 'never';
    readonly scram: 'off' | 'on';
  }) {
    this.#scram = options.scram;
    this.#upgrade = options.upgrade;
    this.#records = options.records;
    this.#passwords = options.passwords;
    this.#cache = options.cache;
    this.#log = options.log;
  }

  /**
   * Which credential the secret is; `mismatch` when it is none of them; `out of scope`: an app password that may not be used so, any more or
   * from there; `undefined` when the account has no main password here, so that somebody else may know it. @throws PasswordError
   */
  async verify(
    id: AccountId,
    secret: Uint8Array,
    use: CredentialUse,
    signal: AbortSignal,
  ): Promise<{ readonly credentialId: string } | 'mismatch' | 'out of scope' | undefined> {
    const all = await this.#records.list(tableOf(id), { limit: MAX_CREDENTIALS });
    for (const row of all) {
      const app = appPasswordOf(row);
      if (app !== undefined && isAppPassword(row, secret)) return mayBeUsed(app, use) ? { credentialId: app.id } : 'out of scope';
    }
    const rows = all.filter(({ key }) => !key.startsWith(APP_PASSWORD));
    for (const row of rows) {
      if (this.#cache.isRemembered(id, versionOf(row), secret)) return { credentialId: row.key };
    }
    for (const row of rows) {
      const hash = hashOf(row);
      if ((await this.#passwords.verify(secret, hash, signal)) === 'mismatch') continue;
      this.#cache.remember(id, versionOf(row), secret);
      const lacksScram = this.#scram === 'on' && row.key === PASSWORD && scramOf(row) === undefined;
      if (lacksScram || (this.#upgrade === 'onLogin' && this.#passwords.needsRehash(hash))) await this.#rehash(id, row, secret, signal);
      return { credentialId: row.key };
    }
    return rows.some(({ key }) => key === PASSWORD) ? 'mismatch' : undefined;
  }

  /** As long as a wrong password takes. */
  async pretend(secret: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#passwords.verify(secret, undefined, signal);
  }

  /** The write that sets a credential. */
  setting(id: AccountId, credentialId: string, { hash, scram }: StoredPassword): RecordWrite {
    return { table: tableOf(id), key: credentialId, value: scram === undefined ? { hash } : { hash, scram } };
  }

  async hasPassword(id: AccountId): Promise<boolean> {
    return (await this.#records.get(tableOf(id), PASSWORD)) !== undefined;
  }

  /** In the order in which they were made. */
  async appPasswords(id: AccountId): Promise<readonly AppPassword[]> {
    const rows = await this.#records.list(tableOf(id), { limit: MAX_CREDENTIALS });
    return rows.flatMap((row) => appPasswordOf(row) ?? []).sort((one, other) => one.createdAt - other.createdAt);
  }

  /** The write that makes an app password. */
  settingAppPassword(id: AccountId, password: string, info: AppPassword): RecordWrite {
    return { table: tableOf(id), key: info.id, value: appPasswordValue(password, info), ifVersion: 0 };
  }

  removal(id: AccountId, credentialId: string): RecordWrite {
    return { table: tableOf(id), key: credentialId, value: undefined };
  }

  /** @throws PasswordError */
  async hash(secret: Uint8Array, signal: AbortSignal): Promise<StoredPassword> {
    const hash = await this.#passwords.hash(secret, signal);
    return this.#scram === 'on' ? { hash, scram: writeScramKeys(await deriveScramKeys(secret)) } : { hash };
  }

  /** Of the main password; undefined when there are none yet, or no such password. */
  async scramKeys(id: AccountId): Promise<ScramKeys | undefined> {
    const row = this.#scram === 'on' ? await this.#records.get(tableOf(id), PASSWORD) : undefined;
    return row === undefined ? undefined : scramOf(row);
  }

  /** @throws PasswordError for a hash that can never match */
  requireUsable(hash: string): void {
    this.#passwords.requireUsable(hash);
  }

  /** A better hash of the same secret. Nobody waits for it to succeed: the old one stays good. */
  async #rehash(id: AccountId, row: RecordRow, secret: Uint8Array, signal: AbortSignal): Promise<void> {
    try {
      const stored = await this.hash(secret, signal);
      await this.#records.write([{ ...this.setting(id, row.key, stored), ifVersion: row.version }]);
    } catch (error) {
      this.#log.warn({ account: id, err: error }, 'password could not be hashed anew');
    }
  }
}

function tableOf(id: AccountId): string {
  return `account/${id}/credential`;
}
function versionOf(row: RecordRow): string {
  return `${row.key}:${row.version}`;
}
function scramOf({ value }: RecordRow): ScramKeys | undefined {
  return typeof value === 'object' && value !== null && 'scram' in value ? readScramKeys(value.scram) : undefined;
}
function hashOf(row: RecordRow): string {
  const { value } = row;
  return typeof value === 'object' && value !== null && 'hash' in value && typeof value.hash === 'string' ? value.hash : '{UNREADABLE}';
}
