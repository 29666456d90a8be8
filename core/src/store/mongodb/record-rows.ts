/** Rows of records as they lie, and what a list of writes makes of one. */
import type { RecordRow, RecordWrite } from '../store.ts';
import { AFTER_TEXT, decodeText, encodeText } from './keys.ts';
import type { RowDoc } from './schema.ts';

export function rowKey(table: string, key: string): string {
  return `${table}:${encodeText(key)}`;
}
export function keyOfRow(id: string): string {
  return decodeText(id.slice(id.indexOf(':') + 1));
}
/** Keys of a table that start with `prefix` and are greater than `after`. */
export function rowRange(table: string, prefix: string, after: string | undefined) {
  const from = rowKey(table, prefix);
  const above = after === undefined ? undefined : rowKey(table, after);
  const end = `${from}${AFTER_TEXT}`;
  return above !== undefined && above >= from ? { $gt: above, $lt: end } : { $gte: from, $lt: end };
}

export interface RowState {
  /** 0: not there. */
  readonly version: number;
  readonly json: string;
  readonly expiresAt: number | undefined;
}
export const ABSENT: RowState = { version: 0, json: '', expiresAt: undefined };

/** What counts now: an expired row is not there. */
export function liveState(state: RowState, now: number): RowState {
  return state.expiresAt !== undefined && state.expiresAt <= now ? ABSENT : state;
}
export function ownState(row: RowDoc | undefined): RowState {
  return row === undefined ? ABSENT : { version: row.v, json: row.j, expiresAt: row.x };
}
/** What the transaction that holds the row makes of it. */
export function nextState(row: RowDoc): RowState {
  return { version: row.lv ?? 0, json: row.lj ?? '', expiresAt: row.lx };
}
export function recordOf(id: string, { version, json }: RowState): RecordRow {
  return { key: keyOfRow(id), version, value: JSON.parse(json) };
}

/** All writes of one key, in order. */
export interface RowWrites {
  readonly id: string;
  readonly writes: readonly RecordWrite[];
}
/** @throws TypeError when a value is not JSON */
export function byRow(writes: readonly RecordWrite[]): readonly RowWrites[] {
  const rows = new Map<string, RecordWrite[]>();
  for (const write of writes) {
    if (write.value !== undefined && JSON.stringify(write.value) === undefined) {
      throw new TypeError(`record ${write.table}: the value is not JSON`);
    }
    const id = rowKey(write.table, write.key);
    const found = rows.get(id);
    if (found === undefined) rows.set(id, [write]);
    else found.push(write);
  }
  return [...rows].map(([id, own]) => ({ id, writes: own }));
}
/** The state after all writes, or the first whose precondition fails. */
export function written(before: RowState, writes: readonly RecordWrite[]): RowState | { readonly conflict: RecordWrite } {
  let state = before;
  for (const write of writes) {
    if (write.ifVersion !== undefined && write.ifVersion !== state.version) return { conflict: write };
    state =
      write.value === undefined ? ABSENT : { version: state.version + 1, json: JSON.stringify(write.value), expiresAt: write.expiresAt };
  }
  return state;
}
