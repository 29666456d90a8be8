/**
 * Accounts that are gone but for their journal: it is kept until every follower that asked for `account.deleted` has been told, at most as
 * long as a failing one is tried again. Nobody finds or opens such an account, and its names are free.
 */
import { type AccountId, RecordConflict, type RecordRow, type RecordWrite, type Store } from '../../store/store.ts';
import type { AccountMails } from '../journal/account-mail.ts';
import type { AccountRecord } from '../services.ts';
import { readAccount, writeAccount } from './directory.ts';

const TABLE = 'account-removal';
const MAX_ATTEMPTS = 5;
const PAGE = 100;

export class AccountRemovals {
  readonly #store: Store;
  readonly #mails: AccountMails & { forget?(account: AccountId): Promise<void> | void };

  constructor(options: { readonly store: Store; readonly mails: AccountMails & { forget?(account: AccountId): Promise<void> | void } }) {
    this.#store = options.store;
    this.#mails = options.mails;
  }

  /** The write that begins a removal, for the commit that takes the account out of the directory. `waiting`: ids of followers. */
  beginning(record: AccountRecord, waiting: readonly string[]): RecordWrite {
    return { table: TABLE, key: record.id, value: { record: writeAccount(record), waiting }, ifVersion: 0 };
  }

  /** What the account was. `undefined`: it is not being removed. */
  async record(id: AccountId): Promise<AccountRecord | undefined> {
    const row = await this.#store.records.get(TABLE, id);
    return row === undefined ? undefined : readAccount(fields(row)['record']);
  }

  /** The follower has been told, or has been given up. The last one erases the account. */
  async passed(id: AccountId, follower: string): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const row = await this.#store.records.get(TABLE, id);
      const waiting = row === undefined ? [] : waitingOf(row);
      if (row === undefined || !waiting.includes(follower)) return;
      try {
        const left = waiting.filter((one) => one !== follower);
        return await this.#keepFor(id, row, left);
      } catch (error) {
        if (!(error instanceof RecordConflict) || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  /** At start: goes on with what a crash broke off, and waits no longer for followers that are not configured any more. */
  async resume(followers: ReadonlySet<string>): Promise<void> {
    let after: string | undefined;
    for (;;) {
      const rows = await this.#store.records.list(TABLE, after === undefined ? { limit: PAGE } : { after, limit: PAGE });
      for (const row of rows) {
        const waiting = waitingOf(row);
        const left = waiting.filter((one) => followers.has(one));
        if (left.length === 0 || left.length < waiting.length) await this.#keepFor(row.key as AccountId, row, left);
      }
      after = rows.at(-1)?.key;
      if (rows.length < PAGE) return;
    }
  }

  /** Octets, journal and records of the account go; again, when a crash broke it off. */
  async erase(id: AccountId): Promise<void> {
    await this.#store.erase(id);
    await this.#mails.forget?.(id);
  }

  async #keepFor(id: AccountId, row: RecordRow, waiting: readonly string[]): Promise<void> {
    if (waiting.length > 0) {
      const value = { ...fields(row), waiting };
      return this.#store.records.write([{ table: TABLE, key: id, value, ifVersion: row.version }]);
    }
    await this.erase(id);
    await this.#store.records.write([{ table: TABLE, key: id, value: undefined }]);
  }
}

function fields({ value }: RecordRow): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
function waitingOf(row: RecordRow): readonly string[] {
  const { waiting } = fields(row);
  return Array.isArray(waiting) ? waiting.filter((one) => typeof one === 'string') : [];
}
