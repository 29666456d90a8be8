import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_MESSAGE_IDS } from '../../mime/limits.ts';
import { messageIds } from './message-ids.ts';

function idsIn(value: string): string[] {
  const octets = Buffer.from(`References:${value}\r\nSubject: <other@field>\r\n`, 'latin1');
  return messageIds(octets, 'References:'.length, 'References:'.length + value.length);
}

test('what is no Message ID is passed over', () => {
  for (const value of ['', ' ', '<', '<>', '<a>', '<@b>', '<a@>', '<a@b', 'a@b', '<a@b<', '<"a@b>', '<a(b@c>', '<a@[1.2.3.4>', '>a@b<']) {
    assert.deepEqual(idsIn(value), [], value);
  }
  assert.deepEqual(idsIn('<a> <b@c> <x y@z> <d@e> <f@g'), ['b@c', 'xy@z', 'd@e']);
});

test('one form for each id (RFC 5256 §2.3)', () => {
  for (const [value, id] of [
    ['<a@b>', 'a@b'],
    ['<"a"@b>', 'a@b'],
    ['<"01KF8JCEOCBS0045PS"@xxx.yyy.com>', '01KF8JCEOCBS0045PS@xxx.yyy.com'],
    ['<"a.b"@c>', 'a.b@c'],
    ['<"a"."b"@c>', 'a.b@c'],
    ['<a."b"@c>', 'a.b@c'],
    ['<"a b"@c>', '"a b"@c'],
    ['<"a\\"b"@c>', '"a\\"b"@c'],
    ['<"a\\b"@c>', 'ab@c'],
    ['< a@b >', 'a@b'],
    ['<a@\r\n b>', 'a@b'],
    ['<a(comment)@b>', 'a@b'],
    ['<a@[1.2.3.4]>', 'a@[1.2.3.4]'],
    ['<A@B>', 'A@B'],
    ['<a@b@c>', 'a@b@c'],
    ['<\xe9@b>', '\xe9@b'],
  ] as const) {
    assert.deepEqual(idsIn(value), [id], value);
  }
});

test('ids that are absurdly long are known by their hash, of absurdly many the newest count', () => {
  const long = (letter: string) => `<${letter.repeat(5_000)}@b>`;
  const [a, again, b] = idsIn(`${long('a')} ${long('a')} ${long('b')}`);
  assert(a !== undefined && a.length < 60);
  assert.equal(a, again);
  assert.notEqual(a, b);
  const many = idsIn(Array.from({ length: MAX_MESSAGE_IDS + 5 }, (_, n) => `<${n}@x>`).join(' '));
  assert.equal(many.length, MAX_MESSAGE_IDS);
  assert.equal(many[0], '5@x');
});

test('fields made to be slow take linear time', () => {
  for (const piece of ['<', '<(', '<"', '<[', '<a@[', '<a(', '<"a"@', '<a.', '<"a"@b>', '<a@b', '<\\', '<"<"<']) {
    const value = piece.repeat(Math.trunc(262_144 / piece.length));
    const start = performance.now();
    idsIn(value);
    assert(performance.now() - start < 1_000, piece);
  }
});
