/** For tests and benchmarks: a mailbox in packed state, and its contents in memory. */
import { normaliseCrlf } from '../../mime/crlf.ts';
import { MessageParser, type ParsedMessage } from '../../mime/message-parser.ts';
import type { ContentId, MailboxId, MetaColumn } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { MailboxInfo } from '../journal/account-mail.ts';
import { resolveFlags } from '../journal/flag-names.ts';
import { PackedMailbox } from '../journal/mailbox-state.ts';
import type { ContentMetaRow, ContentReader, OpenContent } from '../services.ts';

export interface TestMessage {
  readonly raw: string | Uint8Array;
  readonly flags?: readonly string[];
  /** Seconds since 1970. */
  readonly date?: number;
  readonly saved?: number;
  readonly uid?: number;
  /** Share the content of another message, as COPY does. */
  readonly contentOf?: number;
  readonly seq?: number;
}

export class TestMailbox {
  readonly content = new TestContents();
  readonly state: PackedMailbox;
  readonly #keywords: string[] = [];
  #uidNext = 1;

  constructor() {
    const info: MailboxInfo = {
      id: 7 as MailboxId,
      name: 'INBOX',
      parent: 0,
      selectable: true,
      specialUse: [],
      uidValidity: 1,
      uidNext: 1,
      highestModSeq: 0,
      messages: 0,
      unseen: 0,
      deleted: 0,
      deletedOctets: 0,
      octets: 0,
      keywords: this.#keywords,
      recentFrom: 1,
      hasChildren: false,
    };
    this.state = new PackedMailbox(info);
  }

  add({ raw, flags = [], date = 0, saved = date, uid = this.#uidNext, contentOf, seq = uid }: TestMessage): number {
    const { bits, added } = resolveFlags(flags, this.#keywords, 'add');
    this.#keywords.push(...added);
    const id = (contentOf ?? uid) as ContentId;
    const size = contentOf === undefined ? this.content.add(id, raw) : this.content.sizeOctets(id);
    this.state.applyAdd(seq, [{ uid, content: id, size, date, saved, flags: bits }]);
    this.#uidNext = uid + 1;
    return uid;
  }
}

/** Counts what is read, and can be told to fail. */
export class TestContents implements ContentReader {
  readonly heads: number[] = [];
  readonly sentDates: number[] = [];
  readonly opened: number[] = [];
  /** Contents that are damaged, and where. */
  readonly damaged = new Map<number, 'meta' | 'content' | 'stream' | 'gone'>();
  /** Octets that `read` gives at a time; `undefined`: bodies lie in memory. */
  chunkOctets: number | undefined;
  /** Runs in each call that reads. */
  onRead: () => void = () => undefined;
  readonly #messages = new Map<number, { readonly octets: Buffer; readonly parsed: ParsedMessage }>();

  add(id: ContentId, raw: string | Uint8Array): number {
    const octets = normaliseCrlf(typeof raw === 'string' ? Buffer.from(raw, 'utf8') : raw);
    const parser = new MessageParser();
    parser.push(octets);
    this.#messages.set(id, { octets, parsed: parser.finish() });
    return octets.length;
  }

  sizeOctets(id: ContentId): number {
    return this.#messages.get(id)?.octets.length ?? 0;
  }

  message(id: number): { readonly octets: Buffer; readonly parsed: ParsedMessage } | undefined {
    return this.damaged.get(id) === 'gone' ? undefined : this.#messages.get(id);
  }

  async meta(ids: readonly ContentId[], columns: readonly MetaColumn[]): Promise<readonly (ContentMetaRow | undefined)[]> {
    this.onRead();
    if (columns.includes('head')) this.heads.push(...ids);
    if (columns.includes('sentAt')) this.sentDates.push(...ids);
    return ids.map((id) => {
      if (this.damaged.get(id) === 'meta') throw new MailError('damaged', 'The stored message is damaged');
      const message = this.message(id);
      if (message === undefined) return undefined;
      return { sentAt: message.parsed.sentDate ?? null, head: message.parsed.head };
    });
  }

  async open(ids: readonly ContentId[]): Promise<readonly (OpenContent | undefined)[]> {
    this.onRead();
    this.opened.push(...ids);
    return ids.map((id) => {
      const damage = this.damaged.get(id);
      if (damage === 'content') throw new MailError('damaged', 'The stored message is damaged');
      const message = this.message(id);
      if (message === undefined) return undefined;
      const { octets, parsed } = message;
      const { chunkOctets } = this;
      return {
        id,
        sizeOctets: octets.length,
        head: parsed.head,
        parts: parsed.parts,
        requireReadable: () => undefined,
        bytes: (from, to) => (chunkOctets === undefined && damage === undefined ? octets.subarray(from, to) : undefined),
        lent: () => undefined,
        pieces: (from, to) => (chunkOctets === undefined && damage === undefined ? [octets.subarray(from, to)] : undefined),
        async *read(from, to, signal) {
          const step = chunkOctets ?? 1024;
          for (let at = from; at < to; at += step) {
            signal.throwIfAborted();
            if (damage === 'stream' && at > from) throw new MailError('damaged', 'The stored message is damaged');
            yield octets.subarray(at, Math.min(to, at + step));
          }
        },
      };
    });
  }
}
