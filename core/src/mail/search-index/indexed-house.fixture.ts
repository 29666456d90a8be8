/** For tests: an account whose mail is indexed when the test says so, and searches that are made with the index and without it. */
import type { TestContext } from 'node:test';
import type { SearchQuery } from '@pochard/plugin-sdk';
import type { GivenPlugin } from '../../plugins/plugin-loader.ts';
import { MemoryBus } from '../../store/memory/memory-bus.ts';
import type { AccountId, MailboxId } from '../../store/store.ts';
import { runOf } from '../journal/uid-runs.ts';
import type { HookedMailAccess } from '../mail-access.ts';
import { startMail, type TestHost } from '../mail-test-host.ts';
import { searchMailbox } from '../search/search.ts';
import { SearchIndex } from './search-index.ts';
import { SearchIndexer } from './search-indexer.ts';

export const EVERYTHING = runOf(1, 0xffff_ffff);

export interface IndexedHouse {
  readonly host: TestHost;
  readonly account: AccountId;
  readonly access: HookedMailAccess;
  readonly bus: MemoryBus;
  index: SearchIndex;
  indexer: SearchIndexer;
  append(box: string, raws: readonly (string | Uint8Array)[]): Promise<readonly number[]>;
  /** Brings the index up to date, whatever is unindexed. */
  update(): Promise<void>;
  /** As a restart of the server: nothing of the index is in memory. */
  restart(): Promise<void>;
  indexed(query: SearchQuery, box?: string): Promise<number[]>;
  plain(query: SearchQuery, box?: string): Promise<number[]>;
  /** Contents whose text is read by a search with the index. */
  reads(query: SearchQuery, box?: string): Promise<number>;
}

export async function startIndexedHouse(
  t: TestContext,
  options: { readonly least?: number; readonly segmentDocs?: number; readonly plugins?: readonly GivenPlugin[] } = {},
): Promise<IndexedHouse> {
  const host = await startMail(t, { settings: { search: { index: 'on' } }, plugins: options.plugins ?? [] });
  const { id: account } = await host.account('ada@example.test');
  const access = await host.admin(account);
  const bus = new MemoryBus({ now: () => host.at });
  const make = () => {
    const index = new SearchIndex({ store: host.store, log: host.parts.log });
    const sleep = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const { least = 1, segmentDocs } = options;
    const indexer = new SearchIndexer({
      parts: host.parts,
      bus,
      index,
      sleep,
      least,
      ...(segmentDocs === undefined ? {} : { segmentDocs }),
    });
    return { index, indexer };
  };
  const boxOf = (name: string): MailboxId => host.box(access, name);
  const find = async (query: SearchQuery, name: string, index: SearchIndex | undefined) => {
    const state = await access.mail.state(boxOf(name));
    const narrowed = index === undefined ? query : await index.narrow(account, query, state, EVERYTHING, host.never, 'always');
    return [...(await searchMailbox({ content: access.content }, narrowed, state, EVERYTHING, host.never))];
  };
  const house: IndexedHouse = {
    host,
    account,
    access,
    bus,
    ...make(),
    async append(box, raws) {
      const { uids } = await access.append(
        boxOf(box),
        raws.map((raw) => ({ source: host.source(raw), flags: [] })),
        host.never,
      );
      return uids;
    },
    update: () => house.indexer.update(account),
    async restart() {
      await house.indexer.stop();
      Object.assign(house, make());
    },
    indexed: (query, box = 'INBOX') => find(query, box, house.index),
    plain: (query, box = 'INBOX') => find(query, box, undefined),
    async reads(query, box = 'INBOX') {
      const state = await access.mail.state(boxOf(box));
      const narrowed = await house.index.narrow(account, query, state, EVERYTHING, host.never, 'always');
      let read = 0;
      const content: typeof access.content = {
        meta: (ids, columns) => {
          read += ids.length;
          return access.content.meta(ids, columns);
        },
        open: (ids) => {
          read += ids.length;
          return access.content.open(ids);
        },
      };
      await searchMailbox({ content }, narrowed, state, EVERYTHING, host.never);
      return read;
    },
  };
  t.after(() => house.indexer.stop());
  return house;
}
