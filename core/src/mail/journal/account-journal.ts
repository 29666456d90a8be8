/**
 * One account's state at the head of its journal: loads snapshot and tail, takes in further entries, tells listeners, loads messages
 * of a mailbox on demand, saves lazily. No commands here: those are account-queue.ts.
 */
import type { AccountId, Bus, MailboxId, Seq, Store, StoredChunk } from '../../store/store.ts';
import { JournalPruned, StoreDamaged, StoreUnavailable } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { MailboxListener } from './account-mail.ts';
import type { Loaded } from './account-reading.ts';
import { CHUNK_PAGE, loadAccount, readChunks, TAIL_PAGE, touchedChunks, weightOf } from './account-reading.ts';
import type { AccountState, MailboxRecord } from './account-state.ts';
import type { Entry } from './entry.ts';
import { decodeEntry, EntryLevelTooHigh } from './entry-codec.ts';
import { PackedMailbox } from './mailbox-state.ts';
import type { PackedResidency } from './packed-residency.ts';
import type { Change } from './reducer.ts';
import { redo, reduce } from './reducer.ts';
import { encodeSnapshot } from './snapshot-codec.ts';

export interface JournalClock {
  /** ms since 1970 */
  now(): number;
  /** Calls once, after about this many ms. Returns how to cancel. */
  after(ms: number, run: () => void): () => void;
}
export interface JournalLog {
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}
/** What all accounts of a process share. */
export interface JournalContext {
  readonly store: Store;
  readonly bus: Bus;
  readonly clock: JournalClock;
  readonly log: JournalLog;
  /** 16 hex digits, random. */
  readonly newToken: () => string;
  readonly residency: PackedResidency;
  /** Nothing new is taken any more. */
  readonly draining: boolean;
  /** The account was used: it stays in memory, hears beacons, and is saved when idle. */
  used(account: AccountJournal): void;
}

export const SAVE_EVERY_ENTRIES = 256;
/** Messages placed or changed chunks to redo, roughly, before a save is due. */
const SAVE_EVERY_MESSAGES = 20_000;
/** Unsaved entries beyond which commands are refused: only a store that takes entries but no state gets here. */
export const MAX_UNSAVED_ENTRIES = 16_384;
/** Chunks (16 KiB each) that a save copies before it lets others run. */
const SAVE_SLICE = 32;
const NO_ENTRIES: readonly Entry[] = [];
const NOBODY: ReadonlySet<(entry: Entry) => void> = new Set();

export class AccountJournal {
  readonly account: AccountId;
  protected readonly context: JournalContext;
  protected accountState: AccountState;
  /** Set when memory may not be what the store holds: reload before the next command. */
  protected stale = false;
  /** ms; when the account last took an entry. */
  changedAt = 0;
  #applied: Seq;
  /** Entries above the saved state. */
  #tail: readonly Entry[];
  #tailMessages = 0;
  #generation = 0;
  #turn: Promise<void> | undefined = undefined;
  #looking: Promise<void> | undefined = undefined;
  #saving: Promise<void> | undefined = undefined;
  #reads: Map<MailboxId, Promise<RawRead>> | undefined = undefined;
  #hearers: ReadonlySet<(entry: Entry) => void> = NOBODY;

  protected constructor(account: AccountId, context: JournalContext, loaded: Loaded) {
    this.account = account;
    this.context = context;
    this.accountState = loaded.state;
    this.#applied = loaded.applied;
    this.#tail = loaded.tail.length === 0 ? NO_ENTRIES : loaded.tail;
    for (const entry of loaded.tail) this.#tailMessages += weightOf(entry);
  }

  protected static load(account: AccountId, context: JournalContext): Promise<Loaded> {
    return loadAccount(context.store, account);
  }

  get head(): Seq {
    return this.accountState.seq;
  }

  get isDirty(): boolean {
    return this.#tail.length > 0;
  }

  protected get unsavedEntries(): number {
    return this.#tail.length;
  }

  /** Nobody listens and nothing is under way: memory may be given back once it is saved. */
  get isIdle(): boolean {
    if (this.#tail.length > 0 || this.#turn !== undefined || this.#hearers.size > 0) return false;
    for (const box of this.accountState.boxes) if (box.pins > 0 || box.listeners.length > 0) return false;
    return true;
  }

  listen(hear: (entry: Entry) => void): () => void {
    this.#hearers = new Set([...this.#hearers, hear]);
    this.context.used(this);
    return () => {
      this.#hearers =
        this.#hearers.size === 1 && this.#hearers.has(hear) ? NOBODY : new Set([...this.#hearers].filter((one) => one !== hear));
    };
  }

  /** Entries above `after`, as far as the head now. @throws JournalPruned */
  async *changes(after: Seq): AsyncIterable<Entry> {
    const end = this.head;
    for (let at = after; at < end; ) {
      const page = await this.context.store.tail(this.account, at, TAIL_PAGE);
      if (page.length === 0) return;
      for (const stored of page) {
        if (stored.seq > end) return;
        yield decodeEntry(stored);
        at = stored.seq;
      }
    }
  }

  /** Takes in what other instances have committed, unless the head is at `upTo` by the time it comes to that. @throws MailError */
  async catchUp(upTo: Seq = Number.POSITIVE_INFINITY): Promise<void> {
    await this.exclusive(async () => {
      if (this.head < upTo) await this.pull();
    });
  }

  refresh(): Promise<void> | undefined {
    if (this.context.store.shared !== true) return undefined;
    this.#looking ??= this.exclusive(async () => {
      this.#looking = undefined; // who asks from now on may want what this look does not see
      await this.pull();
    });
    return this.#looking;
  }

  /** All content ids that some message points at now. Nothing is committed by this instance meanwhile. */
  async liveContents(): Promise<ReadonlySet<number>> {
    return this.exclusive(async () => {
      await this.pull();
      const live = new Set<number>();
      for (const record of [...this.accountState.boxes]) {
        if (record.messages === 0) continue;
        const packed = record.packed ?? (await this.#read(record, 'in-turn'));
        for (const content of packed.planGone(new Uint32Array([1, 0xffff_ffff]), 0).contents) live.add(content);
      }
      return live;
    }).catch(rethrowAsMailError);
  }

  /** One after the other: commands, catching up, reloading. */
  protected async exclusive<T>(run: () => Promise<T>): Promise<T> {
    const before = this.#turn;
    let leave: () => void = () => undefined;
    const mine = new Promise<void>((resolve) => {
      leave = resolve;
    });
    this.#turn = mine;
    await before;
    try {
      return await run();
    } finally {
      if (this.#turn === mine) this.#turn = undefined;
      leave();
    }
  }

  /** In a turn. Reads entries above the head and takes them in. @throws MailError */
  protected async pull(): Promise<void> {
    try {
      if (this.stale) return await this.reload();
      for (;;) {
        const page = await this.context.store.tail(this.account, this.head, TAIL_PAGE);
        for (const stored of page) {
          const entry = decodeEntry(stored);
          const pinned = await this.#loadForGone(entry);
          try {
            this.take(entry);
          } finally {
            for (const record of pinned) this.context.residency.unpin(record);
          }
        }
        if (page.length < TAIL_PAGE) return;
      }
    } catch (error) {
      if (error instanceof JournalPruned) return this.reload();
      if (!(error instanceof StoreUnavailable)) {
        this.stale = true;
        this.context.log.error({ err: error, account: this.account }, 'entries cannot be taken in: the account stops here');
      }
      return rethrowAsMailError(error);
    }
  }

  /** The next entry, durable: reduces it and tells everybody. @throws StoreDamaged */
  protected take(entry: Entry): void {
    const changes = reduce(this.accountState, entry, hasListeners);
    // A save under way keeps the array it started with.
    this.#tail = [...this.#tail, entry];
    this.#tailMessages += weightOf(entry);
    this.changedAt = this.context.clock.now();
    for (const { box, what } of changes) {
      if (what === 'closed' && box.packed === undefined) this.context.residency.drop(box);
      else if (box.packed !== undefined && what !== 'keywords' && what !== 'seen' && what !== 'rights') this.context.residency.touch(box);
    }
    this.#tell(entry, changes);
    this.context.used(this);
    if (this.#saving === undefined && (this.#tail.length >= SAVE_EVERY_ENTRIES || this.#tailMessages >= SAVE_EVERY_MESSAGES)) {
      this.save().catch((error: unknown) => this.context.log.warn({ err: error, account: this.account }, 'state could not be saved'));
    }
  }

  /** In a turn. Drops all state and reads it anew. Records of mailboxes stay the same objects. @throws MailError */
  protected async reload(): Promise<void> {
    this.stale = true;
    const { residency } = this.context;
    let { loaded, pinned } = await this.#loadPinned().catch(rethrowAsMailError);
    // Opened while the store was read: it needs its messages too.
    while (this.accountState.boxes.some((record) => record.pins > 0 && !pinned.has(record) && loaded.state.byId(record.id) !== undefined))
      ({ loaded, pinned } = await this.#loadPinned().catch(rethrowAsMailError));
    const before = this.accountState;
    const { state } = loaded;
    this.#generation++;
    state.boxes = state.boxes.map((fresh) => {
      const record = before.byId(fresh.id);
      record?.adopt(fresh);
      return record ?? fresh;
    });
    state.treeChanged();
    this.accountState = state;
    this.#applied = loaded.applied;
    this.#tail = loaded.tail.length === 0 ? NO_ENTRIES : loaded.tail;
    this.#tailMessages = 0;
    this.stale = false;
    for (const record of before.boxes) {
      residency.drop(record);
      const packed = pinned.get(record);
      const there = state.byId(record.id) !== undefined && record.selectable;
      if (packed !== undefined && there) {
        record.packed = packed;
        residency.touch(record);
      }
      for (const listener of record.listeners) this.#isolated(() => (there ? listener.reloaded() : listener.closed()));
    }
    for (const entry of loaded.tail) if (entry.seq > before.seq) for (const hear of this.#hearers) this.#isolated(() => hear(entry));
    this.context.used(this);
  }

  /** The account anew, and the messages of what sessions hold open, both of the same moment. */
  async #loadPinned(): Promise<{ readonly loaded: Loaded; readonly pinned: ReadonlyMap<MailboxRecord, PackedMailbox> }> {
    const { store } = this.context;
    for (let attempt = 0; ; attempt++) {
      const loaded = await loadAccount(store, this.account);
      const pinned = new Map<MailboxRecord, PackedMailbox>();
      let torn: MailboxId | undefined;
      for (const record of this.accountState.boxes) {
        const fresh = loaded.state.byId(record.id);
        if (record.pins === 0 || fresh === undefined) continue;
        const packed = await readChunks(store, this.account, record, fresh.uidNext);
        if (packed.seq <= loaded.state.seq) redo(packed, loaded.tail);
        // Another instance saved newer chunks while these were read.
        if (packed.seq > loaded.state.seq || packed.count !== fresh.messages) torn = record.id;
        pinned.set(record, packed);
      }
      if (torn === undefined) return { loaded, pinned };
      if (attempt >= 4) throw new StoreDamaged(`mailbox ${torn} does not hold as many messages as its counter says`);
    }
  }

  /** The messages of a mailbox, up to date, in memory. @throws MailError no-such-mailbox, damaged, unavailable */
  async load(record: MailboxRecord, where: 'in-turn' | 'outside'): Promise<PackedMailbox> {
    const packed = record.packed ?? (await this.#read(record, where).catch(rethrowAsMailError));
    record.packed ??= packed;
    // May drop it at once when it is not pinned and memory is short: the caller has it still.
    this.context.residency.touch(record);
    return packed;
  }

  /** Tells the listener from now on; the state is that of this moment. */
  addListener(record: MailboxRecord, listener: MailboxListener): void {
    record.listeners = record.listeners.length === 0 ? [listener] : [...record.listeners, listener];
    this.context.used(this);
  }

  removeListener(record: MailboxRecord, listener: MailboxListener): void {
    const at = record.listeners.indexOf(listener);
    if (at >= 0) record.listeners = record.listeners.toSpliced(at, 1);
  }

  /** Saves the state at the head. One at a time; a call during a save waits for that one and saves what came since. */
  async save(): Promise<void> {
    while (this.#saving !== undefined) await this.#saving.catch(() => undefined); // its own caller gets the error; this one saves again
    if (this.#tail.length === 0 || this.stale) return;
    this.#saving = this.#saveNow();
    try {
      await this.#saving;
    } finally {
      this.#saving = undefined;
    }
  }

  async #saveNow(): Promise<void> {
    // Whoever's entry made it due has done enough in this turn of the loop.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#tail.length === 0 || this.stale) return;
    const { store } = this.context;
    const generation = this.#generation;
    const entries = this.#tail;
    const applied = this.#applied;
    const snapshot = encodeSnapshot(this.account, this.accountState);
    const chunks: StoredChunk[] = [];
    const unboxed: MailboxId[] = [];
    for (const [box, touched] of touchedChunks(entries)) {
      const record = this.accountState.byId(box);
      if (record === undefined) {
        unboxed.push(box);
        continue;
      }
      // A chunk may be newer than the snapshot when entries come meanwhile: its own guard covers that.
      if (record.packed === undefined) await this.#dirtyUnloaded(record, touched, entries, applied, chunks);
      else await this.#dirtyLoaded(record, applied, chunks);
      if (this.#generation !== generation) return;
    }
    await store.saveState(this.account, { snapshot, chunks, unboxed });
    if (this.#generation !== generation) return;
    this.#applied = snapshot.applied;
    const rest = this.#tail.filter((entry) => entry.seq > snapshot.applied);
    this.#tail = rest.length === 0 ? NO_ENTRIES : rest;
    this.#tailMessages = 0;
    for (const entry of rest) this.#tailMessages += weightOf(entry);
    for (const record of this.accountState.boxes) record.packed?.forgetEmptied(snapshot.applied);
  }

  async #dirtyLoaded(record: MailboxRecord, applied: Seq, chunks: StoredChunk[]): Promise<void> {
    const { residency } = this.context;
    residency.pin(record);
    try {
      for (let from = 0; ; ) {
        const { packed } = record;
        if (packed === undefined) return; // deleted or reloaded meanwhile
        const slice = packed.dirtyChunks(from, applied, SAVE_SLICE);
        chunks.push(...slice);
        const last = slice[slice.length - 1];
        if (last === undefined || slice.length < SAVE_SLICE) {
          chunks.push(...packed.emptyChunks(applied));
          return;
        }
        from = last.n + 1;
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      residency.unpin(record);
    }
  }

  /** Loads only the chunks that the entries touch. */
  async #dirtyUnloaded(
    record: MailboxRecord,
    touched: ReadonlySet<number>,
    entries: readonly Entry[],
    applied: Seq,
    chunks: StoredChunk[],
  ): Promise<void> {
    const packed = new PackedMailbox(record);
    const wanted = [...touched].sort((a, b) => a - b);
    for (let at = 0; at < wanted.length; ) {
      const from = wanted[at] as number;
      let to = from;
      while (++at < wanted.length && (wanted[at] as number) - from < CHUNK_PAGE && (wanted[at] as number) === to + 1) to++;
      for (const stored of await this.context.store.chunks(this.account, record.id, from, to)) packed.pushStored(stored);
    }
    redo(packed, entries);
    chunks.push(...packed.dirtyChunks(0, applied, Number.POSITIVE_INFINITY), ...packed.emptyChunks(applied));
  }

  /** Reads the chunks and redoes the tail; not kept. */
  async #read(record: MailboxRecord, where: 'in-turn' | 'outside'): Promise<PackedMailbox> {
    for (let attempt = 0; attempt < 8; attempt++) {
      if (this.accountState.byId(record.id) !== record) throw new MailError('no-such-mailbox', 'No such mailbox');
      const raw = await this.#rawRead(record);
      if (record.packed !== undefined) return record.packed;
      // A save trimmed the tail, or state was reloaded, while chunks were read: they may lack what the tail no longer has.
      if (raw.generation !== this.#generation || raw.applied !== this.#applied || raw.used) continue;
      if (raw.packed.seq <= this.head) {
        raw.used = true;
        redo(raw.packed, this.#tail);
        if (raw.packed.count === record.messages) return raw.packed;
      }
      // Another instance saved chunks of entries that are not known here yet.
      const head = this.head;
      if (where === 'in-turn') await this.pull();
      else await this.catchUp();
      if (attempt >= 2 && head === this.head && raw.applied === this.#applied)
        throw new StoreDamaged(`mailbox ${record.id} holds ${raw.packed.count} messages, its counter says ${record.messages}`);
    }
    throw new MailError('unavailable', 'Mailbox changes too fast to be loaded, try again');
  }

  async #rawRead(record: MailboxRecord): Promise<RawRead> {
    if (record.messages === 0 && this.#tail.length === 0)
      return { packed: new PackedMailbox(record), generation: this.#generation, applied: this.#applied, used: false };
    const under = this.#reads?.get(record.id);
    if (under !== undefined) return under;
    this.#reads ??= new Map();
    const generation = this.#generation;
    const applied = this.#applied;
    const read = readChunks(this.context.store, this.account, record).then((packed) => ({ packed, generation, applied, used: false }));
    this.#reads.set(record.id, read);
    try {
      return await read;
    } finally {
      this.#reads?.delete(record.id);
      if (this.#reads?.size === 0) this.#reads = undefined;
    }
  }

  /**
   * Listeners are given the rows that go: a mailbox that rests is loaded and pinned for that. The head here may lie behind the store's,
   * whose chunks may have lost the rows already: then listeners get none.
   */
  async #loadForGone(entry: Entry): Promise<readonly MailboxRecord[]> {
    const pinned: MailboxRecord[] = [];
    for (const op of entry.ops) {
      if (op.op !== 'gone') continue;
      const record = this.accountState.byId(op.box);
      if (record === undefined || record.listeners.length === 0 || record.packed !== undefined) continue;
      const packed = await readChunks(this.context.store, this.account, record);
      redo(packed, this.#tail);
      if (packed.seq > this.head || packed.count !== record.messages) continue;
      this.context.residency.pin(record);
      pinned.push(record);
      record.packed ??= packed;
      this.context.residency.touch(record);
    }
    return pinned;
  }

  #tell(entry: Entry, changes: readonly Change[]): void {
    for (const { box, what, uids, rows, who } of changes) {
      for (const listener of box.listeners) {
        this.#isolated(() => {
          if (what === 'added') listener.added(uids, entry);
          else if (what === 'flagged') listener.flagged(uids, entry);
          else if (what === 'gone') listener.gone(uids, rows, entry);
          else if (what === 'keywords') listener.keywords();
          else if (what === 'seen') {
            if (who !== undefined) listener.seen?.(who, uids, entry);
          } else if (what === 'rights') listener.rights?.();
          else listener.closed();
        });
      }
    }
    for (const hear of this.#hearers) this.#isolated(() => hear(entry));
  }

  #isolated(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.context.log.error({ err: error, account: this.account }, 'a listener of the journal failed');
    }
  }
}

interface RawRead {
  readonly packed: PackedMailbox;
  readonly generation: number;
  readonly applied: Seq;
  /** Redone by somebody already. */
  used: boolean;
}

function hasListeners(record: MailboxRecord): boolean {
  return record.listeners.length > 0;
}

/** What a store or codec threw, as the services know it. */
export function rethrowAsMailError(error: unknown): never {
  if (error instanceof MailError) throw error;
  if (error instanceof StoreUnavailable) throw new MailError('unavailable', 'Storage is not available, try again', { cause: error });
  if (error instanceof StoreDamaged) throw new MailError('damaged', 'Stored data of this account is damaged', { cause: error });
  if (error instanceof EntryLevelTooHigh) throw new MailError('unavailable', 'This account needs a newer release', { cause: error });
  throw new MailError('unavailable', 'Storage failed, try again', { cause: error });
}
