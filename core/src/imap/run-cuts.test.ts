import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecentMarks } from './recent-marks.ts';
import { below, from } from './run-cuts.ts';

const RUNS = Uint32Array.of(1, 3, 7, 7, 10, 20);

test('runs are cut below and from a number', () => {
  for (const [at, under, rest] of [
    [0, [], [1, 3, 7, 7, 10, 20]],
    [1, [], [1, 3, 7, 7, 10, 20]],
    [2, [1, 1], [2, 3, 7, 7, 10, 20]],
    [4, [1, 3], [7, 7, 10, 20]],
    [7, [1, 3], [7, 7, 10, 20]],
    [8, [1, 3, 7, 7], [10, 20]],
    [20, [1, 3, 7, 7, 10, 19], [20, 20]],
    [21, [1, 3, 7, 7, 10, 20], []],
  ] as const) {
    assert.deepEqual([...below(RUNS, at)], under, `below ${at}`);
    assert.deepEqual([...from(RUNS, at)], rest, `from ${at}`);
  }
  assert.deepEqual([...RUNS], [1, 3, 7, 7, 10, 20]);
});

test('marks of \\Recent grow, join, and stay few', () => {
  const marks = new RecentMarks();
  marks.add(5, 5);
  assert(!marks.has(5));
  marks.add(5, 8);
  marks.add(8, 10);
  marks.add(12, 13);
  assert.deepEqual([...marks.runs], [5, 9, 12, 12]);
  assert(marks.has(9) && !marks.has(10));
  for (let uid = 20; uid < 1000; uid += 2) marks.add(uid, uid + 1);
  assert(marks.runs.length <= 130);
  assert(marks.has(998));
});
