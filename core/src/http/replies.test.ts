import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MailError } from '../mail/errors.ts';
import { OutcomeUnknown, StoreDamaged, StoreUnavailable } from '../store/store.ts';
import { problemOf } from './replies.ts';

test('a store that is away is 503, whichever layer the error comes from; what is our fault is 500 without its words', () => {
  for (const error of [new StoreUnavailable('down'), new OutcomeUnknown('cut'), new MailError('unavailable', 'Try again')]) {
    const { status, code } = problemOf(error);
    assert.deepEqual({ status, code }, { status: 503, code: 'unavailable' });
  }
  const { title } = problemOf(new StoreUnavailable('mongo-1:27017 refuses'));
  assert.doesNotMatch(title, /mongo/);
  assert.deepEqual(problemOf(new StoreDamaged('row 7')), { title: 'Internal error', status: 500, code: 'damaged' });
  assert.deepEqual(problemOf(new TypeError('x is undefined')), { title: 'Internal error', status: 500, code: 'bug' });
});
