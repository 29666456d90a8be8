import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { faultOf, parse, REV1, UTF8 } from './command.fixture.ts';
import { listMatcher } from './list-match.ts';
import { listPattern, mailboxName } from './mailbox-name.ts';
import { decodeModifiedUtf7, encodeModifiedUtf7 } from './modified-utf7.ts';

const malformed = [
  ['a&', 'Shift in a mailbox name is not closed'],
  ['a&AOk', 'Shift in a mailbox name is not closed'],
  ['&A-', 'Wrong base64 in a mailbox name'],
  ['&AOk=-', 'Wrong base64 in a mailbox name'],
  ['&AOl-', 'Wrong base64 in a mailbox name'], // bits after the character
  ['&AOkA-', 'Wrong base64 in a mailbox name'],
  ['&AGE-', 'Character of a mailbox name must not be encoded'],
  ['&ACY-', 'Character of a mailbox name must not be encoded'],
  ['&2D0-', 'Half a surrogate pair in a mailbox name'],
  ['&AOk-&AOk-', 'Superfluous shift in a mailbox name'],
  ['"gr\xc3\xbcn"', 'Wrong character in a mailbox name'],
  ['&AA0ACg-', 'Wrong character in a mailbox name'], // CR LF
  ['&AAA-', 'Wrong character in a mailbox name'],
  ['{3+}\r\na\nb', 'Wrong character in a mailbox name'],
] as const;
for (const [wire, fault] of malformed) {
  test(`${JSON.stringify(wire)} is no mailbox name`, () => assert.equal(faultOf(mailboxName, wire, REV1), `${fault} @ 0`));
}

const names = [
  ['inbox', 'INBOX'],
  ['"iNBox"', 'INBOX'],
  ['inbox/a', 'inbox/a'],
  ['a&-b', 'a&b'],
  ['~peter/mail/&U,BTFw-/&ZeVnLIqe-', '~peter/mail/台北/日本語'],
  ['&2D3cCQ-', '🐉'],
  ['"../__proto__"', '../__proto__'],
] as const;
for (const [wire, name] of names) test(`${wire} is the mailbox ${name}`, () => assert.equal(parse(mailboxName, wire, REV1), name));

test('with UTF8=ACCEPT names are UTF-8 and & is itself', () => {
  assert.equal(parse(mailboxName, '"gr\xc3\xbcn &AOk-"', UTF8), 'grün &AOk-');
  assert.equal(faultOf(mailboxName, '"\xfc"', UTF8), 'Text is not UTF-8 @ 0');
});

test('every name survives encoding and decoding, and every decodable name has one encoding', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (name) => {
      assert.equal(decodeModifiedUtf7(Buffer.from(encodeModifiedUtf7(name), 'latin1')), name);
    }),
  );
  const pieces = fc.array(fc.constantFrom('&', '-', 'A', 'O', 'k', ',', 'l', '2', 'D', '3', 'c', 'C', 'Q', ' ', '&AOk-', '&-'), {
    maxLength: 12,
  });
  fc.assert(
    fc.property(pieces, (parts) => {
      const wire = parts.join('');
      const name = decodeModifiedUtf7(Buffer.from(wire, 'latin1'));
      if (typeof name === 'string') assert.equal(encodeModifiedUtf7(name), wire);
    }),
    { numRuns: 5_000 },
  );
});

const matches: readonly (readonly [pattern: string, name: string, expected: boolean])[] = [
  ['', '', true],
  ['', 'a', false],
  ['%', 'a/b', false],
  ['%/%', 'a/b', true],
  ['%/%', 'a/b/c', false],
  ['%/b', 'a/x/b', false],
  ['*/b', 'a/x/b', true],
  ['a*%b', 'a/x/yb', true],
  ['%*%', 'a/b', true],
  ['a%b%c', 'axbybc', true],
  ['a%b%c', 'axb/bc', false],
  ['*a%', 'xa/ay', true],
  ['inbox', 'INBOX', true],
  ['Inbox/x', 'INBOX/x', true],
  ['inbox', 'inboxes', false],
  ['inb%', 'INBOX', true],
  ['inb*', 'INBOX/a', true],
  ['inb*', 'INBOXES', false],
  ['%', 'INBOX', true],
  ['arch%', 'Archive', false],
];
for (const [pattern, name, expected] of matches) {
  test(`${pattern} ${expected ? 'matches' : 'does not match'} ${name}`, () => assert.equal(listMatcher('', pattern)(name), expected));
}

test('a pattern matches as the same regular expression does', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', 'b', '/', '*', '%'), maxLength: 8 }),
      fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 8 }),
      (pattern, name) => {
        const expression = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('%', '[^/]*')}$`);
        assert.equal(listMatcher('', pattern)(name), expression.test(name));
      },
    ),
    { numRuns: 3_000 },
  );
});

test('a hostile pattern costs time in proportion to the name', () => {
  const match = listMatcher('', parse(listPattern, '*a%'.repeat(10_000)));
  const started = performance.now();
  for (let count = 0; count < 10_000; count += 1) match('a'.repeat(60));
  assert.equal(listMatcher('', `${'*a%'.repeat(300)}b`)('a'.repeat(1_000)), false);
  assert(performance.now() - started < 1_000);
});
