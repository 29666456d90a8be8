/** Documents in memory, one operation after the other: what the model test interleaves. It keeps copies, as a server would. */
import type { Change, Collection, Condition, Doc, Documents, Fields, Filter, FindOptions, Index, Scalar } from './documents.ts';

type Stored = Record<string, unknown>;

/** The data itself; several {@link ModelDocuments} over one are several clients of one server. */
export class ModelServer {
  readonly collections = new Map<string, Map<string, Stored>>();
  collection(name: string): Map<string, Stored> {
    const found = this.collections.get(name) ?? new Map<string, Stored>();
    this.collections.set(name, found);
    return found;
  }
}

export class ModelDocuments implements Documents {
  readonly #server: ModelServer;
  constructor(server: ModelServer) {
    this.#server = server;
  }
  collection<D extends Doc>(name: string): Collection<D> {
    return new ModelCollection<D>(name, this.#server);
  }
  async createIndex(_collection: string, _index: Index): Promise<void> {}
  async close(): Promise<void> {}
}

class ModelCollection<D extends Doc> implements Collection<D> {
  readonly #name: string;
  readonly #server: ModelServer;
  constructor(name: string, server: ModelServer) {
    this.#name = name;
    this.#server = server;
  }
  get #docs(): Map<string, Stored> {
    return this.#server.collection(this.#name);
  }

  #matching(filter: Filter<D>): Stored[] {
    const { _id } = filter;
    if (typeof _id === 'string') {
      const found = this.#docs.get(_id);
      return found !== undefined && matches(found, filter) ? [found] : [];
    }
    return [...this.#docs.values()].filter((doc) => matches(doc, filter));
  }

  get(id: string, fields?: FindOptions<D>['fields']): Promise<D | undefined> {
    return now(() => {
      const found = this.#docs.get(id);
      return found && project<D>(found, fields);
    });
  }
  find(filter: Filter<D>, options: FindOptions<D>): Promise<readonly D[]> {
    return now(() => {
      const sign = options.order === 'descending' ? -1 : 1;
      return this.#matching(filter)
        .sort((one, two) => (String(one['_id']) < String(two['_id']) ? -sign : sign))
        .slice(0, options.limit)
        .map((doc) => project<D>(doc, options.fields));
    });
  }
  insert(doc: D): Promise<boolean> {
    return now(() => this.#add(doc));
  }
  #add(doc: D): boolean {
    if (this.#docs.has(doc._id)) return false;
    this.#docs.set(doc._id, kept(doc));
    return true;
  }
  insertMany(docs: readonly D[]): Promise<void> {
    return now(() => {
      for (const doc of docs) this.#add(doc);
    });
  }
  put(docs: readonly D[], guard?: string): Promise<void> {
    return now(() => {
      for (const doc of docs) {
        const there = this.#docs.get(doc._id);
        const mine: Stored = kept(doc);
        if (there !== undefined && guard !== undefined && Number(there[guard]) > Number(mine[guard])) continue;
        this.#docs.set(doc._id, mine);
      }
    });
  }
  update(filter: Filter<D> & { readonly _id: string }, change: Change<D>): Promise<boolean> {
    return now(() => {
      const [found] = this.#matching(filter);
      if (found !== undefined) apply(found, change);
      return found !== undefined;
    });
  }
  updateMany(filter: Filter<D>, change: Change<D>): Promise<number> {
    return now(() => {
      const found = this.#matching(filter);
      for (const doc of found) apply(doc, change);
      return found.length;
    });
  }
  remove(filter: Filter<D>): Promise<number> {
    return now(() => {
      const found = this.#matching(filter);
      for (const doc of found) this.#docs.delete(String(doc['_id']));
      return found.length;
    });
  }
  increment(id: string, field: string, by: number): Promise<number> {
    return now(() => {
      const doc = this.#docs.get(id) ?? { _id: id };
      this.#docs.set(id, doc);
      const sum = Number(doc[field] ?? 0) + by;
      doc[field] = sum;
      return sum;
    });
  }
}

/** All at one moment. */
async function now<T>(run: () => T): Promise<T> {
  return run();
}

function kept(doc: Doc): Stored {
  return Object.fromEntries(Object.entries(structuredClone(doc)).filter(([, value]) => value !== undefined));
}
function project<D extends Doc>(doc: Stored, fields: readonly string[] | undefined): D {
  const copy = structuredClone(fields === undefined ? doc : Object.fromEntries(['_id', ...fields].map((name) => [name, doc[name]])));
  return copy as unknown as D;
}

function matches<D extends Doc>(doc: Stored, filter: Filter<D>): boolean {
  const { $or, ...fields } = filter;
  if ($or !== undefined && !$or.some((one: Fields<D>) => matchesFields(doc, one))) return false;
  return matchesFields(doc, fields);
}
function matchesFields(doc: Stored, fields: object): boolean {
  return Object.entries(fields).every(([name, wanted]) => matchesField(doc[name], wanted));
}
function matchesField(value: unknown, wanted: Scalar | Condition): boolean {
  if (typeof wanted !== 'object') return value === wanted;
  const { $exists, $in, ...bounds } = wanted;
  if ($exists !== undefined && (value !== undefined) !== $exists) return false;
  if ($in !== undefined && !$in.includes(value as Scalar)) return false;
  return Object.entries(bounds).every(([operator, bound]) => {
    if (typeof value !== typeof bound) return false;
    const [one, two] = [value as Scalar, bound as Scalar];
    if (operator === '$gt') return one > two;
    if (operator === '$gte') return one >= two;
    return operator === '$lt' ? one < two : one <= two;
  });
}
function apply<D extends Doc>(doc: Stored, { $set, $unset, $max }: Change<D>): void {
  for (const [name, value] of Object.entries(structuredClone($set ?? {}))) doc[name] = value;
  for (const name of $unset ?? []) delete doc[name];
  for (const [name, value] of Object.entries($max ?? {}))
    doc[name] = Math.max(Number(doc[name] ?? Number.NEGATIVE_INFINITY), Number(value));
}
