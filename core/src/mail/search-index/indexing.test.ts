import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definePlugin, drop, type SearchQuery } from '@pochard/plugin-sdk';
import { startMail } from '../mail-test-host.ts';
import { corpusMailbox, corpusQueries, skip } from '../search/dovecot.fixture.ts';
import { startIndexedHouse } from './indexed-house.fixture.ts';
import { mergeGroup, OBSERVER, SearchIndexer } from './search-indexer.ts';

const body = (contains: string): SearchQuery => ({ op: 'body', contains });
const from = (contains: string): SearchQuery => ({ op: 'from', contains });

function mails(count: number, first = 1): string[] {
  return Array.from(
    { length: count },
    (_, n) =>
      `From: Sender ${(first + n) % 7} <s${first + n}@example.test>\r\nSubject: number ${first + n}\r\n\r\nthe klezworm no${first + n} sat.\r\n`,
  );
}

/* ── Damage ── */

test('a damaged, missing or cut segment changes no answer, and is made again', async (t) => {
  const house = await startIndexedHouse(t);
  const { host, account } = house;
  const { derived } = host.store;
  await house.append('INBOX', mails(40));
  for (const damage of ['flipped', 'gone', 'cut', 'directory'] as const) {
    await house.update();
    await house.restart();
    const [entry] = (await house.index.manifest(account))?.segments ?? [];
    assert.ok(entry, damage);
    const n = damage === 'directory' ? 0 : entry.pieces - 1;
    const piece = Uint8Array.from((await derived.get(account, entry.id, n)) ?? []);
    if (damage === 'gone') await derived.drop(account, entry.id);
    else if (damage === 'cut') await derived.put(account, entry.id, n, [piece.subarray(0, piece.length >> 1)]);
    else {
      const at = piece.length >> 1;
      piece[at] = (piece[at] ?? 0) ^ 0xff;
      await derived.put(account, entry.id, n, [piece]);
    }
    for (const query of [body('klez'), body('no17'), from('Sender 3'), { op: 'not', of: body('no17') } as const]) {
      assert.deepEqual(await house.indexed(query), await house.plain(query), `${damage}: ${JSON.stringify(query)}`);
    }
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(
      host.logged.some((line) => line.startsWith('A search segment cannot be read')),
      damage,
    );
    assert.ok(!((await house.index.manifest(account))?.segments ?? []).some(({ id }) => id === entry.id), damage);
    await house.update();
    assert.equal(await house.reads(body('no17')), 0, damage);
  }
});

test('a merge that meets a damaged segment takes it out, and its contents are indexed again', async (t) => {
  const house = await startIndexedHouse(t);
  const { host, account } = house;
  for (let n = 0; n < 3; n++) {
    await house.append('INBOX', mails(20, n * 20 + 1));
    await house.update();
  }
  const [, entry] = (await house.index.manifest(account))?.segments ?? [];
  assert.ok(entry);
  await host.store.derived.put(account, entry.id, entry.pieces - 1, [Buffer.from('no zstd')]);
  await house.append('INBOX', mails(20, 61));
  await house.update();
  assert.ok(host.logged.some((line) => line.startsWith('A damaged search segment is made anew')));
  await house.update();
  const { segments = [] } = (await house.index.manifest(account)) ?? {};
  assert.deepEqual(
    segments.map(({ docs }) => docs),
    [80],
  );
  assert.deepEqual(await house.indexed(body('no33')), [33]);
  assert.equal(await house.reads(body('no33')), 0);
});

test('a manifest that makes no sense is written anew; one of a newer format is left alone and not used', async (t) => {
  const house = await startIndexedHouse(t);
  const { host, account } = house;
  const table = `account/${account}/search-index`;
  await house.append('INBOX', mails(10));
  await host.store.records.write([{ table, key: 'segments', value: { format: 1, seq: -1, segments: [{ id: '../x' }] } }]);
  await house.update();
  assert.deepEqual(
    (await house.index.manifest(account))?.segments.map(({ docs }) => docs),
    [10],
  );
  const newer = { format: 2, whatever: true };
  await host.store.records.write([{ table, key: 'segments', value: newer }]);
  assert.deepEqual(await house.indexed(body('no3')), [3]);
  await house.update();
  assert.deepEqual((await host.store.records.get(table, 'segments'))?.value, newer);
});

/* ── Crashes ── */

test('when the search thread dies nothing is lost: the next time makes the segment', async (t) => {
  const house = await startIndexedHouse(t);
  await house.append('INBOX', mails(60));
  const building = house.update();
  const dies = assert.rejects(building, { name: 'IndexWorkerError' });
  while (house.indexer.worker.threadId === undefined) await new Promise((resolve) => setImmediate(resolve));
  await house.indexer.worker.rest();
  await dies;
  assert.deepEqual(await house.indexed(body('no17')), [17]);
  await house.update();
  assert.equal(await house.reads(body('no17')), 0);
});

test('pieces that a crash left without a manifest are removed, entries that it left out are indexed', async (t) => {
  const house = await startIndexedHouse(t, { segmentDocs: 10 });
  const { host, account } = house;
  await house.append('INBOX', mails(10));
  await house.update();
  // As if the server died after it had stored a segment, before the manifest named it.
  const before = await host.store.records.get(`account/${account}/search-index`, 'segments');
  await house.append('INBOX', mails(25, 11));
  await house.update();
  await host.store.records.write([{ table: `account/${account}/search-index`, key: 'segments', value: before?.value }]);
  await host.store.derived.put(account, 'a0', 0, [Buffer.from('half')]);
  await house.restart();
  assert.deepEqual(await house.indexed(body('no17')), [17]);
  await house.update();
  const { segments = [] } = (await house.index.manifest(account)) ?? {};
  assert.equal(
    segments.reduce((sum, { docs }) => sum + docs, 0),
    35,
  );
  const kept = (await host.store.derived.list(account)).map(({ id }) => id);
  assert.deepEqual(new Set(kept), new Set(segments.map(({ id }) => id)));
  assert.equal(await house.reads(body('no17')), 0);
});

test('two instances at once make one index', async (t) => {
  const house = await startIndexedHouse(t, { segmentDocs: 8 });
  const { host, account } = house;
  await house.append('INBOX', mails(30));
  const sleep = async () => {};
  const other = new SearchIndexer({ parts: host.parts, bus: house.bus, index: house.index, sleep, least: 1 });
  t.after(() => other.stop());
  await Promise.all([house.update(), other.update(account)]);
  const { segments = [] } = (await house.index.manifest(account)) ?? {};
  assert.equal(
    segments.reduce((sum, { docs }) => sum + docs, 0),
    30,
  );
  assert.deepEqual(await house.indexed(from('s17@')), [17]);
});

/* ── Normal ── */

test('word and field keys read no message at all; a phrase reads those that have its words; what came later is read', async (t) => {
  const house = await startIndexedHouse(t);
  await house.append('INBOX', mails(50));
  await house.update();
  for (const query of [
    body('klez'),
    body('ezwor'),
    from('sender 3'),
    { op: 'subject', contains: 'number 1' },
    { op: 'text', contains: 's9' },
  ] as const) {
    assert.deepEqual(await house.indexed(query), await house.plain(query));
    assert.equal(await house.reads(query), 0, JSON.stringify(query));
    assert.equal(await house.reads({ op: 'not', of: query }), 0);
  }
  assert.equal(await house.reads(body('no17 sat')), 1);
  assert.equal(await house.reads({ op: 'header', name: 'X-None', contains: 'klez' }), 0);
  await house.append('INBOX', mails(3, 51));
  assert.equal(await house.reads(body('klez')), 3);
  assert.deepEqual(await house.indexed(body('no52')), [52]);
});

test('COPY, MOVE and EXPUNGE never touch the index; what was swept leaves at a merge', async (t) => {
  const house = await startIndexedHouse(t);
  const { host, access, account } = house;
  const [inbox, archive] = [host.box(access, 'INBOX'), host.box(access, 'Archive')];
  for (let n = 0; n < 3; n++) {
    await house.append('INBOX', mails(10, n * 10 + 1));
    await house.update();
  }
  const before = await host.store.records.get(`account/${account}/search-index`, 'segments');
  await access.copy(inbox, Uint32Array.of(1, 4), archive);
  await access.move(inbox, Uint32Array.of(5, 6), archive);
  await access.expunge(inbox, Uint32Array.of(7, 10), 'expunge');
  await house.update();
  assert.deepEqual(await host.store.records.get(`account/${account}/search-index`, 'segments'), before);
  assert.deepEqual(await house.indexed(body('klez'), 'Archive'), [1, 2, 3, 4, 5, 6]);
  assert.equal(await house.reads(body('klez'), 'Archive'), 0);
  host.at += 1_000;
  assert.equal(await host.store.contents.sweep(account, await access.mail.liveContents(), host.at), 4);
  await house.append('INBOX', mails(10, 31));
  await house.update();
  assert.deepEqual(
    (await house.index.manifest(account))?.segments.map(({ docs }) => docs),
    [36],
  );
});

test('an account with few messages has no index, and so many stay unindexed', async (t) => {
  const house = await startIndexedHouse(t, { least: 20 });
  const { account } = house;
  await house.append('INBOX', mails(19));
  await house.update();
  assert.deepEqual(await house.index.manifest(account), { version: 0, seq: 0, segments: [] });
  await house.append('INBOX', mails(1, 20));
  await house.update();
  await house.append('INBOX', mails(19, 21));
  await house.update();
  assert.deepEqual(
    (await house.index.manifest(account))?.segments.map(({ docs }) => docs),
    [20],
  );
  await house.append('INBOX', mails(1, 40));
  await house.update();
  assert.deepEqual(
    (await house.index.manifest(account))?.segments.map(({ docs }) => docs),
    [20, 20],
  );
});

test('what a plugin drops or changes before it is indexed is in no segment, and is found all the same', async (t) => {
  const plugin = definePlugin({
    name: 'picky',
    permissions: ['plaintext'],
    apply({ hooks }) {
      hooks.index.document.transform(({ message, fields }) => {
        if (fields['subject'] === 'number 3') return drop;
        return fields['subject'] === 'number 4' ? { message, fields: { ...fields, subject: 'other' } } : { message, fields };
      });
    },
  });
  const house = await startIndexedHouse(t, { plugins: [{ plugin }] });
  await house.append('INBOX', mails(10));
  await house.update();
  assert.deepEqual(await house.indexed(body('no3')), [3]);
  assert.deepEqual(await house.indexed({ op: 'subject', contains: 'number 4' }), [4]);
  assert.equal(await house.reads(body('no5')), 2);
});

test('the server follows all accounts: mail that was there before it started, and what comes later', async (t) => {
  const house = await startIndexedHouse(t);
  const { host, account } = house;
  await house.append('INBOX', mails(30));
  let asleep: (() => void) | undefined;
  let wake: () => void = () => {};
  const untilAsleep = () => new Promise<void>((resolve) => (asleep = resolve));
  const indexer = new SearchIndexer({
    parts: host.parts,
    bus: house.bus,
    index: house.index,
    least: 10,
    patienceMs: 0,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        wake = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true });
        if (ms < 1_000) resolve();
        else asleep?.();
      }),
  });
  let rests = untilAsleep();
  await indexer.start();
  await rests;
  assert.deepEqual(
    (await house.index.manifest(account))?.segments.map(({ docs }) => docs),
    [30],
  );
  await house.append('INBOX', mails(15, 31));
  rests = untilAsleep();
  wake();
  await rests;
  assert.deepEqual(
    (await house.index.manifest(account))?.segments.map(({ docs }) => docs),
    [30, 15],
  );
  assert.deepEqual(await host.store.feed.next(OBSERVER, 10), []);
  await indexer.stop();
});

test('an index waits while the thread is busy, but not once a search had to read every message', async (t) => {
  const house = await startIndexedHouse(t);
  const { host, account } = house;
  let asleep: (() => void) | undefined;
  let wake: () => void = () => {};
  const untilAsleep = () => new Promise<void>((resolve) => (asleep = resolve));
  const indexer = new SearchIndexer({
    parts: host.parts,
    bus: house.bus,
    index: house.index,
    least: 10,
    patienceMs: 1_000_000,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        wake = () => {
          for (const until = performance.now() + 30; performance.now() < until; ); // busy
          resolve();
        };
        signal.addEventListener('abort', () => resolve(), { once: true });
        if (ms < 1_000) resolve();
        else asleep?.();
      }),
  });
  let rests = untilAsleep();
  await indexer.start();
  await rests;
  await house.append('INBOX', mails(30));
  rests = untilAsleep();
  wake();
  await rests;
  assert.deepEqual((await house.index.manifest(account))?.segments, []);
  assert.deepEqual(await house.indexed(body('no17')), [17]);
  rests = untilAsleep();
  wake();
  await rests;
  assert.deepEqual(
    (await house.index.manifest(account))?.segments.map(({ docs }) => docs),
    [30],
  );
  await indexer.stop();
});

test('four segments of about one size become one; big ones are left', () => {
  const entry = (docs: number, octets = docs * 500) => ({ id: `s${docs}`, docs, pieces: 3, octets });
  assert.deepEqual(mergeGroup([entry(300), entry(301), entry(302)]), []);
  assert.equal(mergeGroup([entry(300), entry(65_000), entry(301), entry(302), entry(303)]).length, 4);
  assert.deepEqual(mergeGroup([entry(65_536), entry(65_537), entry(65_538), entry(65_539)]), []);
  assert.deepEqual(mergeGroup([]), []);
});

test('SEARCH of 241 real messages is the same with every one of them indexed', { skip }, async (t) => {
  const house = await startIndexedHouse(t, { segmentDocs: 100 });
  for (const { raw } of corpusMailbox()) await house.append('INBOX', [raw]);
  await house.update();
  const { segments = [] } = (await house.index.manifest(house.account)) ?? {};
  assert.equal(
    segments.reduce((sum, { docs }) => sum + docs, 0),
    241,
  );
  let compared = 0;
  for (const { command, query } of corpusQueries()) {
    assert.deepEqual(await house.indexed(query), await house.plain(query), command);
    compared += 1;
  }
  t.diagnostic(`${compared} queries`);
});

test('once an encrypting codec applies to an account its segments are removed and none is made', async (t) => {
  let applies = false;
  const plugin = definePlugin({
    name: 'sealer',
    permissions: ['plaintext'],
    apply({ hooks }) {
      hooks.store.codec.declare({
        name: 'sealer',
        stage: 'encrypt',
        appliesTo: () => applies,
        encode: (plain) => plain.open(),
        decode: (encoded) => encoded.open(),
        canOpen: () => true,
        sealMetadata: (plain) => plain,
        openMetadata: (sealed) => sealed.map(({ octets }) => ({ plain: octets })),
      });
    },
  });
  const house = await startIndexedHouse(t, { plugins: [{ plugin }] });
  const { host, account } = house;
  await house.append('INBOX', mails(40));
  await house.update();
  assert.equal((await host.store.derived.list(account)).length, 1);
  applies = true;
  await host.parts.codecs.forget('all');
  await house.append('INBOX', mails(40, 41));
  await house.update();
  assert.deepEqual(await host.store.derived.list(account), []);
  assert.deepEqual((await house.index.manifest(account))?.segments, []);
  const sealed = await host.admin(account);
  assert.equal(sealed.account.sealed, true);
});

test('switched off there is no index, and the journal does not wait for one that there was', async (t) => {
  const host = await startMail(t, { settings: { search: { index: 'off' } } });
  await host.store.feed.register(OBSERVER, 'start');
  const { id } = await host.account('ada@example.test');
  await host.searchIndexer.start();
  const access = await host.admin(id);
  const box = host.box(access, 'INBOX');
  await access.append(box, [{ source: host.source(mails(1)[0] ?? ''), flags: [] }], host.never);
  assert.deepEqual([...(await access.search(box, body('klez'), { within: Uint32Array.of(1, 9), signal: host.never }))], [1]);
  assert.deepEqual(await host.store.feed.next(OBSERVER, 10), []);
  await host.searchIndexer.stop();
});
