import assert from 'node:assert/strict';
import { test } from 'node:test';
import { headerFields, headerFieldsText } from './header-fields.ts';
import { MessageParser } from './message-parser.ts';
import { decodeParts, encodeParts, PartTableError } from './part-table.ts';
import { type SectionText, sectionRange } from './section.ts';

const INNER = [
  'Subject: inner',
  'Content-Type: multipart/alternative; boundary=i',
  '',
  '--i',
  'X: p',
  '',
  'plain',
  '--i',
  '',
  'html',
  '--i--',
].join('\r\n');
const SOURCE = [
  'Subject: outer',
  'Content-Type: multipart/mixed; boundary=o',
  '',
  '--o',
  '',
  'first',
  '--o',
  'Content-Type: message/rfc822',
  '',
  INNER,
  '--o--',
  '',
].join('\r\n');

function parts(source: string) {
  const parser = new MessageParser();
  parser.push(Buffer.from(source));
  // Through the table, since that is how FETCH sees the tree.
  return decodeParts(encodeParts(parser.finish().parts));
}

function section(source: string, path: readonly number[], kind: 'all' | 'header' | 'text' | 'mime' = 'all'): string | undefined {
  const text: SectionText = { kind };
  const range = sectionRange(parts(source), { path, text });
  return range && source.slice(range.from, range.to);
}

test('sections that do not exist', () => {
  for (const path of [[0], [3], [1, 1], [2, 3], [2, 1, 1], [-1], [1.5]]) assert.equal(section(SOURCE, path), undefined, `[${path}]`);
  assert.equal(section(SOURCE, [], 'mime'), undefined);
  assert.equal(section(SOURCE, [1], 'header'), undefined);
  assert.equal(section(SOURCE, [2, 1], 'text'), undefined);
  assert.equal(section('\r\nx', [2]), undefined);
  assert.equal(section('\r\nx', [1], 'text'), undefined);
});

test('sections of a multipart with an embedded message', () => {
  assert.equal(section(SOURCE, []), SOURCE);
  assert.equal(section(SOURCE, [], 'header'), 'Subject: outer\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n');
  assert.equal(section(SOURCE, [1]), 'first');
  assert.equal(section(SOURCE, [2]), `${INNER}\r\n`); // the line end of the closing delimiter belongs to the inner multipart
  assert.equal(section(SOURCE, [2], 'mime'), 'Content-Type: message/rfc822\r\n\r\n');
  assert.equal(section(SOURCE, [2], 'header'), 'Subject: inner\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n');
  assert.equal(section(SOURCE, [2], 'text'), `${INNER.slice(INNER.indexOf('--i'))}\r\n`);
  assert.equal(section(SOURCE, [2, 1]), 'plain');
  assert.equal(section(SOURCE, [2, 1], 'mime'), 'X: p\r\n\r\n');
  assert.equal(section(SOURCE, [2, 2]), 'html');
});

test('part 1 of a message that is no multipart is its body, also of an embedded one', () => {
  assert.equal(section('A: b\r\n\r\nx', [1]), 'x');
  assert.equal(section('A: b\r\n\r\nx', [1], 'mime'), 'A: b\r\n\r\n');
  const forwarded = 'Content-Type: message/rfc822\r\n\r\nContent-Type: message/rfc822\r\n\r\nS: 3\r\n\r\nx';
  assert.equal(section(forwarded, [1], 'header'), 'Content-Type: message/rfc822\r\n\r\n');
  assert.equal(section(forwarded, [1, 1], 'header'), 'S: 3\r\n\r\n');
  assert.equal(section(forwarded, [1, 1, 1]), 'x');
});

test('HEADER.FIELDS names the header block to filter', () => {
  const range = sectionRange(parts(SOURCE), { path: [2], text: { kind: 'fields-not', fields: ['subject'] } });
  assert.ok(range?.filter);
  const head = Buffer.from(SOURCE.slice(range.from, range.to));
  assert.equal(headerFields(head, range.filter.names, range.filter).toString(), 'Content-Type: multipart/alternative; boundary=i\r\n\r\n');
});

const HEAD = 'A: 1\r\nb : 2\r\n\tfold\r\nno colon\r\na: 3\r\n\r\n';
const FIELDS: readonly (readonly [string, readonly string[], boolean, string])[] = [
  ['', ['a'], false, '\r\n'],
  ['', [], true, ''],
  ['A: 1', ['a'], false, 'A: 1\r\n\r\n'],
  ['A: 1\r\nB: 2\r\n', ['b'], true, 'A: 1\r\n'],
  [HEAD, ['a'], false, 'A: 1\r\na: 3\r\n\r\n'],
  [HEAD, ['B', '__proto__'], false, 'b : 2\r\n\tfold\r\n\r\n'],
  [HEAD, ['a'], true, 'b : 2\r\n\tfold\r\nno colon\r\n\r\n'],
  [HEAD, [], true, HEAD],
];

for (const [head, names, not, expected] of FIELDS) {
  test(`HEADER.FIELDS${not ? '.NOT' : ''} (${names}) of ${JSON.stringify(head)}`, () => {
    assert.equal(headerFields(Buffer.from(head), names, { not }).toString(), expected);
    assert.equal(headerFieldsText(head, names, { not }), expected);
  });
}

test('a damaged part table is an error', () => {
  const table = encodeParts(parts(SOURCE));
  assert.throws(() => decodeParts(new Uint8Array()), PartTableError);
  assert.throws(() => decodeParts(Uint8Array.of(2, ...table.slice(1))), PartTableError);
  for (let end = 0; end < table.length; end++) assert.throws(() => decodeParts(table.subarray(0, end)), PartTableError);
});
