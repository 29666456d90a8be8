import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeHeaderText, parameterText } from './header-text.ts';

const CASES: readonly (readonly [string, string])[] = [
  ['=?', '=?'],
  ['=?utf-8?q?open', '=?utf-8?q?open'],
  ['=?utf-8?x?a?=', '=?utf-8?x?a?='],
  ['=?no-such?q?caf=E9?=', 'caf\u00e9'],
  ['=?utf-8?q?a=zz_b?=', 'a=zz b'],
  ['plain\r\n folded', 'plain folded'],
  ['caf\u00c3\u00a9', 'caf\u00e9'],
  ['caf\u00e9', 'caf\u00e9'],
  ['a =?utf-8?Q?=C3=A9?=  =?UTF-8?b?w6k=?= b', 'a \u00e9\u00e9 b'],
  ['=?utf-8?q?=C3?= =?utf-8?q?=A9?=', '\u00e9'],
  ['=?iso-8859-1*de?Q?=FC?=', '\u00fc'],
  ['=?ISO-2022-JP?B?GyRCJUYlOSVIGyhC?= =?ISO-2022-JP?B?GyRCJUYlOSVIGyhC?=', '\u30c6\u30b9\u30c8\u30c6\u30b9\u30c8'],
  ['=?utf-7?q?+AOk-?=', '\u00e9'],
];

for (const [value, expected] of CASES) test(`header text ${JSON.stringify(value)}`, () => assert.equal(decodeHeaderText(value), expected));

test('parameters: the extended form wins, and encoded-words are tolerated', () => {
  const parameters = [
    { name: 'filename', value: '=?utf-8?q?=E2=82=AC?=' },
    { name: 'name', value: 'x' },
    { name: 'NAME*', value: "iso-8859-1'en'%A3%zz" },
  ];
  assert.equal(parameterText(parameters, 'filename'), '\u20ac');
  assert.equal(parameterText(parameters, 'name'), '\u00a3%zz');
  assert.equal(parameterText(parameters, 'size'), undefined);
});

test('any octets decode', () => {
  const text = fc.array(fc.constantFrom('=?', '?=', '?', 'utf-8', 'b', 'q', '=', '_', ' ', 'gb18030', '\u00ff', 'YQ'), { maxLength: 40 });
  fc.assert(fc.property(text, (parts) => void decodeHeaderText(parts.join(''))));
});
