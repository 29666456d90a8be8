import { latin1 } from '../meta-columns.ts';
import type {
  AccountId,
  ContentId,
  MailboxId,
  MetaColumn,
  MetaColumns,
  RecordRow,
  Seq,
  StoredChunk,
  StoredEntry,
  StoredMeta,
} from '../store.ts';
import { JournalPruned } from '../store.ts';
import { afterPrefix, decodeRecordKey, encodeRecordKey } from './record-key.ts';
import { type Cell, type Database, prepare, type Query } from './sqlite.ts';

const COLUMN_SQL: Readonly<Record<MetaColumn, string>> = {
  envelope: 'm.envelope',
  structure: 'm.structure',
  body: 'm.body',
  preview: 'm.preview',
  sentAt: 'm.sent_at',
  // Short-circuit: the row with the body is looked at only for a header block that still lies there.
  head: 'CASE WHEN m.sealed IS NULL THEN coalesce(CAST(h.data AS BLOB), (SELECT head FROM content WHERE id = m.id)) END',
  parts: '(SELECT parts FROM content WHERE id = m.id)',
  headText: 'CASE WHEN m.sealed IS NULL THEN coalesce(h.data, (SELECT head FROM content WHERE id = m.id)) END',
};
const META_COLUMNS = Object.keys(COLUMN_SQL) as readonly MetaColumn[];

/**
 * Queries of a read-only connection. Each public call sees one committed state: it is one statement, or its statements cannot
 * contradict each other. Synchronous: for small, hot reads on the protocol thread.
 */
export class Reads {
  readonly #database: Database;
  readonly #entries;
  readonly #snapshot;
  readonly #moved;
  readonly #chunks;
  readonly #record;
  readonly #records;
  readonly #recordsBelow;
  readonly #allRecords;
  readonly #list;
  readonly #dead;
  readonly #deadList;
  readonly #headTexts;
  /** By the mask of columns: at most 2^8. */
  readonly #meta = new Map<number, Query>();

  constructor(database: Database) {
    this.#database = database;
    this.#entries = prepare<[floor: number, seq: number | null, token: string | null, data: Uint8Array | null]>(
      database,
      `SELECT a.floor, j.seq, j.token, j.data FROM account a LEFT JOIN journal j ON j.account = a.id AND j.seq > ?2
       WHERE a.name = ?1 ORDER BY j.seq LIMIT ?3`,
    );
    this.#headTexts = prepare<[data: string | Uint8Array | null]>(
      database,
      `SELECT h.data FROM json_each(?2) e LEFT JOIN head h ON h.id = e.value AND h.account = (SELECT id FROM account WHERE name = ?1)
       ORDER BY e.rowid`,
    );
    this.#snapshot = prepare<[applied: number, data: Uint8Array]>(
      database,
      'SELECT applied, data FROM state WHERE account = (SELECT id FROM account WHERE name = ?)',
    );
    this.#moved = prepare<[name: string]>(
      database,
      `SELECT a.name FROM json_each(?) e JOIN account a ON a.name = e.value ->> 0
       WHERE a.floor > e.value ->> 1 OR EXISTS (SELECT 1 FROM journal j WHERE j.account = a.id AND j.seq > e.value ->> 1)`,
    );
    this.#chunks = prepare<[n: number, seq: number, crc: number, data: Uint8Array]>(
      database,
      `SELECT n, seq, crc, data FROM chunk WHERE account = (SELECT id FROM account WHERE name = ?) AND box = ? AND n >= ? AND n <= ?
       AND length(data) > 0 ORDER BY n LIMIT ?`,
    );
    this.#record = prepare<[version: number, value: string]>(
      database,
      'SELECT version, value FROM record WHERE tbl = ? AND key = ? AND (expires_at IS NULL OR expires_at > ?)',
    );
    const records = (bounds: string) =>
      prepare<[key: Uint8Array, version: number, value: string]>(
        database,
        `SELECT key, version, value FROM record WHERE tbl = ?1 AND (expires_at IS NULL OR expires_at > ?2) AND ${bounds} ORDER BY key LIMIT ?3`,
      );
    this.#records = records('key >= ?4 AND key > ?5');
    this.#recordsBelow = records('key >= ?4 AND key > ?5 AND key < ?6');
    this.#allRecords = prepare<[table: string, key: Uint8Array, version: number, expiresAt: number | null, value: string]>(
      database,
      `SELECT tbl, key, version, expires_at, value FROM record WHERE (?5 = 0 OR (tbl, key) > (?1, ?2))
       AND (expires_at IS NULL OR expires_at > ?3) ORDER BY tbl, key LIMIT ?4`,
    );
    this.#list = prepare<[id: number, size: number]>(
      database,
      `WITH a AS (SELECT id FROM account WHERE name = ?1), filled AS (SELECT coalesce((SELECT value FROM counter WHERE name = 'owned'), 0) AS upto)
       SELECT id, size FROM (
         SELECT m.id, m.size FROM owned o JOIN meta m ON m.id = o.content WHERE o.account = (SELECT id FROM a) AND o.content > ?2
         UNION ALL
         SELECT id, size FROM meta WHERE id > max(?2, (SELECT upto FROM filled)) AND account = (SELECT id FROM a)
       ) ORDER BY id LIMIT ?3`,
    );
    this.#deadList = prepare<[content: number, at: number]>(
      database,
      'SELECT content, at FROM dead WHERE account = (SELECT id FROM account WHERE name = ?) AND content > ? ORDER BY content LIMIT ?',
    );
    this.#dead = prepare<[content: number]>(
      database,
      `SELECT content FROM dead WHERE account = (SELECT id FROM account WHERE name = ?) AND content > ? AND at < ? ORDER BY content LIMIT ?`,
    );
  }

  snapshot(account: AccountId): { readonly account: AccountId; readonly applied: Seq; readonly data: Uint8Array } | undefined {
    const row = this.#snapshot.get(account);
    return row && { account, applied: row[0], data: row[1] };
  }

  /** @throws JournalPruned */
  tail(account: AccountId, after: Seq, limit: number): StoredEntry[] {
    const entries: StoredEntry[] = [];
    for (const [floor, seq, token, data] of this.#entries.all(account, after, Math.max(1, limit))) {
      if (after < floor) throw new JournalPruned(floor);
      if (seq !== null && token !== null && data !== null && entries.length < limit) entries.push({ seq, token, data });
    }
    return entries;
  }

  moved(heads: readonly (readonly [AccountId, Seq])[]): AccountId[] {
    return this.#moved.all(JSON.stringify(heads)).map(([name]) => name as AccountId);
  }

  chunks(account: AccountId, box: MailboxId, from: number, to: number, limit: number): StoredChunk[] {
    return this.#chunks.all(account, box, from, to, limit).map(([n, seq, crc, data]) => ({ box, n, seq, crc, data }));
  }

  record(table: string, key: string, now: number): RecordRow | undefined {
    const row = this.#record.get(table, encodeRecordKey(key), now);
    return row && { key, version: row[0], value: JSON.parse(row[1]) };
  }
  listRecords(table: string, prefix: string, after: string | undefined, limit: number, now: number): RecordRow[] {
    const from = encodeRecordKey(prefix);
    const below = afterPrefix(from);
    // Nothing is smaller than the empty key; text sorts below every blob, so it stands for "no lower bound".
    const above = after === undefined ? '' : encodeRecordKey(after);
    const rows =
      below === undefined
        ? this.#records.all(table, now, limit, from, above)
        : this.#recordsBelow.all(table, now, limit, from, above, below);
    return rows.map(([key, version, value]) => ({ key: decodeRecordKey(key), version, value: JSON.parse(value) }));
  }

  allRecords(after: string | undefined, limit: number, now: number) {
    const [table = '', key = ''] = after === undefined ? [] : after.split(' ', 2);
    return this.#allRecords
      .all(table, Buffer.from(key, 'hex'), now, limit, after === undefined ? 0 : 1)
      .map(([tbl, octets, version, expiresAt, value]) => ({
        table: tbl,
        key: decodeRecordKey(octets),
        version,
        value: JSON.parse(value) as unknown,
        expiresAt: expiresAt ?? undefined,
        mark: `${tbl} ${Buffer.from(octets).toString('hex')}`,
      }));
  }

  listContents(account: AccountId, after: number, limit: number): { readonly id: ContentId; readonly sizeOctets: number }[] {
    return this.#list.all(account, after, limit).map(([id, sizeOctets]) => ({ id: id as ContentId, sizeOctets }));
  }
  deadList(account: AccountId, after: number, limit: number): { readonly id: ContentId; readonly at: number }[] {
    return this.#deadList.all(account, after, limit).map(([id, at]) => ({ id: id as ContentId, at }));
  }
  deadContents(account: AccountId, after: number, before: number, limit: number): number[] {
    return this.#dead.all(account, after, before, limit).map(([content]) => content);
  }

  /** In the order of `ids`; undefined where the account has no such content. */
  meta(account: AccountId, ids: readonly ContentId[], columns: readonly MetaColumn[]): (StoredMeta | undefined)[] {
    const asked = META_COLUMNS.filter((column) => columns.includes(column));
    if (asked.length === 1 && asked[0] === 'headText') return this.#headText(account, ids);
    return this.#metaRows(account, ids, asked);
  }
  #metaRows(account: AccountId, ids: readonly ContentId[], asked: readonly MetaColumn[]): (StoredMeta | undefined)[] {
    const rows = this.#metaQuery(asked).all(account, JSON.stringify(ids));
    const result: (StoredMeta | undefined)[] = new Array(rows.length);
    // The two columns of a list view, read most of all.
    if (asked.length === 2 && asked[0] === 'envelope' && asked[1] === 'structure') {
      for (const [at, row] of rows.entries()) {
        if (row[0] === null) result[at] = undefined;
        else if (row[1] !== null) result[at] = { sealed: row[1] as Uint8Array };
        else result[at] = { envelope: row[2] as string, structure: row[3] as string };
      }
      return result;
    }
    for (const [at, row] of rows.entries()) {
      if (row[0] === null) result[at] = undefined;
      else if (row[1] !== null) result[at] = { sealed: row[1] as Uint8Array };
      else result[at] = metaOf(asked, row);
    }
    return result;
  }
  /** Header blocks alone, from their own table: what HEADER.FIELDS of a long list reads. */
  #headText(account: AccountId, ids: readonly ContentId[]): (StoredMeta | undefined)[] {
    const rows = this.#headTexts.all(account, JSON.stringify(ids));
    const result: (StoredMeta | undefined)[] = new Array(rows.length);
    const others: number[] = [];
    for (let at = 0; at < rows.length; at++) {
      const data = rows[at]?.[0] ?? null;
      if (data === null) others.push(at);
      else result[at] = { headText: typeof data === 'string' ? data : latin1(data) };
    }
    // Sealed, gone, or not moved here yet.
    if (others.length > 0) {
      const found = this.#metaRows(
        account,
        others.map((at) => ids[at] as ContentId),
        ['headText'],
      );
      for (const [n, at] of others.entries()) result[at] = found[n];
    }
    return result;
  }
  #metaQuery(asked: readonly MetaColumn[]): Query {
    let mask = 0;
    for (const column of asked) mask |= 1 << META_COLUMNS.indexOf(column);
    const known = this.#meta.get(mask);
    if (known !== undefined) return known;
    const columns = ['m.id', 'm.sealed', ...asked.map((column) => COLUMN_SQL[column])];
    const joined = asked.some((column) => column === 'head' || column === 'headText');
    // LEFT JOIN keeps the order of json_each and a row for what is gone.
    const query = prepare(
      this.#database,
      `SELECT ${columns.join(', ')} FROM json_each(?2) e
       LEFT JOIN meta m ON m.id = e.value AND m.account = (SELECT id FROM account WHERE name = ?1)
       ${joined ? 'LEFT JOIN head h ON h.id = m.id' : ''} ORDER BY e.rowid`,
    );
    this.#meta.set(mask, query);
    return query;
  }
}

function metaOf(asked: readonly MetaColumn[], row: readonly Cell[]): Partial<MetaColumns> {
  const meta: { -readonly [column in MetaColumn]?: Cell } = {};
  for (const [at, column] of asked.entries()) {
    const cell = row[at + 2] ?? null;
    meta[column] = column === 'headText' && cell instanceof Uint8Array ? latin1(cell) : cell;
  }
  return meta as Partial<MetaColumns>;
}
