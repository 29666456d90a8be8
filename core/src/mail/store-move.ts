/**
 * Everything of one store into another, octet for octet: journal with its numbers and tokens, saved state, contents under their ids, blobs,
 * records, derived pieces, what observers have not passed. Both stores are nobody else's meanwhile. It can be cut off at any moment and
 * called again; what is there already is not moved twice. Nothing is taken away from the source.
 */
import { createHash, type Hash } from 'node:crypto';
import { BLOB_FILE_OCTETS, blobIdOfDigest } from '../store/blob-id.ts';
import type { AccountId, BlobId, ContentId, ContentMeta, NewContent, Segment, Seq, Store, StoredContent } from '../store/store.ts';
import { JournalPruned, StoreDamaged } from '../store/store.ts';
import { fsckAccount } from './fsck.ts';
import { decodeSnapshot } from './journal/snapshot-codec.ts';

export class MoveRefused extends Error {
  override name = 'MoveRefused';
}
export interface MoveProgress {
  readonly account: string;
  /** Accounts that are done, of all. */
  readonly done: number;
  readonly total: number;
  readonly contents: number;
  readonly octets: number;
  readonly phase: 'moving' | 'checking';
}
export interface MoveOptions {
  readonly from: Store;
  readonly to: Store;
  readonly show: (progress: MoveProgress) => void;
  readonly signal: AbortSignal;
}
export interface MoveReport {
  readonly accounts: number;
  readonly contents: number;
  readonly octets: number;
  /** None: both stores say the same, and fsck finds nothing in the new one. */
  readonly problems: readonly string[];
}

const MARK = 'store-move';
const STATE = 'state';
const PAGE = 200;
const CONTENTS = 32;
/** Octets of contents that one call takes over. */
const BATCH_OCTETS = 4 * 1024 * 1024;
const META = ['envelope', 'structure', 'body', 'preview', 'sentAt', 'head', 'parts'] as const;
const EVERYTHING = Number.MAX_SAFE_INTEGER;
const CHUNKS = 0xff_ffff;
/** Entries that an observer may be behind; of more nothing is taken for passed, so that it hears some again. */
const BEHIND = 10_000;
const SEGMENT_READ = 1024 * 1024;

/** Is a store half filled by a move that did not end? A server must not run on it. */
export async function isHalfMoved(store: Store): Promise<boolean> {
  return (await store.records.get(MARK, STATE)) !== undefined;
}

/** @throws MoveRefused when the source holds nothing, or the target something that no unfinished move has put there */
export async function moveStore(options: MoveOptions): Promise<MoveReport> {
  const { from, to, show, signal } = options;
  if (await isHalfMoved(from)) throw new MoveRefused('the source is itself the target of a move that did not end');
  // A database that is not there looks like an empty one: its name is mistyped, most likely.
  if ((await from.records.all(undefined, 1)).length === 0) throw new MoveRefused('the source holds nothing: is its name right?');
  const accounts = await accountsOf(from);
  if (!(await isHalfMoved(to))) {
    if ((await to.records.all(undefined, 1)).length > 0) throw new MoveRefused('the target is not empty');
    await to.records.write([{ table: MARK, key: STATE, value: { begun: Date.now() }, ifVersion: 0 }]);
  }
  let contents = 0;
  let octets = 0;
  const count = (moved: number, size: number): void => {
    contents += moved;
    octets += size;
  };
  const unpassed = await unpassedEntries(from);
  const progress = (account: string, done: number, phase: MoveProgress['phase']): void =>
    show({ account, done, total: accounts.length, contents, octets, phase });
  const moves = accounts.map((account) => new AccountMove(from, to, account, count, signal));
  for (const [n, move] of moves.entries()) {
    signal.throwIfAborted();
    progress(move.account, n, 'moving');
    await move.contents(() => progress(move.account, n, 'moving'));
    await move.state();
    if (unpassed !== undefined) await move.entries((unpassed.lowest.get(move.account) ?? EVERYTHING) - 1);
  }
  // Observers begin where they stand: what they have passed is in the journal already, the rest comes after them.
  for (const observer of await from.feed.observers()) await to.feed.register(observer, 'now');
  for (const move of moves) {
    await move.entries(EVERYTHING);
    await move.derived();
  }
  await moveObservers(from, to, unpassed);
  await moveRecords(from, to);

  const problems: string[] = [];
  for (const [n, { account }] of moves.entries()) {
    signal.throwIfAborted();
    progress(account, n, 'checking');
    const [one, two] = await Promise.all([digestOf(from, account, signal), digestOf(to, account, signal)]);
    for (const [part, digest] of one) if (two.get(part) !== digest) problems.push(`account ${account}: ${part} differ`);
    for await (const { what, problem } of fsckAccount(to, account)) problems.push(`${what}: ${problem}`);
  }
  for await (const { what, problem } of to.check()) problems.push(`${what}: ${problem}`);
  await to.flush();
  if (problems.length === 0) await to.records.write([{ table: MARK, key: STATE, value: undefined }]);
  return { accounts: accounts.length, contents, octets, problems };
}

async function accountsOf(store: Store): Promise<readonly AccountId[]> {
  const accounts: AccountId[] = [];
  for (let after: string | undefined; ; ) {
    const page = await store.records.list('account', after === undefined ? { limit: PAGE } : { after, limit: PAGE });
    for (const { key } of page) accounts.push(key as AccountId);
    const last = page.at(-1);
    if (last === undefined) return accounts;
    after = last.key;
  }
}

/** What observers of the source have not passed. */
interface Unpassed {
  /** By account, the lowest entry that some observer has not passed or that waits behind one that is set aside. */
  readonly lowest: ReadonlyMap<AccountId, Seq>;
  readonly byObserver: ReadonlyMap<string, ReadonlySet<string>>;
}

/** `undefined`: too many to tell. */
async function unpassedEntries({ feed }: Store): Promise<Unpassed | undefined> {
  const lowest = new Map<AccountId, Seq>();
  const byObserver = new Map<string, ReadonlySet<string>>();
  const note = (account: AccountId, seq: Seq): void => void lowest.set(account, Math.min(lowest.get(account) ?? EVERYTHING, seq));
  for (const observer of await feed.observers()) {
    const behind = await feed.next(observer, BEHIND);
    if (behind.length === BEHIND) return undefined;
    for (const { account, entry } of behind) note(account, entry.seq);
    for (const { account, seq } of await feed.parked(observer)) note(account, seq + 1);
    byObserver.set(observer, new Set(behind.map(({ account, entry }) => `${account}:${entry.seq}`)));
  }
  return { lowest, byObserver };
}

/** Observers begin where they stand; what only others have not passed is passed again for them, as far as it comes first. */
async function moveObservers(from: Store, to: Store, unpassed: Unpassed | undefined): Promise<void> {
  for (const observer of await from.feed.observers()) {
    for (const { account, seq, error, retryAt } of await from.feed.parked(observer)) {
      await to.feed.park(observer, account, seq, error, retryAt, retryAt === undefined ? undefined : 'account');
    }
    const own = unpassed?.byObserver.get(observer);
    if (own !== undefined) await passAllBut(own, observer, to);
  }
}
async function passAllBut(own: ReadonlySet<string>, observer: string, { feed }: Store): Promise<void> {
  for (;;) {
    const page = await feed.next(observer, PAGE);
    for (const { position, account, entry } of page) {
      if (own.has(`${account}:${entry.seq}`)) return;
      await feed.done(observer, position);
    }
    if (page.length === 0) return;
  }
}

/** The lowest `after` that can be read. */
async function floorOf(store: Store, account: AccountId): Promise<Seq> {
  try {
    await store.tail(account, 0, 1);
    return 0;
  } catch (error) {
    if (error instanceof JournalPruned) return error.floor;
    throw error;
  }
}

async function moveRecords(from: Store, to: Store): Promise<void> {
  for (let after: string | undefined; ; ) {
    const page = await from.records.all(after, PAGE);
    const writes = page.map(({ table, key, value, expiresAt }) => ({
      table,
      key,
      value,
      ...(expiresAt === undefined ? {} : { expiresAt }),
    }));
    // One by one: they need not land together, and each is written over what an earlier try left.
    for (const write of writes) await to.records.write([write]);
    const last = page.at(-1);
    if (last === undefined) return;
    after = last.mark;
  }
}

class AccountMove {
  readonly account: AccountId;
  readonly #from: Store;
  readonly #to: Store;
  readonly #count: (contents: number, octets: number) => void;
  readonly #signal: AbortSignal;
  constructor(from: Store, to: Store, account: AccountId, count: (contents: number, octets: number) => void, signal: AbortSignal) {
    this.#from = from;
    this.#to = to;
    this.account = account;
    this.#count = count;
    this.#signal = signal;
  }

  async contents(show: () => void): Promise<void> {
    const { account } = this;
    for (let after: ContentId | 0 = 0; ; ) {
      const page: Awaited<ReturnType<Store['contents']['list']>> = await this.#from.contents.list(account, after, CONTENTS);
      const last = page.at(-1);
      if (last === undefined) break;
      const there = new Set((await this.#to.contents.list(account, after, CONTENTS)).map(({ id }) => id));
      after = last.id;
      const missing = page.filter(({ id }) => !there.has(id)).map(({ id }) => id);
      await this.#adopt(missing);
      this.#count(
        page.length,
        page.reduce((sum, { sizeOctets }) => sum + sizeOctets, 0),
      );
      show();
      this.#signal.throwIfAborted();
    }
    for (let after: ContentId | 0 = 0; ; ) {
      const dead = await this.#from.contents.dead(account, after, PAGE);
      const last = dead.at(-1);
      if (last === undefined) break;
      await this.#to.adopt(account, { floor: 0, contents: [], dead });
      after = last.id;
    }
  }
  async #adopt(ids: readonly ContentId[]): Promise<void> {
    const { account } = this;
    const [metas, loaded] = [await this.#from.contents.meta(account, ids, META), await this.#from.contents.load(account, ids)];
    let batch: NewContent[] = [];
    let octets = 0;
    for (const [at, content] of loaded.entries()) {
      const meta = metas[at];
      if (content === undefined || meta === undefined) throw new StoreDamaged(`content ${ids[at]} of account ${account} cannot be read`);
      batch.push({ ...content, meta: meta as ContentMeta, segments: await this.#segments(content) });
      octets += content.sizeOctets;
      if (octets < BATCH_OCTETS) continue;
      await this.#to.adopt(account, { floor: 0, contents: batch, dead: [] });
      batch = [];
      octets = 0;
    }
    if (batch.length > 0) await this.#to.adopt(account, { floor: 0, contents: batch, dead: [] });
  }
  async #segments(content: StoredContent): Promise<readonly Segment[]> {
    const segments: Segment[] = [];
    for (const [n, segment] of content.segments.entries()) {
      if (segment.at === 'inline') {
        const { sizeOctets } = segment;
        const data = segment.data ?? Buffer.concat(await collect(inlineOctets(this.#from, this.account, content, n)));
        segments.push({ at: 'inline', sizeOctets, data });
        continue;
      }
      const { sizeOctets, blob, blobOctets, recipe } = segment;
      const data = await this.#blob(blob, blobOctets);
      segments.push({ at: 'blob', sizeOctets, blob, blobOctets, recipe, ...(data === undefined ? {} : { data }) });
    }
    return segments;
  }
  /** A short blob goes along with its content, a long one before it. */
  async #blob(id: BlobId, octets: number): Promise<Uint8Array | undefined> {
    const read = (): AsyncIterable<Uint8Array> => this.#from.blobs.read(id, 0, octets, this.#signal);
    if (octets < BLOB_FILE_OCTETS) return Buffer.concat(await collect(read()));
    const hash = createHash('sha256');
    for await (const piece of read()) hash.update(piece);
    const digest = hash.digest();
    const scope = ['', this.account].find((one) => blobIdOfDigest(one, digest) === id);
    if (scope === undefined) throw new StoreDamaged(`blob ${id} does not hold the octets that it is named after`);
    await this.#to.blobs.put(scope, read(), this.#signal);
    return undefined;
  }

  /** Saved state, and where the journal begins. */
  async state(): Promise<void> {
    const { account } = this;
    const snapshot = await this.#from.load(account);
    if (snapshot !== undefined) {
      const chunks = [];
      for (const { id } of decodeSnapshot(snapshot).boxes) chunks.push(...(await this.#from.chunks(account, id, 0, CHUNKS)));
      await this.#to.saveState(account, { snapshot, chunks, unboxed: [] });
    }
    const floor = await floorOf(this.#from, account);
    if (floor > 0) await this.#to.adopt(account, { floor, contents: [], dead: [] });
  }

  /** Up to `upTo`, inclusive. */
  async entries(upTo: Seq): Promise<void> {
    const { account } = this;
    const floor = await floorOf(this.#from, account);
    let after = floor;
    for (;;) {
      const page = await this.#to.tail(account, after, PAGE);
      after = page.at(-1)?.seq ?? after;
      if (page.length < PAGE) break;
    }
    while (after < upTo) {
      const page = await this.#from.tail(account, after, PAGE);
      if (page.length === 0) return;
      for (const entry of page) {
        if (entry.seq > upTo) return;
        const outcome = await this.#to.commit({ account, entry, contents: [], dead: [], records: [] });
        if (!outcome.done) throw new MoveRefused(`somebody else writes to account ${account} in the target`);
        after = entry.seq;
      }
    }
  }

  async derived(): Promise<void> {
    const { account } = this;
    const there = new Map((await this.#to.derived.list(account)).map(({ id, pieces }) => [id, pieces]));
    for (const { id, pieces } of await this.#from.derived.list(account)) {
      for (let n = there.get(id) ?? 0; n < pieces; n++) {
        const piece = await this.#from.derived.get(account, id, n);
        if (piece !== undefined) await this.#to.derived.put(account, id, n, [piece]);
      }
    }
  }
}

async function* inlineOctets(store: Store, account: AccountId, { id }: StoredContent, n: number): AsyncGenerator<Uint8Array> {
  for (let from = 0; ; from += SEGMENT_READ) {
    const piece = await store.contents.segment(account, id, n, from, from + SEGMENT_READ);
    if (piece.length > 0) yield piece;
    if (piece.length < SEGMENT_READ) return;
  }
}
async function collect(source: AsyncIterable<Uint8Array>): Promise<readonly Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(Uint8Array.from(piece)); // a source may use one buffer again and again
  return pieces;
}

/** What two stores must agree on, part by part. */
async function digestOf(store: Store, account: AccountId, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const parts = new Map<string, Hash>(
    ['entries', 'saved state', 'contents', 'octets of messages', 'dead contents'].map((part) => [part, createHash('sha256')]),
  );
  const add = (part: string, ...values: readonly (string | number | Uint8Array)[]): void => {
    for (const value of values) parts.get(part)?.update(typeof value === 'object' ? value : `${value}\n`);
  };
  for (let after = await floorOf(store, account); ; ) {
    const page = await store.tail(account, after, PAGE);
    for (const { seq, token, data } of page) add('entries', seq, token, data.length, data);
    const last = page.at(-1);
    if (last === undefined) break;
    after = last.seq;
  }
  const snapshot = await store.load(account);
  if (snapshot !== undefined) {
    add('saved state', snapshot.applied, snapshot.data);
    for (const { id } of decodeSnapshot(snapshot).boxes) {
      for (const { n, seq, data } of await store.chunks(account, id, 0, CHUNKS)) add('saved state', id, n, seq, data.length, data);
    }
  }
  for (let after: ContentId | 0 = 0; ; ) {
    const page: Awaited<ReturnType<Store['contents']['list']>> = await store.contents.list(account, after, CONTENTS);
    const last = page.at(-1);
    if (last === undefined) break;
    after = last.id;
    const ids = page.map(({ id }) => id);
    for (const meta of await store.contents.meta(account, ids, META)) {
      for (const [name, value] of Object.entries(meta ?? {}).sort())
        add('contents', name, value instanceof Uint8Array ? value : String(value));
    }
    for (const content of await store.contents.load(account, ids)) {
      if (content === undefined) continue;
      add('contents', content.id, content.sizeOctets, content.bodyOffset, content.codecs.join(' '));
      for (const [n, segment] of content.segments.entries()) {
        if (segment.at === 'inline') {
          add('contents', 'inline', segment.sizeOctets);
          for await (const piece of inlineOctets(store, account, content, n)) add('octets of messages', piece);
        } else {
          add('contents', segment.blob, segment.blobOctets, segment.sizeOctets, segment.recipe);
          for await (const piece of store.blobs.read(segment.blob, 0, segment.blobOctets, signal)) add('octets of messages', piece);
        }
      }
    }
  }
  for (let after: ContentId | 0 = 0; ; ) {
    const page = await store.contents.dead(account, after, PAGE);
    for (const { id } of page) add('dead contents', id);
    const last = page.at(-1);
    if (last === undefined) break;
    after = last.id;
  }
  return new Map([...parts].map(([part, hash]) => [part, hash.digest('hex')]));
}
