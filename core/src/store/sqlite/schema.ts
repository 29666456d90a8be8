import { StoreDamaged, StoreUnavailable } from '../store.ts';
import { type Database, prepare } from './sqlite.ts';

/** Schema level written to `user_version`. A step is added for each later level; levels are never edited. */
export const SCHEMA_LEVEL = 3;

/**
 * - `account`: a small integer for each account's text id. `floor`: entries up to it are pruned. `gone`: being erased; its name is free.
 * - `journal`: `g` is the order of commits over all accounts, the feed; never reused (see `counter`).
 * - `meta`: what lists read, dense; `content`: what only opening a message reads, with the body of an ordinary message in the same row.
 *   Columns of unlike use lie in tables of their own because a list of 10,000 reads every page that its rows touch.
 * - `owned`: contents by account, filled in batches behind the commits: a plain index would dirty one page more per delivery.
 *   Contents above `counter.owned` are not in it yet.
 * - `segment`: only for contents that are not one inline piece. `kind`: 0 inline, 1 blob, 2 inline kept as a blob because it is big.
 * - `codec` of an octet column: 0 raw, 1 zstd, 2 raw because zstd gained nothing.
 * - `record.key`: UTF-16BE, so that octet order is code unit order.
 */
const LEVEL_1 = `
CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE account(id INTEGER PRIMARY KEY, name TEXT UNIQUE, floor INTEGER NOT NULL DEFAULT 0, gone INTEGER) STRICT;
CREATE INDEX account_gone ON account(gone) WHERE gone IS NOT NULL;
CREATE TABLE journal(g INTEGER PRIMARY KEY, account INTEGER NOT NULL, seq INTEGER NOT NULL, token TEXT NOT NULL, data BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX journal_seq ON journal(account, seq);
CREATE TABLE state(account INTEGER PRIMARY KEY, applied INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
CREATE TABLE chunk(id INTEGER PRIMARY KEY, account INTEGER NOT NULL, box INTEGER NOT NULL, n INTEGER NOT NULL, seq INTEGER NOT NULL,
  crc INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX chunk_n ON chunk(account, box, n);
CREATE TABLE meta(id INTEGER PRIMARY KEY, account INTEGER NOT NULL, size INTEGER NOT NULL, sent_at INTEGER, envelope TEXT, structure TEXT,
  preview TEXT, body TEXT, sealed BLOB) STRICT;
CREATE TABLE content(id INTEGER PRIMARY KEY, account INTEGER NOT NULL, size INTEGER NOT NULL, body_offset INTEGER NOT NULL,
  codecs TEXT NOT NULL, shape INTEGER NOT NULL, segment_size INTEGER NOT NULL, codec INTEGER NOT NULL, data_size INTEGER NOT NULL,
  head BLOB, parts BLOB, data BLOB) STRICT;
CREATE TABLE segment(id INTEGER PRIMARY KEY, content INTEGER NOT NULL, n INTEGER NOT NULL, kind INTEGER NOT NULL, size INTEGER NOT NULL,
  codec INTEGER NOT NULL, data_size INTEGER NOT NULL, blob INTEGER, recipe BLOB, data BLOB) STRICT;
CREATE UNIQUE INDEX segment_n ON segment(content, n);
CREATE INDEX segment_blob ON segment(blob) WHERE blob IS NOT NULL;
CREATE TABLE owned(account INTEGER NOT NULL, content INTEGER NOT NULL, PRIMARY KEY(account, content)) STRICT, WITHOUT ROWID;
CREATE TABLE dead(account INTEGER NOT NULL, content INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY(account, content)) STRICT, WITHOUT ROWID;
CREATE TABLE blob(n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, size INTEGER NOT NULL, touched INTEGER NOT NULL, codec INTEGER NOT NULL,
  data BLOB) STRICT;
CREATE INDEX blob_touched ON blob(touched);
CREATE TABLE record(tbl TEXT NOT NULL, key BLOB NOT NULL, version INTEGER NOT NULL, expires_at INTEGER, value TEXT NOT NULL,
  PRIMARY KEY(tbl, key)) STRICT, WITHOUT ROWID;
CREATE INDEX record_expiry ON record(expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE observer(name TEXT PRIMARY KEY, cursor INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE parked(observer TEXT NOT NULL, account INTEGER NOT NULL, seq INTEGER NOT NULL, error TEXT NOT NULL, retry_at INTEGER,
  holds INTEGER NOT NULL, PRIMARY KEY(observer, account, seq)) STRICT, WITHOUT ROWID;
CREATE INDEX parked_account ON parked(account, seq);
CREATE TABLE backlog(observer TEXT NOT NULL, account INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(observer, account)) STRICT, WITHOUT ROWID;
CREATE INDEX backlog_account ON backlog(account, seq);
`;

/** `derived`: what can be made again, in pieces of some 50 KiB, so that neither a write nor a read of one is felt. */
const LEVEL_2 = `
CREATE TABLE derived(pk INTEGER PRIMARY KEY, account INTEGER NOT NULL, id TEXT NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX derived_n ON derived(account, id, n);
`;

/**
 * `head`: header blocks apart from bodies, so that HEADER.FIELDS of a list reads a fifth of the pages. TEXT when it is ASCII without NUL
 * (the same octets, read without a buffer for each), else BLOB. `content.head` is NULL then; contents up to `counter.old-heads` may
 * still have it, until the idle pass has moved it.
 */
const LEVEL_3 = `
CREATE TABLE head(id INTEGER PRIMARY KEY, account INTEGER NOT NULL, data ANY NOT NULL) STRICT;
INSERT INTO counter SELECT 'old-heads', id FROM content ORDER BY id DESC LIMIT 1;
`;
const LEVELS: readonly string[] = [LEVEL_1, LEVEL_2, LEVEL_3];

/**
 * Brings the file to this level. Runs before anything else writes.
 * @throws StoreUnavailable when a newer Pochard wrote the file; StoreDamaged when it is no database of ours
 */
export function migrate(database: Database): void {
  const level = prepare<[number]>(database, 'PRAGMA user_version').get()?.[0] ?? 0;
  if (level === SCHEMA_LEVEL) return;
  if (level > SCHEMA_LEVEL) {
    throw new StoreUnavailable(`the store has schema level ${level}, this Pochard knows up to ${SCHEMA_LEVEL}: use the newer version`);
  }
  const tables = prepare<[number]>(database, 'SELECT count(*) FROM sqlite_schema').get()?.[0] ?? 0;
  if (level === 0 && tables > 0) throw new StoreDamaged('store.db holds tables but no schema level: it is not a store of Pochard');
  database.exec(`BEGIN IMMEDIATE; ${LEVELS.slice(level).join('')} PRAGMA user_version = ${SCHEMA_LEVEL}; COMMIT;`);
}
