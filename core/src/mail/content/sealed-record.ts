/**
 * What is derived from a message, as one piece of octets for an encrypting codec to seal; and the notes of codecs. A level octet, then
 * fields of a 32-bit length and octets. Read with care: it may come from a store that somebody altered.
 */
import type { ContentMeta } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { Notes } from './codecs.ts';

const LEVEL = 1;

export interface MetadataRecord {
  readonly meta: ContentMeta;
  readonly notes: Notes;
}

export function encodeRecord({ meta, notes }: MetadataRecord): Uint8Array {
  const sentAt = Buffer.alloc(8);
  sentAt.writeDoubleBE(meta.sentAt ?? Number.NaN);
  return joinFields([
    Buffer.from(meta.envelope, 'latin1'),
    Buffer.from(meta.structure, 'latin1'),
    Buffer.from(meta.body, 'latin1'),
    Buffer.from(meta.preview, 'utf8'),
    sentAt,
    meta.head,
    meta.parts,
    encodeNotes(notes),
  ]);
}

/** @throws MailError damaged */
export function decodeRecord(octets: Uint8Array): MetadataRecord {
  const fields = splitFields(octets);
  const [envelope, structure, body, preview, sentAt, head, parts, notes] = fields;
  if (fields.length !== 8 || !envelope || !structure || !body || !preview || !head || !parts || !notes || sentAt?.length !== 8)
    throw damaged();
  const at = sentAt.readDoubleBE();
  return {
    meta: {
      envelope: envelope.toString('latin1'),
      structure: structure.toString('latin1'),
      body: body.toString('latin1'),
      preview: preview.toString('utf8'),
      sentAt: Number.isNaN(at) ? null : at,
      head,
      parts,
    },
    notes: decodeNotes(notes),
  };
}

export function encodeNotes(notes: Notes): Uint8Array {
  return joinFields([...notes].flatMap(([name, value]) => [Buffer.from(name, 'utf8'), value]));
}
/** @throws MailError damaged */
export function decodeNotes(octets: Uint8Array): Notes {
  const fields = splitFields(octets);
  const notes: Notes = new Map();
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at];
    const value = fields[at + 1];
    if (name === undefined || value === undefined) throw damaged();
    notes.set(name.toString('utf8'), value);
  }
  return notes;
}

/** The codec's name stands before what it sealed, so that whoever reads the row knows who can open it. */
export function frameSealed(codec: string, sealed: Uint8Array): Uint8Array {
  return joinFields([Buffer.from(codec, 'utf8'), sealed]);
}
/** @throws MailError damaged */
export function unframeSealed(octets: Uint8Array): { readonly codec: string; readonly sealed: Uint8Array } {
  const [codec, sealed, more] = splitFields(octets);
  if (codec === undefined || sealed === undefined || more !== undefined) throw damaged();
  return { codec: codec.toString('utf8'), sealed };
}

export function joinFields(fields: readonly Uint8Array[]): Buffer {
  let length = 1;
  for (const field of fields) length += 4 + field.length;
  const out = Buffer.allocUnsafe(length);
  out[0] = LEVEL;
  let at = 1;
  for (const field of fields) {
    at = out.writeUInt32BE(field.length, at);
    out.set(field, at);
    at += field.length;
  }
  return out;
}
/** @throws MailError damaged */
export function splitFields(octets: Uint8Array): readonly Buffer[] {
  const buffer = Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);
  if (buffer[0] !== LEVEL) throw damaged();
  const fields: Buffer[] = [];
  for (let at = 1; at < buffer.length; ) {
    if (at + 4 > buffer.length) throw damaged();
    const end = at + 4 + buffer.readUInt32BE(at);
    if (end > buffer.length) throw damaged();
    fields.push(buffer.subarray(at + 4, end));
    at = end;
  }
  return fields;
}

function damaged(): MailError {
  return new MailError('damaged', 'The stored message is damaged');
}
