import { INLINE_LOAD_OCTETS } from '../blob-id.ts';
import type { AccountId, BlobId, ContentId, StoredContent, StoredSegment } from '../store.ts';
import { StoreDamaged } from '../store.ts';
import { SHAPE_SINGLE, SHAPE_TABLE } from './messages.ts';
import { RowUnpacker } from './row-unpacker.ts';
import { type Database, prepare } from './sqlite.ts';

/** A body that is not read where it was asked for: its octets, and the row that holds them. */
export interface LaterBody {
  /** Index in the list of contents, and of the segment in the content. */
  readonly at: number;
  readonly n: number;
  readonly from: 'content' | 'segment';
  readonly row: number;
}
/** Blob of an inline segment that was too big for a row: a file. */
export interface LaterFile {
  readonly at: number;
  readonly n: number;
  readonly blob: BlobId;
  readonly sizeOctets: number;
}
export interface LoadedContents {
  readonly contents: (StoredContent | undefined)[];
  readonly bodies: readonly LaterBody[];
  readonly files: readonly LaterFile[];
}
/** Where the octets of one inline segment lie. */
export type InlinePlace =
  | { readonly at: 'content' | 'segment'; readonly row: number; readonly sizeOctets: number }
  | { readonly at: 'file'; readonly blob: BlobId; readonly sizeOctets: number };
export interface BlobPlace {
  readonly n: number;
  readonly sizeOctets: number;
  readonly at: 'row' | 'file';
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString('hex');
}

/** Queries for bodies and blobs of a read-only connection; used on the protocol thread for small rows, on the reader thread for big ones. */
export class BodyReads {
  readonly #contents;
  readonly #segments;
  readonly #place;
  readonly #segmentPlace;
  readonly #contentBody;
  readonly #segmentBody;
  readonly #blobPlace;
  readonly #blobBody;
  readonly #unpacker = new RowUnpacker();

  constructor(database: Database) {
    this.#contents = prepare<
      [
        id: number | null,
        size: number,
        bodyOffset: number,
        codecs: string,
        shape: number,
        segmentSize: number,
        codec: number,
        dataSize: number,
        head: Uint8Array | null,
        parts: Uint8Array | null,
        sealed: Uint8Array | null,
        data: Uint8Array | null,
      ]
    >(
      database,
      `SELECT c.id, c.size, c.body_offset, c.codecs, c.shape, c.segment_size, c.codec, c.data_size, coalesce(CAST(h.data AS BLOB), c.head),
         c.parts, CASE WHEN h.id IS NULL AND c.head IS NULL THEN (SELECT sealed FROM meta WHERE id = c.id) END,
         CASE WHEN length(c.data) <= ?3 THEN c.data END
       FROM json_each(?2) e LEFT JOIN content c ON c.id = e.value AND c.account = (SELECT id FROM account WHERE name = ?1)
       LEFT JOIN head h ON h.id = c.id ORDER BY e.rowid`,
    );
    this.#segments = prepare<
      [
        id: number,
        kind: number,
        size: number,
        dataSize: number,
        blob: Uint8Array | null,
        blobOctets: number | null,
        recipe: Uint8Array | null,
      ]
    >(
      database,
      `SELECT s.id, s.kind, s.size, s.data_size, b.id, b.size, s.recipe FROM segment s LEFT JOIN blob b ON b.n = s.blob
       WHERE s.content = ? ORDER BY s.n`,
    );
    this.#place = prepare<[shape: number, dataSize: number]>(
      database,
      'SELECT shape, data_size FROM content WHERE id = ? AND account = (SELECT id FROM account WHERE name = ?)',
    );
    this.#segmentPlace = prepare<[id: number, kind: number, dataSize: number, blob: Uint8Array | null, blobOctets: number | null]>(
      database,
      `SELECT s.id, s.kind, s.data_size, b.id, b.size FROM segment s LEFT JOIN blob b ON b.n = s.blob WHERE s.content = ? AND s.n = ?`,
    );
    this.#contentBody = prepare<[codec: number, size: number, data: Uint8Array | null]>(
      database,
      'SELECT codec, data_size, data FROM content WHERE id = ?',
    );
    this.#segmentBody = prepare<[codec: number, size: number, data: Uint8Array | null]>(
      database,
      'SELECT codec, data_size, data FROM segment WHERE id = ?',
    );
    this.#blobPlace = prepare<[n: number, size: number, isFile: number]>(database, 'SELECT n, size, data IS NULL FROM blob WHERE id = ?');
    this.#blobBody = prepare<[codec: number, size: number, data: Uint8Array | null]>(
      database,
      'SELECT codec, size, data FROM blob WHERE n = ?',
    );
  }

  /** Bodies of more than `atOnceOctets` are only named in the answer. @throws StoreDamaged */
  load(account: AccountId, ids: readonly ContentId[], atOnceOctets: number): LoadedContents {
    const bodies: LaterBody[] = [];
    const files: LaterFile[] = [];
    const contents = this.#contents.all(account, JSON.stringify(ids), atOnceOctets).map((row, at): StoredContent | undefined => {
      const [id, sizeOctets, bodyOffset, codecs, shape, segmentSize, codec, dataSize, head, parts, sealed, data] = row;
      if (id === null) return undefined;
      let segments: StoredSegment[] = [];
      if (shape === SHAPE_SINGLE) {
        let octets: Uint8Array | undefined;
        if (dataSize === 0) octets = new Uint8Array(0);
        else if (data !== null) octets = this.#unpacker.unpack(codec, data, dataSize);
        else bodies.push({ at, n: 0, from: 'content', row: id });
        segments = [{ at: 'inline', sizeOctets: segmentSize, data: octets }];
      } else if (shape === SHAPE_TABLE) segments = this.#loadSegments(at, id, bodies, files);
      const meta = head !== null ? { head, parts: parts ?? new Uint8Array(0) } : { sealed: sealed ?? new Uint8Array(0) };
      return { id: id as ContentId, sizeOctets, codecs: JSON.parse(codecs), bodyOffset, meta, segments };
    });
    return { contents, bodies, files };
  }
  #loadSegments(at: number, id: number, bodies: LaterBody[], files: LaterFile[]): StoredSegment[] {
    const rows = this.#segments.all(id);
    let inlineOctets = 0;
    for (const [, kind, , dataSize, , blobOctets] of rows) {
      if (kind === 0) inlineOctets += dataSize;
      else if (kind === 2) inlineOctets += blobOctets ?? 0;
    }
    return rows.map(([row, kind, sizeOctets, dataSize, blob, blobOctets, recipe], n): StoredSegment => {
      if (kind === 1) {
        if (blob === null || blobOctets === null) throw new StoreDamaged(`content ${id} names a blob that is not stored`);
        return { at: 'blob', sizeOctets, blob: hex(blob) as BlobId, blobOctets, recipe: recipe ?? new Uint8Array(0) };
      }
      if (kind === 0 && dataSize === 0) return { at: 'inline', sizeOctets, data: new Uint8Array(0) };
      if (inlineOctets <= INLINE_LOAD_OCTETS) {
        if (kind === 0) bodies.push({ at, n, from: 'segment', row });
        else if (blob !== null) files.push({ at, n, blob: hex(blob) as BlobId, sizeOctets: blobOctets ?? 0 });
      }
      return { at: 'inline', sizeOctets, data: undefined };
    });
  }

  /** Stored octets of a row. @throws StoreDamaged */
  body(from: 'content' | 'segment' | 'blob', row: number): Uint8Array {
    const query = from === 'content' ? this.#contentBody : from === 'segment' ? this.#segmentBody : this.#blobBody;
    const found = query.get(row);
    if (found === undefined || found[2] === null) throw new StoreDamaged(`the row of ${from} ${row} is gone`);
    return this.#unpacker.unpack(found[0], found[2], found[1]);
  }

  inlinePlace(account: AccountId, id: ContentId, n: number): InlinePlace | undefined {
    const content = this.#place.get(id, account);
    if (content === undefined) return undefined;
    const [shape, sizeOctets] = content;
    if (shape === SHAPE_SINGLE) return n === 0 ? { at: 'content', row: id, sizeOctets } : undefined;
    const segment = this.#segmentPlace.get(id, n);
    if (segment === undefined) return undefined;
    const [row, kind, dataSize, blob, blobOctets] = segment;
    if (kind === 0) return { at: 'segment', row, sizeOctets: dataSize };
    if (kind === 2 && blob !== null) return { at: 'file', blob: hex(blob) as BlobId, sizeOctets: blobOctets ?? 0 };
    return undefined;
  }

  blobPlace(id: BlobId): BlobPlace | undefined {
    const row = this.#blobPlace.get(Buffer.from(id, 'hex'));
    return row && { n: row[0], sizeOctets: row[1], at: row[2] === 1 ? 'file' : 'row' };
  }
}
