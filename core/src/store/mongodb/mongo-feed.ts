/**
 * All accounts' entries in one order for observers. A slot is born waiting (`f`); whoever asks for the feed first gives those that wait a
 * place: a batch with the next number, inserted like a slot, names them, and then they carry its number (`g`) instead. A batch is only made
 * when the one before it has been carried out, so each entry gets one place, without a lease.
 */
import type { AccountId, Feed, Seq, StoredEntry } from '../store.ts';
import type { Journal } from './journal.ts';
import { accountOf, accountRange, decodeText, encodeText, seqOf, slotKey, under } from './keys.ts';
import type { BatchDoc, Collections, ObserverDoc, SlotDoc } from './schema.ts';

/** Entries of a batch; positions within one count below {@link STEP}. */
const BATCH = 500;
const STEP = 1_024;
const PAGE = 200;
const PARKED_AT_MOST = 10_000;

type Item = { readonly position: string; readonly account: AccountId; readonly entry: StoredEntry };
/** An observer with everything that is set aside for it. */
interface Observer {
  readonly id: string;
  readonly cursor: number;
  readonly scan: string | undefined;
  readonly held: ReadonlySet<AccountId>;
  readonly backlog: readonly { readonly account: AccountId; readonly after: Seq; readonly upTo: Seq }[];
}

export interface MongoFeedOptions {
  readonly collections: Pick<Collections, 'journal' | 'feedlog' | 'observers'>;
  readonly journal: Journal;
  readonly newToken: () => string;
}

export class MongoFeed implements Feed {
  readonly #slots: Collections['journal'];
  readonly #log: Collections['feedlog'];
  readonly #observers: Collections['observers'];
  readonly #journal: Journal;
  readonly #newToken: () => string;
  /** Positions that are done and not written yet: a page of entries costs one update. */
  readonly #unsaved = new Map<string, { cursor: number; scan: string; readonly backlog: Map<AccountId, Seq> }>();

  constructor({ collections, journal, newToken }: MongoFeedOptions) {
    this.#slots = collections.journal;
    this.#log = collections.feedlog;
    this.#observers = collections.observers;
    this.#journal = journal;
    this.#newToken = newToken;
  }

  async register(observer: string, from: 'now' | 'start'): Promise<void> {
    const id = observerId(observer);
    if ((await this.#observers.get(id, ['k'])) !== undefined) return;
    // Nobody needed places so far: all entries take the one before the first.
    if ((await this.#observers.find({}, { limit: 1, fields: ['k'] })).length === 0) {
      await this.#slots.updateMany({ f: 1, tx: { $exists: false } }, { $set: { g: 0 }, $unset: ['f'] });
    }
    const c = endOf(await this.#place());
    await this.#observers.insert({ _id: id, k: this.#newToken(), c, ...(from === 'start' ? { scan: '' } : {}) });
  }
  async unregister(observer: string): Promise<void> {
    const id = observerId(observer);
    this.#unsaved.delete(id);
    await this.#observers.remove({ _id: id });
    await this.#observers.remove({ _id: under(`${id}/`) });
  }

  /* ── Places ── */

  /** Gives everything that waits its place. Returns the number of the last batch. */
  async #place(): Promise<number> {
    for (;;) {
      const [last] = await this.#log.find({}, { limit: 1, order: 'descending' });
      const number = last === undefined ? 0 : batchOf(last._id);
      if (last !== undefined) await this.#carryOut(last);
      const waiting = await this.#waiting();
      if (waiting.length === 0) return number;
      // Somebody else may have been first: its batch is carried out then, and what is left is looked for again.
      await this.#log.insert({ _id: batchKey(number + 1), k: this.#newToken(), items: waiting.map(({ _id }) => _id) });
    }
  }
  #waiting(): Promise<readonly SlotDoc[]> {
    return this.#slots.find({ f: 1, tx: { $exists: false } }, { limit: BATCH, fields: ['k'] });
  }
  async #carryOut({ _id, items }: BatchDoc): Promise<void> {
    await this.#slots.updateMany({ _id: { $in: items }, f: { $exists: true } }, { $set: { g: batchOf(_id) }, $unset: ['f'] });
  }
  /* ── Reading ── */

  async #load(observer: string): Promise<Observer | undefined> {
    const id = observerId(observer);
    await this.#save(id);
    const docs = await this.#observers.find({ $or: [{ _id: id }, { _id: under(`${id}/`) }] }, { limit: PARKED_AT_MOST });
    const own = docs.find(({ _id }) => _id === id);
    if (own === undefined) return undefined;
    const held = new Set<AccountId>();
    const backlog: Observer['backlog'][number][] = [];
    for (const doc of docs) {
      const [, kind, account] = doc._id.split('/');
      if (kind === 'parked' && doc.holds === true) held.add(account as AccountId);
      if (kind === 'backlog') backlog.push({ account: account as AccountId, after: doc.after ?? 0, upTo: doc.upTo ?? 0 });
    }
    return { id, cursor: own.c ?? 0, scan: own.scan, held, backlog };
  }

  async next(observer: string, limit: number): Promise<readonly Item[]> {
    const state = await this.#load(observer);
    if (state === undefined || limit < 1) return [];
    for (const { account, after, upTo } of state.backlog) {
      if (state.held.has(account)) continue;
      const range = { $gt: slotKey(account, after), $lte: slotKey(account, upTo) };
      const items = await this.#items(await this.#slots.find({ _id: range }, { limit }), (slot) => `=${slot._id}`);
      if (items.length > 0) return items;
      await this.#observers.remove({ _id: backlogKey(state.id, account) }); // pruned or erased meanwhile
    }
    if (state.scan !== undefined) {
      const items = await this.#scan(state, state.scan, limit);
      if (items !== undefined) return items;
    }
    if ((await this.#waiting()).length > 0) await this.#place();
    return this.#placed(state, limit);
  }

  /** The whole journal as it was when the observer registered. `undefined`: the end is reached. */
  async #scan(state: Observer, from: string, limit: number): Promise<readonly Item[] | undefined> {
    for (let after = from; ; ) {
      const page = await this.#slots.find({ _id: { $gt: after }, g: { $gte: 0 } }, { limit: Math.max(limit, PAGE) });
      const mine = page.filter((slot) => !state.held.has(accountOf(slot._id)) && (slot.g ?? 0) <= batchAt(state.cursor));
      const items = await this.#items(mine.slice(0, limit), (slot) => `@${slot._id}`);
      if (items.length > 0) return items;
      const last = page.at(-1);
      if (last === undefined) break;
      after = last._id;
    }
    await this.#observers.updateMany({ _id: state.id }, { $unset: ['scan'] });
    return undefined;
  }

  async #placed(state: Observer, limit: number): Promise<readonly Item[]> {
    for (let { cursor } = state; ; ) {
      const batches = await this.#log.find({ _id: { $gte: batchKey(batchAt(cursor)) } }, { limit: Math.max(8, Math.ceil(limit / 8)) });
      const places = new Map<string, number>();
      const from = cursor;
      for (const batch of batches) {
        for (const [at, key] of batch.items.entries()) {
          const place = batchOf(batch._id) * STEP + at;
          if (place <= from || places.size === limit) continue;
          cursor = place;
          if (!state.held.has(accountOf(key))) places.set(key, place);
        }
      }
      // The end, or nothing but entries that are gone or held: look further behind.
      if (cursor === from) return [];
      const slots = places.size === 0 ? [] : await this.#slots.find({ _id: { $in: [...places.keys()] } }, { limit: places.size });
      const ordered = [...slots].sort((one, two) => (places.get(one._id) ?? 0) - (places.get(two._id) ?? 0));
      const items = await this.#items(ordered, (slot) => `+${places.get(slot._id)}`);
      if (items.length > 0) return items;
    }
  }

  async #items(slots: readonly SlotDoc[], position: (slot: SlotDoc) => string): Promise<readonly Item[]> {
    const items: Item[] = [];
    for (const slot of slots) {
      if (slot.gone || slot.tx !== undefined) continue;
      items.push({ position: position(slot), account: accountOf(slot._id), entry: await this.#journal.entryOf(slot) });
    }
    return items;
  }

  /* ── Progress ── */

  /** Remembered here and written with the next look: after a crash these entries come again. */
  async done(observer: string, position: string): Promise<void> {
    const id = observerId(observer);
    const unsaved = this.#unsaved.get(id) ?? { cursor: 0, scan: '', backlog: new Map<AccountId, Seq>() };
    this.#unsaved.set(id, unsaved);
    const rest = position.slice(1);
    if (position.startsWith('+')) unsaved.cursor = Math.max(unsaved.cursor, Number(rest));
    else if (position.startsWith('='))
      unsaved.backlog.set(accountOf(rest), Math.max(unsaved.backlog.get(accountOf(rest)) ?? 0, seqOf(rest)));
    else if (rest > unsaved.scan) unsaved.scan = rest;
  }
  async flush(): Promise<void> {
    for (const id of [...this.#unsaved.keys()]) await this.#save(id);
  }
  async #save(id: string): Promise<void> {
    const unsaved = this.#unsaved.get(id);
    if (unsaved === undefined) return;
    this.#unsaved.delete(id);
    const { cursor, scan, backlog } = unsaved;
    if (scan !== '') await this.#observers.updateMany({ _id: id, scan: { $lt: scan } }, { $set: { scan } });
    for (const [account, after] of backlog) await this.#passBacklog(id, account, after);
    if (cursor > 0) await this.#observers.updateMany({ _id: id }, { $max: { c: cursor } });
  }
  async #passBacklog(id: string, account: AccountId, after: Seq): Promise<void> {
    const key = backlogKey(id, account);
    await this.#observers.updateMany({ _id: key }, { $max: { after } });
    await this.#observers.remove({ _id: key, upTo: { $lte: after } });
  }

  async park(observer: string, account: AccountId, seq: Seq, error: string, retryAt: number | undefined, holds?: 'account'): Promise<void> {
    const id = observerId(observer);
    if ((await this.#observers.get(id, ['k'])) === undefined) return;
    const doc: ObserverDoc = {
      _id: parkedKey(id, account, seq),
      k: this.#newToken(),
      error,
      retryAt: retryAt ?? null,
      holds: holds === 'account',
    };
    await this.#observers.put([doc]);
  }
  async parked(observer: string) {
    const docs = await this.#observers.find({ _id: under(`${observerId(observer)}/parked/`) }, { limit: PARKED_AT_MOST });
    return docs.map(({ _id, error, retryAt }) => {
      const [, , account = '', seq = ''] = _id.split('/');
      return { account: account as AccountId, seq: Number.parseInt(seq, 16), error: error ?? '', retryAt: retryAt ?? undefined };
    });
  }
  async unpark(observer: string, account: AccountId, seq: Seq): Promise<void> {
    const state = await this.#load(observer);
    if (state === undefined) return;
    const key = parkedKey(state.id, account, seq);
    const doc = await this.#observers.get(key);
    if (doc === undefined) return;
    if (doc.holds !== true) return void (await this.#observers.remove({ _id: key }));
    // What the cursor passed while the account was held comes before anything newer; noted before the account is free.
    const upTo = await this.#passed(state, account);
    const known = state.backlog.find((one) => one.account === account);
    const after = known?.after ?? seq;
    if (upTo > after) await this.#observers.put([{ _id: backlogKey(state.id, account), k: this.#newToken(), after, upTo }]);
    await this.#observers.remove({ _id: key });
  }
  /** The last entry of the account that the observer's cursor has passed. */
  async #passed(state: Observer, account: AccountId): Promise<Seq> {
    const range = accountRange(account);
    const end = state.scan === undefined ? range.$lt : state.scan < range.$lt ? `${state.scan}!` : range.$lt;
    const number = batchAt(state.cursor);
    const last = async (g: { readonly $lt?: number; readonly $lte?: number }): Promise<Seq> => {
      const [slot] = await this.#slots.find({ _id: { $gte: range.$gte, $lt: end }, g }, { limit: 1, order: 'descending', fields: ['g'] });
      return slot === undefined ? 0 : seqOf(slot._id);
    };
    if (state.scan !== undefined) return last({ $lte: number });
    const batch = await this.#log.get(batchKey(number));
    const within = batch?.items.slice(0, (state.cursor % STEP) + 1).findLast((key) => accountOf(key) === account);
    return within === undefined ? last({ $lt: batch === undefined ? number + 1 : number }) : seqOf(within);
  }

  /* ── Housekeeping ── */

  /** The lowest entry of the account that an observer still needs. */
  async pinned(account: AccountId): Promise<Seq> {
    await this.flush();
    let pin = Number.MAX_SAFE_INTEGER;
    let lowest = Number.POSITIVE_INFINITY;
    for (let after = ''; ; ) {
      const page = await this.#observers.find({ _id: { $gt: after } }, { limit: PAGE });
      for (const doc of page) {
        const [, kind, of, seq = ''] = doc._id.split('/');
        if (kind === undefined) {
          lowest = Math.min(lowest, doc.c ?? 0);
          if (doc.scan !== undefined && doc.scan < accountRange(account).$lt) {
            const from = doc.scan >= accountRange(account).$gte ? doc.scan : accountRange(account).$gte;
            pin = Math.min(pin, from.startsWith(`${account}/`) && from.length > account.length + 1 ? seqOf(from) + 1 : 1);
          }
        } else if (of === account && kind === 'parked' && (doc.holds === true || typeof doc.retryAt === 'number'))
          pin = Math.min(pin, Number.parseInt(seq, 16));
        else if (of === account && kind === 'backlog') pin = Math.min(pin, (doc.after ?? 0) + 1);
      }
      const last = page.at(-1);
      if (last === undefined) break;
      after = last._id;
    }
    if (lowest === Number.POSITIVE_INFINITY) return pin;
    // Entries of the batch at the cursor are told apart by the batch; later ones carry its number, or none.
    const number = batchAt(lowest);
    const range = accountRange(account);
    const [later] = await this.#slots.find({ _id: range, $or: [{ f: 1 }, { g: { $gt: number } }] }, { limit: 1, fields: ['g'] });
    if (later !== undefined) pin = Math.min(pin, seqOf(later._id));
    const batch = await this.#log.get(batchKey(number));
    const within = batch?.items.slice((lowest % STEP) + 1).find((key) => accountOf(key) === account);
    return within === undefined ? pin : Math.min(pin, seqOf(within));
  }

  /** Batches that all observers have passed. The last stays: it says which number comes next. */
  async trim(): Promise<void> {
    const [last] = await this.#log.find({}, { limit: 1, order: 'descending', fields: ['k'] });
    if (last === undefined) return;
    let end = batchOf(last._id);
    for (const { c } of await this.#observers.find({ c: { $exists: true } }, { limit: PARKED_AT_MOST, fields: ['c'] }))
      end = Math.min(end, batchAt(c ?? 0));
    await this.#log.remove({ _id: { $lt: batchKey(end) } });
  }
  async erase(account: AccountId): Promise<void> {
    const docs: string[] = [];
    for (let after = ''; ; ) {
      const page = await this.#observers.find({ _id: { $gt: after } }, { limit: PAGE, fields: ['k'] });
      for (const { _id } of page) {
        const [, kind, of] = _id.split('/');
        if (kind !== undefined && of === account) docs.push(_id);
      }
      const last = page.at(-1);
      if (last === undefined) break;
      after = last._id;
    }
    if (docs.length > 0) await this.#observers.remove({ _id: { $in: docs } });
  }
  /** Names of observers, for checks and moves. */
  async observers(): Promise<readonly string[]> {
    const docs = await this.#observers.find({ c: { $exists: true } }, { limit: PARKED_AT_MOST, fields: ['k'] });
    return docs.map(({ _id }) => decodeText(_id));
  }
}

function observerId(name: string): string {
  return encodeText(name).replaceAll('/', '~002f');
}
function batchKey(number: number): string {
  return number.toString(16).padStart(12, '0');
}
function batchOf(key: string): number {
  return Number.parseInt(key, 16);
}
function batchAt(position: number): number {
  return Math.floor(position / STEP);
}
/** The position behind all entries of a batch. */
function endOf(number: number): number {
  return (number + 1) * STEP - 1;
}
function parkedKey(id: string, account: AccountId, seq: Seq): string {
  return `${id}/parked/${slotKey(account, seq)}`;
}
function backlogKey(id: string, account: AccountId): string {
  return `${id}/backlog/${account}`;
}
