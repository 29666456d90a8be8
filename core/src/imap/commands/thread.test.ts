import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ThreadForest } from '../../mail/sorting/thread-forest.ts';
import { imapHouse, mail } from '../imap-house.fixture.ts';
import { threadLists } from '../thread-lists.ts';
import type { WireClient } from '../wire-client.fixture.ts';

async function withThreads(t: TestContext): Promise<{ client: WireClient; other: WireClient }> {
  const house = await imapHouse(t);
  const client = await house.select();
  for (const [n, head] of [
    'Message-ID: <a@x>\nSubject: lunch',
    'Message-ID: <b@x>\nIn-Reply-To: <a@x>\nSubject: Re: lunch',
    'References: <a@x> <b@x>\nSubject: Re: lunch',
    'References: <a@x>\nSubject: something else',
    'References: <gone@x>\nSubject: one',
    'References: <gone@x>\nSubject: two',
    'Subject: alone',
  ].entries()) {
    await client.append('INBOX', mail(`${head}\n\n`), `() "0${n + 1}-Feb-2024 10:00:00 +0000"`);
  }
  return { client, other: await house.select() };
}

test('THREAD with broken arguments is BAD, with an unknown charset NO [BADCHARSET]', async (t) => {
  const { client } = await withThreads(t);
  for (const args of [
    '',
    ' REFERENCES',
    ' REFERENCES UTF-8',
    ' NONSENSE UTF-8 ALL',
    ' (REFERENCES) UTF-8 ALL',
    ' REFERENCES UTF-8 NONSENSE',
  ]) {
    assert.match((await client.run(`THREAD${args}`)).at(-1) ?? '', /^\$ BAD /, args);
  }
  assert.match((await client.run('THREAD REFERENCES KLINGON ALL')).at(-1) ?? '', /^\$ NO \[BADCHARSET /);
});

test('THREAD of nothing is an empty answer', async (t) => {
  const house = await imapHouse(t);
  const client = await house.select();
  await client.expect('THREAD REFERENCES UTF-8 ALL', '* THREAD', '$ OK THREAD done');
});

test('THREAD shows threads as nested lists (RFC 5256 §4)', async (t) => {
  const { client } = await withThreads(t);
  await client.expect('THREAD REFERENCES UTF-8 ALL', '* THREAD (1 (2 3)(4))((5)(6))(7)', '$ OK THREAD done');
  await client.expect('UID THREAD references US-ASCII 2:5', '* THREAD ((2 3)(4))(5)', '$ OK THREAD done');
  await client.expect('THREAD ORDEREDSUBJECT UTF-8 ALL', '* THREAD (1 (2)(3))(4)(5)(6)(7)', '$ OK THREAD done');
});

test('THREAD threads what the session knows, with the numbers that it knows', async (t) => {
  const { client, other } = await withThreads(t);
  await other.append('INBOX', mail('References: <a@x>\n\n'));
  await other.run('STORE 1 +FLAGS.SILENT (\\Deleted)');
  await other.run('UID EXPUNGE 1');
  const [answer] = await client.run('THREAD REFERENCES UTF-8 ALL');
  assert.equal(answer, '* THREAD ((2 3)(4))((5)(6))(7)');
  assert.equal((await client.run('UID THREAD REFERENCES UTF-8 ALL')).at(-1), '$ OK THREAD done');
  const [after] = await client.run('THREAD REFERENCES UTF-8 ALL');
  assert.equal(after, '* THREAD ((1 2)(3)(7))((4)(5))(6)');
});

test('threads as deep as the mailbox is long are written in pieces, without recursion', () => {
  const count = 100_000;
  const numbers = Uint32Array.from({ length: count }, (_, n) => n + 1);
  const chain: ThreadForest = {
    roots: Int32Array.of(0),
    firstChild: Int32Array.from({ length: count }, (_, n) => (n + 1 < count ? n + 1 : -1)),
    nextSibling: new Int32Array(count).fill(-1),
  };
  const pieces = [...threadLists(chain, numbers)];
  assert(pieces.length > 5 && pieces.every(({ length }) => length < 40_000));
  assert.equal(pieces.join(''), `(${numbers.join(' ')})`);

  // Each message has two replies, of which the first has two again.
  const branching: ThreadForest = {
    roots: Int32Array.of(0),
    firstChild: Int32Array.from({ length: count }, (_, n) => (n % 2 === 0 && n + 2 < count ? n + 1 : -1)).map((child, n) =>
      child < 0 ? -1 : n + 2,
    ),
    nextSibling: Int32Array.from({ length: count }, (_, n) => (n % 2 === 0 && n > 0 ? n - 1 : -1)),
  };
  const text = [...threadLists(branching, numbers)].join('');
  assert.equal((text.match(/\(/g) ?? []).length, (text.match(/\)/g) ?? []).length);
  assert.equal(new Set(text.match(/\d+/g)).size, count - 1);
  assert(text.startsWith('(1 (3 (5 (7 '));
  assert(text.endsWith(')(6))(4))(2))'));
});
