/** Answers one FETCH: rows in a tight loop, columns in pages, contents in batches with the next one loading (DESIGN §6). */

import { MailError } from '../../mail/errors.ts';
import type { UidRuns } from '../../mail/journal/entry.ts';
import { FLAGS, modSeqAtRow, WORDS } from '../../mail/journal/layout.ts';
import { containsUid, NO_UIDS } from '../../mail/journal/uid-runs.ts';
import type { ContentMetaRow, OpenContent } from '../../mail/services.ts';
import { ThreadRoots, threadIdText } from '../../mail/sorting/thread-ids.ts';
import { MAX_HEADERS_OCTETS } from '../../mime/limits.ts';
import type { ContentId } from '../../store/store.ts';
import type { CommandContext } from '../command.ts';
import { ImapNo } from '../errors.ts';
import { textNstring } from '../grammar/write.ts';
import { LineBytes } from '../line-bytes.ts';
import type { Responder } from '../responder.ts';
import { from } from '../run-cuts.ts';
import type { SelectedMailbox } from '../selected-mailbox.ts';
import { TimeSlice } from '../time-slice.ts';
import { binarySize, requireDecodable, writeBinary } from './binary-writer.ts';
import { DecodePlaces } from './decode-places.ts';
import type { FetchPlan, PlannedItem } from './fetch-plan.ts';
import { MessagePage, type PageLimits } from './message-page.ts';
import { RowText } from './row-text.ts';
import { BrokenReply, headSectionText, writeHeadSection, writeSection } from './section-writer.ts';

const KIB = 1024;
/** Lists are read in pages of this many (design/performance.md §4). */
const META_PAGE: PageLimits = { messages: 500, octets: Number.POSITIVE_INFINITY, eachOctets: 0 };
/** Contents hold up to 256 KiB in memory each while they are open. */
const CONTENT_PAGE: PageLimits = { messages: 64, octets: 1024 * KIB, eachOctets: 256 * KIB };
/** Rows between two looks at the clock and the socket. */
const ROWS = 256;

interface Loaded {
  readonly page: MessagePage;
  readonly metas: readonly (ContentMetaRow | undefined)[];
  readonly opened: readonly (OpenContent | undefined)[];
}

export class FetchRun {
  readonly #context: CommandContext;
  readonly #view: SelectedMailbox;
  readonly #respond: Responder;
  readonly #plan: FetchPlan;
  readonly #changedSince: number;
  readonly #rowText: RowText;
  readonly #threads = new ThreadRoots();
  readonly #isUidOnly: boolean;
  readonly #slice = new TimeSlice();
  /** Messages that became \Seen by this FETCH: their flags are shown unasked. */
  #seenNow: UidRuns;
  /** Why some messages could not be shown; the others are. */
  #failure: Error | undefined;

  constructor(
    context: CommandContext,
    view: SelectedMailbox,
    plan: FetchPlan,
    options: { changedSince: number | undefined; seenNow: UidRuns },
  ) {
    this.#context = context;
    this.#view = view;
    this.#respond = context.respond;
    this.#plan = plan;
    this.#changedSince = options.changedSince ?? -1;
    this.#seenNow = options.seenNow;
    this.#rowText = new RowText(view);
    this.#isUidOnly = context.session.isUidOnly;
  }

  /** @throws ImapNo EXPUNGEISSUED, MailError damaged and the like, after the messages that could be shown; OutputClosed, BrokenReply */
  async run(uids: UidRuns): Promise<void> {
    this.#view.tellNewKeywords(this.#respond);
    if (this.#plan.rowItems !== undefined) await this.#rows(uids);
    else await this.#pages(uids);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /* ── Rows only ─────────────────────────────────────────────────────────────────────────────────────────────── */

  async #rows(uids: UidRuns): Promise<void> {
    const items = this.#plan.rowItems ?? [];
    const lines = new LineBytes(this.#respond);
    for (let rest = uids; rest.length > 0; ) {
      let next = 0;
      let left = ROWS;
      this.#view.visit(rest, (words, at, uid, sequence) => {
        if (modSeqAtRow(words, at) <= this.#changedSince) return true;
        if (left === 0) {
          left = ROWS;
          if (this.#respond.isFull || this.#slice.isOver) {
            next = uid;
            return false;
          }
        }
        left -= 1;
        lines.text('* ');
        lines.number(this.#isUidOnly ? uid : sequence);
        lines.text(this.#isUidOnly ? ' UIDFETCH (' : ' FETCH (');
        this.#rowText.write(lines, items, words, at, uid);
        lines.text(')\r\n');
        return true;
      });
      lines.flush();
      rest = next === 0 ? NO_UIDS : from(rest, next);
      await this.#breathe();
    }
  }

  /** Which message the answer is of (RFC 9586 §3.3: UIDFETCH). */
  #opening(uid: number, sequence: number): string {
    return this.#isUidOnly ? `* ${uid} UIDFETCH (` : `* ${sequence} FETCH (`;
  }

  async #breathe(): Promise<void> {
    if (this.#respond.isFull) await this.#respond.drained();
    if (this.#slice.isOver) await this.#slice.pass();
  }

  /* ── Columns and contents ──────────────────────────────────────────────────────────────────────────────────── */

  async #pages(uids: UidRuns): Promise<void> {
    let ahead = this.#load(uids);
    for (;;) {
      const loaded = await ahead;
      const { page } = loaded;
      if (page.count === 0) return;
      const rest = from(uids, page.lastUid + 1);
      if (rest.length === 0) return this.#write(loaded);
      // The next page loads while this one is sent. It is awaited or, when sending fails, given up.
      ahead = this.#load(rest);
      ahead.catch(ignoreReadahead);
      await this.#write(loaded);
    }
  }

  async #load(uids: UidRuns): Promise<Loaded> {
    const { needsContent, columns } = this.#plan;
    const page = MessagePage.take(this.#view, uids, this.#changedSince, needsContent ? CONTENT_PAGE : META_PAGE);
    const { content } = this.#view.access;
    if (page.count === 0) return { page, metas: [], opened: [] };
    const [metas, opened] = await Promise.all([
      columns.length === 0 ? [] : this.#orEach(page.contents, (ids) => content.meta(ids, columns)),
      needsContent ? this.#orEach(page.contents, (ids) => content.open(ids)) : [],
    ]);
    return { page, metas, opened };
  }

  /** One damaged message must not hide the others of its page. */
  async #orEach<T>(
    ids: readonly ContentId[],
    load: (ids: readonly ContentId[]) => Promise<readonly (T | undefined)[]>,
  ): Promise<readonly (T | undefined)[]> {
    try {
      return await load(ids);
    } catch (error) {
      if (!(error instanceof MailError) || error.code !== 'damaged') throw error;
      const found: (T | undefined)[] = [];
      for (const id of ids) {
        try {
          found.push(...(await load([id])));
        } catch (each) {
          if (!(each instanceof MailError) || each.code !== 'damaged') throw each;
          this.#failure ??= each;
          found.push(undefined);
        }
      }
      return found;
    }
  }

  async #write({ page, metas, opened }: Loaded): Promise<void> {
    const { needsContent, columns } = this.#plan;
    for (let index = 0; index < page.count; index++) {
      const meta = metas[index];
      const content = opened[index];
      if ((columns.length > 0 && meta === undefined) || (needsContent && content === undefined)) {
        // Swept after the grace time of an expunge that this session was not told of.
        this.#failure ??= new ImapNo('EXPUNGEISSUED', 'Some messages are gone');
        continue;
      }
      const opening = this.#whole(page, index, meta);
      const whole = opening === undefined ? undefined : await opening;
      const writing = this.#message(page, index, meta, content ?? whole);
      if (writing !== undefined) await writing;
      if (this.#respond.isFull) await this.#respond.drained();
      if ((index & 15) === 15 && this.#slice.isOver) await this.#slice.pass();
    }
    if (this.#slice.isOver) await this.#slice.pass();
  }

  /** A header block longer than the column holds: its sections need the message. Nearly never, and then one at a time. */
  #whole(page: MessagePage, index: number, meta: ContentMetaRow | undefined): undefined | Promise<OpenContent | undefined> {
    const id = page.contents[index];
    if (id === undefined || meta?.headText === undefined || meta.headText.length < MAX_HEADERS_OCTETS) return undefined;
    return this.#view.access.content.open([id]).then(([content]) => content);
  }

  /** Undefined when all of it was in memory. Once begun, a reply is finished or the connection ends. */
  #message(
    page: MessagePage,
    index: number,
    meta: ContentMetaRow | undefined,
    content: OpenContent | undefined,
  ): undefined | Promise<void> {
    const { items } = this.#plan;
    const uid = page.uids[index] ?? 0;
    const at = index * WORDS;
    try {
      content?.requireReadable();
    } catch (error) {
      if (!(error instanceof MailError)) throw error;
      this.#failure ??= error;
      return undefined;
    }
    for (const item of items) {
      if ((item.kind === 'binary' || item.kind === 'binary-size') && content !== undefined) {
        try {
          requireDecodable(item.part, content);
        } catch (error) {
          if (!(error instanceof ImapNo)) throw error;
          this.#failure ??= error;
          return undefined;
        }
      }
    }
    let text = this.#opening(uid, page.sequences[index] ?? 0);
    if (!this.#plan.showsFlags && containsUid(this.#seenNow, uid)) {
      text += `FLAGS ${this.#view.flagText(page.rows[at + FLAGS] as number, uid)} `;
      if (!this.#plan.showsModSeq && this.#context.session.isCondstore) text += `MODSEQ (${modSeqAtRow(page.rows, at)}) `;
    }
    for (let position = 0; position < items.length; position++) {
      if (position > 0) text += ' ';
      const item = items[position] as PlannedItem;
      const plain = this.#plainItem(item, page, at, uid, meta, content);
      if (plain !== undefined) {
        text += plain;
        continue;
      }
      this.#respond.lines(text);
      text = '';
      const writing = this.#octets(item, content);
      if (writing !== undefined) return this.#rest(writing, page, index, meta, content, position + 1);
    }
    this.#respond.lines(`${text})\r\n`);
    return undefined;
  }

  /** From the first item that is not in memory on. @throws BrokenReply */
  async #rest(
    first: Promise<void>,
    page: MessagePage,
    index: number,
    meta: ContentMetaRow | undefined,
    content: OpenContent | undefined,
    start: number,
  ): Promise<void> {
    const { items } = this.#plan;
    try {
      await first;
      for (let position = start; position < items.length; position++) {
        const item = items[position] as PlannedItem;
        this.#respond.lines(' ');
        const plain = this.#plainItem(item, page, index * WORDS, page.uids[index] ?? 0, meta, content);
        if (plain !== undefined) this.#respond.lines(plain);
        else await this.#octets(item, content);
      }
      this.#respond.lines(')\r\n');
    } catch (error) {
      throw new BrokenReply('a message could not be sent whole', { cause: error });
    }
  }

  /** Items that are text in memory; undefined for octets. */
  #plainItem(
    item: PlannedItem,
    page: MessagePage,
    at: number,
    uid: number,
    meta: ContentMetaRow | undefined,
    content: OpenContent | undefined,
  ): string | undefined {
    switch (item.kind) {
      case 'section':
        // With the message at hand its header block is at least as long.
        return meta?.headText === undefined || content !== undefined
          ? undefined
          : headSectionText(item.label, item.section, item.range, meta.headText);
      case 'row':
        return this.#rowText.item(item.item, page.rows, at, uid);
      case 'column':
        return `${item.label} ${meta?.[item.column] ?? 'NIL'}`;
      case 'preview':
        return `PREVIEW ${textNstring(meta?.preview, this.#context.session.names)}`;
      case 'thread-id': {
        const digest = this.#threads.digest(content?.head ?? Buffer.from(meta?.headText ?? '', 'latin1'));
        return `THREADID (${threadIdText(digest, this.#rowText.emailId(page.rows, at))})`;
      }
      default:
        return undefined;
    }
  }

  #octets(item: PlannedItem, content: OpenContent | undefined): undefined | Promise<void> {
    const { signal } = this.#context;
    const respond = this.#respond;
    if (content === undefined) throw new BrokenReply('content is missing');
    if (item.kind === 'section') {
      if (item.needs === 'head' && content.head.length < MAX_HEADERS_OCTETS) {
        writeHeadSection(respond, item.label, item.section, item.range, content.head);
        return undefined;
      }
      return writeSection(respond, item.label, item.section, item.range, content, signal) ?? undefined;
    }
    this.#view.decodePlaces ??= new DecodePlaces();
    const places = this.#view.decodePlaces;
    if (item.kind === 'binary') return writeBinary(respond, item.label, item.part, item.range, content, places, signal);
    if (item.kind === 'binary-size') {
      return binarySize(item.part, content, places, signal).then((size) => respond.lines(`${item.label} ${size}`));
    }
    throw new BrokenReply('item without a writer');
  }
}

/** The page that failed is awaited next, unless the command has failed already and says why itself. */
function ignoreReadahead(): void {}
