/** Writes BODY[...], RFC822... and BINARY[...] of one message: exact literals, from memory or as a stream. */
import type { OpenContent } from '../../mail/services.ts';
import { headerFields, headerFieldsText } from '../../mime/header-fields.ts';
import { type SectionText as MimeSectionText, type SectionRange, sectionRange } from '../../mime/section.ts';
import type { OctetRange, Section } from '../grammar/syntax-tree.ts';
import type { Responder } from '../responder.ts';

/** A literal was begun and cannot be finished: the client cannot find the end of the reply any more, so the connection must close. */
export class BrokenReply extends Error {
  override readonly name = 'BrokenReply';
}

/** Header blocks of embedded messages are filtered in memory, as far as headers are parsed at all. */
const FILTERED_OCTETS = 1024 * 1024;

export function mimeText({ text, fields }: Section): MimeSectionText {
  switch (text) {
    case 'HEADER':
      return { kind: 'header' };
    case 'TEXT':
      return { kind: 'text' };
    case 'MIME':
      return { kind: 'mime' };
    case 'HEADER.FIELDS':
      return { kind: 'fields', fields };
    case 'HEADER.FIELDS.NOT':
      return { kind: 'fields-not', fields };
    case 'ALL':
      return { kind: 'all' };
  }
}

/** The part of `length` octets that `<offset.length>` names. */
export function cut(length: number, range: OctetRange | undefined): { readonly from: number; readonly to: number } {
  if (range === undefined) return { from: 0, to: length };
  const from = Math.min(range.offset, length);
  return { from, to: Math.min(from + range.length, length) };
}

/** A literal of octets in memory, without copying large ones. */
export function writeLiteral(respond: Responder, label: string, octets: Uint8Array): void {
  respond.lines(octets.length === 0 ? `${label} ""` : `${label} {${octets.length}}\r\n`);
  if (octets.length > 0) respond.bytes(octets);
}

/** A section of the top header, from the header block alone. */
export function writeHeadSection(
  respond: Responder,
  label: string,
  section: Section,
  range: OctetRange | undefined,
  head: Uint8Array,
): void {
  const octets = section.text === 'HEADER' ? head : headerFields(head, section.fields, { not: section.text === 'HEADER.FIELDS.NOT' });
  const { from, to } = cut(octets.length, range);
  writeLiteral(respond, label, octets.subarray(from, to));
}

/** The same from latin1 text, as text. */
export function headSectionText(label: string, section: Section, range: OctetRange | undefined, head: string): string {
  const found = section.text === 'HEADER' ? head : headerFieldsText(head, section.fields, { not: section.text === 'HEADER.FIELDS.NOT' });
  const { from, to } = cut(found.length, range);
  const shown = from === 0 && to === found.length ? found : found.slice(from, to);
  return shown === '' ? `${label} ""` : `${label} {${shown.length}}\r\n${shown}`;
}

/** Any section. NIL when there is no such part. @throws BrokenReply */
export function writeSection(
  respond: Responder,
  label: string,
  section: Section,
  range: OctetRange | undefined,
  content: OpenContent,
  signal: AbortSignal,
): undefined | Promise<void> {
  const found = sectionRange(content.parts, { path: section.part, text: mimeText(section) });
  if (found === undefined) {
    respond.lines(`${label} NIL`);
    return;
  }
  if (found.filter !== undefined) return writeFiltered(respond, label, found, range, content, signal);
  const { from, to } = cut(found.to - found.from, range);
  return writeOctets(respond, label, content, found.from + from, found.from + to, signal);
}

export function writeOctets(
  respond: Responder,
  label: string,
  content: OpenContent,
  from: number,
  to: number,
  signal: AbortSignal,
): undefined | Promise<void> {
  const pieces = content.pieces(from, to);
  if (pieces !== undefined) {
    let length = 0;
    for (const piece of pieces) length += piece.length;
    respond.lines(length === 0 ? `${label} ""` : `${label} {${length}}\r\n`);
    for (const piece of pieces) respond.bytes(piece);
    return;
  }
  const lent = to - from > LENT_OCTETS || respond.isFull ? undefined : content.lent(from, to);
  respond.lines(`${label} {${to - from}}\r\n`);
  if (lent !== undefined) {
    let left = to - from;
    lent((octets) => {
      left -= octets.length;
      respond.copied(octets);
    });
    if (left !== 0) throw new BrokenReply('not as many octets as the message has');
    return respond.isFull ? respond.drained() : undefined;
  }
  return respond.body(exactly(content.read(from, to, signal, LENT), to - from));
}
/** What is written without a look at the socket. */
const LENT_OCTETS = 128 * 1024;
/** The output copies what it is given. */
const LENT = { lends: true };

async function writeFiltered(
  respond: Responder,
  label: string,
  { from, to, filter }: SectionRange,
  range: OctetRange | undefined,
  content: OpenContent,
  signal: AbortSignal,
): Promise<void> {
  const head = await filteredHead(content, from, to, signal);
  const octets = headerFields(head, filter?.names ?? [], { not: filter?.not ?? false });
  const part = cut(octets.length, range);
  writeLiteral(respond, label, octets.subarray(part.from, part.to));
}

/** A header block as far as HEADER.FIELDS looks at it. */
export async function filteredHead(content: OpenContent, from: number, to: number, signal: AbortSignal): Promise<Uint8Array> {
  const end = Math.min(to, from + FILTERED_OCTETS);
  return content.bytes(from, end) ?? (await gather(content.read(from, end, signal)));
}

export async function gather(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Passes on what was announced, neither more nor less. */
export async function* exactly(source: AsyncIterable<Uint8Array>, octets: number): AsyncGenerator<Uint8Array> {
  let left = octets;
  for await (const chunk of source) {
    if (chunk.length > left) throw new BrokenReply('more octets than the message has');
    left -= chunk.length;
    yield chunk;
  }
  if (left > 0) throw new BrokenReply('fewer octets than the message has');
}
