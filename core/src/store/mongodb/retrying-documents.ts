/** Tries again over what lasts seconds (an election, a cut connection), so that its callers see success, refusal or one clear error. */
import { OutcomeUnknown, StoreUnavailable } from '../store.ts';
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

export interface RetryOptions {
  /** After the first failure, ms; then it is given up. */
  readonly retryMs: number;
  /** Settles after `ms`. */
  readonly sleep: (ms: number) => Promise<void>;
  /** ms of any clock that does not stand still. */
  readonly now: () => number;
}
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1_000;

/** Documents that compare-and-set carry a random token: it tells after a failure whose write landed. */
export interface Tokened extends Doc {
  readonly k: string;
}

/**
 * What goes wrong below comes out as {@link StoreUnavailable} (surely nothing was written) or {@link OutcomeUnknown}. Inserts and
 * updates of documents with a token `k` find out after a failure whether they landed; all others must be harmless when repeated.
 */
export class RetryingDocuments implements Documents {
  readonly #documents: Documents;
  readonly #options: RetryOptions;
  constructor(documents: Documents, options: RetryOptions) {
    this.#documents = documents;
    this.#options = options;
  }
  collection<D extends Doc>(name: string): Collection<D> {
    return new RetryingCollection(this.#documents.collection<D>(name), this.#options);
  }
  createIndex(collection: string, index: Index): Promise<void> {
    return this.#documents.createIndex(collection, index);
  }
  close(): Promise<void> {
    return this.#documents.close();
  }
}

class RetryingCollection<D extends Doc> implements Collection<D> {
  readonly #collection: Collection<D>;
  readonly #options: RetryOptions;
  constructor(collection: Collection<D>, options: RetryOptions) {
    this.#collection = collection;
    this.#options = options;
  }

  get(id: string, fields?: FindOptions<D>['fields']): Promise<D | undefined> {
    return this.#try(() => this.#collection.get(id, fields));
  }
  find(filter: Filter<D>, options: FindOptions<D>): Promise<readonly D[]> {
    return this.#try(() => this.#collection.find(filter, options));
  }
  insertMany(docs: readonly D[]): Promise<void> {
    return this.#try(() => this.#collection.insertMany(docs));
  }
  put(docs: readonly D[], guard?: Parameters<Collection<D>['put']>[1]): Promise<void> {
    return this.#try(() => this.#collection.put(docs, guard));
  }
  updateMany(filter: Filter<D>, change: Change<D>): Promise<number> {
    return this.#try(() => this.#collection.updateMany(filter, change));
  }
  /** After a failure the count says what went in the last try only. */
  remove(filter: Filter<D>): Promise<number> {
    return this.#try(() => this.#collection.remove(filter));
  }
  /** After a failure it may have been added twice: callers need a number above the former, no exact sum. */
  increment(id: string, field: Parameters<Collection<D>['increment']>[1], by: number): Promise<number> {
    return this.#try(() => this.#collection.increment(id, field, by));
  }

  insert(doc: D): Promise<boolean> {
    return this.#try(async (isRetry) => {
      if (await this.#collection.insert(doc)) return true;
      return isRetry && this.#isMine(await this.#collection.get(doc._id), doc);
    });
  }

  update(filter: Filter<D> & { readonly _id: string }, change: Change<D>): Promise<boolean> {
    return this.#try(async (isRetry) => {
      if (await this.#collection.update(filter, change)) return true;
      if (!isRetry || change.$set === undefined || !('k' in change.$set)) return false;
      if (this.#isMine(await this.#collection.get(filter._id), change.$set)) return true;
      // It may have landed, and somebody else's after it.
      throw new OutcomeUnknown('an update was not answered, and the document has changed since');
    });
  }

  #isMine(found: D | undefined, written: object): boolean {
    return found !== undefined && 'k' in found && 'k' in written && found.k === written.k;
  }

  /** `isRetry`: an earlier try may have landed. */
  async #try<T>(work: (isRetry: boolean) => Promise<T>): Promise<T> {
    let isInDoubt = false;
    let pause = FIRST_PAUSE_MS;
    let until: number | undefined;
    for (;;) {
      try {
        return await work(isInDoubt);
      } catch (error) {
        if (error instanceof InDoubt) isInDoubt = true;
        else if (!(error instanceof Unreached)) {
          if (isInDoubt && error instanceof StoreUnavailable) throw new OutcomeUnknown(error.message, { cause: error });
          throw error;
        }
        until ??= this.#options.now() + this.#options.retryMs;
        if (this.#options.now() + pause > until) {
          const message = `the database cannot be reached: ${error.message}`;
          throw isInDoubt ? new OutcomeUnknown(message, { cause: error }) : new StoreUnavailable(message, { cause: error });
        }
        await this.#options.sleep(pause);
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      }
    }
  }
}
