import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { faultOf, parse } from './command.fixture.ts';
import { highestNumber, MAX_RANGES, partialRange, plainSet, resolveSet, sequenceSet } from './sequence-set.ts';

const malformed = [
  ['', 'Number expected @ 0'],
  ['0', 'Number must not be zero @ 0'],
  ['1,', 'Number expected @ 2'],
  ['1:', 'Number expected @ 2'],
  [':1', 'Number expected @ 0'],
  ['1:2:3', 'Unexpected text after the last argument @ 3'],
  ['1, 2', 'Number expected @ 2'],
  ['**', 'Unexpected text after the last argument @ 1'],
  ['4294967296', 'Number too large @ 0'],
  ['$,1', 'Unexpected text after the last argument @ 1'],
  [
    Array(MAX_RANGES + 1)
      .fill('1')
      .join(','),
    'Too many ranges @ 0',
  ],
] as const;
for (const [wire, fault] of malformed) test(`${wire.slice(0, 20)} is no set`, () => assert.equal(faultOf(sequenceSet, wire), fault));

test('known UIDs have neither * nor $', () => {
  assert.equal(faultOf(plainSet, '1:*'), 'Numbers expected @ 0');
  assert.equal(faultOf(plainSet, '$'), 'Numbers expected @ 0');
});

const resolved: readonly (readonly [wire: string, largest: number, runs: readonly number[]])[] = [
  ['*', 0, []],
  ['1:*', 0, []],
  ['5', 4, []],
  ['5:7', 4, []],
  ['100:*', 50, [50, 50]],
  ['*:3', 50, [3, 50]],
  ['4:2', 50, [2, 4]],
  ['1,*', 50, [1, 1, 50, 50]],
  ['7,5,6,1:2,2:3', 50, [1, 3, 5, 7]],
  ['1:4294967295', 9, [1, 9]],
  ['4294967295', 9, []],
];
for (const [wire, largest, runs] of resolved) {
  test(`${wire} of ${largest} is ${runs.join(' ')}`, () => assert.deepEqual([...resolveSet(parse(sequenceSet, wire), largest)], runs));
}

test('a set resolves to the numbers that it names, sorted and apart', () => {
  const number = fc.oneof(fc.integer({ min: 1, max: 30 }).map(String), fc.constant('*'));
  const range = fc.oneof(
    number,
    fc.tuple(number, number).map(([a, b]) => `${a}:${b}`),
  );
  fc.assert(
    fc.property(fc.array(range, { minLength: 1, maxLength: 10 }), fc.integer({ min: 1, max: 25 }), (ranges, largest) => {
      const named = new Set<number>();
      for (const item of ranges) {
        const [a = 0, b = a] = item.split(':').map((end) => (end === '*' ? largest : Number(end)));
        for (let at = Math.min(a, b); at <= Math.max(a, b); at += 1) if (at <= largest) named.add(at);
      }
      const runs = resolveSet(parse(sequenceSet, ranges.join(',')), largest);
      const found: number[] = [];
      for (let index = 0; index < runs.length; index += 2) {
        assert(index === 0 || (runs[index] ?? 0) > (runs[index - 1] ?? 0) + 1);
        for (let at = runs[index] ?? 0; at <= (runs[index + 1] ?? 0); at += 1) found.push(at);
      }
      assert.deepEqual(
        found,
        [...named].sort((a, b) => a - b),
      );
    }),
  );
});

test('partial ranges count from either end', () => {
  assert.deepEqual(parse(partialRange, '1:500'), { first: 1, last: 500 });
  assert.deepEqual(parse(partialRange, '-100:-1'), { first: -1, last: -100 });
  assert.equal(faultOf(partialRange, '-1:5'), 'Both ends of a partial range must have the same sign @ 3');
  assert.equal(faultOf(partialRange, '0:5'), 'Number must not be zero @ 0');
});

test('the highest number written out ignores *', () => assert.equal(highestNumber(parse(sequenceSet, '3:9,*')), 9));
