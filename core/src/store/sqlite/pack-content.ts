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
  const none = { data: undefined, blob: undefined, blobOctets: 0, recipe: undefined, blobData: undefined };
  if (segment.at === 'inline') {
    if (segment.data.length < BLOB_FILE_OCTETS) return { ...none, kind: 0, size: segment.sizeOctets, data: segment.data };
    // Named under a scope that no caller uses, so that it is nobody's attachment.
    const id = blobIdOf(`inline:${account}`, segment.data);
    files.push({ id, data: segment.data });
    return { ...none, kind: 2, size: segment.sizeOctets, blob: id, blobOctets: segment.data.length };
  }
  const { sizeOctets: size, blob, blobOctets, recipe, data } = segment;
  if (data !== undefined && data.length >= BLOB_FILE_OCTETS) files.push({ id: blob, data });
  const blobData = data !== undefined && data.length < BLOB_FILE_OCTETS ? data : undefined;
  return { ...none, kind: 1, size, blob, blobOctets, recipe, blobData };
}

/** Rows of a content. What is too big for a row is added to `files`. */
export function packContent(account: AccountId, content: NewContent, files: FileFirst[]): PackedContent {
  const { id, sizeOctets: size, bodyOffset, meta, segments } = content;
  const only = segments.length === 1 ? segments[0] : undefined;
  const single = only?.at === 'inline' && only.data.length < BLOB_FILE_OCTETS ? only : undefined;
  const columns =
    'sealed' in meta
      ? { envelope: null, structure: null, body: null, preview: null, sentAt: null, head: null, parts: null, sealed: meta.sealed }
      : {
          envelope: meta.envelope,
          structure: meta.structure,
          body: meta.body,
          preview: meta.preview,
          sentAt: meta.sentAt,
          head: meta.head,
          parts: meta.parts,
          sealed: null,
        };
  return {
    id,
    size,
    bodyOffset,
    codecs: content.codecs.length === 0 ? '[]' : JSON.stringify(content.codecs),
    ...columns,
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
