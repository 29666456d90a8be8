import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeTransfer, isKnownEncoding, transferDecoder } from './transfer-encoding.ts';

const CASES: readonly (readonly [string, string, string])[] = [
  ['base64', '', ''],
  ['base64', 'Y', ''],
  ['base64', 'YQ', 'a'],
  ['base64', 'Y!W\r\n J j', 'abc'],
  ['base64', 'YQ==YmM=ZA==', 'abcd'],
  ['BASE64', '====', ''],
  ['quoted-printable', '=', ''],
  ['quoted-printable', '=4', '=4'],
  ['quoted-printable', 'a=3Db=zz=\r\nc= \t\nd  \r\ne \t', 'a=b=zzcd\r\ne'],
  ['quoted-printable', 'caf=c3=A9', 'caf\u00c3\u00a9'],
  ['quoted-printable', 'a =\r\nb', 'a b'],
  ['x-unknown', '=41', '=41'],
  ['8bit', '\u00ff', '\u00ff'],
];

for (const [encoding, body, expected] of CASES) {
  test(`${encoding} ${JSON.stringify(body)}`, () => {
    assert.equal(decodeTransfer(Buffer.from(body, 'latin1'), encoding).toString('latin1'), expected);
  });
}

test('decoding does not depend on how the body is cut', () => {
  const text = fc.array(fc.constantFrom('=', '4', 'f', 'A', ' ', '\t', '\r', '\n', '\r\n', 'YWJj', '\u00ff'), { maxLength: 50 });
  fc.assert(
    fc.property(text, fc.constantFrom('base64', 'quoted-printable'), fc.integer({ min: 1, max: 7 }), (parts, encoding, size) => {
      const body = Buffer.from(parts.join(''), 'latin1');
      const decoder = transferDecoder(encoding);
      const pieces: Buffer[] = [];
      for (let at = 0; at < body.length; at += size) pieces.push(decoder.push(body.subarray(at, at + size)));
      pieces.push(decoder.finish());
      assert.deepEqual(Buffer.concat(pieces), Buffer.from(decodeTransfer(body, encoding)));
    }),
    { numRuns: 3_000 },
  );
});

test('white space without end is not held back without end', () => {
  const decoder = transferDecoder('quoted-printable');
  let octets = 0;
  for (let round = 0; round < 100; round++) octets += decoder.push(Buffer.alloc(1_000, ' ')).length;
  assert.ok(octets > 97_000);
});

test('BINARY knows the five encodings of RFC 2045', () => {
  assert.ok(isKnownEncoding('Base64') && isKnownEncoding('binary') && !isKnownEncoding('x-uuencode'));
});
