import { storeContract } from '../contract/store-contract.ts';
import { ModelDocuments, ModelServer } from './model-documents.fixture.ts';
import { openStoreOver } from './mongo-store.ts';

storeContract('mongodb driver over documents in memory', async (t) => {
  const server = new ModelServer();
  let store = await openStoreOver(new ModelDocuments(server), { tidyEveryMs: 0 });
  t.after(() => store.close());
  return {
    store,
    async reopen() {
      await store.tidy();
      await store.close();
      store = await openStoreOver(new ModelDocuments(server), { tidyEveryMs: 0 });
      return store;
    },
  };
});
