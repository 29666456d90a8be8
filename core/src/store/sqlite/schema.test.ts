import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { migrate, SCHEMA_LEVEL } from './schema.ts';
import { openDatabase, prepare } from './sqlite.ts';

test('a store of an earlier level gets what it lacks and keeps its rows; one of a later level is refused', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'pochard-schema-'));
  const database = openDatabase(join(folder, 'store.db'), { access: 'write', timeoutMs: 20, cacheOctets: 1024 * 1024 });
  t.after(async () => {
    database.close();
    await rm(folder, { recursive: true });
  });
  migrate(database);
  database.exec(`INSERT INTO account(name) VALUES ('ada1'); DROP TABLE derived; DROP TABLE head; PRAGMA user_version = 1`);
  database.exec(`INSERT INTO content VALUES (7, 1, 4, 2, '[]', 0, 0, 0, 0, x'0d0a', x'00', NULL)`);
  migrate(database);
  assert.equal(prepare<[number]>(database, 'PRAGMA user_version').get()?.[0], SCHEMA_LEVEL);
  assert.deepEqual(prepare<[string]>(database, 'SELECT name FROM account').all(), [['ada1']]);
  assert.deepEqual(prepare(database, 'SELECT * FROM derived').all(), []);
  assert.deepEqual(prepare(database, 'SELECT * FROM counter').all(), [['old-heads', 7]]);
  database.exec(`PRAGMA user_version = ${SCHEMA_LEVEL + 1}`);
  assert.throws(() => migrate(database), { name: 'StoreUnavailable' });
});
