/**
 * The few operations on documents that this driver is made of (design/store-mongodb.md §2): whatever speaks MongoDB's protocol has them.
 * One implementation talks to a server, one in memory runs every interleaving for the model test, and faults are put between.
 */

/** Every id is a string that is derived from the natural key, so that an insert can be repeated. */
export interface Doc {
  readonly _id: string;
}
export type Scalar = string | number | boolean;
export interface Condition {
  readonly $gt?: Scalar;
  readonly $gte?: Scalar;
  readonly $lt?: Scalar;
  readonly $lte?: Scalar;
  readonly $in?: readonly Scalar[];
  readonly $exists?: boolean;
}
type FieldOf<D extends Doc> = Extract<keyof D, string>;
export type Fields<D extends Doc> = { readonly [Name in FieldOf<D>]?: Scalar | Condition };
export type Filter<D extends Doc> = Fields<D> & { readonly $or?: readonly Fields<D>[] };
export interface Change<D extends Doc> {
  readonly $set?: Partial<Omit<D, '_id'>>;
  readonly $unset?: readonly FieldOf<D>[];
  /** Numbers that only rise. */
  readonly $max?: { readonly [Name in FieldOf<D>]?: number };
}
export interface FindOptions<D extends Doc> {
  readonly limit: number;
  /** By `_id`. Default: ascending. */
  readonly order?: 'ascending' | 'descending';
  /** What to read beside `_id`. Default: everything. */
  readonly fields?: readonly FieldOf<D>[];
}

/**
 * Writes are durable on a majority when they settle; reads see nothing that can be rolled back.
 * @throws Unreached, InDoubt (writes only), StoreUnavailable (the server refuses, whatever is tried)
 */
export interface Collection<D extends Doc> {
  get(id: string, fields?: readonly FieldOf<D>[]): Promise<D | undefined>;
  /** In the order of `_id`. */
  find(filter: Filter<D>, options: FindOptions<D>): Promise<readonly D[]>;
  /** `false`: the id is taken. */
  insert(doc: D): Promise<boolean>;
  /** In no order; documents whose id is taken are left as they are. For immutable documents. */
  insertMany(docs: readonly D[]): Promise<void>;
  /** Writes whole documents; with a guard only over documents whose guard field is not greater. */
  put(docs: readonly D[], guard?: FieldOf<D>): Promise<void>;
  /** One document. `false`: none matched. */
  update(filter: Filter<D> & { readonly _id: string }, change: Change<D>): Promise<boolean>;
  /** All that match; must be harmless when repeated. */
  updateMany(filter: Filter<D>, change: Change<D>): Promise<number>;
  /** All that match. Returns how many went. */
  remove(filter: Filter<D>): Promise<number>;
  /** Adds to a number (0 when the document is not there); returns the sum. */
  increment(id: string, field: FieldOf<D>, by: number): Promise<number>;
}

export interface Index {
  readonly name: string;
  readonly keys: readonly string[];
  /** Only documents that have this field. */
  readonly where?: string;
}
export interface Documents {
  collection<D extends Doc>(name: string): Collection<D>;
  /** Idempotent. */
  createIndex(collection: string, index: Index): Promise<void>;
  close(): Promise<void>;
}

/** The operation was surely not carried out: it may be tried again. */
export class Unreached extends Error {
  override name = 'Unreached';
}
/** The operation may have been carried out, or may be still. */
export class InDoubt extends Error {
  override name = 'InDoubt';
}
