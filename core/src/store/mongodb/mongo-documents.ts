/** {@link Documents} over the official driver. The only file of the project that names it. */
import {
  type AnyBulkWriteOperation,
  type Document,
  type Collection as DriverCollection,
  type Filter as DriverFilter,
  MongoBulkWriteError,
  MongoClient,
  type MongoClientOptions,
  MongoError,
  MongoNetworkError,
  MongoServerError,
  MongoServerSelectionError,
  type UpdateFilter,
} from 'mongodb';
import { StoreUnavailable } from '../store.ts';
import {
  type Change,
  type Collection,
  type Doc,
  type Documents,
  type Filter,
  type FindOptions,
  InDoubt,
  type Index,
  Unreached,
} from './documents.ts';

export interface MongoOptions {
  /** mongodb:// or mongodb+srv:// */
  readonly url: string;
  readonly database: string;
  /** Default `majority`. */
  readonly writeConcern?: 'majority' | number;
  /** ms that a server is given to answer; then the operation is tried again. Default 5000. */
  readonly timeoutMs?: number;
  /** Connections of this process to each server. Default 50. */
  readonly connections?: number;
  /** Of the driver: tests watch commands with it. */
  readonly monitor?: (client: MongoClient) => void;
}
/** What the server says of itself. */
export interface ServerKind {
  readonly version: string;
  readonly kind: 'standalone' | 'replica set' | 'sharded';
}

const DUPLICATE = 11_000;
const WRITE_CONCERN_FAILED = 64;
/** The server is no primary, is stepping down, shuts down or was cut off: whatever was asked may have been done. */
const PASSING = new Set([6, 7, 63, 64, 89, 91, 134, 189, 262, 317, 9001, 10_058, 10_107, 11_600, 11_602, 13_388, 13_435, 13_436, 50]);
/** Documents of one bulk write; the driver splits by octets. */
const BULK = 100;

/** @throws StoreUnavailable when no server answers */
export async function openMongoDocuments(
  options: MongoOptions,
): Promise<{ readonly documents: MongoDocuments; readonly server: ServerKind }> {
  const timeoutMs = options.timeoutMs ?? 5_000;
  const settings: MongoClientOptions = {
    appName: 'pochard',
    serverSelectionTimeoutMS: timeoutMs,
    connectTimeoutMS: timeoutMs,
    socketTimeoutMS: timeoutMs * 2,
    waitQueueTimeoutMS: timeoutMs,
    maxPoolSize: options.connections ?? 50,
    // Our own retries know by the token whether a write landed; the driver's would hide from them that one was tried.
    retryWrites: false,
    retryReads: false,
    readPreference: 'primary',
    readConcern: { level: 'majority' },
    writeConcern: { w: options.writeConcern ?? 'majority', wtimeoutMS: timeoutMs * 2 },
    ignoreUndefined: true,
    promoteBuffers: true,
    monitorCommands: options.monitor !== undefined,
  };
  let client: MongoClient;
  try {
    client = new MongoClient(options.url, settings);
  } catch (error) {
    throw new StoreUnavailable(`this is no URL of a MongoDB server: ${error instanceof Error ? error.message : 'unknown'}`, {
      cause: error,
    });
  }
  options.monitor?.(client);
  try {
    await client.connect();
    const server = await probe(client);
    return { documents: new MongoDocuments(client, options.database), server };
  } catch (error) {
    await client.close();
    throw error instanceof StoreUnavailable
      ? error
      : new StoreUnavailable(`MongoDB at ${hostsOf(client)} cannot be used: ${error instanceof Error ? error.message : 'unknown'}`, {
          cause: error,
        });
  }
}

/** Without user and password. */
function hostsOf({ options: { srvHost, hosts } }: MongoClient): string {
  return srvHost ?? hosts.map(String).join(',');
}

/** @throws StoreUnavailable for servers whose updates are not atomic */
async function probe(client: MongoClient): Promise<ServerKind> {
  const admin = client.db('admin');
  const [hello, build] = [await admin.command({ hello: 1 }), await admin.command({ buildInfo: 1 })];
  if ('ferretdbVersion' in build || 'ferretdb' in build) {
    throw new StoreUnavailable('this server is FerretDB, whose updates are not atomic: mail would be lost; use MongoDB 4.4 or newer');
  }
  const kind = hello['msg'] === 'isdbgrid' ? 'sharded' : hello['setName'] === undefined ? 'standalone' : 'replica set';
  return { version: String(build['version']), kind };
}

export class MongoDocuments implements Documents {
  readonly #client: MongoClient;
  readonly #database: string;
  constructor(client: MongoClient, database: string) {
    this.#client = client;
    this.#database = database;
  }

  collection<D extends Doc>(name: string): Collection<D> {
    return new MongoCollection<D>(this.#client.db(this.#database).collection<Document>(name));
  }
  createIndex(collection: string, { name, keys, where }: Index): Promise<void> {
    return tried('read', async () => {
      const options = where === undefined ? { name } : { name, partialFilterExpression: { [where]: { $exists: true } } };
      const specification = Object.fromEntries(keys.map((key) => [key, 1] as const));
      await this.#client.db(this.#database).collection(collection).createIndex(specification, options);
    });
  }
  /** For tests. */
  async dropDatabase(): Promise<void> {
    await this.#client.db(this.#database).dropDatabase();
  }
  close(): Promise<void> {
    return this.#client.close();
  }
}

class MongoCollection<D extends Doc> implements Collection<D> {
  readonly #collection: DriverCollection<Document>;
  constructor(collection: DriverCollection<Document>) {
    this.#collection = collection;
  }

  get(id: string, fields?: FindOptions<D>['fields']): Promise<D | undefined> {
    return tried('read', async () => {
      const found = await this.#collection.findOne(filterOf({ _id: id }), fields === undefined ? {} : { projection: projection(fields) });
      return found === null ? undefined : (plainOctets(found) as D);
    });
  }
  find(filter: Filter<D>, { limit, order, fields }: FindOptions<D>): Promise<readonly D[]> {
    return tried('read', async () => {
      const cursor = this.#collection.find(filterOf(filter), fields === undefined ? {} : { projection: projection(fields) });
      const docs = await cursor
        .sort({ _id: order === 'descending' ? -1 : 1 })
        .limit(limit)
        .batchSize(limit + 1)
        .toArray();
      return docs.map((doc) => plainOctets(doc) as D);
    });
  }

  insert(doc: D): Promise<boolean> {
    return tried('write', async () => {
      try {
        await this.#collection.insertOne(doc as Document);
        return true;
      } catch (error) {
        if (isDuplicate(error)) return false;
        throw error;
      }
    });
  }
  async insertMany(docs: readonly D[]): Promise<void> {
    const [first] = docs;
    if (first === undefined) return;
    if (docs.length === 1) return void (await this.insert(first));
    for (let at = 0; at < docs.length; at += BULK) {
      const operations = docs.slice(at, at + BULK).map((document) => ({ insertOne: { document: document as Document } }));
      await this.#bulk(operations as AnyBulkWriteOperation<Document>[]);
    }
  }
  async put(docs: readonly D[], guard?: string): Promise<void> {
    for (let at = 0; at < docs.length; at += BULK) {
      let left = docs.slice(at, at + BULK);
      // An upsert that finds the id taken has met a document that its guard spares, or one that came this moment: that is seen by trying again.
      for (let attempt = 0; attempt < 3 && left.length > 0; attempt++) {
        const page = left;
        const taken = await this.#bulk(
          page.map((doc) => ({
            replaceOne: {
              filter: filterOf(guard === undefined ? { _id: doc._id } : { _id: doc._id, [guard]: { $lte: fieldOf(doc, guard) } }),
              replacement: doc as Document,
              upsert: true,
            },
          })),
        );
        left = page.filter((_, index) => taken.has(index));
      }
    }
  }
  /** Returns which operations met an id that is taken. */
  #bulk(operations: AnyBulkWriteOperation<Document>[]): Promise<ReadonlySet<number>> {
    return tried('write', async () => {
      try {
        await this.#collection.bulkWrite(operations, { ordered: false });
        return new Set<number>();
      } catch (error) {
        if (!(error instanceof MongoBulkWriteError) || error.code === WRITE_CONCERN_FAILED) throw error;
        // Whatever befalls the driver, a lost connection too, it tells as an error of the bulk write; which one it was lies within.
        const within: unknown = error.errorResponse;
        if (within instanceof Error) throw within;
        const errors = Array.isArray(error.writeErrors) ? error.writeErrors : [error.writeErrors];
        if (errors.length === 0 || errors.some(({ code }) => code !== DUPLICATE)) throw error;
        return new Set(errors.map(({ index }) => index));
      }
    });
  }

  update(filter: Filter<D> & { readonly _id: string }, change: Change<D>): Promise<boolean> {
    return tried('write', async () => (await this.#collection.updateOne(filterOf(filter), changeOf(change))).matchedCount > 0);
  }
  updateMany(filter: Filter<D>, change: Change<D>): Promise<number> {
    return tried('write', async () => (await this.#collection.updateMany(filterOf(filter), changeOf(change))).matchedCount);
  }
  remove(filter: Filter<D>): Promise<number> {
    return tried('write', async () => {
      const isOne = typeof filter._id === 'string';
      const { deletedCount } = isOne
        ? await this.#collection.deleteOne(filterOf(filter))
        : await this.#collection.deleteMany(filterOf(filter));
      return deletedCount;
    });
  }
  increment(id: string, field: string, by: number): Promise<number> {
    return tried('write', async () => {
      for (let attempt = 0; ; attempt++) {
        try {
          const options = { upsert: true, returnDocument: 'after' } as const;
          const found = await this.#collection.findOneAndUpdate(filterOf({ _id: id }), { $inc: { [field]: by } }, options);
          return Number(found?.[field]);
        } catch (error) {
          if (!isDuplicate(error) || attempt > 3) throw error; // two upserts met
        }
      }
    });
  }
}

/** The driver gives Buffers, whose `slice` is a view where that of a Uint8Array is a copy: stores give the latter. */
function plainOctets(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (value instanceof Uint8Array) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value)) return value.map(plainOctets);
  const plain: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) plain[name] = typeof field === 'object' ? plainOctets(field) : field;
  return plain;
}
/** Filters of this driver's own kind are filters of MongoDB; its types are about documents with ObjectIds. */
function filterOf(filter: object): DriverFilter<Document> {
  return filter as DriverFilter<Document>;
}
function projection(fields: readonly string[]): Document {
  return Object.fromEntries(['_id', ...fields].map((name) => [name, 1]));
}
function fieldOf(doc: Doc, name: string): unknown {
  return (doc as unknown as Readonly<Record<string, unknown>>)[name];
}
function changeOf<D extends Doc>({ $set, $unset, $max }: Change<D>): UpdateFilter<Document> {
  return {
    ...($set === undefined ? {} : { $set: $set as Document }),
    ...($unset === undefined || $unset.length === 0 ? {} : { $unset: Object.fromEntries($unset.map((name) => [name, ''])) }),
    ...($max === undefined ? {} : { $max: $max as Document }),
  } as UpdateFilter<Document>;
}

function isDuplicate(error: unknown): boolean {
  return error instanceof MongoServerError && error.code === DUPLICATE;
}

/** Errors of the driver as this project's: was it surely not done, perhaps done, or refused? */
async function tried<T>(kind: 'read' | 'write', work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isOfSocket(error))
      throw kind === 'read' ? new Unreached(error.message, { cause: error }) : new InDoubt(error.message, { cause: error });
    if (!(error instanceof MongoError)) {
      // Serialization: a document that BSON cannot hold, above all one that is too large.
      throw new StoreUnavailable(`the database cannot take this: ${error instanceof Error ? error.message : 'unknown'}`, { cause: error });
    }
    // Nothing was sent: no server was found, or no connection came free.
    const isUnsent =
      error instanceof MongoServerSelectionError || error.name === 'MongoWaitQueueTimeoutError' || error.name === 'MongoPoolClearedError';
    if (isUnsent) throw new Unreached(error.message, { cause: error });
    const isPassing =
      error instanceof MongoNetworkError ||
      error.name === 'MongoWriteConcernError' ||
      error.name === 'MongoTopologyClosedError' ||
      (typeof error.code === 'number' && PASSING.has(error.code));
    if (isPassing) throw kind === 'read' ? new Unreached(error.message, { cause: error }) : new InDoubt(error.message, { cause: error });
    throw new StoreUnavailable(`the database refuses: ${error.message}`, { cause: error });
  }
}

/** A connection that ends while a long command waits for the socket: the driver passes on the error of Node as it is. */
function isOfSocket(error: unknown): error is Error {
  return error instanceof Error && !(error instanceof MongoError) && 'syscall' in error;
}
