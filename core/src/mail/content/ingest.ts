/**
 * A parsed message as the content that a commit stores: header block and derived metadata, then the rest in segments. Big leaf parts
 * lie apart, decoded where that loses nothing, under the digest of their octets: once per account, or once (DESIGN §3).
 */
import type { Account, Actor, ByteRange, Segment as CodecSegment, Session } from '@pochard/plugin-sdk';
import { walkParts } from '../../mime/part.ts';
import { encodeParts } from '../../mime/part-table.ts';
import { preview, previewOf, previewSources } from '../../mime/preview.ts';
import type { AccountId, BlobId, Blobs, ContentId, ContentMeta, Contents, NewContent, Segment } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { MessageSource } from '../services.ts';
import { MEMORY_OCTETS } from '../spool.ts';
import type { CodecScope, CodecStack, Codecs, Notes, SegmentRole } from './codecs.ts';
import { bindingOf, cut, PLAIN } from './codecs.ts';
import { encodeManifest } from './manifest.ts';
import { type ParsedSource, parseSource, shiftParts } from './parsed-source.ts';
import { analyseBase64, Base64Stream, decodedBase64 } from './recoding.ts';
import { encodeRecord, frameSealed } from './sealed-record.ts';
import { Slots } from './slots.ts';

export interface IngestOptions {
  readonly contents: Pick<Contents, 'newId'>;
  readonly blobs: Pick<Blobs, 'put' | 'idOf'>;
  readonly codecs: Codecs;
  /** Leaf parts from this size lie apart. */
  readonly thresholdOctets: number;
  readonly dedupe: 'account' | 'global';
}
export interface IngestScope {
  readonly account: Account;
  readonly actor: Actor;
  readonly session: Session | undefined;
  readonly signal: AbortSignal;
}

/** Octets of parts that one commit carries itself; beyond it they are stored before. */
const COMMIT_DATA_OCTETS = 1024 * 1024;
/** Room that is kept for the segment that describes encoded ones: it must come along with the others when they are read. */
const MANIFEST_OCTETS = 64 * 1024;
/** Big messages that are parsed or taken apart at the same time: each costs a few buffers, and it is the processor that they wait for. */
const BIG_AT_ONCE = 3;

interface Stretch {
  readonly from: number;
  readonly to: number;
  /** A big leaf, with its Content-Transfer-Encoding; `undefined`: what lies between. */
  readonly encoding: string | undefined;
}

export class Ingest {
  readonly #options: IngestOptions;
  readonly #slots = new Slots(BIG_AT_ONCE);

  constructor(options: IngestOptions) {
    this.#options = options;
  }

  /** One pass over a message. At once when it lies in memory; spooled ones wait for their turn. */
  parse(source: MessageSource, wants: 'digest' | 'parse', signal: AbortSignal): ParsedSource | Promise<ParsedSource> {
    if (source.bytes !== undefined) return parseSource(source, wants, signal);
    return this.#slots.run(async () => parseSource(source, wants, signal));
  }

  /**
   * `prefix` (trace fields) goes before the header block. At once for a small message of an account without codecs.
   * @throws MailError unavailable when a codec fails: nothing is ever stored plain instead
   */
  prepare(message: ParsedSource, prefix: Uint8Array, scope: IngestScope): NewContent | Promise<NewContent> {
    const stack = this.#options.codecs.stackOf(scope.account);
    if (!(stack instanceof Promise) && stack.codecs.length === 0) {
      const { bytes } = message.source;
      if (bytes !== undefined && bytes.length < this.#options.thresholdOctets) return this.#small(message, bytes, prefix, scope);
    }
    return this.#slots.run(async () => {
      const applied = await stack;
      return applied.encrypt === undefined ? this.#apart(message, prefix, scope, applied) : this.#sealed(message, prefix, scope, applied);
    });
  }

  /** As {@link prepare} with no codec applied: what waits to be sent must be readable when its sender is not there. */
  preparePlain(message: ParsedSource, prefix: Uint8Array, scope: IngestScope): NewContent | Promise<NewContent> {
    const { bytes } = message.source;
    if (bytes !== undefined && bytes.length < this.#options.thresholdOctets) return this.#small(message, bytes, prefix, scope);
    return this.#slots.run(async () => this.#apart(message, prefix, scope, PLAIN));
  }

  /** No part can be big: one segment that is a view of what was received. */
  #small(message: ParsedSource, bytes: Uint8Array, prefix: Uint8Array, scope: IngestScope): NewContent {
    const meta = metaOf(message, prefix);
    const isWhole = headIsWhole(message);
    const data = isWhole ? bytes.subarray(message.parsed.head.length) : prefix.length === 0 ? bytes : Buffer.concat([prefix, bytes]);
    return {
      id: this.#newId(scope),
      sizeOctets: prefix.length + bytes.length,
      codecs: [],
      meta,
      bodyOffset: isWhole ? meta.head.length : 0,
      segments: data.length === 0 ? [] : [{ at: 'inline', sizeOctets: data.length, data }],
    };
  }

  async #apart(message: ParsedSource, prefix: Uint8Array, scope: IngestScope, stack: CodecStack): Promise<NewContent> {
    const { source, parsed } = message;
    const meta = await metaWithPreview(message, prefix);
    const isWhole = headIsWhole(message);
    const id = this.#newId(scope);
    const writer = new SegmentWriter(this.#options, scope, stack, id);
    if (!isWhole && prefix.length > 0) await writer.glue(prefix.length, () => once(prefix));
    for (const { from, to, encoding } of this.#stretches(message, isWhole ? parsed.parts.bodyStart : 0)) {
      scope.signal.throwIfAborted();
      const open = () => source.open({ start: from, end: to });
      const lend = () => source.open({ start: from, end: to }, { lends: true });
      if (encoding === undefined) await writer.glue(to - from, open);
      else await writer.part(to - from, encoding, open, lend);
    }
    return {
      id,
      sizeOctets: prefix.length + source.sizeOctets,
      codecs: stack.codecs.map(({ name }) => name),
      meta,
      bodyOffset: isWhole ? meta.head.length : 0,
      segments: writer.finish(),
    };
  }

  /** To an encrypting codec a message is one stretch, header block included; what is derived from it is sealed beside it. */
  async #sealed(message: ParsedSource, prefix: Uint8Array, scope: IngestScope, stack: CodecStack): Promise<NewContent> {
    const { encrypt } = stack;
    if (encrypt === undefined) throw new TypeError('no encrypting codec');
    const { source } = message;
    const id = this.#newId(scope);
    const sizeOctets = prefix.length + source.sizeOctets;
    const writer = new SegmentWriter(this.#options, scope, stack, id);
    const segments = await writer.whole(sizeOctets, async function* open(range) {
      const start = range?.start ?? 0;
      const end = range?.end ?? sizeOctets;
      if (start < prefix.length) yield prefix.subarray(start, Math.min(end, prefix.length));
      if (end > prefix.length) yield* source.open({ start: Math.max(0, start - prefix.length), end: end - prefix.length });
    });
    const record = encodeRecord({ meta: await metaWithPreview(message, prefix), notes: writer.notes });
    const sealed = await this.#options.codecs.seal(encrypt, record, writer.codecScope());
    return {
      id,
      sizeOctets,
      codecs: stack.codecs.map(({ name }) => name),
      meta: { sealed: frameSealed(encrypt.name, sealed) },
      bodyOffset: 0,
      segments,
    };
  }

  #stretches(message: ParsedSource, start: number): readonly Stretch[] {
    const { parsed, source } = message;
    const stretches: Stretch[] = [];
    let at = start;
    const until = (to: number) => {
      if (to > at) stretches.push({ from: at, to, encoding: undefined });
      at = to;
    };
    for (const part of walkParts(parsed.parts)) {
      const isLeaf = part.children.length === 0 && part.message === undefined;
      if (!isLeaf || part.bodyEnd - part.bodyStart < this.#options.thresholdOctets || part.bodyStart < at) continue;
      until(part.bodyStart);
      stretches.push({ from: part.bodyStart, to: part.bodyEnd, encoding: part.encoding });
      at = part.bodyEnd;
    }
    until(source.sizeOctets);
    return stretches;
  }

  #newId(scope: IngestScope): ContentId {
    return this.#options.contents.newId(scope.account.id as string as AccountId);
  }
}

/** Collects the segments of one content; what does not fit into the commit becomes a blob before it. */
class SegmentWriter {
  readonly notes: Notes = new Map();
  readonly #options: IngestOptions;
  readonly #scope: IngestScope;
  readonly #stack: CodecStack;
  readonly #id: ContentId;
  readonly #blobScope: string;
  readonly #segments: Segment[] = [];
  readonly #manifest: { readonly plainOctets: number; readonly notes: Notes }[] = [];
  /** A store hands inline octets out in one piece up to this sum. */
  #inlineLeft = MEMORY_OCTETS - MANIFEST_OCTETS;
  #dataLeft = COMMIT_DATA_OCTETS;

  constructor(options: IngestOptions, scope: IngestScope, stack: CodecStack, id: ContentId) {
    this.#options = options;
    this.#scope = scope;
    this.#stack = stack;
    this.#id = id;
    this.#blobScope = options.dedupe === 'global' && stack.encrypt === undefined ? '' : scope.account.id;
  }

  codecScope(notes = this.notes): CodecScope {
    const { account, actor, session, signal } = this.#scope;
    return { account, actor, session, signal, notes, binding: bindingOf(account, this.#id) };
  }

  /** What lies between big parts. */
  async glue(sizeOctets: number, open: CodecSegment['open']): Promise<void> {
    await this.#add('inline', { sizeOctets, plainOctets: sizeOctets, recipe: EMPTY, open });
  }

  /** A big leaf: decoded, if its octets can be made again of that. `lend` gives the same octets as `open`, each chunk until the next. */
  async part(sizeOctets: number, encoding: string, open: CodecSegment['open'], lend: CodecSegment['open']): Promise<void> {
    // Decoded it is surely more than the commit carries: one pass, straight into the blob.
    if (encoding === 'base64' && this.#stack.codecs.length === 0 && sizeOctets > MEMORY_OCTETS * 2) {
      const decoding = new Base64Stream(lend());
      try {
        const { id, sizeOctets: blobOctets } = await this.#options.blobs.put(this.#blobScope, decoding.open(), this.#scope.signal);
        if (decoding.recipe === undefined) throw new TypeError('the blob was stored before its stream had ended');
        this.#segments.push({ at: 'blob', sizeOctets, blob: id, blobOctets, recipe: decoding.recipe });
        return;
      } catch (error) {
        if (!decoding.hasFailed) throw error;
        return this.#add('blob', { sizeOctets, plainOctets: sizeOctets, recipe: EMPTY, open });
      }
    }
    const known = encoding === 'base64' ? await analyseBase64(lend(), MEMORY_OCTETS) : undefined;
    if (known === undefined) return this.#add('blob', { sizeOctets, plainOctets: sizeOctets, recipe: EMPTY, open });
    const { recipe, decoded, decodedOctets: plainOctets } = known;
    const reopen = decoded === undefined ? (range?: ByteRange) => decodedBase64(open(), range) : openChunks(decoded);
    await this.#add('blob', { sizeOctets, plainOctets, recipe, open: reopen });
  }

  /** Everything as one stretch. */
  async whole(sizeOctets: number, open: CodecSegment['open']): Promise<readonly Segment[]> {
    const segment: CodecSegment = { role: 'message', plainOctets: sizeOctets, open };
    const stream = await this.#options.codecs.encode(this.#stack, segment, this.codecScope());
    await this.#store(sizeOctets, EMPTY, stream, 'inline');
    return this.#segments;
  }

  finish(): readonly Segment[] {
    if (this.#stack.codecs.length === 0) return this.#segments;
    // It stands for no octet of the message: it says how many octets each segment has decoded, and keeps the codecs' notes.
    const data = encodeManifest(this.#manifest);
    if (data.length > MANIFEST_OCTETS)
      throw new MailError('unavailable', 'The message cannot be stored', { cause: new RangeError('notes of codecs are too large') });
    return [{ at: 'inline', sizeOctets: 0, data }, ...this.#segments];
  }

  async #add(where: 'inline' | 'blob', piece: Piece): Promise<void> {
    const { sizeOctets, plainOctets, recipe, open } = piece;
    if (this.#stack.codecs.length === 0) {
      // Its size is known: what will not fit is not collected first.
      const room = where === 'inline' ? this.#inlineLeft : Math.min(MEMORY_OCTETS, this.#dataLeft);
      return plainOctets > room ? this.#put(sizeOctets, recipe, open()) : this.#store(sizeOctets, recipe, open(), where);
    }
    const notes: Notes = new Map();
    const role: SegmentRole = where === 'inline' ? 'message' : 'attachment';
    const stream = await this.#options.codecs.encode(this.#stack, { role, plainOctets, open }, this.codecScope(notes));
    await this.#store(sizeOctets, recipe, stream, where);
    this.#manifest.push({ plainOctets, notes });
  }

  /** In the commit when it is small, before it when it is not. */
  async #store(sizeOctets: number, recipe: Uint8Array, stream: AsyncIterable<Uint8Array>, where: 'inline' | 'blob'): Promise<void> {
    const room = where === 'inline' ? this.#inlineLeft : Math.min(MEMORY_OCTETS, this.#dataLeft);
    const chunks: Uint8Array[] = [];
    let octets = 0;
    const iterator = stream[Symbol.asyncIterator]();
    for (;;) {
      const { done, value } = await iterator.next();
      if (done === true) break;
      octets += value.length;
      chunks.push(value);
      if (octets > room) return this.#put(sizeOctets, recipe, resume(chunks, iterator));
    }
    const [only] = chunks;
    const data = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, octets);
    if (where === 'inline') {
      this.#inlineLeft -= octets;
      this.#segments.push({ at: 'inline', sizeOctets, data });
      return;
    }
    this.#dataLeft -= octets;
    const blob: BlobId = this.#options.blobs.idOf(this.#blobScope, data);
    this.#segments.push({ at: 'blob', sizeOctets, blob, blobOctets: octets, recipe, data });
  }

  async #put(sizeOctets: number, recipe: Uint8Array, stream: AsyncIterable<Uint8Array>): Promise<void> {
    const { id, sizeOctets: blobOctets } = await this.#options.blobs.put(this.#blobScope, stream, this.#scope.signal);
    this.#segments.push({ at: 'blob', sizeOctets, blob: id, blobOctets, recipe });
  }
}

const EMPTY = new Uint8Array(0);

interface Piece {
  /** Octets of the message. */
  readonly sizeOctets: number;
  /** Octets that `open` gives. */
  readonly plainOctets: number;
  readonly recipe: Uint8Array;
  readonly open: CodecSegment['open'];
}

function openChunks(chunks: readonly Uint8Array[]): CodecSegment['open'] {
  async function* all(): AsyncGenerator<Uint8Array> {
    yield* chunks;
  }
  return (range) => (range === undefined ? all() : cut(all(), range));
}

async function* once(octets: Uint8Array): AsyncGenerator<Uint8Array> {
  yield octets;
}

async function* resume(early: readonly Uint8Array[], rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* early;
    for (;;) {
      const { done, value } = await rest.next();
      if (done === true) return;
      yield value;
    }
  } finally {
    await rest.return?.();
  }
}

function headIsWhole({ parsed }: ParsedSource): boolean {
  return parsed.head.length === parsed.parts.bodyStart;
}

/** For a message in memory. */
function metaOf(message: ParsedSource, prefix: Uint8Array): ContentMeta {
  const { bytes } = message.source;
  return metaFrom(message, prefix, bytes === undefined ? '' : preview(bytes, message.parsed.parts));
}

async function metaWithPreview(message: ParsedSource, prefix: Uint8Array): Promise<ContentMeta> {
  const { source, parsed } = message;
  if (source.bytes !== undefined) return metaOf(message, prefix);
  for (const candidate of previewSources(parsed.parts)) {
    const chunks: Uint8Array[] = []; // bounded: 64 KiB
    for await (const chunk of source.open({ start: candidate.from, end: candidate.to })) chunks.push(chunk);
    const text = previewOf(candidate, Buffer.concat(chunks));
    if (text !== '') return metaFrom(message, prefix, text);
  }
  return metaFrom(message, prefix, '');
}

function metaFrom({ parsed }: ParsedSource, prefix: Uint8Array, text: string): ContentMeta {
  return {
    envelope: parsed.envelope,
    structure: parsed.bodyStructure,
    body: parsed.body,
    preview: text,
    sentAt: parsed.sentDate ?? null,
    head: prefix.length === 0 ? parsed.head : Buffer.concat([prefix, parsed.head]),
    parts: encodeParts(shiftParts(parsed.parts, prefix.length)),
  };
}
