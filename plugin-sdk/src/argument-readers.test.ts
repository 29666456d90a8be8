import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arg } from './index.ts';

test('arguments that do not parse are syntax errors', () => {
  for (const [reader, values] of [
    [arg.astring, []],
    [arg.astring, [['list']]],
    [arg.number, ['12345678901']],
    [arg.number, ['-1']],
    [arg.list(arg.number), ['1']],
    [arg.list(arg.none), [['never ends']]],
    [arg.pairs({ from: arg.number }), []],
    [arg.pairs({ from: arg.number }), ['from', '1', 'FROM', '2']],
    [arg.pairs({ from: arg.number }), ['__proto__', '1']],
  ] as const) {
    assert.throws(() => reader.read(values, 0), SyntaxError);
  }
});

test('readers take their values and say where the next begins', () => {
  assert.deepEqual(arg.astring.read(['a', 'b'], 1), { value: 'b', next: 2 });
  assert.deepEqual(arg.list(arg.number).read([['1', '2']], 0), { value: [1, 2], next: 1 });
  assert.deepEqual(arg.pairs({ from: arg.number, name: arg.astring }).read(['NAME', 'x', 'from', '3'], 0), {
    value: { name: 'x', from: 3 },
    next: 4,
  });
  assert.deepEqual(arg.none.read([], 0), { value: undefined, next: 0 });
});
