import type { WriteOp } from './messages.ts';
import { type Database, prepare } from './sqlite.ts';

type Op<Name extends WriteOp['op']> = Extract<WriteOp, { op: Name }>;

/** Pieces that one slice of a removal takes: some 5 MB, whose pages have to be read. */
const SLICE_PIECES = 100;

/** Statements of the writer for what can be made again. All run inside the group's transaction. */
export class DerivedWrites {
  readonly #put;
  readonly #drop;
  readonly #dropAll;

  constructor(database: Database) {
    this.#put = prepare(
      database,
      'INSERT INTO derived(account, id, n, data) VALUES (?, ?, ?, ?) ON CONFLICT(account, id, n) DO UPDATE SET data = excluded.data',
    );
    this.#drop = prepare(
      database,
      `DELETE FROM derived WHERE pk IN (SELECT pk FROM derived WHERE account = ? AND id = ? LIMIT ${SLICE_PIECES})`,
    );
    this.#dropAll = prepare(database, `DELETE FROM derived WHERE pk IN (SELECT pk FROM derived WHERE account = ? LIMIT ${SLICE_PIECES})`);
  }

  put(account: number | undefined, op: Op<'derived'>): null {
    if (account !== undefined) for (const [at, piece] of op.pieces.entries()) this.#put.run(account, op.id, op.from + at, piece);
    return null;
  }
  /** True when there may be more. */
  drop(account: number | undefined, op: Op<'drop-derived'>): boolean {
    return account !== undefined && Number(this.#drop.run(account, op.id).changes) >= SLICE_PIECES;
  }
  /** A slice of all that an account has; true when there may be more. */
  erase(account: number): boolean {
    return Number(this.#dropAll.run(account).changes) >= SLICE_PIECES;
  }
}
