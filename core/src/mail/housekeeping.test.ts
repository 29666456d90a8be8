import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryBus } from '../store/memory/memory-bus.ts';
import { GRACE_MS, Housekeeping } from './housekeeping.ts';
import { KEEP_ENTRIES_MS } from './journal/account-mails.ts';
import { runOf } from './journal/uid-runs.ts';
import { startMail } from './mail-test-host.ts';

const NEVER = new AbortController().signal;

test('what was expunged is kept for a day, then its content goes; what lives stays', async (t) => {
  const host = await startMail(t);
  const { id } = await host.account('ada', { addresses: ['ada@example.test'] });
  await host.send('Subject: first\r\n\r\none\r\n', ['ada@example.test']);
  await host.send('Subject: second\r\n\r\ntwo\r\n', ['ada@example.test']);
  const access = await host.admin(id);
  await access.expunge(host.box(access, 'INBOX'), runOf(1, 1), 'expunge');
  const housekeeping = new Housekeeping({ parts: host.parts, bus: new MemoryBus(), sleep: async () => {} });

  assert.equal(await housekeeping.account(id), 0, 'a session may still show it');
  host.at += GRACE_MS + 1;
  assert.deepEqual(await housekeeping.round(NEVER), { contents: 1, blobs: 0 });
  assert.deepEqual(await housekeeping.round(NEVER), { contents: 0, blobs: 0 });
  assert.deepEqual(
    (await host.messages(access, 'INBOX')).map((octets) => octets.toString().slice(-5)),
    ['two\r\n'],
  );
  assert.equal((await host.store.contents.list(id, 0, 10)).length, 1);
});

test('saved entries of the last week stay, older ones go', async (t) => {
  const host = await startMail(t);
  const { id } = await host.account('ada', { addresses: ['ada@example.test'] });
  await host.send('Subject: first\r\n\r\none\r\n', ['ada@example.test']);
  await host.searchIndexer.stop();
  await host.parts.mails.drain();
  const housekeeping = new Housekeeping({ parts: host.parts, bus: new MemoryBus(), sleep: async () => {} });

  await housekeeping.account(id);
  assert.ok((await host.store.tail(id, 0, 10)).length > 0);
  host.at += KEEP_ENTRIES_MS + 1;
  await housekeeping.account(id);
  await assert.rejects(host.store.tail(id, 0, 10), { name: 'JournalPruned' });
});

test('an account that fails does not keep others from their turn', async (t) => {
  const host = await startMail(t);
  const ids = [(await host.account('ada')).id, (await host.account('bob')).id];
  const seen: string[] = [];
  const mails = {
    ...host.parts.mails,
    prune: async (id: string) => {
      seen.push(id);
      if (id === ids[0]) throw new Error('damaged');
      return undefined;
    },
    get: host.parts.mails.get.bind(host.parts.mails),
  };
  const parts = { ...host.parts, mails: mails as unknown as typeof host.parts.mails };
  await new Housekeeping({ parts, bus: new MemoryBus(), sleep: async () => {} }).round(NEVER);
  assert.deepEqual(seen, ids);
  assert.ok(host.logged.some((line) => line.includes('housekeeping left an account')));
});
