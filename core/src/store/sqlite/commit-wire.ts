/**
 * Commits on their way to the writer: tuples of plain values instead of objects with views. A structured clone writes and finds each name
 * and each view again, which cost more than the values; nine of ten ops are commits of one message.
 */
import type { CommitOp, PackedContent, PackedRecord, PackedSegment } from './messages.ts';

/** Where octets lie in the message's one buffer; a length of -1 stands for null. */
type Octets = readonly [offset: number, length: number];
type ContentWire = readonly [
  id: number,
  size: number,
  bodyOffset: number,
  codecs: string,
  envelope: string | null,
  structure: string | null,
  body: string | null,
  preview: string | null,
  sentAt: number | null,
  shape: number,
  segmentSize: number,
  headAt: number,
  headLength: number,
  partsAt: number,
  partsLength: number,
  sealedAt: number,
  sealedLength: number,
  dataAt: number,
  dataLength: number,
  segments: readonly PackedSegment[] | null,
];
export type CommitWire = readonly [
  account: string,
  seq: number,
  token: string,
  at: number,
  dataAt: number,
  dataLength: number,
  contents: readonly ContentWire[],
  dead: readonly number[] | null,
  records: readonly PackedRecord[] | null,
];

/** What packing needs of the buffer that goes along. */
export interface OctetSink {
  /** Copies octets in; returns where they begin. */
  place(octets: Uint8Array): number;
  /** A copy of plain data whose octets are views of the buffer. */
  packed<T>(value: T): T;
}

function placed(octets: Uint8Array | null, sink: OctetSink): Octets {
  return octets === null ? NOWHERE : [sink.place(octets), octets.length];
}
const NOWHERE: Octets = [0, -1];

/** Octets that {@link packCommit} places, segments and records apart. */
export function commitOctets(op: CommitOp): number {
  let octets = op.data.length;
  for (const { head, parts, sealed, data } of op.contents) {
    octets += (head?.length ?? 0) + (parts?.length ?? 0) + (sealed?.length ?? 0) + (data?.length ?? 0);
  }
  return octets;
}

export function packCommit(op: CommitOp, sink: OctetSink): CommitWire {
  const contents = op.contents.map((content): ContentWire => {
    const { id, size, bodyOffset, codecs, envelope, structure, body, preview, sentAt, shape, segmentSize, segments } = content;
    const [headAt, headLength] = placed(content.head, sink);
    const [partsAt, partsLength] = placed(content.parts, sink);
    const [sealedAt, sealedLength] = placed(content.sealed, sink);
    const [dataAt, dataLength] = placed(content.data, sink);
    const rows = segments.length === 0 ? null : sink.packed(segments);
    return [
      id,
      size,
      bodyOffset,
      codecs,
      envelope,
      structure,
      body,
      preview,
      sentAt,
      shape,
      segmentSize,
      headAt,
      headLength,
      partsAt,
      partsLength,
      sealedAt,
      sealedLength,
      dataAt,
      dataLength,
      rows,
    ];
  });
  const dead = op.dead.length === 0 ? null : op.dead;
  const records = op.records.length === 0 ? null : sink.packed(op.records);
  return [op.account, op.seq, op.token, op.at, sink.place(op.data), op.data.length, contents, dead, records];
}

export function unpackCommit(wire: CommitWire, buffer: Uint8Array): CommitOp {
  const [account, seq, token, at, dataAt, dataLength, contents, dead, records] = wire;
  return {
    op: 'commit',
    account,
    seq,
    token,
    data: buffer.subarray(dataAt, dataAt + dataLength),
    contents: contents.map((content) => unpackContent(content, buffer)),
    dead: dead ?? NONE,
    records: records ?? NO_RECORDS,
    at,
  };
}
const NONE: readonly number[] = [];
const NO_RECORDS: readonly PackedRecord[] = [];
const NO_SEGMENTS: readonly PackedSegment[] = [];

function unpackContent(wire: ContentWire, buffer: Uint8Array): PackedContent {
  const view = (offset: number, length: number): Uint8Array | null => (length < 0 ? null : buffer.subarray(offset, offset + length));
  return {
    id: wire[0],
    size: wire[1],
    bodyOffset: wire[2],
    codecs: wire[3],
    envelope: wire[4],
    structure: wire[5],
    body: wire[6],
    preview: wire[7],
    sentAt: wire[8],
    shape: wire[9],
    segmentSize: wire[10],
    head: view(wire[11], wire[12]),
    parts: view(wire[13], wire[14]),
    sealed: view(wire[15], wire[16]),
    data: view(wire[17], wire[18]),
    segments: wire[19] ?? NO_SEGMENTS,
  };
}
