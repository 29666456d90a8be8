import { copyOf } from './octets.ts';
import type { MimePart } from './part.ts';

/** First octet of the table. A reader of a newer layout must still read this one: tables lie in stored contents. */
const VERSION = 1;

/** What can be told of a part by one bit. */
const HAS_CHARSET = 1;
const HAS_NAME = 2;
const HAS_DISPOSITION = 4;
const HAS_MESSAGE = 8;

/** Deepest table and most parts that are decoded: far above what the parser makes, so only a damaged table meets them. */
const MAX_DECODED_PARTS = 100_000;
const MAX_DECODED_DEPTH = 1_000;

/** A stored part table that cannot be read. */
export class PartTableError extends Error {
  override readonly name = 'PartTableError';
}

/** Compact binary form of the part tree: version octet, then the parts in preorder, integers as LEB128, offsets relative to what precedes them. */
export function encodeParts(root: MimePart): Uint8Array {
  const writer = new Writer();
  writer.integer(VERSION);
  writePart(writer, root, 0);
  return writer.finish();
}

/** @throws PartTableError if the octets are no table of a known version */
export function decodeParts(table: Uint8Array): MimePart {
  const reader = new Reader(table);
  const version = reader.integer();
  if (version !== VERSION) throw new PartTableError(`part table version ${version} is not known`);
  return readPart(reader, 0, 0);
}

function writePart(writer: Writer, part: MimePart, origin: number): void {
  writer.integer(part.headerStart - origin);
  writer.integer(part.bodyStart - part.headerStart);
  writer.integer(part.bodyEnd - part.bodyStart);
  writer.integer(part.lines);
  const { charset, name, disposition, message } = part;
  writer.integer(
    (charset === undefined ? 0 : HAS_CHARSET) |
      (name === undefined ? 0 : HAS_NAME) |
      (disposition === undefined ? 0 : HAS_DISPOSITION) |
      (message === undefined ? 0 : HAS_MESSAGE),
  );
  writer.text(part.type);
  writer.text(part.subtype);
  writer.text(part.encoding);
  if (charset !== undefined) writer.text(charset);
  if (name !== undefined) writer.text(name);
  if (disposition !== undefined) writer.text(disposition);
  const children = message === undefined ? part.children : [message];
  writer.integer(children.length);
  for (const child of children) writePart(writer, child, part.bodyStart);
}

function readPart(reader: Reader, origin: number, depth: number): MimePart {
  if (depth > MAX_DECODED_DEPTH || ++reader.parts > MAX_DECODED_PARTS) throw new PartTableError('part table is damaged');
  const headerStart = origin + reader.integer();
  const bodyStart = headerStart + reader.integer();
  const bodyEnd = bodyStart + reader.integer();
  const lines = reader.integer();
  const flags = reader.integer();
  const type = reader.text();
  const subtype = reader.text();
  const encoding = reader.text();
  const charset = (flags & HAS_CHARSET) === 0 ? undefined : reader.text();
  const name = (flags & HAS_NAME) === 0 ? undefined : reader.text();
  const disposition = (flags & HAS_DISPOSITION) === 0 ? undefined : reader.text();
  const children: MimePart[] = [];
  for (let left = reader.integer(); left > 0; left--) children.push(readPart(reader, bodyStart, depth + 1));
  const message = (flags & HAS_MESSAGE) === 0 ? undefined : children.pop();
  return { headerStart, bodyStart, bodyEnd, lines, type, subtype, encoding, charset, name, disposition, children, message };
}

class Writer {
  #octets = Buffer.allocUnsafe(256);
  #length = 0;

  integer(value: number): void {
    this.#reserve(10);
    let rest = value;
    while (rest >= 0x80) {
      this.#octets[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#octets[this.#length++] = rest;
  }

  text(value: string): void {
    const length = Buffer.byteLength(value);
    this.integer(length);
    this.#reserve(length);
    this.#length += this.#octets.write(value, this.#length);
  }

  finish(): Uint8Array {
    return copyOf(this.#octets.subarray(0, this.#length));
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#octets.length) return;
    const grown = Buffer.allocUnsafe((this.#octets.length + count) * 2);
    this.#octets.copy(grown, 0, 0, this.#length);
    this.#octets = grown;
  }
}

class Reader {
  parts = 0;
  readonly #octets: Buffer;
  #at = 0;

  constructor(octets: Uint8Array) {
    this.#octets = Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);
  }

  integer(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 0x80) {
      const octet = this.#octets[this.#at++];
      if (octet === undefined) break;
      value += (octet & 0x7f) * scale;
      if (octet < 0x80) return value;
    }
    throw new PartTableError('part table is damaged');
  }

  text(): string {
    const end = this.integer() + this.#at;
    if (end > this.#octets.length) throw new PartTableError('part table is damaged');
    const value = this.#octets.toString('utf8', this.#at, end);
    this.#at = end;
    return value;
  }
}
