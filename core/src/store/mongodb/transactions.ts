/**
 * Several records, and perhaps a journal slot, all or nothing, without transactions of the server. A document says whether they hold
 * (`pending`, then `committed` or `aborted`, once); every row, and the slot, names it until that is settled. Whoever meets one finishes
 * the work: a committed one is carried out, an aborted one undone, and one that hangs is aborted, which its owner notices.
 */
import type { RecordWrite } from '../store.ts';
import { OutcomeUnknown, StoreUnavailable } from '../store.ts';
import { liveState, nextState, ownState, type RowState, type RowWrites, written } from './record-rows.ts';
import type { Collections, RowDoc, SlotDoc, TransactionDoc } from './schema.ts';

/** An owner that needs longer than this between two steps is taken for dead: its work is undone. */
const HANGS_AFTER_MS = 5_000;
const KNOWN_MS = 3_600_000;

export interface TransactionsOptions {
  readonly collections: Pick<Collections, 'records' | 'transactions' | 'journal'>;
  /** 16 hex digits, random. */
  readonly newToken: () => string;
  /** ms since 1970. */
  readonly now: () => number;
}
export type Held = 'committed' | 'pending' | 'aborted';
export type Ended =
  | { readonly end: 'committed' }
  /** A precondition failed. */
  | { readonly end: 'conflict'; readonly write: RecordWrite }
  /** Another transaction holds a row, or has undone this one: try again. */
  | { readonly end: 'blocked' }
  /** The slot was not free. */
  | { readonly end: 'taken' };

export class Transactions {
  readonly #options: TransactionsOptions;
  readonly #rows: Collections['records'];
  readonly #transactions: Collections['transactions'];
  readonly #journal: Collections['journal'];

  constructor(options: TransactionsOptions) {
    this.#options = options;
    const { records, transactions, journal } = options.collections;
    this.#rows = records;
    this.#transactions = transactions;
    this.#journal = journal;
  }

  /**
   * @param slot inserted when all rows are held; it is valid only with the transaction that it names
   * @throws OutcomeUnknown when it may have been committed; StoreUnavailable when it surely was not
   */
  async run(
    writes: readonly RowWrites[],
    slot?: { readonly id: string; readonly insert: (tx: string) => Promise<boolean> },
  ): Promise<Ended> {
    const { newToken, now } = this.#options;
    const tx = newToken();
    const doc: TransactionDoc = {
      _id: tx,
      k: newToken(),
      s: 'pending',
      t: now(),
      rows: writes.map(({ id }) => id),
      ...(slot === undefined ? {} : { slot: slot.id }),
    };
    let mayCommit = false;
    try {
      if (!(await this.#transactions.insert(doc))) throw new StoreUnavailable('a random token came twice');
      const failed = await this.#holdAll(doc, writes);
      if (failed !== undefined || (slot !== undefined && !(await slot.insert(tx)))) {
        await this.#undo(doc);
        await this.#transactions.remove({ _id: tx });
        return failed ?? { end: 'taken' };
      }
      mayCommit = true;
      const isCommitted = await this.#transactions.update({ _id: tx, s: 'pending' }, { $set: { s: 'committed', k: newToken() } });
      if (!isCommitted) {
        if ((await this.#transactions.get(tx, ['s'])) === undefined) throw new OutcomeUnknown('a transaction was settled long ago');
        await this.#undo(doc);
        await this.#transactions.remove({ _id: tx });
        return { end: 'blocked' };
      }
    } catch (error) {
      if (mayCommit) throw error;
      await this.#undo(doc).catch(() => undefined); // whoever meets a row of it will undo it
      throw error instanceof OutcomeUnknown ? new StoreUnavailable(error.message, { cause: error }) : error;
    }
    try {
      await this.#carryOut(doc);
      await this.#transactions.remove({ _id: tx });
    } catch {
      // It holds all the same: whoever meets a row of it carries it out.
    }
    return { end: 'committed' };
  }

  async #holdAll(doc: TransactionDoc, writes: readonly RowWrites[]): Promise<Ended | undefined> {
    const there = new Map<string, RowDoc>();
    for (const row of await this.#rows.find({ _id: { $in: doc.rows } }, { limit: doc.rows.length })) there.set(row._id, row);
    const ends = await Promise.all(writes.map((write) => this.#hold(doc._id, write, there.get(write.id))));
    return ends.find((end) => end?.end === 'conflict') ?? ends.find((end) => end !== undefined);
  }

  async #hold(tx: string, { id, writes }: RowWrites, there: RowDoc | undefined): Promise<Ended | undefined> {
    const { newToken, now } = this.#options;
    for (let row = there; ; row = await this.#rows.get(id)) {
      if (row?.lt !== undefined && row.lt !== tx) {
        if ((await this.settle(row.lt)) === 'pending') return { end: 'blocked' };
        row = await this.#settled(row);
        if (row?.lt !== undefined) return { end: 'blocked' };
      }
      const next = written(liveState(ownState(row), now()), writes);
      if ('conflict' in next) return { end: 'conflict', write: next.conflict };
      const held = {
        k: newToken(),
        lt: tx,
        lv: next.version,
        ...(next.version === 0 ? {} : { lj: next.json }),
        ...(next.expiresAt === undefined ? {} : { lx: next.expiresAt }),
      };
      const isHeld =
        row === undefined
          ? await this.#rows.insert({ _id: id, v: 0, j: '', ...held })
          : await this.#rows.update({ _id: id, k: row.k }, { $set: held });
      if (isHeld) return undefined;
    }
  }

  /** What a row says now, whatever holds it. */
  async state(row: RowDoc | undefined): Promise<RowState> {
    let at = row;
    while (at?.lt !== undefined) {
      const found = await this.#transactions.get(at.lt, ['s']);
      if (found !== undefined) return found.s === 'committed' ? nextState(at) : ownState(at);
      // It was settled since the row was read, or it was undone and this row came late.
      const again: RowDoc | undefined = await this.#rows.get(at._id);
      if (again?.lt === at.lt) return ownState(again);
      at = again;
    }
    return ownState(at);
  }
  /** The row without what held it, or as it is when that is pending. */
  async free(row: RowDoc): Promise<RowDoc | undefined> {
    if (row.lt === undefined) return row;
    if ((await this.settle(row.lt)) === 'pending') return row;
    return this.#settled(row);
  }
  async #settled(row: RowDoc): Promise<RowDoc | undefined> {
    const again = await this.#rows.get(row._id);
    // Held by one that nobody knows: it was undone, and this row came late.
    if (again?.lt !== undefined && again.lt === row.lt) await this.#release(again);
    else return again;
    return this.#rows.get(row._id);
  }

  /** A slot that names a transaction: does it hold? Settles it, if that can be done now. */
  async slot(slot: SlotDoc): Promise<'valid' | 'pending' | 'void'> {
    if (slot.tx === undefined) return 'valid';
    const held = await this.settle(slot.tx);
    if (held === 'pending') return 'pending';
    const again = await this.#journal.get(slot._id, ['k', 'tx']);
    if (again === undefined || again.k !== slot.k) return 'void';
    if (again.tx === undefined) return 'valid';
    await this.#journal.remove({ _id: slot._id, k: slot.k, tx: slot.tx });
    return 'void';
  }

  /** Finishes a transaction as far as that is possible now. One that is not there any more counts as aborted. */
  async settle(tx: string): Promise<Held> {
    const doc = await this.#transactions.get(tx);
    if (doc === undefined) return 'aborted';
    if (doc.s === 'committed') {
      await this.#carryOut(doc);
      return 'committed';
    }
    if (doc.s === 'pending') {
      if (this.#options.now() - doc.t < HANGS_AFTER_MS) return 'pending';
      const isMine = await this.#transactions.update({ _id: tx, s: 'pending' }, { $set: { s: 'aborted', k: this.#options.newToken() } });
      if (!isMine) return this.settle(tx);
    }
    await this.#undo(doc);
    return 'aborted';
  }
  /** All that were left by those who died. What was decided is known for an hour, for an owner that asks late. */
  async settleAll(): Promise<void> {
    for (let after = ''; ; ) {
      const page = await this.#transactions.find({ _id: { $gt: after } }, { limit: 100, fields: ['t'] });
      for (const { _id, t } of page) {
        if ((await this.settle(_id)) !== 'pending' && t < this.#options.now() - KNOWN_MS) await this.#transactions.remove({ _id });
      }
      const last = page.at(-1);
      if (last === undefined) return;
      after = last._id;
    }
  }

  async #carryOut({ _id: tx, rows, slot }: TransactionDoc): Promise<void> {
    const { newToken } = this.#options;
    await Promise.all(
      rows.map(async (id) => {
        const row = await this.#rows.get(id);
        if (row?.lt !== tx) return;
        const { version, json, expiresAt } = nextState(row);
        if (version === 0) return void (await this.#rows.remove({ _id: id, lt: tx }));
        const gone = ['lt', 'lv', 'lj', 'lx'] as const;
        const $set = { v: version, j: json, k: newToken(), ...(expiresAt === undefined ? {} : { x: expiresAt }) };
        await this.#rows.update({ _id: id, lt: tx }, { $set, $unset: expiresAt === undefined ? [...gone, 'x'] : gone });
      }),
    );
    if (slot !== undefined) await this.#journal.updateMany({ _id: slot, tx }, { $unset: ['tx'] });
  }
  async #undo({ _id: tx, rows, slot }: TransactionDoc): Promise<void> {
    // No longer pending before anything is undone, so that nobody sees it committed afterwards.
    await this.#transactions.updateMany({ _id: tx, s: 'pending' }, { $set: { s: 'aborted' } });
    if (slot !== undefined) await this.#journal.remove({ _id: slot, tx });
    for (const row of await this.#rows.find({ _id: { $in: rows } }, { limit: rows.length })) if (row.lt === tx) await this.#release(row);
  }
  async #release(row: RowDoc): Promise<void> {
    if (row.lt === undefined) return;
    if (row.v === 0) await this.#rows.remove({ _id: row._id, lt: row.lt });
    else
      await this.#rows.updateMany(
        { _id: row._id, lt: row.lt },
        { $set: { k: this.#options.newToken() }, $unset: ['lt', 'lv', 'lj', 'lx'] },
      );
  }
}
