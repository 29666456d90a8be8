/**
 * COPY, MOVE and REPLACE from one account to another. Two journals share no entry, so MOVE and REPLACE say first in the source what they are about to do, place the
 * messages in the target with a word that they have arrived, and then remove them from the source (design/journal.md row 8): never in none;
 * in both only until it has been finished, by the command or, after a fault, by {@link Transfers.resume}.
 */
import { randomBytes } from 'node:crypto';
import type { AccountId, ContentId, MailboxId } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { AccountMail, AppendItem, Origin, Relocated } from '../journal/account-mail.ts';
import type { FlagBits, UidRuns } from '../journal/entry.ts';
import { keywordsOf } from '../journal/flag-names.ts';
import { contentAtRow, DATE, FLAGS, SIZE } from '../journal/layout.ts';
import { areRuns, runOf, runsOf } from '../journal/uid-runs.ts';
import type { HookedMailAccess } from '../mail-access.ts';
import type { MailParts } from '../mail-parts.ts';
import type { AppendMessage, OpenContent, Spool } from '../services.ts';

/** All of a command's messages are one entry of the target, so they are in memory together. */
export const MAX_TRANSFER_MESSAGES = 1_000;
export const MAX_TRANSFER_OCTETS = 64 * 1024 * 1024;
/** Contents opened at a time. */
const PAGE = 32;
const TABLE = 'transfer';
const UNDER_WAY = 'transfer/';
const ARRIVED = 'arrived/';
/** A move that is older than this is nobody's any more: the command has ended, or its process has. */
const RESUME_AFTER_MS = 5 * 60_000;
const RESUME_PAGE = 100;
const SYSTEM_FLAGS = ['\\Seen', '\\Answered', '\\Flagged', '\\Deleted', '\\Draft'];

export interface Transfer {
  readonly from: HookedMailAccess;
  readonly box: MailboxId;
  readonly uids: UidRuns;
  readonly to: HookedMailAccess;
  readonly target: MailboxId;
  readonly signal: AbortSignal;
}
interface Row {
  readonly uid: number;
  readonly content: ContentId;
  readonly flags: readonly string[];
  readonly date: number;
}
interface Intent {
  readonly source: AccountId;
  readonly target: AccountId;
  readonly box: MailboxId;
  readonly uids: UidRuns;
  /** ms since 1970. */
  readonly at: number;
}

export class Transfers {
  readonly #parts: MailParts;
  readonly #spool: Spool;

  constructor(options: { readonly parts: MailParts; readonly spool: Spool }) {
    this.#parts = options.parts;
    this.#spool = options.spool;
  }

  /** @throws MailError limit, expunged, damaged, over-quota, forbidden, no-such-target ... */
  async copy(transfer: Transfer): Promise<Relocated> {
    await transfer.from.mayTransfer('copy', transfer.box, transfer.uids, transfer.to, transfer.target);
    const rows = await this.#rows(transfer);
    if (rows.length === 0) return nothing(transfer);
    const items = await this.#items(transfer, rows);
    const { seq, uidValidity, uids } = await transfer.to.appendItems(transfer.target, items, 'copy');
    return relocated(seq, uidValidity, rows, uids);
  }

  /** The same, and held when `expunge.before` keeps a message where it is. */
  async move(transfer: Transfer): Promise<Relocated> {
    const { from, box, uids, to, target } = transfer;
    await from.mayTransfer('move', box, uids, to, target);
    const rows = await this.#rows(transfer);
    if (rows.length === 0) return nothing(transfer);
    const items = await this.#items(transfer, rows);
    const moved = runsOf(rows.map(({ uid }) => uid));
    const { seq, arrived } = await this.#place({ from, box, uids: moved, to, target }, items, 'copy');
    return { ...relocated(arrived.seq, arrived.uidValidity, rows, arrived.uids), seq };
  }

  /**
   * REPLACE (RFC 8508) by a message in another account: as with MOVE, one of the two is always there. `seq` is of the source.
   * @throws MailError expunged, held, over-quota, forbidden, no-such-target ...
   */
  async replace(
    { from, box, uids, to, target, signal }: Transfer,
    message: AppendMessage,
  ): Promise<{ readonly seq: number; readonly uidValidity: number; readonly uid: number }> {
    const [uid = 0] = uids;
    await from.mayReplaceElsewhere(box, uid, to, target);
    if (!(await from.mail.state(box)).has(uid)) throw new MailError('expunged', 'The message is gone');
    const { key: _, ...item } = await to.received(target, message, 'append', signal); // a draft that is equal replaces all the same
    const { seq, arrived } = await this.#place({ from, box, uids, to, target }, [item], 'append');
    return { seq, uidValidity: arrived.uidValidity, uid: arrived.uids[0] ?? 0 };
  }

  /** Items into the target, and then the messages for which they are out of the source. */
  async #place({ from, box, uids, to, target }: Omit<Transfer, 'signal'>, items: readonly AppendItem[], way: 'copy' | 'append') {
    const key = randomBytes(12).toString('hex');
    const intent: Intent = { source: from.mail.account, target: to.mail.account, box, uids, at: this.#parts.now() };
    // The row first: one without a note is nothing to be done.
    await this.#parts.store.records.write([{ table: TABLE, key, value: { ...intent, uids: [...uids] } }]);
    try {
      await from.beginTransfer(box, UNDER_WAY + key);
    } catch (error) {
      await this.#settle(key, intent);
      throw error;
    }
    let arrived: Awaited<ReturnType<HookedMailAccess['appendItems']>>;
    try {
      arrived = await to.appendItems(target, items, way, [ARRIVED + key, '']);
    } catch (error) {
      await this.#settle(key, intent);
      throw error;
    }
    const seq = await from.endTransfer(box, uids, UNDER_WAY + key);
    await this.#settle(key, intent);
    return { seq, arrived };
  }

  /** What the guest or owner sees of the messages, in order. @throws MailError limit */
  async #rows({ from, box, uids }: Transfer): Promise<readonly Row[]> {
    const state = await from.mail.state(box);
    const rows: Row[] = [];
    let octets = 0;
    state.visit(uids, (words, at, uid) => {
      octets += words[at + SIZE] as number;
      rows.push({
        uid,
        content: contentAtRow(words, at) as ContentId,
        flags: flagNames(words[at + FLAGS] as number, state.info.keywords),
        date: words[at + DATE] as number,
      });
      return rows.length <= MAX_TRANSFER_MESSAGES;
    });
    if (rows.length > MAX_TRANSFER_MESSAGES || (rows.length > 1 && octets > MAX_TRANSFER_OCTETS))
      throw new MailError('limit', 'Too much at once for another account: take fewer messages');
    return rows;
  }

  /** Made anew for the target: its quota, its codecs. */
  async #items({ from, to, target, signal }: Transfer, rows: readonly Row[]): Promise<readonly AppendItem[]> {
    const items: AppendItem[] = [];
    for (let at = 0; at < rows.length; at += PAGE) {
      const page = rows.slice(at, at + PAGE);
      const opened = await from.content.open(page.map(({ content }) => content));
      for (const [n, row] of page.entries()) {
        const content = opened[n];
        if (content === undefined) throw new MailError('expunged', 'Some messages are gone');
        items.push(await this.#item(content, row, { to, target, signal }));
      }
    }
    return items;
  }

  async #item(
    content: OpenContent,
    { flags, date }: Row,
    { to, target, signal }: Pick<Transfer, 'to' | 'target' | 'signal'>,
  ): Promise<AppendItem> {
    content.requireReadable();
    const { sizeOctets } = content;
    const source = await this.#spool.receive(content.read(0, sizeOctets, signal), { limitOctets: sizeOctets, signal });
    try {
      const { key: _, ...item } = await to.received(target, { source, flags, internalDate: date }, 'copy', signal);
      return item;
    } finally {
      await source.dispose();
    }
  }

  /* ── What a fault left ── */

  /** Finishes or takes back moves that began `olderThanMs` ago or earlier. To be called every minute or so. */
  async resume(olderThanMs = RESUME_AFTER_MS): Promise<void> {
    const { store, now } = this.#parts;
    for (let after = ''; ; ) {
      const rows = await store.records.list(TABLE, { after, limit: RESUME_PAGE });
      for (const { key, value } of rows) {
        const intent = readIntent(value);
        if (intent.at <= now() - olderThanMs) await this.#settle(key, intent);
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < RESUME_PAGE) return;
      after = last.key;
    }
  }

  /** Whatever it is at. A fault is logged and leaves it for later. */
  async #settle(key: string, intent: Intent): Promise<void> {
    const { mails, store, log } = this.#parts;
    try {
      const source = await mails.get(intent.source);
      const target = await mails.get(intent.target);
      await source.catchUp();
      await target.catchUp();
      if (source.note(UNDER_WAY + key) !== undefined) {
        // Not there: it never will be, as whoever began it has given up.
        if (target.note(ARRIVED + key) === undefined) await source.setNote(UNDER_WAY + key, null, ORIGIN);
        else await finish(source, key, intent);
      }
      if (target.note(ARRIVED + key) !== undefined) await target.setNote(ARRIVED + key, null, ORIGIN);
      await store.records.write([{ table: TABLE, key, value: undefined }]);
    } catch (error) {
      log.warn({ err: error, account: intent.source }, 'a move to another account waits to be finished');
    }
  }
}

const ORIGIN: Origin = { by: 'transfer', actor: '' };

function finish(source: AccountMail, key: string, { box, uids }: Intent): Promise<unknown> {
  return source.endTransfer(box, uids, UNDER_WAY + key, ORIGIN);
}

function nothing({ from, to, target }: Transfer): Relocated {
  const none = new Uint32Array(0);
  return { seq: from.mail.head, uidValidity: to.mail.byId(target)?.uidValidity ?? 0, from: none, to: none };
}

function relocated(seq: number, uidValidity: number, rows: readonly Row[], uids: readonly number[]): Relocated {
  const first = uids[0] ?? 0;
  return { seq, uidValidity, from: runsOf(rows.map(({ uid }) => uid)), to: runOf(first, first + uids.length - 1) };
}

function flagNames(bits: FlagBits, keywords: readonly string[]): readonly string[] {
  return [...SYSTEM_FLAGS.filter((_, bit) => (bits & (1 << bit)) !== 0), ...keywordsOf(bits, keywords)];
}

/** A row that this file wrote, read with the care that a database edited by hand deserves. */
function readIntent(value: unknown): Intent {
  const row: Readonly<Record<string, unknown>> = typeof value === 'object' && value !== null ? { ...value } : {};
  const { source, target, box, at } = row;
  const uids = Uint32Array.from(Array.isArray(row['uids']) ? row['uids'].filter((uid) => typeof uid === 'number') : []);
  if (typeof source !== 'string' || typeof target !== 'string' || typeof box !== 'number' || typeof at !== 'number' || !areRuns(uids))
    throw new MailError('damaged', 'The record of a move is damaged');
  return { source: source as AccountId, target: target as AccountId, box: box as MailboxId, uids, at };
}
