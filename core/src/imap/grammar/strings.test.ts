import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultOf, parse, UTF8 } from './command.fixture.ts';
import { read } from './cursor.ts';
import { modSequence, number, number64, nzNumber } from './numbers.ts';
import { astring, astringOctets, atom, headerFieldName, nstring, string, tag } from './strings.ts';

const malformed = [
  [astring, '', 'String expected @ 0'],
  [astring, '(', 'String expected @ 0'],
  [astring, '"abc', 'Quoted string is not closed @ 0'],
  [astring, '"abc\\', 'Wrong escape in a quoted string @ 5'],
  [astring, '"a\\nc"', 'Wrong escape in a quoted string @ 3'],
  [astring, '"a\rc"', 'Control character in a quoted string @ 2'],
  [astring, '"a\0c"', 'Control character in a quoted string @ 2'],
  [astring, '"\xff"', 'Text is not UTF-8 @ 0'],
  [astring, 'a"b"', 'Unexpected text after the last argument @ 1'],
  [astring, '{3+}\r\na\0c', 'NUL in a literal @ 0'],
  [astring, '~{3+}\r\nabc', 'Unexpected text after the last argument @ 1'],
  [string, 'abc', 'String expected @ 0'],
  [nstring, 'NILS', 'String expected @ 0'],
  [tag, '+', 'Tag expected @ 0'],
  [atom, 'a]', 'Unexpected text after the last argument @ 1'],
  [atom, '\x7f', 'Atom expected @ 0'],
  [headerFieldName, '""', 'Empty header field name @ 0'],
  [headerFieldName, '"a:b"', 'Wrong character in a header field name @ 0'],
  [headerFieldName, '"a b"', 'Wrong character in a header field name @ 0'],
  [number, '', 'Number expected @ 0'],
  [number, '-1', 'Number expected @ 0'],
  [number, '4294967296', 'Number too large @ 0'],
  [number, '9'.repeat(5_000), 'Number too large @ 0'],
  [nzNumber, '0', 'Number must not be zero @ 0'],
  [modSequence, '0', 'Number must not be zero @ 0'],
  [number64, '9223372036854775808', 'Number too large @ 0'],
  [number64, '99999999999999999999', 'Number too large @ 0'],
] as const;
for (const [reader, wire, fault] of malformed) {
  test(`${JSON.stringify(wire.slice(0, 40))} is refused: ${fault}`, () => assert.equal(faultOf(reader, wire), fault));
}

const wellFormed = [
  [astring, 'abc]+', 'abc]+'],
  [astring, '"a \\"b\\\\ c"', 'a "b\\ c'],
  [astring, '""', ''],
  [astring, '"gr\xc3\xbc\xc3\x9fe"', 'grüße'],
  [astring, '{5+}\r\na\r\nb"', 'a\r\nb"'],
  [nstring, 'nil', null],
  [nstring, '"NIL"', 'NIL'],
  [tag, 'a.1-]', 'a.1-]'],
  [number, '4294967295', 4_294_967_295],
  [number, '007', 7],
  [number64, '9007199254740991', Number.MAX_SAFE_INTEGER],
  [number64, '9223372036854775807', Number.MAX_SAFE_INTEGER],
  [number64, '00000000000000000000001', 1],
] as const;
for (const [reader, wire, value] of wellFormed) {
  test(`${JSON.stringify(wire)} is ${JSON.stringify(value)}`, () => assert.equal(parse<unknown>(reader, wire), value));
}

test('a string without escapes is a view of the command, not a copy', () => {
  const text = Buffer.from('"secret"');
  const { value, next } = read(astringOctets, { text, literals: [] }, UTF8);
  assert.equal(value.buffer, text.buffer);
  assert.equal(next, 8);
});
