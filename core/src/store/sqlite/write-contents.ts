import { isAscii } from 'node:buffer';
import { constants, zstdCompressSync } from 'node:zlib';
import type { OpResults, PackedContent, PackedSegment, WriteOp } from './messages.ts';
import { type Database, prepare } from './sqlite.ts';

type Op<Name extends WriteOp['op']> = Extract<WriteOp, { op: Name }>;

/** How the octets of a row lie. */
export const CODEC_RAW = 0;
export const CODEC_ZSTD = 1;
/** Raw, and tried: zstd gains less than a tenth. */
export const CODEC_KEPT_RAW = 2;

/** Contents entered into `owned` in one go: a few milliseconds. */
const OWNED_SLICE = 4_096;
/** Bodies and octets that one slice of the idle pass repacks: below 10 ms. */
const REPACK_BODIES = 24;
const REPACK_OCTETS = 512 * 1024;
/** Below this a frame costs more than it saves. */
const REPACK_LEAST_OCTETS = 512;
/** Header blocks that one slice of the idle pass moves out of their content's row. */
const MOVED_HEADS = 64;

/** The content names a blob that is not there: it was swept before the commit came. Nothing was written. */
export class BlobMissing extends Error {
  override name = 'BlobMissing';
}

/** Statements of the writer for contents and blobs. All run inside the group's transaction. */
export class ContentWrites {
  #ownedUpTo = 0;
  #newest: number;
  #repacked = 0;
  #repackedBlobs = 0;
  #oldHeads = 0;

  readonly #addMeta;
  readonly #content;
  readonly #addContent;
  readonly #addHead;
  readonly #addHeadText;
  readonly #addSegment;
  readonly #addOwned;
  readonly #fillOwned;
  readonly #fillBound;
  readonly #setCounter;
  readonly #setCounterTo;
  readonly #blob;
  readonly #addBlob;
  readonly #touchBlob;
  readonly #dropBlob;
  readonly #removeMeta;
  readonly #removeContent;
  readonly #removeHead;
  readonly #removeSegments;
  readonly #removeOwned;
  readonly #removeDead;
  readonly #deadAt;
  readonly #sealMeta;
  readonly #sealContent;
  readonly #sealHead;
  readonly #heads;
  readonly #emptyHead;
  readonly #rawContents;
  readonly #setBody;
  readonly #rawSegments;
  readonly #setSegment;
  readonly #rawBlobs;
  readonly #setBlob;
  readonly #counter;

  constructor(database: Database) {
    this.#addMeta = prepare(
      database,
      'INSERT INTO meta(id, account, size, sent_at, envelope, structure, preview, body, sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    );
    this.#content = prepare<[number]>(database, 'SELECT id FROM content WHERE id = ?');
    this.#addContent = prepare(
      database,
      `INSERT INTO content(id, account, size, body_offset, codecs, shape, segment_size, codec, data_size, head, parts, data)
       VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, NULL, ?, ?)`,
    );
    this.#addHead = prepare(database, 'INSERT INTO head(id, account, data) VALUES (?, ?, ?)');
    this.#addHeadText = prepare(database, 'INSERT INTO head(id, account, data) VALUES (?, ?, CAST(? AS TEXT))');
    this.#addSegment = prepare(
      database,
      'INSERT INTO segment(content, n, kind, size, codec, data_size, blob, recipe, data) VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?)',
    );
    this.#addOwned = prepare(database, 'INSERT OR IGNORE INTO owned VALUES (?, ?)');
    this.#fillBound = prepare<[number | null]>(
      database,
      `SELECT max(id) FROM (SELECT id FROM meta WHERE id > ? ORDER BY id LIMIT ${OWNED_SLICE})`,
    );
    this.#fillOwned = prepare(
      database,
      'INSERT OR IGNORE INTO owned SELECT account, id FROM meta WHERE id > ? AND id <= ? ORDER BY account, id',
    );
    this.#setCounter = prepare(database, 'INSERT INTO counter VALUES (?, ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)');
    this.#setCounterTo = prepare(database, 'INSERT INTO counter VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value');
    this.#blob = prepare<[n: number, size: number, isFile: number]>(database, 'SELECT n, size, data IS NULL FROM blob WHERE id = ?');
    this.#addBlob = prepare<[number]>(database, 'INSERT INTO blob(id, size, touched, codec, data) VALUES (?, ?, ?, 0, ?) RETURNING n');
    this.#touchBlob = prepare(database, 'UPDATE blob SET touched = max(touched, ?) WHERE n = ?');
    this.#dropBlob = prepare(
      database,
      'DELETE FROM blob WHERE n = ? AND touched < ? AND NOT EXISTS (SELECT 1 FROM segment WHERE segment.blob = blob.n)',
    );
    this.#removeMeta = prepare(database, 'DELETE FROM meta WHERE id = ? AND account = ?');
    this.#removeContent = prepare(database, 'DELETE FROM content WHERE id = ?');
    this.#removeHead = prepare(database, 'DELETE FROM head WHERE id = ?');
    this.#removeSegments = prepare(database, 'DELETE FROM segment WHERE content = ?');
    this.#removeOwned = prepare(database, 'DELETE FROM owned WHERE account = ? AND content = ?');
    this.#removeDead = prepare(database, 'DELETE FROM dead WHERE account = ? AND content = ?');
    this.#deadAt = prepare<[number]>(database, 'SELECT at FROM dead WHERE account = ? AND content = ?');
    this.#sealMeta = prepare(
      database,
      `UPDATE meta SET sealed = ?, envelope = NULL, structure = NULL, body = NULL, preview = NULL, sent_at = NULL
       WHERE id = ? AND account = ?`,
    );
    this.#sealContent = prepare(database, 'UPDATE content SET head = NULL, parts = NULL WHERE id = ? AND account = ?');
    this.#sealHead = prepare(database, 'DELETE FROM head WHERE id = ? AND account = ?');
    this.#heads = prepare<[id: number, account: number, head: Uint8Array | null]>(
      database,
      `SELECT id, account, head FROM content WHERE id <= ? ORDER BY id DESC LIMIT ${MOVED_HEADS}`,
    );
    this.#emptyHead = prepare(database, 'UPDATE content SET head = NULL WHERE id = ?');
    this.#rawContents = prepare<[id: number, codec: number, codecs: string, data: Uint8Array | null]>(
      database,
      `SELECT id, codec, codecs, data FROM content WHERE id > ? ORDER BY id LIMIT ${REPACK_BODIES}`,
    );
    this.#setBody = prepare(database, 'UPDATE content SET codec = ?, data = ? WHERE id = ?');
    this.#rawSegments = prepare<[id: number, data: Uint8Array | null]>(
      database,
      'SELECT id, data FROM segment WHERE content = ? AND kind = 0 AND codec = 0',
    );
    this.#setSegment = prepare(database, 'UPDATE segment SET codec = ?, data = ? WHERE id = ?');
    this.#rawBlobs = prepare<[n: number, codec: number, data: Uint8Array | null]>(
      database,
      `SELECT n, codec, data FROM blob WHERE n > ? ORDER BY n LIMIT ${REPACK_BODIES}`,
    );
    this.#setBlob = prepare(database, 'UPDATE blob SET codec = ?, data = ? WHERE n = ?');
    this.#counter = prepare<[number]>(database, 'SELECT value FROM counter WHERE name = ?');
    this.#newest = Math.max(
      this.#counter.get('content')?.[0] ?? 0,
      prepare<[number | null]>(database, 'SELECT max(id) FROM meta').get()?.[0] ?? 0,
    );
    this.reload();
  }

  /** Takes the marks from the database again, after a group was rolled back. */
  reload(): void {
    this.#ownedUpTo = this.#counter.get('owned')?.[0] ?? 0;
    this.#repacked = this.#counter.get('repacked')?.[0] ?? 0;
    this.#repackedBlobs = this.#counter.get('repacked-blobs')?.[0] ?? 0;
    this.#oldHeads = this.#counter.get('old-heads')?.[0] ?? 0;
  }

  /** Highest content id ever committed. */
  get newest(): number {
    return this.#newest;
  }

  has(id: number): boolean {
    return this.#content.get(id) !== undefined;
  }
  add(account: number, content: PackedContent, at: number): void {
    const { id, size } = content;
    this.#addMeta.run(
      id,
      account,
      size,
      content.sentAt,
      content.envelope,
      content.structure,
      content.preview,
      content.body,
      content.sealed,
    );
    const dataSize = content.data?.length ?? 0;
    this.#addContent.run(
      id,
      account,
      size,
      content.bodyOffset,
      content.codecs,
      content.shape,
      content.segmentSize,
      dataSize,
      content.parts,
      content.data,
    );
    if (content.head !== null) this.#putHead(id, account, content.head);
    for (const [n, segment] of content.segments.entries()) {
      const blob = segment.blob === undefined ? null : this.#blobOf(segment, at);
      const data = segment.kind === 0 ? (segment.data ?? null) : null;
      this.#addSegment.run(id, n, segment.kind, segment.size, data?.length ?? 0, blob, segment.recipe ?? null, data);
    }
    // Ids come from the protocol thread; a slow upload commits after a quick one that took a higher id.
    if (id <= this.#ownedUpTo) this.#addOwned.run(account, id);
    if (id <= this.#repacked) this.#repacked = id - 1;
    if (id > this.#newest) this.#newest = id;
  }
  #putHead(id: number, account: number, head: Uint8Array): void {
    const isText = isAscii(head) && !head.includes(0);
    (isText ? this.#addHeadText : this.#addHead).run(id, account, head);
  }
  #blobOf(segment: PackedSegment, at: number): number {
    const id = Buffer.from(segment.blob ?? '', 'hex');
    const found = this.#blob.get(id);
    if (found !== undefined) return found[0];
    if (segment.blobData === undefined) throw new BlobMissing(`blob ${segment.blob} is not stored`);
    return this.#addBlob.get(id, segment.blobData.length, at, segment.blobData)?.[0] ?? 0;
  }

  putBlob(op: Op<'blob'>): boolean {
    const id = Buffer.from(op.id, 'hex');
    const found = this.#blob.get(id);
    if (found !== undefined) this.#touchBlob.run(op.at, found[0]);
    else this.#addBlob.get(id, op.size, op.at, op.data);
    return found === undefined;
  }
  dropBlob(op: Op<'drop-blob'>): OpResults['drop-blob'] {
    const found = this.#blob.get(Buffer.from(op.id, 'hex'));
    if (found === undefined || Number(this.#dropBlob.run(found[0], op.before).changes) === 0) return 0;
    return found[2] === 1 ? 2 : 1;
  }

  reseal(account: number, op: Op<'reseal'>): null {
    this.#sealMeta.run(op.sealed, op.id, account);
    this.#sealContent.run(op.id, account);
    this.#sealHead.run(op.id, account);
    return null;
  }

  sweep(account: number, op: Op<'sweep-contents'>): number {
    const due = (content: number): boolean => (this.#deadAt.get(account, content)?.[0] ?? op.before) < op.before;
    let gone = 0;
    for (const content of op.stay) if (due(content)) this.#removeDead.run(account, content);
    for (const content of op.go) if (due(content)) gone += this.remove(account, content);
    return gone;
  }
  /** Returns 1 when the content was there. Its blobs stay until {@link dropBlob} finds them unnamed. */
  remove(account: number, content: number): number {
    this.#setCounter.run('content', this.#newest);
    this.#removeDead.run(account, content);
    this.#removeOwned.run(account, content);
    const removed = Number(this.#removeMeta.run(content, account).changes);
    if (removed > 0) {
      this.#removeContent.run(content);
      this.#removeHead.run(content);
      this.#removeSegments.run(content);
    }
    return removed;
  }

  /** True when enough contents wait to be entered into `owned`. */
  get ownedIsBehind(): boolean {
    return this.#newest - this.#ownedUpTo >= OWNED_SLICE;
  }
  /** Enters contents into `owned`, by account. True when there are more. */
  fillOwned(): boolean {
    const bound = this.#fillBound.get(this.#ownedUpTo)?.[0] ?? 0;
    if (bound <= this.#ownedUpTo) return false;
    this.#fillOwned.run(this.#ownedUpTo, bound);
    this.#setCounter.run('owned', bound);
    this.#ownedUpTo = bound;
    return bound < this.#newest;
  }

  /** Moves a slice of header blocks to their own table, or compresses one of raw bodies; true when there are more. */
  repack(): boolean {
    return this.#moveHeads() || this.#repackContents() || this.#repackBlobs();
  }
  /** The newest first: they are read most. */
  #moveHeads(): boolean {
    if (this.#oldHeads === 0) return false;
    const rows = this.#heads.all(this.#oldHeads);
    for (const [id, account, head] of rows) {
      if (head === null) continue;
      this.#putHead(id, account, head);
      this.#emptyHead.run(id);
    }
    this.#oldHeads = rows.length < MOVED_HEADS ? 0 : (rows.at(-1)?.[0] ?? 1) - 1;
    this.#setCounterTo.run('old-heads', this.#oldHeads);
    return true;
  }
  #repackContents(): boolean {
    if (this.#repacked >= this.#newest) return false;
    let octets = 0;
    let rows = 0;
    for (const [id, codec, codecs, data] of this.#rawContents.all(this.#repacked)) {
      rows++;
      this.#repacked = id;
      // What an encrypting codec made does not get smaller.
      if (codec === CODEC_RAW && codecs === '[]') {
        if (data !== null && data.length >= REPACK_LEAST_OCTETS) {
          const [kept, octetsKept] = repacked(data);
          this.#setBody.run(kept, octetsKept, id);
          octets += data.length;
        }
        for (const [segment, raw] of data === null ? this.#rawSegments.all(id) : []) {
          if (raw === null || raw.length < REPACK_LEAST_OCTETS) continue;
          const [kept, octetsKept] = repacked(raw);
          this.#setSegment.run(kept, octetsKept, segment);
          octets += raw.length;
        }
      }
      if (octets >= REPACK_OCTETS) break;
    }
    if (rows === 0) this.#repacked = this.#newest;
    this.#setCounterTo.run('repacked', this.#repacked);
    return true;
  }
  #repackBlobs(): boolean {
    let octets = 0;
    let rows = 0;
    for (const [n, codec, data] of this.#rawBlobs.all(this.#repackedBlobs)) {
      rows++;
      this.#repackedBlobs = n;
      if (codec !== CODEC_RAW || data === null || data.length < REPACK_LEAST_OCTETS) continue;
      const [kept, octetsKept] = repacked(data);
      this.#setBlob.run(kept, octetsKept, n);
      octets += data.length;
      if (octets >= REPACK_OCTETS) break;
    }
    if (rows > 0) this.#setCounterTo.run('repacked-blobs', this.#repackedBlobs);
    return rows > 0;
  }
}

function repacked(data: Uint8Array): [codec: number, data: Uint8Array] {
  const smaller = zstdCompressSync(data, { params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 } });
  return smaller.length <= data.length * 0.9 ? [CODEC_ZSTD, smaller] : [CODEC_KEPT_RAW, data];
}
