import { storeContract } from '../contract/store-contract.ts';
import { MemoryStore } from './memory-store.ts';

storeContract('memory', async (t) => {
  const store = new MemoryStore();
  t.after(() => store.close());
  return { store, reopen: async () => store };
});
