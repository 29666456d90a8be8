import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { countLf, OctetAccumulator } from './octets.ts';

test('LFs are counted exactly, at any alignment and among any octets', () => {
  const octet = fc.oneof(fc.constantFrom(0x0a, 0x8a, 0x0b, 0x09, 0x00), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(fc.array(octet, { minLength: 500, maxLength: 1_400 }), fc.nat({ max: 20 }), fc.nat({ max: 20 }), (values, from, back) => {
      const octets = Buffer.from([1, 2, 3, ...values]).subarray(3);
      const to = octets.length - back;
      const expected = octets.subarray(from, to).filter((value) => value === 0x0a).length;
      assert.equal(countLf(octets, from, to), expected);
    }),
    { numRuns: 1_000 },
  );
});

test('an accumulator keeps what was appended and not dropped', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 300 }))), (steps) => {
      const accumulator = new OctetAccumulator();
      let expected = Buffer.alloc(0);
      for (const [octets, drop] of steps) {
        accumulator.append(octets);
        expected = Buffer.concat([expected, octets]);
        const count = Math.min(drop, expected.length);
        accumulator.drop(count);
        expected = expected.subarray(count);
        assert.deepEqual(accumulator.view(), expected);
        assert.equal(accumulator.length, expected.length);
      }
    }),
  );
});
