import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lanes } from './lanes.ts';

test('no lane has more than its share, all together no more than the total', () => {
  const lanes = new Lanes({ total: 3, perLane: 2 });
  assert.deepEqual([lanes.enter('a'), lanes.enter('a'), lanes.enter('a')], [true, true, false]);
  assert.deepEqual([lanes.enter('b'), lanes.enter('c'), lanes.open], [true, false, 3]);
  lanes.leave('a');
  assert.deepEqual([lanes.enter('c'), lanes.enter('b')], [true, false]);
  assert.equal(lanes.enter('*', 3), false);
});

test('who waits is woken by a place in its lane, or by any when all were taken; a few at a time, oldest first', () => {
  const lanes = new Lanes({ total: 3, perLane: 1 });
  assert(lanes.enter('a') && lanes.enter('b'));
  for (const id of ['1', '2', '3', '4']) lanes.wait(id, 'a');
  lanes.wait('1', 'b'); // waits already
  lanes.leave('b');
  assert.deepEqual(
    ['1', '2', '3', '4'].filter((id) => lanes.isWaiting(id)),
    ['1', '2', '3', '4'],
  );
  lanes.leave('a');
  assert.deepEqual(
    ['1', '2', '3', '4'].filter((id) => lanes.isWaiting(id)),
    ['3', '4'],
  );
  assert(lanes.enter('a') && lanes.enter('b') && lanes.enter('c'));
  lanes.wait('5', 'd');
  lanes.leave('b');
  assert.equal(lanes.isWaiting('5'), false);
});
