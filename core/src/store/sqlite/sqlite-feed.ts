import type { AccountId, Feed, Seq, StoredEntry } from '../store.ts';
import { type Database, prepare } from './sqlite.ts';
import type { WriteQueue } from './write-queue.ts';

/** The journal's own order of commits is the feed: one writer, so a row number above the cursor is what an observer has not seen. */
export class SqliteFeed implements Feed {
  readonly #queue: WriteQueue;
  readonly #backlog;
  readonly #next;
  readonly #parked;
  readonly #observers;

  constructor(queue: WriteQueue, database: Database) {
    this.#queue = queue;
    const held = 'SELECT account FROM parked WHERE observer = ?1 AND holds = 1';
    this.#backlog = prepare<[account: number, name: string, seq: number, token: string, data: Uint8Array]>(
      database,
      `SELECT j.account, a.name, j.seq, j.token, j.data FROM backlog b JOIN journal j ON j.account = b.account AND j.seq > b.seq
       JOIN account a ON a.id = j.account
       WHERE b.observer = ?1 AND b.account NOT IN (${held}) AND a.name IS NOT NULL
       AND j.g <= (SELECT cursor FROM observer WHERE name = ?1) ORDER BY j.account, j.seq LIMIT ?2`,
    );
    this.#next = prepare<[g: number, name: string, seq: number, token: string, data: Uint8Array]>(
      database,
      `SELECT j.g, a.name, j.seq, j.token, j.data FROM journal j JOIN account a ON a.id = j.account
       WHERE j.g > (SELECT cursor FROM observer WHERE name = ?1) AND j.account NOT IN (${held}) AND a.name IS NOT NULL
       ORDER BY j.g LIMIT ?2`,
    );
    this.#observers = prepare<[name: string]>(database, 'SELECT name FROM observer ORDER BY name');
    this.#parked = prepare<[name: string, seq: number, error: string, retryAt: number | null]>(
      database,
      `SELECT a.name, p.seq, p.error, p.retry_at FROM parked p JOIN account a ON a.id = p.account
       WHERE p.observer = ? AND a.name IS NOT NULL ORDER BY p.account, p.seq`,
    );
  }

  async register(observer: string, from: 'now' | 'start'): Promise<void> {
    await this.#queue.submit({ op: 'register', observer, from });
  }
  async observers(): Promise<readonly string[]> {
    return this.#observers.all().map(([name]) => name);
  }
  async unregister(observer: string): Promise<void> {
    await this.#queue.submit({ op: 'unregister', observer });
  }

  async next(
    observer: string,
    limit: number,
  ): Promise<readonly { readonly position: string; readonly account: AccountId; readonly entry: StoredEntry }[]> {
    // What was held up comes alone, so that nothing newer of the same account overtakes it.
    const behind = this.#backlog.all(observer, limit);
    if (behind.length > 0) {
      return behind.map(([account, name, seq, token, data]) => ({
        position: `${account}:${seq}`,
        account: name as AccountId,
        entry: { seq, token, data },
      }));
    }
    return this.#next
      .all(observer, limit)
      .map(([g, name, seq, token, data]) => ({ position: String(g), account: name as AccountId, entry: { seq, token, data } }));
  }

  async done(observer: string, position: string): Promise<void> {
    await this.#queue.submit({ op: 'passed', observer, position });
  }
  async park(observer: string, account: AccountId, seq: Seq, error: string, retryAt: number | undefined, holds?: 'account'): Promise<void> {
    await this.#queue.submit({
      op: 'park',
      observer,
      account,
      seq,
      error,
      retryAt: retryAt ?? null,
      holds: holds === 'account' ? 1 : 0,
    });
  }
  async parked(observer: string) {
    return this.#parked
      .all(observer)
      .map(([name, seq, error, retryAt]) => ({ account: name as AccountId, seq, error, retryAt: retryAt ?? undefined }));
  }
  async unpark(observer: string, account: AccountId, seq: Seq): Promise<void> {
    await this.#queue.submit({ op: 'unpark', observer, account, seq });
  }
}
