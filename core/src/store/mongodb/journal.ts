/** The slot log: one document an entry, and inserting the one with the next number is the commit. Nobody can insert N + 2 without having read N + 1. */
import { LRUCache } from 'lru-cache';
import type { AccountId, ContentId, Seq, StoredEntry } from '../store.ts';
import { JournalPruned, StoreDamaged } from '../store.ts';
import { accountOf, accountRange, contentKey, pieceKey, seqOf, slotKey, under } from './keys.ts';
import type { Collections, SlotDoc } from './schema.ts';
import type { Transactions } from './transactions.ts';

/** Octets of an entry that lie in its slot; what is more lies in pieces of this size, written before it. */
const SIDE_OCTETS = 1024 * 1024;
/** A head that was read longer ago may have been pruned beyond: it is read again, or the slot that was won is looked at. */
const HEAD_TTL_MS = 5 * 60_000;
/** Slots of pruned entries keep their number taken for so long after they were pruned, which is far above {@link HEAD_TTL_MS}. */
const KEEP_NUMBERS_MS = 3_600_000;
const HEADS = 100_000;
const MOVED_PAGE = 500;
/** Accounts of one query by range: as many ranges. */
const EXACT_PAGE = 50;
const EXACT_MS = 60_000;

interface Head {
  readonly seq: Seq;
  /** ms since 1970, before it was read. */
  readonly at: number;
}
export interface NewSlot {
  readonly account: AccountId;
  readonly entry: StoredEntry;
  readonly dead: readonly ContentId[];
}

export interface JournalOptions {
  readonly collections: Pick<Collections, 'journal' | 'sides' | 'accounts' | 'dead'>;
  readonly transactions: Transactions;
  readonly now: () => number;
}

export class Journal {
  readonly #slots: Collections['journal'];
  readonly #sides: Collections['sides'];
  readonly #accounts: Collections['accounts'];
  readonly #dead: Collections['dead'];
  readonly #transactions: Transactions;
  readonly #now: () => number;
  /** The highest entries known to be there. */
  readonly #heads = new LRUCache<AccountId, Head>({ max: HEADS });
  #lastMoved: number;
  #exactUntil = 0;

  constructor({ collections, transactions, now }: JournalOptions) {
    this.#slots = collections.journal;
    this.#sides = collections.sides;
    this.#accounts = collections.accounts;
    this.#dead = collections.dead;
    this.#transactions = transactions;
    this.#now = now;
    this.#lastMoved = now();
  }

  /** The head that `seq` is proposed on: from memory when that says `seq - 1` and is fresh. */
  async headFor(account: AccountId, seq: Seq): Promise<Seq> {
    const known = this.#heads.get(account);
    if (known !== undefined && known.seq === seq - 1 && this.#isFresh(known.at)) return known.seq;
    return this.head(account);
  }
  /** A time that is yet to come is from before the clock was set back: who knows how long ago. */
  #isFresh(at: number): boolean {
    const age = this.#now() - at;
    return age >= 0 && age < HEAD_TTL_MS;
  }
  async head(account: AccountId): Promise<Seq> {
    for (;;) {
      const at = this.#now();
      const slots = await this.#slots.find({ _id: accountRange(account) }, { limit: 2, order: 'descending', fields: ['k', 'tx'] });
      const [last, before] = slots;
      if (last === undefined) return this.#know(account, 0, at);
      const holds = await this.#transactions.slot(last);
      if (holds === 'valid') return this.#know(account, seqOf(last._id), at);
      if (holds === 'pending') return before === undefined ? 0 : this.#know(account, seqOf(before._id), at);
    }
  }
  #know(account: AccountId, seq: Seq, at: number): Seq {
    const known = this.#heads.get(account);
    if (known === undefined || known.seq <= seq) this.#heads.set(account, { seq, at });
    return seq;
  }

  /**
   * Takes the number of the entry, or not. The head was read before, see {@link headFor}.
   * @param tx valid only with this transaction
   * @throws OutcomeUnknown
   */
  async append({ account, entry, dead }: NewSlot, tx?: string): Promise<boolean> {
    const { seq, token, data } = entry;
    const id = slotKey(account, seq);
    const packed = packContents(dead);
    const base = { _id: id, k: token, t: this.#now(), f: 1 as const, ...(tx === undefined ? {} : { tx }) };
    // What was learned since of later entries says nothing about the moment at which this number was free.
    const known = this.#heads.get(account);
    const headAt = known?.seq === seq - 1 ? known.at : Number.NEGATIVE_INFINITY;
    let slot: SlotDoc;
    if (data.length + packed.length <= SIDE_OCTETS) slot = { ...base, d: data, ...(packed.length === 0 ? {} : { dead: packed }) };
    else slot = { ...base, sides: await this.#putSides(`${id}/${token}`, [data, packed]), size: data.length };
    if (!(await this.#slots.insert(slot))) return false;
    const at = base.t;
    if (!this.#isFresh(headAt) && (await this.#isPruned(account, seq))) {
      // This process stood still for so long that the number was given out, pruned and freed meanwhile.
      await this.#slots.remove({ _id: id, k: token });
      return false;
    }
    if (tx === undefined) this.#know(account, seq, at);
    return true;
  }
  async #isPruned(account: AccountId, seq: Seq): Promise<boolean> {
    return ((await this.#accounts.get(account, ['floor']))?.floor ?? 0) >= seq;
  }
  async #putSides(prefix: string, parts: readonly Uint8Array[]): Promise<number> {
    const whole = Buffer.concat(parts);
    const t = this.#now();
    const count = Math.ceil(whole.length / SIDE_OCTETS);
    for (let n = 0; n < count; n++) {
      await this.#sides.put([{ _id: pieceKey(prefix, n), t, d: whole.subarray(n * SIDE_OCTETS, (n + 1) * SIDE_OCTETS) }]);
    }
    return count;
  }

  /** @throws JournalPruned */
  async tail(account: AccountId, after: Seq, limit: number): Promise<readonly StoredEntry[]> {
    if (limit < 1) return [];
    const at = this.#now();
    const slots = await this.#slots.find({ _id: { $gt: slotKey(account, after), $lt: accountRange(account).$lt } }, { limit });
    const entries: StoredEntry[] = [];
    for (const slot of slots) {
      const seq = seqOf(slot._id);
      if (seq !== after + entries.length + 1 || slot.gone) {
        if (entries.length === 0) await this.#requireAboveFloor(account, after);
        break;
      }
      if (slot.tx !== undefined && (await this.#transactions.slot(slot)) !== 'valid') break;
      entries.push(await this.entryOf(slot));
    }
    const last = entries.at(-1);
    if (last !== undefined) this.#know(account, last.seq, at);
    return entries;
  }
  async #requireAboveFloor(account: AccountId, after: Seq): Promise<void> {
    const floor = (await this.#accounts.get(account, ['floor']))?.floor ?? 0;
    if (after < floor) throw new JournalPruned(floor);
  }

  async entryOf(slot: SlotDoc): Promise<StoredEntry> {
    const seq = seqOf(slot._id);
    const data = slot.d ?? (await this.#side(slot)).subarray(0, slot.size ?? 0);
    return { seq, token: slot.k, data };
  }
  async #side(slot: SlotDoc): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (let n = 0; n < (slot.sides ?? 0); n++) {
      const piece = await this.#sides.get(pieceKey(`${slot._id}/${slot.k}`, n));
      if (piece === undefined) throw new StoreDamaged(`entry ${slot._id} lacks piece ${n}`);
      pieces.push(piece.d);
    }
    return Buffer.concat(pieces);
  }
  /** Contents that lost a message in this entry. */
  async deadOf(slot: SlotDoc): Promise<readonly ContentId[]> {
    if (slot.dead !== undefined) return unpackContents(slot.dead);
    return slot.sides === undefined ? [] : unpackContents((await this.#side(slot)).subarray(slot.size ?? 0));
  }

  /**
   * The key of the next slot is known, so one query looks for 500. After a pause in which entries may have been pruned beyond it, accounts
   * are looked up by range.
   */
  async moved(heads: ReadonlyMap<AccountId, Seq>): Promise<readonly AccountId[]> {
    const at = this.#now();
    // A poll asks in pages: the others of the first one after a pause are as old.
    if (at - this.#lastMoved > KEEP_NUMBERS_MS / 2) this.#exactUntil = at + EXACT_MS;
    const isExact = at < this.#exactUntil;
    const found: AccountId[] = [];
    const all = [...heads];
    const size = isExact ? EXACT_PAGE : MOVED_PAGE;
    for (let from = 0; from < all.length; from += size) {
      const page = all.slice(from, from + size);
      const slots = isExact
        ? await this.#slots.find(
            { $or: page.map(([account, head]) => ({ _id: { $gt: slotKey(account, head), $lt: accountRange(account).$lt } })) },
            { limit: size * 10, fields: ['k', 'tx'] },
          )
        : await this.#slots.find(
            { _id: { $in: page.map(([account, head]) => slotKey(account, head + 1)) } },
            { limit: size, fields: ['k', 'tx'] },
          );
      const moved = new Set<AccountId>();
      for (const slot of slots)
        if (slot.tx === undefined || (await this.#transactions.slot(slot)) === 'valid') moved.add(accountOf(slot._id));
      // More slots than a page holds: those accounts that it did not reach are looked up by themselves.
      if (isExact && slots.length === size * 10)
        for (const [account, head] of page) if (!moved.has(account) && (await this.head(account)) > head) moved.add(account);
      found.push(...moved);
    }
    this.#lastMoved = at;
    return found;
  }

  /** @param pin the lowest entry that must stay */
  async prune(account: AccountId, upTo: Seq, pin: Seq): Promise<void> {
    const state = await this.#accounts.get(account, ['applied', 'floor']);
    const head = await this.head(account);
    const to = Math.min(upTo, state?.applied ?? 0, head, pin - 1);
    const floor = state?.floor ?? 0;
    if (to < 1) return;
    if (to > floor) {
      await this.#keepDead(account, floor, to);
      await this.#accounts.updateMany({ _id: account }, { $max: { floor: to } });
      const range = { $gt: slotKey(account, floor), $lte: slotKey(account, to) };
      // From this clock's now on: by the proposer's, one that is ahead would free at once what others may still propose.
      await this.#slots.updateMany({ _id: range }, { $set: { gone: true, t: this.#now() }, $unset: ['d', 'dead', 'sides', 'size'] });
      await this.#sides.remove({ _id: { $gt: range.$gt, $lt: `${slotKey(account, to)}0` } });
    }
    // The newest number always stays: it says where the journal is.
    const below = to === head ? slotKey(account, head) : slotKey(account, to + 1);
    const ended = { $gte: accountRange(account).$gte, $lt: below };
    await this.#slots.remove({ _id: ended, gone: true, t: { $lt: this.#now() - KEEP_NUMBERS_MS } });
  }
  /** What lost messages in entries that go is still to be swept. */
  async #keepDead(account: AccountId, floor: Seq, to: Seq): Promise<void> {
    for (let after = slotKey(account, floor); ; ) {
      const page = await this.#slots.find({ _id: { $gt: after, $lte: slotKey(account, to) } }, { limit: 200 });
      for (const slot of page) {
        const dead = (await this.deadOf(slot)).map((id) => ({ _id: contentKey(account, id), t: slot.t }));
        if (dead.length > 0) await this.#dead.put(dead, 't');
      }
      const last = page.at(-1);
      if (last === undefined) return;
      after = last._id;
    }
  }

  /** An account that has no journal yet begins it above `floor`: the number is taken, the floor says why. */
  async begin(account: AccountId, floor: Seq): Promise<void> {
    if ((await this.head(account)) > 0) return;
    await this.#slots.insert({ _id: slotKey(account, floor), k: BEGUN, t: this.#now(), gone: true });
    await this.#accounts.updateMany({ _id: account }, { $max: { floor } });
    this.#heads.delete(account);
  }

  /** Slots of an account that name contents which lost a message before `before`. */
  async withDead(account: AccountId, after: string, before: number, limit: number): Promise<readonly SlotDoc[]> {
    const range = { $gt: after, $lt: accountRange(account).$lt };
    return this.#slots.find(
      { _id: range, t: { $lt: before }, $or: [{ dead: { $exists: true } }, { sides: { $exists: true } }] },
      { limit },
    );
  }
  /** Its contents are swept. For one with octets beside it an empty list says so. */
  async forgetDead(slot: SlotDoc): Promise<void> {
    const change = slot.sides === undefined ? { $unset: ['dead'] as const } : { $set: { dead: new Uint8Array(0) } };
    await this.#slots.updateMany({ _id: slot._id, k: slot.k }, change);
  }

  /** Of a content's `w`: its entry is not in the journal, and cannot come any more. In doubt (pruned, its number free again): it was made. */
  async wasNeverMade(account: AccountId, w: string, head: Seq): Promise<boolean> {
    const [seq = '', token] = w.split('/');
    const slot = await this.#slots.get(slotKey(account, Number.parseInt(seq, 16)), ['k']);
    return slot === undefined ? Number.parseInt(seq, 16) > head : slot.k !== token && slot.k !== BEGUN;
  }

  async erase(account: AccountId): Promise<void> {
    this.#heads.delete(account);
    await this.#slots.remove({ _id: accountRange(account) });
    await this.#sides.remove({ _id: accountRange(account) });
    this.#heads.delete(account);
  }
  /** Pieces of entries that were never made. */
  async sweepSides(before: number): Promise<void> {
    for (let after = ''; ; ) {
      const page = await this.#sides.find({ _id: { $gt: after }, t: { $lt: before } }, { limit: 200, fields: ['t'] });
      for (const { _id } of page) {
        const [account = '', seq = '', token = ''] = _id.split('/');
        const slot = await this.#slots.get(`${account}/${seq}`, ['k']);
        if (slot?.k !== token) await this.#sides.remove({ _id: under(`${account}/${seq}/${token}/`) });
      }
      const last = page.at(-1);
      if (last === undefined) return;
      after = last._id;
    }
  }
}

/** The token of a number that no entry of this database ever had. */
const BEGUN = '0000000000000000';
const ID_OCTETS = 6;
export function packContents(ids: readonly ContentId[]): Uint8Array {
  const packed = Buffer.allocUnsafe(ids.length * ID_OCTETS);
  for (const [at, id] of ids.entries()) packed.writeUIntBE(id, at * ID_OCTETS, ID_OCTETS);
  return packed;
}
export function unpackContents(packed: Uint8Array): readonly ContentId[] {
  const buffer = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  return Array.from({ length: packed.length / ID_OCTETS }, (_, at) => buffer.readUIntBE(at * ID_OCTETS, ID_OCTETS) as ContentId);
}
