import { crc32 } from 'node:zlib';
import { type Database, prepare } from './sqlite.ts';

export interface Problem {
  readonly what: string;
  readonly problem: string;
}
export interface CheckReport {
  readonly problems: readonly Problem[];
  /** Blobs whose file must be there: id and size in octets. */
  readonly files: readonly (readonly [id: string, sizeOctets: number])[];
}

/** Problems of one kind that a report names; the rest are the same in kind. */
const MOST = 1_000;

const QUERIES: readonly (readonly [problem: string, sql: string])[] = [
  ['metadata without a body', `SELECT 'content ' || id FROM meta WHERE NOT EXISTS (SELECT 1 FROM content c WHERE c.id = meta.id)`],
  ['body without metadata', `SELECT 'content ' || id FROM content WHERE NOT EXISTS (SELECT 1 FROM meta m WHERE m.id = content.id)`],
  [
    'header block of a content that is gone',
    `SELECT 'content ' || id FROM head WHERE NOT EXISTS (SELECT 1 FROM content c WHERE c.id = head.id)`,
  ],
  [
    'content without a header block',
    `SELECT 'content ' || id FROM content c WHERE c.head IS NULL AND NOT EXISTS (SELECT 1 FROM head h WHERE h.id = c.id)
     AND NOT EXISTS (SELECT 1 FROM meta m WHERE m.id = c.id AND m.sealed IS NOT NULL)`,
  ],
  [
    'segment of a content that is gone',
    `SELECT 'content ' || content FROM segment s WHERE NOT EXISTS (SELECT 1 FROM content c WHERE c.id = s.content)`,
  ],
  [
    'segment names a blob that is not stored',
    `SELECT 'content ' || content FROM segment s WHERE s.blob IS NOT NULL AND NOT EXISTS (SELECT 1 FROM blob b WHERE b.n = s.blob)`,
  ],
  ['inline segment without octets', `SELECT 'content ' || content FROM segment WHERE kind = 0 AND data IS NULL AND data_size > 0`],
  [
    'no segments although there should be some',
    `SELECT 'content ' || id FROM content c WHERE shape = 2 AND NOT EXISTS (SELECT 1 FROM segment s WHERE s.content = c.id)`,
  ],
  [
    'content of an account that is not there',
    `SELECT 'content ' || id FROM meta WHERE NOT EXISTS (SELECT 1 FROM account a WHERE a.id = meta.account)`,
  ],
  [
    'gap in the journal',
    `SELECT 'account ' || coalesce(a.name, a.id) FROM account a JOIN (SELECT account, min(seq) AS low, max(seq) AS high, count(*) AS n
     FROM journal GROUP BY account) j ON j.account = a.id WHERE a.gone IS NULL AND (low <> a.floor + 1 OR high - low + 1 <> n)`,
  ],
  [
    'pruned above the saved state',
    `SELECT 'account ' || coalesce(a.name, a.id) FROM account a WHERE a.gone IS NULL AND a.floor > coalesce((SELECT applied FROM state s WHERE s.account = a.id), 0)`,
  ],
];

/** Reads the whole database; for the reader thread. */
export function checkDatabase(database: Database): CheckReport {
  const problems: Problem[] = [];
  for (const [verdict] of prepare<[string]>(database, `PRAGMA quick_check(${MOST})`).all()) {
    if (verdict !== 'ok') problems.push({ what: 'store.db', problem: verdict });
  }
  for (const [problem, sql] of QUERIES) {
    for (const [what] of prepare<[string]>(database, `${sql} LIMIT ${MOST}`).all()) problems.push({ what, problem });
  }
  const chunks = prepare<[id: number, account: number, box: number, n: number, crc: number, data: Uint8Array]>(
    database,
    'SELECT id, account, box, n, crc, data FROM chunk WHERE id > ? ORDER BY id LIMIT 256',
  );
  let after = 0;
  for (let page = chunks.all(after); page.length > 0; page = chunks.all(after)) {
    for (const [id, account, box, n, crc, data] of page) {
      after = id;
      if (crc32(data) !== crc)
        problems.push({ what: `chunk ${n} of mailbox ${box} of account number ${account}`, problem: 'checksum is wrong' });
    }
  }
  const files = prepare<[Uint8Array, number]>(database, 'SELECT id, size FROM blob WHERE data IS NULL')
    .all()
    .map(([id, size]) => [Buffer.from(id).toString('hex'), size] as const);
  return { problems, files };
}
