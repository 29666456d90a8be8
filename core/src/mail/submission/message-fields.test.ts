import assert from 'node:assert/strict';
import { test } from 'node:test';
import { messageFields, missingFields } from './message-fields.ts';

const fields = (text: string) => messageFields(Buffer.from(text, 'utf8'));

test('a message that does not say whom it is from, or says it twice, or in a way that cannot be read', () => {
  for (const head of [
    '',
    '\r\n',
    'Subject: x\r\n\r\n',
    'From:\r\n\r\n',
    'From: nobody: ;\r\n\r\n',
    'From: <ada>\r\n\r\n',
    'From: ada@\r\n\r\n',
    'From: a@b.c\r\nFROM : d@e.f\r\n\r\n',
    `From: ${'a@b.c, '.repeat(5000)}z@b.c\r\n\r\n`,
    '__proto__: a@b.c\r\n\r\n',
  ])
    assert.throws(() => fields(head), { code: 'invalid' }, head.slice(0, 60));
});

test('what others read otherwise: hidden lines, and From fields with more than what is read first', () => {
  for (const head of [
    'From: a@b.c\r\nX: y\rFrom: d@e.f\r\n\r\n',
    'From: a@b.c\r\nX: y\r\r\nBcc: d@e.f\r\n\r\n',
    'From: a@b.c\0<d@e.f>\r\n\r\n',
    ' From: d@e.f\r\nFrom: a@b.c\r\n\r\n',
    'From: <a@b.c> <"d"@e.f>\r\n\r\n',
    'From: a@b.c \\"<d@e.f>"\r\n\r\n',
    'From: a@b.c (<d@e.f>\r\n\r\n',
    'From: a@b.c, "<d@e.f>\r\n\r\n',
    'From: <a@b.c> @d@e.f\r\n\r\n',
  ])
    assert.throws(() => fields(head), { code: 'invalid' }, JSON.stringify(head));
  for (const value of ['<a@b.c> <d@e.f>', 'a@b.c d@e.f', 'x: a@b.c; d@e.f', 'x:a@b.c;<d@e.f>', '<a@b.c>\r\n <d@e.f>'])
    assert.deepEqual(fields(`From: ${value}\r\n\r\n`).from, ['a@b.c', 'd@e.f'], value);
  assert.deepEqual(fields('From: "a"@b.c, d @ e.f, g(x)@h.i\r\n\r\n').from, ['a@b.c', 'd@e.f', 'g@h.i']);
  // Sloppy, and nobody else's address.
  assert.deepEqual(fields('From: a@b.c <a@b.c>\r\n\r\n').from, ['a@b.c']);
  assert.deepEqual(fields('From: "d@e.f (x" (b@c.d \\) "g@h.i) <a@b.c>\r\n\r\n').from, ['a@b.c']);
  assert.deepEqual(fields('From: =?utf-8?q?d=40e.f?= <a@b.c>\nX: \n y\n\n').from, ['a@b.c']);
});

test('a From of half a megabyte is read in linear time', () => {
  const started = performance.now();
  for (const value of ['a'.repeat(500_000), `${'a'.repeat(500_000)} @`, '('.repeat(250_000) + ')'.repeat(250_000), 'a @'.repeat(150_000)])
    assert.throws(() => fields(`From: ${value}\r\n\r\n`), { code: 'invalid' });
  assert.ok(performance.now() - started < 3000);
});

test('every address of From, folded, in groups, with comments, quoted, Unicode', () => {
  assert.deepEqual(fields('from: Ada\r\n <ada@example.test>, "B, C" <b@example.org> (x)\r\n\r\n').from, [
    'ada@example.test',
    'b@example.org',
  ]);
  assert.deepEqual(fields('From: team: a@x.test, b@x.test;\r\n\r\n').from, ['a@x.test', 'b@x.test']);
  const unicode = fields('From: Пётр <пётр@пример.test>\r\n\r\n');
  assert.deepEqual([unicode.from, unicode.isUtf8], [['пётр@пример.test'], true]);
});

test('Date and Message-ID are made where they are missing, and only there', () => {
  const made = { id: 'm1', hostname: 'почта.test', at: new Date(Date.UTC(2026, 0, 5, 7, 8, 9)) };
  assert.equal(missingFields({ hasDate: true, hasMessageId: true }, made), '');
  assert.equal(
    missingFields({ hasDate: false, hasMessageId: false }, made),
    'Date: Mon, 5 Jan 2026 07:08:09 +0000\r\nMessage-ID: <m1@xn--80a1acny.test>\r\n',
  );
  const has = fields('From: a@b.c\r\nDATE: x\r\nMessage-Id: <y>\r\nResent-Bcc: z\r\n\r\n');
  assert.deepEqual([has.hasDate, has.hasMessageId, has.hasBlindCopies, has.isUtf8], [true, true, true, false]);
});
