import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse, REV1, UTF8 } from './command.fixture.ts';
import { fetchRequest } from './fetch.ts';
import { mailboxName } from './mailbox-name.ts';
import { resolveSet, sequenceSet } from './sequence-set.ts';
import { nstring, string } from './strings.ts';
import {
  atomOrString,
  flag,
  flagList,
  headerString,
  lineText,
  literal,
  mailbox,
  number,
  numberSet,
  octetString,
  runsOf,
  section,
  textNstring,
  textString,
} from './write.ts';

test('what a line cannot hold is not written', () => {
  for (const text of ['a\r', 'a\nb', '\0', 'ü\u0100']) assert.throws(() => lineText(text), { name: 'UnwritableText' });
  assert.equal(lineText('OK \xfc'), 'OK \xfc');
  for (const name of ['', '\\', 'a b', 'a\r\nb', 'a)', '\\Se en', 'ü', '\\**'])
    assert.throws(() => flag(name), { name: 'UnwritableText' }, name);
  for (const value of [-1, 0.5, Number.NaN, 2 ** 53]) assert.throws(() => number(value), { name: 'UnwritableText' });
  assert.throws(() => literal('a\0'), { name: 'UnwritableText' });
  assert.throws(() => octetString('\u0100'), { name: 'UnwritableText' });
});

test('strings are quoted where they can be and literals otherwise', () => {
  assert.equal(octetString('a "b" \\'), '"a \\"b\\" \\\\"');
  assert.equal(octetString('a\r\nb'), '{4}\r\na\r\nb');
  assert.equal(octetString('\xfc'), '{1}\r\n\xfc');
  assert.equal(textString('ü', UTF8), '"\xc3\xbc"');
  assert.equal(textString('ü', REV1), '{2}\r\n\xc3\xbc');
  assert.equal(textNstring(null, REV1), 'NIL');
  assert.equal(atomOrString('nil', REV1), '"nil"');
  assert.equal(atomOrString('STORAGE', REV1), 'STORAGE');
  assert.equal(atomOrString('', REV1), '""');
});

test('any text comes back from a string, also after a quote and before a parenthesis', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 1_100 }), fc.constantFrom(REV1, UTF8), (text, context) => {
      fc.pre(!text.includes('\0') && text.isWellFormed());
      assert.equal(parse(string, textString(text, context), context), text);
      assert.equal(parse(nstring, textNstring(text, context), context), text);
    }),
  );
});

test('mailbox names come back in either form', () => {
  assert.equal(mailbox('INBOX', REV1), 'INBOX');
  assert.equal(mailbox('Gr\u00fcn & "x"', REV1), '"Gr&APw-n &- \\"x\\""');
  assert.equal(mailbox('Gr\u00fcn', UTF8), '"Gr\xc3\xbcn"');
  for (const context of [REV1, UTF8]) assert.equal(parse(mailboxName, mailbox('日本&"\\語', context), context), '日本&"\\語');
});

test('header text is encoded words of at most 75 octets, none of which cuts a character', () => {
  assert.equal(headerString('plain', REV1), '"plain"');
  const words = headerString('日本語🐉'.repeat(20), REV1).slice(1, -1).split(' ');
  assert(words.length > 1);
  const decoded = words.map((word) => {
    assert(word.length <= 75);
    return Buffer.from(word.slice('=?utf-8?B?'.length, -2), 'base64').toString('utf8');
  });
  assert.equal(decoded.join(''), '日本語🐉'.repeat(20));
});

test('flags, sets and sections', () => {
  assert.equal(flagList(['\\Seen', '$Junk', '\\*']), '(\\Seen $Junk \\*)');
  assert.equal(numberSet(runsOf([1, 2, 3, 5, 7, 8])), '1:3,5,7:8');
  assert.equal(numberSet(runsOf([])), '');
  assert.equal(numberSet(runsOf([5, 4, 4])), '5,4,4');
  const wire = '1.2.HEADER.FIELDS (From "a]")';
  const [item] = parse(fetchRequest, `BODY[${wire}]`).items;
  assert(item?.name === 'BODY[]');
  assert.equal(section(item.section), wire);
  assert.equal(section({ part: [], text: 'ALL', fields: [] }), '');
  assert.equal(section({ part: [1], text: 'MIME', fields: [] }), '1.MIME');
});

test('runs written and read are the same', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 4_294_967_295 }), { minLength: 1, maxLength: 50 }), (numbers) => {
      const runs = runsOf(numbers.sort((a, b) => a - b));
      assert.deepEqual(resolveSet(parse(sequenceSet, numberSet(runs)), 4_294_967_295), runs);
    }),
  );
});
