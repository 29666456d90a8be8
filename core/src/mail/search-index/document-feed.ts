/** Reads contents of one account for the search thread, and asks `index.document` about each. */
import { type Account, type Actor, drop } from '@pochard/plugin-sdk';
import { bodyTextRanges, headerTexts } from '../../mime/search-text.ts';
import type { ContentId } from '../../store/store.ts';
import { storedMessageView } from '../content/message-view.ts';
import { AccountContentReader, ContentCache } from '../content/reader.ts';
import { MailError } from '../errors.ts';
import { asMailError, guarded } from '../hook-errors.ts';
import type { MailParts } from '../mail-parts.ts';
import type { ContentReader, OpenContent } from '../services.ts';
import type { Document, DocumentRange, OpaqueDocument } from './document.ts';

/** Text octets of one message, as they lie; of more its body is not indexed. */
const TEXT_OCTETS = 2 * 1024 * 1024;
/** Header blocks of one message's parts. */
const RANGES = 500;

export class DocumentFeed {
  readonly #parts: MailParts;
  readonly #account: Account;
  readonly #actor: Actor;
  readonly #content: ContentReader;
  readonly #signal: AbortSignal;

  constructor(parts: MailParts, account: Account, signal: AbortSignal) {
    const { store, codecs, actors } = parts;
    this.#parts = parts;
    this.#account = account;
    this.#actor = actors.system;
    this.#signal = signal;
    // A cache of its own, which keeps nothing: what is read once must not drive out what users read.
    this.#content = new AccountContentReader({
      store,
      codecs,
      cache: new ContentCache(1),
      account,
      actor: actors.system,
      session: undefined,
    });
  }

  /** In the order asked, without contents that are gone. Octets have buffers of their own. @throws MailError unavailable, or what a plugin's fault is said to be */
  async documents(ids: readonly ContentId[]): Promise<readonly (Document | OpaqueDocument)[]> {
    const documents: (Document | OpaqueDocument)[] = [];
    for (const [n, content] of (await this.#open(ids)).entries()) {
      const id = ids[n] as ContentId;
      if (content === 'unreadable') documents.push({ id, opaque: true });
      else if (content !== undefined) documents.push(await this.#document(content));
    }
    return documents;
  }

  /** One that is damaged fails a whole page: then they are opened one by one. */
  async #open(ids: readonly ContentId[]): Promise<readonly (OpenContent | 'unreadable' | undefined)[]> {
    try {
      return await this.#content.open(ids, 'once');
    } catch (error) {
      if (!isUnreadable(error)) throw error;
    }
    const opened: (OpenContent | 'unreadable' | undefined)[] = [];
    for (const id of ids) {
      try {
        opened.push(...(await this.#content.open([id], 'once')));
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        opened.push('unreadable');
      }
    }
    return opened;
  }

  async #document(content: OpenContent): Promise<Document | OpaqueDocument> {
    const { id, head } = content;
    try {
      if (!(await this.#mayIndex(content))) return { id, opaque: true };
      return { id, head: Uint8Array.from(head), ranges: await this.#ranges(content) };
    } catch (error) {
      if (isUnreadable(error)) return { id, opaque: true };
      throw error;
    }
  }

  /** What a plugin drops or changes is not indexed; a search reads the message itself, so that its answer stays exact. */
  async #mayIndex(content: OpenContent): Promise<boolean> {
    const { hooks } = this.#parts;
    if (!hooks.has('index.document')) return true;
    const { sizeOctets, head, parts } = content;
    const message = await storedMessageView({ sizeOctets, head, parts, read: (from, to) => content.read(from, to, this.#signal) });
    const fields = Object.fromEntries([...headerTexts(head)].map(([name, values]) => [name, values.join('\n')]));
    const context = { account: this.#account, actor: this.#actor, session: undefined, signal: this.#signal };
    const document = { message, fields };
    const answer = await guarded(() => hooks.transform('index.document', document, context));
    if (answer === drop || answer.message !== message) return false;
    const names = Object.keys(fields);
    return Object.keys(answer.fields).length === names.length && names.every((name) => answer.fields[name] === fields[name]);
  }

  /** `undefined`: more than is indexed of one message. */
  async #ranges(content: OpenContent): Promise<readonly DocumentRange[] | undefined> {
    const body = new Set(bodyTextRanges(content.parts, 'body').map(({ from, kind }) => `${kind} ${from}`));
    const ranges = bodyTextRanges(content.parts, 'text');
    if (ranges.length > RANGES || ranges.reduce((sum, { from, to }) => sum + to - from, 0) > TEXT_OCTETS) return undefined;
    const read: DocumentRange[] = [];
    for (const { from, to, kind, encoding, charset } of ranges) {
      const octets = content.bytes(from, to) ?? (await collect(content.read(from, to, this.#signal)));
      read.push({ kind, encoding, charset, scope: body.has(`${kind} ${from}`) ? 'body' : 'parts', octets: Uint8Array.from(octets) });
    }
    return read;
  }
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

function isUnreadable(error: unknown): boolean {
  const known = asMailError(error);
  return known instanceof MailError && (known.code === 'damaged' || known.code === 'locked');
}
