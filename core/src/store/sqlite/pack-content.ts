import { BLOB_FILE_OCTETS, blobIdOf } from '../blob-id.ts';
import type { AccountId, BlobId, NewContent, RecordWrite, Segment } from '../store.ts';
import { type PackedContent, type PackedRecord, type PackedSegment, SHAPE_EMPTY, SHAPE_SINGLE, SHAPE_TABLE } from './messages.ts';
import { encodeRecordKey } from './record-key.ts';

/** Octets that must lie in a file before the commit that names them. */
export interface FileFirst {
  readonly id: BlobId;
  readonly data: Uint8Array;
}

function packSegment(account: AccountId, segment: Segment, files: FileFirst[]): PackedSegment {
  const size = segment.sizeOctets;
  if (segment.at === 'inline') {
    const { data } = segment;
    if (data.length < BLOB_FILE_OCTETS) {
      return { kind: 0, size, data, blob: undefined, blobOctets: 0, recipe: undefined, blobData: undefined };
    }
    // Named under a scope that no caller uses, so that it is nobody's attachment.
    const blob = blobIdOf(`inline:${account}`, data);
    files.push({ id: blob, data });
    return { kind: 2, size, data: undefined, blob, blobOctets: data.length, recipe: undefined, blobData: undefined };
  }
  const { blob, blobOctets, recipe, data } = segment;
  const isFile = data !== undefined && data.length >= BLOB_FILE_OCTETS;
  if (isFile) files.push({ id: blob, data });
  return { kind: 1, size, data: undefined, blob, blobOctets, recipe, blobData: isFile ? undefined : data };
}

/** Rows of a content. What is too big for a row is added to `files`. */
export function packContent(account: AccountId, content: NewContent, files: FileFirst[]): PackedContent {
  const { id, sizeOctets: size, bodyOffset, meta, segments } = content;
  const only = segments.length === 1 ? segments[0] : undefined;
  const single = only?.at === 'inline' && only.data.length < BLOB_FILE_OCTETS ? only : undefined;
  const open = 'sealed' in meta ? undefined : meta;
  return {
    id,
    size,
    bodyOffset,
    codecs: content.codecs.length === 0 ? '[]' : JSON.stringify(content.codecs),
    envelope: open?.envelope ?? null,
    structure: open?.structure ?? null,
    body: open?.body ?? null,
    preview: open?.preview ?? null,
    sentAt: open?.sentAt ?? null,
    head: open?.head ?? null,
    parts: open?.parts ?? null,
    sealed: 'sealed' in meta ? meta.sealed : null,
    shape: single !== undefined ? SHAPE_SINGLE : segments.length === 0 ? SHAPE_EMPTY : SHAPE_TABLE,
    segmentSize: single?.sizeOctets ?? 0,
    data: single?.data ?? null,
    segments: single !== undefined ? [] : segments.map((segment) => packSegment(account, segment, files)),
  };
}

export function packRecord(write: RecordWrite): PackedRecord {
  const json = write.value === undefined ? undefined : JSON.stringify(write.value);
  if (write.value !== undefined && json === undefined) throw new TypeError(`record ${write.table}: the value is not JSON`);
  return {
    table: write.table,
    key: encodeRecordKey(write.key),
    name: write.key,
    value: json ?? null,
    ifVersion: write.ifVersion ?? null,
    expiresAt: write.expiresAt ?? null,
  };
}
