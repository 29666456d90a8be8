import type { MimePart } from './part.ts';

/** `section-msgtext` or MIME of a FETCH section (RFC 9051 §6.4.5); `fields` are the names of HEADER.FIELDS. */
export type SectionText =
  | { readonly kind: 'all' | 'header' | 'text' | 'mime' }
  | { readonly kind: 'fields' | 'fields-not'; readonly fields: readonly string[] };

/** A FETCH section: part numbers from the outside in, and what of that part. */
export interface Section {
  readonly path: readonly number[];
  readonly text: SectionText;
}

/** Octets `[from, to)` of the original message; with `filter` they are a header block to be put through `headerFields`. */
export interface SectionRange {
  readonly from: number;
  readonly to: number;
  readonly filter?: { readonly names: readonly string[]; readonly not: boolean };
}

/**
 * Where a section lies in the original octets; undefined if there is no such part, or the part has no such text (HEADER, TEXT and
 * HEADER.FIELDS of a part exist only for message/rfc822; MIME needs a part number). `[]` is the whole message.
 */
export function sectionRange(root: MimePart, { path, text }: Section): SectionRange | undefined {
  if (path.length === 0) return text.kind === 'mime' ? undefined : messageRange(root, text);
  const part = partAt(root, path);
  if (part === undefined) return undefined;
  if (text.kind === 'all') return { from: part.bodyStart, to: part.bodyEnd };
  if (text.kind === 'mime') return { from: part.headerStart, to: part.bodyStart };
  return part.message === undefined ? undefined : messageRange(part.message, text);
}

/**
 * The part with these numbers. Part 1 of a message that is no multipart is its body (RFC 9051 §6.4.5.2); numbers go on through
 * message/rfc822 as if the embedded message stood there.
 */
export function partAt(root: MimePart, path: readonly number[]): MimePart | undefined {
  let part: MimePart = root;
  let isMessage = true;
  for (const number of path) {
    if (!isMessage && part.message !== undefined) {
      part = part.message;
      isMessage = true;
    }
    if (part.type === 'multipart') {
      const child = part.children[number - 1] ?? (number === 1 ? emptyPart(part) : undefined);
      if (child === undefined) return undefined;
      part = child;
    } else if (!isMessage || number !== 1) return undefined;
    isMessage = false;
  }
  return part;
}

/** A multipart without parts shows one empty text part in BODYSTRUCTURE, so that part exists and has no octets. */
function emptyPart({ bodyEnd }: MimePart): MimePart {
  return {
    headerStart: bodyEnd,
    bodyStart: bodyEnd,
    bodyEnd,
    lines: 0,
    type: 'text',
    subtype: 'plain',
    encoding: '7bit',
    charset: undefined,
    name: undefined,
    disposition: undefined,
    children: [],
    message: undefined,
  };
}

function messageRange(message: MimePart, text: SectionText): SectionRange {
  switch (text.kind) {
    case 'header':
      return { from: message.headerStart, to: message.bodyStart };
    case 'text':
      return { from: message.bodyStart, to: message.bodyEnd };
    case 'fields':
    case 'fields-not':
      return { from: message.headerStart, to: message.bodyStart, filter: { names: text.fields, not: text.kind === 'fields-not' } };
    default:
      return { from: message.headerStart, to: message.bodyEnd };
  }
}
