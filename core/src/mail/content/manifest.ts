/**
 * The first segment of a content whose segments are encoded one by one: an inline segment that stands for no octet of the message.
 * A field of eight octets (decoded size) and one of notes for each segment after it.
 */
import { MailError } from '../errors.ts';
import type { Notes } from './codecs.ts';
import { decodeNotes, encodeNotes, joinFields, splitFields } from './sealed-record.ts';

export interface ManifestRow {
  readonly plainOctets: number;
  readonly notes: Notes;
}

export function encodeManifest(rows: readonly ManifestRow[]): Uint8Array {
  return joinFields(
    rows.flatMap(({ plainOctets, notes }) => {
      const size = Buffer.alloc(8);
      size.writeDoubleBE(plainOctets);
      return [size, encodeNotes(notes)];
    }),
  );
}

/** @throws MailError damaged */
export function decodeManifest(octets: Uint8Array): readonly ManifestRow[] {
  const fields = splitFields(octets);
  const rows: ManifestRow[] = [];
  for (let at = 0; at < fields.length; at += 2) {
    const size = fields[at];
    const notes = fields[at + 1];
    if (size?.length !== 8 || notes === undefined) throw new MailError('damaged', 'The stored message is damaged');
    rows.push({ plainOctets: size.readDoubleBE(), notes: decodeNotes(notes) });
  }
  return rows;
}
