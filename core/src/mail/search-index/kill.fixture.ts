/** For tests: mail services over an embedded store in a folder, with one account. */
import { setTimeout as delay } from 'node:timers/promises';
import { loadConfig } from '../../config/load.ts';
import { silentLogger } from '../../config/logger.ts';
import { openMail } from '../../open-mail.ts';
import { runOf } from '../journal/uid-runs.ts';
import { searchMailbox } from '../search/search.ts';
import { SearchIndex } from './search-index.ts';
import { SearchIndexer } from './search-indexer.ts';

const ALL = runOf(1, 0xffff_ffff);

export async function openHouse(folder: string) {
  const config = await loadConfig({ flags: [{ flag: '--data', key: 'data', value: folder }], env: {} });
  const mail = await openMail({ config, log: silentLogger(), configFolder: folder });
  const { accounts, spool, parts } = mail.services;
  const { id } = (await accounts.find('ada@example.test')) ?? (await accounts.create({ username: 'ada@example.test' }));
  const access = await accounts.access(id, parts.actors.system);
  const index = new SearchIndex({ store: mail.store, log: parts.log });
  const sleep = (ms: number) => delay(Math.min(ms, 1));
  const indexer = new SearchIndexer({ parts, bus: mail.bus, index, sleep, least: 1, segmentDocs: 50 });
  const { signal } = new AbortController();
  const inbox = access.mail.byName('INBOX');
  if (inbox === undefined) throw new Error('no INBOX');
  return {
    store: mail.store,
    id,
    index,
    async append(messages: number) {
      const sources = Array.from({ length: messages }, (_, n) =>
        spool.fromBytes(Buffer.from(`From: s${n}@example.test\r\n\r\nno${n} klezworm\r\n`)),
      );
      const items = sources.map((source) => ({ source, flags: [] }));
      if (items.length > 0) await access.append(inbox.id, items, signal);
    },
    update: () => indexer.update(id),
    async find(contains: string, how: 'indexed' | 'plain') {
      const state = await access.mail.state(inbox.id);
      const query = { op: 'body', contains } as const;
      const narrowed = how === 'plain' ? query : await index.narrow(id, query, state, ALL, signal);
      return [...(await searchMailbox({ content: access.content }, narrowed, state, ALL, signal))];
    },
    async close() {
      await indexer.stop();
      await mail.close();
    },
  };
}
