import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CrlfNormaliser, normaliseCrlf } from './crlf.ts';

test('bare CR and NUL stay, bare LF becomes CRLF', () => {
  assert.equal(normaliseCrlf(Buffer.from('\na\r\rb\0\n\n\r\n\r')).toString('latin1'), '\r\na\r\rb\0\r\n\r\n\r\n\r');
});

test('octets that need no change come back as the same Buffer', () => {
  const octets = Buffer.from('a\r\nb\r\n');
  assert.equal(normaliseCrlf(octets), octets);
});

test('the result does not depend on how the message is cut', () => {
  const text = fc.array(fc.constantFrom('\r', '\n', '\r\n', 'x', '\0'), { maxLength: 60 });
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 5 }), (parts, size) => {
      const octets = Buffer.from(parts.join(''));
      const normaliser = new CrlfNormaliser();
      const pieces: Buffer[] = [];
      for (let at = 0; at < octets.length; at += size) pieces.push(normaliser.push(octets.subarray(at, at + size)));
      const expected = octets.toString('latin1').replaceAll(/(?<!\r)\n/g, '\r\n');
      assert.equal(Buffer.concat(pieces).toString('latin1'), expected);
      assert.equal(normaliseCrlf(octets).toString('latin1'), expected);
      assert.equal(normaliser.addedOctets, expected.length - octets.length);
    }),
  );
});
