import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { charsetDecoder, decodeCharset } from './charset.ts';
import { fold } from './fold.ts';
import { MessageParser } from './message-parser.ts';
import { preview } from './preview.ts';
import { bodyText, bodyTextPieces, headerTexts } from './search-text.ts';

function mail(...lines: string[]): Buffer {
  return Buffer.from(lines.join('\r\n'), 'latin1');
}

function parts(message: Uint8Array) {
  const parser = new MessageParser();
  parser.push(message);
  return parser.finish().parts;
}

const MIXED = mail(
  'Content-Type: multipart/mixed; boundary=b',
  '',
  'preamble',
  '--b',
  'Content-Type: text/plain; charset=iso-8859-1',
  'Content-Transfer-Encoding: quoted-printable',
  '',
  'caf=E9 =',
  'cr=E8me',
  '--b',
  'Content-Type: application/pdf; name="invoice.pdf"',
  '',
  'binary text',
  '--b',
  'Content-Type: message/rfc822',
  '',
  'Subject: =?utf-8?q?forwarded_=E2=82=AC?=',
  'Content-Type: text/html; charset=utf-8',
  'Content-Transfer-Encoding: base64',
  '',
  Buffer.from('<p>\u20ac html</p>').toString('base64'),
  '--b--',
);

test('the text of a body is decoded, HTML is source, and embedded headers count', () => {
  const text = bodyText(MIXED, parts(MIXED));
  for (const word of ['caf\u00e9 cr\u00e8me', 'forwarded \u20ac', '<p>\u20ac html</p>']) assert.ok(text.includes(word), word);
  for (const word of ['preamble', 'binary text', 'invoice.pdf']) assert.ok(!text.includes(word), word);
  assert.ok(bodyText(MIXED, parts(MIXED), { scope: 'text' }).includes('invoice.pdf'));
});

test('text read in pieces is the same, and no more is read than the limit needs', async () => {
  async function* read(from: number, to: number) {
    for (let at = from; at < to; at += 7) yield MIXED.subarray(at, Math.min(to, at + 7));
  }
  for (const limit of [0, 5, 1_000]) {
    let text = '';
    for await (const piece of bodyTextPieces(read, parts(MIXED), { limit })) text += piece;
    assert.equal(text, bodyText(MIXED, parts(MIXED), { limit }));
    assert.ok(text.length <= limit);
  }
});

test('header texts keep every field, also one named __proto__', () => {
  const texts = headerTexts(mail('__proto__: a', 'X: =?utf-8?q?=C3=A9?=', 'x:', ' b', 'no colon', '', 'Y: body'));
  assert.deepEqual(
    [...texts],
    [
      ['__proto__', ['a']],
      ['x', ['\u00e9', 'b']],
      ['no colon', ['']],
    ],
  );
});

test('folding: case, composition and compatibility do not matter, accents may be left out', () => {
  assert.equal(fold('Caf\u00c9'), fold('cafe\u0301'));
  assert.ok(fold('Caf\u00c9').includes(fold('cafe')));
  assert.equal(fold('\ufb01x'), 'fix');
  assert.equal(fold('\u03a3\u03a3'), fold('\u03c3\u03c2'));
  assert.equal(fold('\uff21'), 'a');
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      assert.equal(fold(fold(text)), fold(text));
    }),
  );
});

test('charsets: platform, library, unknown and wrong ones', () => {
  assert.equal(decodeCharset(Buffer.from([0xc1]), 'koi8_r'), '\u0430');
  assert.equal(decodeCharset(Buffer.from('+AOk-'), 'UTF-7'), '\u00e9');
  assert.equal(decodeCharset(Buffer.from([0x80]), 'x-nonsense'), '\u20ac');
  assert.equal(decodeCharset(Buffer.from([0xff]), 'utf-8'), '\ufffd');
  assert.equal(decodeCharset(Buffer.from('a'), '__proto__'), 'a');
  const guess = charsetDecoder(undefined);
  assert.equal(guess.write(Buffer.from([0x61, 0xe2, 0x82])) + guess.write(Buffer.from([0xac])) + guess.end(), 'a\u20ac');
});

test('any charset name and any octets decode', () => {
  const name = fc.oneof(
    fc.string(),
    fc.constantFrom('utf-16', 'utf-7', 'gb18030', 'iso-2022-jp', 'hz', 'base64', 'hex', 'ucs2', '_internals', 'utf-32', 'internal'),
  );
  fc.assert(
    fc.property(name, fc.uint8Array(), (charset, octets) => {
      const decoder = charsetDecoder(charset);
      decoder.write(octets.subarray(0, 3));
      decoder.write(octets.subarray(3));
      decoder.end();
    }),
  );
});

const PREVIEWS: readonly (readonly [string, Buffer, string])[] = [
  ['nothing', mail('', ''), ''],
  ['only an attachment', mail('Content-Type: text/plain', 'Content-Disposition: attachment', '', 'x'), ''],
  ['quoted lines', mail('', '> old', 'new', '-- ', 'signature'), 'new'],
  ['only quoted lines', mail('', '> old', '> text'), '> old > text'],
  ['HTML', mail('Content-Type: text/html', '', '<style>p{}</style><!-- c --><p>a &amp; b<b>c</b><br>d &#8364;', '<scr'), 'a & bc d \u20ac'],
  ['HTML with an open comment', mail('Content-Type: text/html', '', 'a<!-- b'), 'a'],
  ['plain text before HTML', MIXED, 'caf\u00e9 cr\u00e8me'],
];

for (const [name, message, expected] of PREVIEWS)
  test(`preview of ${name}`, () => assert.equal(preview(message, parts(message)), expected));

test('a preview has at most 200 characters, and none of them is cut', () => {
  const message = Buffer.from(`Content-Type: text/plain; charset=utf-8\r\n\r\n${'\u{1f600}'.repeat(500)}`);
  assert.equal(preview(message, parts(message)), '\u{1f600}'.repeat(200));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), fc.constantFrom('html', 'plain'), (body, subtype) => {
      const octets = Buffer.concat([Buffer.from(`Content-Type: text/${subtype}; charset=utf-8\r\n\r\n<b>`), body]);
      const text = preview(octets, parts(octets));
      assert.ok([...text].length <= 200 && !/[\r\n\0]/.test(text) && text.isWellFormed());
    }),
  );
});
