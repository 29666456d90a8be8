import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storeContract } from '../contract/store-contract.ts';
import { openSqliteStore, type SqliteOptions } from './sqlite-store.ts';

for (const repack of ['off', 'on'] as const) {
  storeContract(`sqlite, repack ${repack}`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'pochard-store-'));
    const options: SqliteOptions = { folder, walOctets: 0, repack, idleMs: repack === 'on' ? 1 : 60_000 };
    let store = await openSqliteStore(options);
    t.after(async () => {
      await store.close();
      await rm(folder, { recursive: true });
    });
    return {
      store,
      async reopen() {
        if (repack === 'on') await store.tidy();
        await store.close();
        store = await openSqliteStore(options);
        return store;
      },
    };
  });
}
