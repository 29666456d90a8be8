import type { WriteOp } from './messages.ts';
import { type Database, prepare } from './sqlite.ts';

type Op<Name extends WriteOp['op']> = Extract<WriteOp, { op: Name }>;

/** Statements of the writer for observers: one cursor each over `journal.g`, plus what was set aside. */
export class FeedWrites {
  readonly #register;
  readonly #unregister;
  readonly #pass;
  readonly #passBacklog;
  readonly #endBacklog;
  readonly #park;
  readonly #parked;
  readonly #unpark;
  readonly #stillHeld;
  readonly #startBacklog;

  constructor(database: Database) {
    this.#register = prepare(
      database,
      `INSERT OR IGNORE INTO observer SELECT ?, CASE ? WHEN 'start' THEN 0 ELSE
       max(coalesce((SELECT max(g) FROM journal), 0), coalesce((SELECT value FROM counter WHERE name = 'g'), 0)) END`,
    );
    this.#unregister = ['observer WHERE name', 'parked WHERE observer', 'backlog WHERE observer'].map((from) =>
      prepare(database, `DELETE FROM ${from} = ?`),
    );
    this.#pass = prepare(database, 'UPDATE observer SET cursor = ? WHERE name = ? AND cursor < ?');
    this.#passBacklog = prepare(database, 'UPDATE backlog SET seq = ? WHERE observer = ? AND account = ? AND seq < ?');
    const behind = `EXISTS (SELECT 1 FROM journal WHERE journal.account = backlog.account AND journal.seq > backlog.seq
      AND journal.g <= (SELECT cursor FROM observer WHERE name = backlog.observer))`;
    this.#endBacklog = prepare(
      database,
      `DELETE FROM backlog WHERE observer = ? AND account = ? AND NOT ${behind}
       AND NOT EXISTS (SELECT 1 FROM parked WHERE parked.observer = backlog.observer AND parked.account = backlog.account AND holds = 1)`,
    );
    this.#park = prepare(
      database,
      `INSERT INTO parked SELECT ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM observer WHERE name = ?1) ON CONFLICT DO UPDATE
       SET error = excluded.error, retry_at = excluded.retry_at, holds = excluded.holds`,
    );
    this.#parked = prepare<[number]>(database, 'SELECT holds FROM parked WHERE observer = ? AND account = ? AND seq = ?');
    this.#unpark = prepare(database, 'DELETE FROM parked WHERE observer = ? AND account = ? AND seq = ?');
    this.#stillHeld = prepare<[number]>(database, 'SELECT 1 FROM parked WHERE observer = ? AND account = ? AND holds = 1 LIMIT 1');
    this.#startBacklog = prepare(database, 'INSERT INTO backlog VALUES (?, ?, ?) ON CONFLICT DO NOTHING');
  }

  register(op: Op<'register'>): null {
    this.#register.run(op.observer, op.from);
    return null;
  }
  unregister(op: Op<'unregister'>): null {
    for (const statement of this.#unregister) statement.run(op.observer);
    return null;
  }
  /** A position is a feed number, or `account:seq` of an entry that a parked one had held up. */
  passed(op: Op<'passed'>): null {
    const colon = op.position.indexOf(':');
    if (colon < 0) {
      const g = Number(op.position);
      this.#pass.run(g, op.observer, g);
      return null;
    }
    const account = Number(op.position.slice(0, colon));
    const seq = Number(op.position.slice(colon + 1));
    this.#passBacklog.run(seq, op.observer, account, seq);
    this.#endBacklog.run(op.observer, account);
    return null;
  }
  park(account: number, op: Op<'park'>): null {
    this.#park.run(op.observer, account, op.seq, op.error, op.retryAt, op.holds);
    return null;
  }
  unpark(account: number, op: Op<'unpark'>): null {
    const held = this.#parked.get(op.observer, account, op.seq)?.[0] === 1;
    this.#unpark.run(op.observer, account, op.seq);
    if (!held || this.#stillHeld.get(op.observer, account) !== undefined) return null;
    // What the cursor passed over while the account was held up comes now, before anything newer.
    this.#startBacklog.run(op.observer, account, op.seq);
    this.#endBacklog.run(op.observer, account);
    return null;
  }
}
