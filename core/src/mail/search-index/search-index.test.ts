import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SearchQuery } from '@pochard/plugin-sdk';
import fc from 'fast-check';
import { runOf } from '../journal/uid-runs.ts';
import { EVERYTHING, type IndexedHouse, startIndexedHouse } from './indexed-house.fixture.ts';

/* ── Random mail: words that overlap, separators of all kinds, structures ── */

const WORDS = [
  'klez', 'worm', 'klezworm', 'a', 'ab', 'abc', 'Café', 'CAFÉ', 'cafe\u0301', 'naïve', 'Straße', 'ΣΊΣΥΦΟΣ', 'λόγος', 'привет', '日本語', '日本',
  '😀', '👩‍👩‍👧', '1311', '13', 'x'.repeat(300), `${'y'.repeat(200)}z${'y'.repeat(100)}`, 'ada@example.test', 'foo.bar', 'İstanbul', 'ﬁne', '①', '\u00a0', 'don’t',
  '__proto__', '\0', 'ab\0cd', '¨x', '٣', 'Ⅷ', '\u0301', '%ab', '\uffff',
] as const; // biome-ignore format: a table
const SEPARATORS = [' ', '  ', '\t', '.', '-', ', ', ' @ ', '\r\n', '\r\n \r\n', ''] as const;

const text = fc
  .array(fc.tuple(fc.constantFrom(...WORDS), fc.constantFrom(...SEPARATORS)), { maxLength: 12 })
  .map((parts) => parts.flat().join(''));
const line = text.map((value) => value.replaceAll(/[\r\n]+/g, ' '));

function encodedWord(value: string): string {
  return `=?utf-8?B?${Buffer.from(value).toString('base64')}?=`;
}
const fieldValue = fc.oneof(
  line,
  line.map(encodedWord),
  fc.tuple(line, line).map(([a, b]) => `${a}\r\n ${encodedWord(b)}`),
  fc.constantFrom('', ' ', encodedWord('two\nlines'), '=?utf-8?Q?broken'),
);
const field = fc
  .tuple(
    fc.constantFrom(
      'From',
      'from',
      'TO',
      'Cc',
      'Bcc',
      'Subject',
      'Message-ID',
      'X-Foo-Bar',
      'X',
      'Reply-To',
      'Fr om',
      'Subject ',
      '__proto__',
    ),
    fc.constantFrom(': ', ':', ':  ', ''),
    fieldValue,
  )
  .map((parts) => `${parts.join('')}\r\n`);
const head = fc.array(field, { maxLength: 6 }).map((fields) => fields.join(''));

function qp(value: string): string {
  return [...Buffer.from(value)]
    .map((octet) => `=${octet.toString(16).toUpperCase().padStart(2, '0')}`)
    .join('')
    .replaceAll(/.{72}/g, '$&=\r\n');
}
const leaf = fc.oneof(
  text.map((body) => `Content-Type: text/plain; charset=utf-8\r\n\r\n${body}`),
  text.map((body) => `Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(body).toString('base64')}\r\n`),
  text.map((body) => `Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n${qp(body)}`),
  text.map((body) => `Content-Type: application/octet-stream; name="klez.exe"\r\n\r\n${body}`),
  fc.tuple(head, text).map(([inner, body]) => `Content-Type: message/rfc822\r\n\r\n${inner}\r\n${body}`),
); // biome-ignore format: a table
const body = fc.oneof(
  text.map((value) => `\r\n${value}`),
  leaf,
  fc
    .array(leaf, { minLength: 1, maxLength: 3 })
    .map((parts) => `Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n${parts.map((part) => `--b\r\n${part}\r\n`).join('')}--b--\r\n`),
); // biome-ignore format: a table
const message = fc.oneof(
  fc.tuple(head, body).map((parts) => parts.join('')),
  head, // ends within its header block
  fc.constantFrom('', 'Subject:', 'Subject: x', 'From: ada\r\nSubject'),
);

const needle = fc.oneof(
  fc.constantFrom(...WORDS),
  fc.tuple(fc.constantFrom(...WORDS), fc.constantFrom(...SEPARATORS), fc.constantFrom(...WORDS)).map((parts) => parts.join('')),
  fc.constantFrom(...WORDS).chain((word) => fc.nat(Math.max(0, word.length - 1)).map((from) => word.slice(from))),
  fc.constantFrom(...WORDS).chain((word) => fc.nat(word.length).map((to) => word.slice(0, to))),
  fc.constantFrom('', ' ', '.', '\n', 'two', 'lines', 'content-type', 'klez.exe', 'utf-8', ' klez', 'klez ', '.1311@', 'a\nb', '\ud83d'),
);
const key: fc.Arbitrary<SearchQuery> = fc.oneof(
  fc
    .tuple(fc.constantFrom('from', 'to', 'cc', 'bcc', 'subject', 'body', 'text', 'body', 'text'), needle)
    .map(([op, contains]) => ({ op, contains }) as SearchQuery),
  fc
    .tuple(fc.constantFrom('From', 'SUBJECT', 'message-id', 'X-Foo-Bar', 'x', 'Reply-To', '__proto__', 'Date', 'fr om'), needle)
    .map(([name, contains]) => ({ op: 'header', name, contains }) as const),
);
const query: fc.Arbitrary<SearchQuery> = fc.letrec<{ query: SearchQuery }>((tie) => ({
  query: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    key,
    tie('query').map((of) => ({ op: 'not', of }) as const),
    fc
      .tuple(fc.constantFrom('and', 'or'), fc.array(tie('query'), { minLength: 1, maxLength: 3 }))
      .map(([op, of]) => ({ op, of }) as SearchQuery),
  ),
})).query;

async function assertSame(house: IndexedHouse, queries: readonly SearchQuery[], boxes: readonly string[], when: string): Promise<void> {
  for (const asked of queries) {
    for (const box of boxes) {
      assert.deepEqual(await house.indexed(asked, box), await house.plain(asked, box), `${when}, ${box}: ${JSON.stringify(asked)}`);
    }
  }
}

test('SEARCH finds the same with the index and without: across segments, after COPY, MOVE, EXPUNGE, a merge and a restart', async (t) => {
  const house = await startIndexedHouse(t, { segmentDocs: 3 });
  const { access, host } = house;
  const archive = host.box(access, 'Archive');
  const inbox = host.box(access, 'INBOX');
  const boxes = ['INBOX', 'Archive'];
  await fc.assert(
    fc.asyncProperty(
      fc.array(message, { minLength: 4, maxLength: 10 }),
      fc.array(query, { minLength: 10, maxLength: 25 }),
      fc.nat(1_000),
      async (raws, queries, luck) => {
        await access.expunge(inbox, EVERYTHING, 'expunge');
        await access.expunge(archive, EVERYTHING, 'expunge');
        const uids = await house.append('INBOX', raws);
        await house.update();
        await assertSame(house, queries, ['INBOX'], 'indexed');
        const first = uids[luck % uids.length] ?? 1;
        await access.copy(inbox, runOf(first, first + 2), archive);
        await access.move(inbox, runOf(uids[0] ?? 1, uids[0] ?? 1), archive);
        const second = uids[(luck + 2) % uids.length] ?? 1;
        await access.expunge(inbox, runOf(second, second), 'expunge');
        await house.append('Archive', raws.slice(0, 2));
        await assertSame(house, queries, boxes, 'with an unindexed tail');
        if (luck % 3 === 0) {
          host.at += 1_000;
          await host.store.contents.sweep(house.account, await access.mail.liveContents(), host.at);
        }
        await house.update();
        await assertSame(house, queries, boxes, 'merged');
        if (luck % 4 === 0) {
          await house.restart();
          await assertSame(house, queries, boxes, 'after a restart');
        }
      },
    ),
    { numRuns: 60, endOnFailure: false },
  );
  const { segments = [] } = (await house.index.manifest(house.account)) ?? {};
  const made = new Set((await host.store.derived.list(house.account)).map(({ id }) => id));
  assert.deepEqual(made, new Set(segments.map(({ id }) => id)));
  t.diagnostic(`${segments.length} segments of ${segments.map(({ docs }) => docs).join(', ')} contents`);
});
