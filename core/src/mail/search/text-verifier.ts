/**
 * Reads what columns could not decide, cheapest first: sent dates, then header blocks, then bodies, each only for messages on which it
 * still depends. What is too damaged to be read holds no text; the rest of the message counts.
 */

import { bodyTextRanges, type SearchScope, type TextRange, TextRangeDecoder } from '../../mime/search-text.ts';
import type { ContentId, MetaColumn } from '../../store/store.ts';
import { StoreDamaged } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import { asMailError } from '../hook-errors.ts';
import type { MailLog } from '../log.ts';
import type { ContentMetaRow, ContentReader, OpenContent } from '../services.ts';
import { type CandidatePage, NEEDS_BODY, NEEDS_HEAD, NEEDS_SENT, YES } from './candidate-page.ts';
import { HeadView } from './head-view.ts';
import { NeedleScan } from './needle-scan.ts';
import type { Node, Plan, TextKey } from './plan.ts';
import type { TimeSlice } from './time-slice.ts';

/** Rows of metadata that are asked for at a time. */
const META_PAGE = 500;
/** Header blocks in memory at a time are not larger than this, and neither are the bodies that are opened together. */
const HEADS_OCTETS = 64 * 1024 * 1024;
const BODIES_OCTETS = 4 * 1024 * 1024;
const BODIES_PAGE = 16;
/** Bodies that a search leaves in memory for the next one, which is likely in a small mailbox and cannot be in a large one. */
const KEPT_OCTETS = 8 * 1024 * 1024;
/** A header block is kept up to this size (mime/limits), and a content's body comes along with it up to a quarter of that. */
const HEAD_AT_MOST = 1024 * 1024;
const BODY_AT_MOST = 256 * 1024;
/** Octets that are decoded in one step. */
const STEP_OCTETS = 16 * 1024;
/** A zone has four digits, of which two are minutes: farther than this it moves no date. */
const ZONE_AT_MOST_MS = (99 * 60 + 99) * 60_000;
const MINUTE_MS = 60_000;
/** Damaged messages that are named in the log for each search; the others are counted. */
const DAMAGED_LOGGED = 20;

type SentKey = Extract<TextKey, { readonly kind: 'sent' }>;
type BodyKey = Extract<TextKey, { readonly kind: 'body' }>;

export interface VerifierOptions {
  readonly content: ContentReader;
  readonly log: MailLog | undefined;
  readonly mailbox: number;
  /** Whether a message has not been expunged meanwhile. */
  isThere(uid: number): boolean;
  readonly slice: TimeSlice;
  readonly signal: AbortSignal;
}

export class TextVerifier {
  readonly #options: VerifierOptions;
  readonly #head: HeadView;
  readonly #dateField: number;
  readonly #sentKeys: readonly SentKey[];
  /** For the header stage when the zone of a date is not found: the instants of the page's messages. */
  #sentAt = new Float64Array(0);
  #damaged = 0;
  /** Of bodies, each counted up to BODY_AT_MOST. */
  #openedOctets = 0;

  constructor(plan: Plan, options: VerifierOptions) {
    this.#options = options;
    this.#head = new HeadView(plan.fields);
    this.#dateField = plan.dateField;
    this.#sentKeys = sentKeysOf(plan.root);
  }

  /** Calls `found` for each message of the page that matches, in order. @throws MailError locked, unavailable; the signal's reason */
  async verify(page: CandidatePage, found: (uid: number) => void): Promise<void> {
    page.seal();
    await this.#readSentDates(page);
    await this.#readHeads(page);
    await this.#readBodies(page);
    const { slice } = this.#options;
    for (let message = 0; message < page.count; message++) {
      if (page.evaluate(message) === YES) found(page.uid(message));
      if (slice.isOver) await slice.pass();
    }
  }

  /** After the last page. */
  finish(): void {
    const { log, mailbox } = this.#options;
    if (this.#damaged > DAMAGED_LOGGED) log?.warn({ mailbox, messages: this.#damaged }, 'Damaged messages were searched in part');
  }

  async #readSentDates(page: CandidatePage): Promise<void> {
    if (this.#sentKeys.length === 0) return;
    if (this.#sentAt.length < page.count) this.#sentAt = new Float64Array(page.count);
    for await (const batch of this.#batches(page, NEEDS_SENT, () => 0, META_PAGE, 0)) {
      const rows = await this.#meta(page, batch, 'sentAt');
      for (const [n, message] of batch.entries()) {
        const sentAt = rows[n]?.sentAt ?? Number.NaN;
        this.#sentAt[message] = sentAt;
        for (const key of this.#sentKeys) {
          const earliest = sentAt - ZONE_AT_MOST_MS;
          const latest = sentAt + ZONE_AT_MOST_MS;
          if (Number.isNaN(sentAt) || latest < key.from || earliest >= key.before) page.setAnswer(message, key, false);
          else if (earliest >= key.from && latest < key.before) page.setAnswer(message, key, true);
          else page.setNeedsZone(message, key);
        }
      }
    }
  }

  async #readHeads(page: CandidatePage): Promise<void> {
    const { slice } = this.#options;
    const headOctets = (message: number) => Math.min(page.sizeOctets(message), HEAD_AT_MOST);
    for await (const batch of this.#batches(page, NEEDS_HEAD, headOctets, META_PAGE, HEADS_OCTETS)) {
      const rows = await this.#meta(page, batch, 'head');
      for (const [n, message] of batch.entries()) {
        try {
          this.#head.read(rows[n]?.head ?? NOTHING);
          this.#answerFromHead(page, message);
        } catch (error) {
          this.#noteDamage(page, message, error);
          this.#head.read(NOTHING);
          this.#answerFromHead(page, message);
        }
        if (slice.isOver) await slice.pass();
      }
    }
  }

  #answerFromHead(page: CandidatePage, message: number): void {
    decoded(() => {
      this.#compareDates(page, message);
      page.evaluate(message, this.#head);
    });
  }

  #compareDates(page: CandidatePage, message: number): void {
    if (this.#sentKeys.every((key) => page.isAnswered(message, key))) return;
    const date = this.#head.date(this.#dateField);
    const written = date === undefined ? (this.#sentAt[message] as number) : date.ms + date.zoneMinutes * MINUTE_MS;
    for (const key of this.#sentKeys) page.setAnswer(message, key, written >= key.from && written < key.before);
  }

  async #readBodies(page: CandidatePage): Promise<void> {
    const { slice } = this.#options;
    const octets = (message: number) => Math.min(page.sizeOctets(message), BODY_AT_MOST);
    for await (const batch of this.#batches(page, NEEDS_BODY, octets, BODIES_PAGE, BODIES_OCTETS)) {
      const contents = await this.#open(page, batch);
      for (const [n, message] of batch.entries()) {
        const content = contents[n];
        for (const scope of SCOPES) {
          const keys = page.bodyKeys(message).filter((key) => key.scope === scope);
          if (keys.length === 0) continue;
          const scan = new BodyScan(page, message, keys);
          try {
            const streamed = content === undefined ? undefined : this.#scan(content, scope, scan);
            if (streamed !== undefined) await streamed;
          } catch (error) {
            this.#noteDamage(page, message, error);
          }
          scan.finish();
        }
        if (slice.isOver) await slice.pass();
      }
    }
  }

  /** Nothing is awaited for text that lies in memory. */
  #scan(content: OpenContent, scope: SearchScope, scan: BodyScan): Promise<void> | undefined {
    const ranges = decoded(() => bodyTextRanges(content.parts, scope));
    for (const [n, range] of ranges.entries()) {
      const isSmall = range.to - range.from <= BODY_AT_MOST;
      const octets = isSmall ? content.bytes(range.from, range.to) : undefined;
      if (octets === undefined) return this.#stream(content, ranges.slice(n), scan);
      const decoder = decoded(() => new TextRangeDecoder(range));
      for (let at = 0; at < octets.length && !scan.isDecided; at += STEP_OCTETS)
        scan.decode(decoder, octets.subarray(at, at + STEP_OCTETS));
      if (!scan.isDecided) scan.push(decoded(() => decoder.finish()));
      if (scan.isDecided) return undefined;
    }
    return undefined;
  }

  async #stream(content: OpenContent, ranges: readonly TextRange[], scan: BodyScan): Promise<void> {
    const { slice, signal } = this.#options;
    for (const range of ranges) {
      const decoder = decoded(() => new TextRangeDecoder(range));
      for await (const octets of content.read(range.from, range.to, signal)) {
        for (let at = 0; at < octets.length; at += STEP_OCTETS) {
          scan.decode(decoder, octets.subarray(at, at + STEP_OCTETS));
          if (scan.isDecided) return;
          if (slice.isOver) await slice.pass();
        }
      }
      scan.push(decoded(() => decoder.finish()));
      if (scan.isDecided) return;
    }
  }

  /** Messages whose verdict depends on `need`, together not more than the octets and messages given (but one at least). */
  async *#batches(
    page: CandidatePage,
    need: number,
    octetsOf: (message: number) => number,
    maxMessages: number,
    maxOctets: number,
  ): AsyncGenerator<readonly number[]> {
    const { slice } = this.#options;
    let batch: number[] = [];
    let octets = 0;
    for (let message = 0; message < page.count; message++) {
      if (slice.isOver) await slice.pass();
      const verdict = page.evaluate(message);
      if (verdict <= YES || (verdict & need) === 0) continue;
      const more = octetsOf(message);
      if (batch.length > 0 && (batch.length >= maxMessages || octets + more > maxOctets)) {
        yield batch;
        batch = [];
        octets = 0;
      }
      batch.push(message);
      octets += more;
    }
    if (batch.length > 0) yield batch;
  }

  async #meta(page: CandidatePage, batch: readonly number[], column: MetaColumn): Promise<readonly (ContentMetaRow | undefined)[]> {
    const { content } = this.#options;
    return this.#eachOrAll(page, batch, (ids) => content.meta(ids, [column]));
  }

  async #open(page: CandidatePage, batch: readonly number[]): Promise<readonly (OpenContent | undefined)[]> {
    const { content } = this.#options;
    for (const message of batch) this.#openedOctets += Math.min(page.sizeOctets(message), BODY_AT_MOST);
    // A full collection for each 100 MB that were kept and driven out of the cache again took 30 to 60 ms in one turn.
    const use = this.#openedOctets > KEPT_OCTETS ? 'once' : 'again';
    return this.#eachOrAll(page, batch, (ids) => content.open(ids, use));
  }

  /** One damaged content fails a whole page: then they are read one by one. A content that is gone is `undefined`, as one that is damaged. */
  async #eachOrAll<T>(
    page: CandidatePage,
    batch: readonly number[],
    read: (ids: readonly ContentId[]) => Promise<readonly (T | undefined)[]>,
  ): Promise<readonly (T | undefined)[]> {
    const { slice, isThere } = this.#options;
    const ids = batch.map((message) => page.content(message));
    try {
      const rows = await read(ids);
      await slice.resume();
      for (const [n, message] of batch.entries()) {
        if (rows[n] === undefined && isThere(page.uid(message)))
          this.#noteDamage(page, message, new StoreDamaged('the content is missing'));
      }
      return rows;
    } catch (error) {
      await slice.resume();
      const known = asMailError(error);
      if (!isDamage(known)) throw known;
    }
    const rows: (T | undefined)[] = [];
    for (const [n, id] of ids.entries()) {
      try {
        rows.push(...(await read([id])));
      } catch (error) {
        this.#noteDamage(page, batch[n] as number, error);
        rows.push(undefined);
      }
      await slice.resume();
    }
    return rows;
  }

  /** @throws the error, if it is not that this one message cannot be read */
  #noteDamage(page: CandidatePage, message: number, error: unknown): void {
    const { signal, log, mailbox } = this.#options;
    signal.throwIfAborted();
    const known = asMailError(error);
    if (!isDamage(known)) throw known;
    this.#damaged += 1;
    if (this.#damaged > DAMAGED_LOGGED) return;
    log?.warn({ mailbox, uid: page.uid(message), content: page.content(message), err: error }, 'A damaged message was searched in part');
  }
}

const NOTHING = new Uint8Array(0);
const SCOPES: readonly SearchScope[] = ['body', 'text'];

/** The keys of one message that one pass over its text can answer. */
class BodyScan {
  isDecided = false;
  readonly #page: CandidatePage;
  readonly #message: number;
  readonly #keys: readonly BodyKey[];
  readonly #scan: NeedleScan;

  constructor(page: CandidatePage, message: number, keys: readonly BodyKey[]) {
    this.#page = page;
    this.#message = message;
    this.#keys = keys;
    this.#scan = new NeedleScan(keys.map(({ needle }) => needle));
  }

  decode(decoder: TextRangeDecoder, octets: Uint8Array): void {
    this.push(decoded(() => decoder.push(octets)));
  }

  push(text: string): void {
    if (decoded(() => this.#scan.push(text))) this.#tell();
  }

  /** What was not found by now is not there. */
  finish(): void {
    this.#scan.finish();
    for (const [n, key] of this.#keys.entries()) this.#page.setAnswer(this.#message, key, this.#scan.isFound(n));
  }

  #tell(): void {
    for (const [n, key] of this.#keys.entries()) if (this.#scan.isFound(n)) this.#page.setAnswer(this.#message, key, true);
    this.isDecided = this.#page.evaluate(this.#message) <= YES;
  }
}

/** What fails while octets become text is the message's fault. @throws MailError damaged */
function decoded<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw new MailError('damaged', 'The stored message is damaged', { cause: error });
  }
}

function isDamage(error: Error): boolean {
  return error instanceof MailError && error.code === 'damaged';
}

function sentKeysOf(root: Node): readonly SentKey[] {
  const keys: SentKey[] = [];
  const stack: Node[] = [root];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node.kind === 'sent') keys.push(node);
    else if (node.kind === 'and' || node.kind === 'or') stack.push(...node.of);
    else if (node.kind === 'indexed') stack.push(node.of);
  }
  return keys;
}
