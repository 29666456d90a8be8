/** One message on its way in: its octets and what one pass over them says. Shared by all recipients of a delivery. */
import { createHash, hash } from 'node:crypto';
import { headerFieldRanges } from '../../mime/header-fields.ts';
import { MessageParser, type ParsedMessage } from '../../mime/message-parser.ts';
import { asBuffer } from '../../mime/octets.ts';
import type { MimePart } from '../../mime/part.ts';
import type { MessageSource } from '../services.ts';

export interface ParsedSource {
  readonly source: MessageSource;
  readonly parsed: ParsedMessage;
  /** SHA-256 of the octets, when it was asked for. */
  readonly digest: Buffer | undefined;
}

/** One pass. In memory it is done when the function returns: nothing is awaited. */
export function parseSource(source: MessageSource, wants: 'digest' | 'parse', signal: AbortSignal): ParsedSource | Promise<ParsedSource> {
  const { bytes } = source;
  if (bytes === undefined) return parseStream(source, wants, signal);
  const parser = new MessageParser();
  parser.push(bytes);
  return { source, parsed: parser.finish(), digest: wants === 'digest' ? hash('sha256', bytes, 'buffer') : undefined };
}

async function parseStream(source: MessageSource, wants: 'digest' | 'parse', signal: AbortSignal): Promise<ParsedSource> {
  const parser = new MessageParser();
  const digest = wants === 'digest' ? createHash('sha256') : undefined;
  for await (const chunk of source.open(undefined, { lends: true })) {
    signal.throwIfAborted();
    parser.push(chunk);
    digest?.update(chunk);
  }
  return { source, parsed: parser.finish(), digest: digest?.digest() };
}

/** How often each of `names` (lower case) stands in a header block. */
export function countFields(head: Uint8Array, names: readonly string[]): readonly number[] {
  const octets = asBuffer(head);
  const counts = names.map(() => 0);
  for (const { start, nameEnd } of headerFieldRanges(head)) {
    const length = nameEnd - start;
    if (!names.some((name) => name.length === length)) continue;
    const at = names.indexOf(octets.toString('latin1', start, nameEnd).toLowerCase());
    if (at >= 0) counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts;
}

/** The same parts in a message that has `octets` more at its start, before its own header block. */
export function shiftParts(root: MimePart, octets: number): MimePart {
  return octets === 0 ? root : { ...shift(root, octets), headerStart: 0 };
}

/** Recursion is bounded by the parser's limit on levels. */
function shift(part: MimePart, by: number): MimePart {
  return {
    ...part,
    headerStart: part.headerStart + by,
    bodyStart: part.bodyStart + by,
    bodyEnd: part.bodyEnd + by,
    children: part.children.length === 0 ? part.children : part.children.map((child) => shift(child, by)),
    message: part.message === undefined ? undefined : shift(part.message, by),
  };
}
