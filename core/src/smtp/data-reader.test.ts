import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DataReader, type DataStep } from './data-reader.ts';

function read(wire: string, sizes: readonly number[] = []): { step: DataStep; message: string } {
  const pieces: Buffer[] = [];
  const reader = new DataReader((piece) => pieces.push(Buffer.from(piece)));
  const octets = Buffer.from(wire, 'latin1');
  let at = 0;
  let step: DataStep = { state: 'more' };
  for (let n = 0; at < octets.length; n += 1) {
    const next = Math.min(octets.length, at + (sizes[n] ?? octets.length));
    step = reader.push(octets.subarray(at, next));
    at = next;
    if (step.state !== 'more') break;
  }
  if (step.state === 'end') step = { state: 'end', rest: Buffer.concat([step.rest, octets.subarray(at)]) };
  return { step, message: Buffer.concat(pieces).toString('latin1') };
}

const smuggled = [
  'a\n.\n',
  'a\n.\r\n',
  'a\r\n.\n',
  'a\r.\r\n',
  'a\r.\r',
  'a\n.\r',
  'a\r\n.\r\r\n',
  'a\r\n.\rb',
  'a\r\r.\r\n',
  'a\n\n.\r\n',
  'a\n..\r\n',
  'a\r..\r\n',
  'a\n.b\r\n',
  '.\n',
  '.\r\r\n',
];
for (const wire of smuggled) {
  test(`a dot beside a bare CR or LF is a violation: ${JSON.stringify(wire)}`, () => {
    for (let cut = 1; cut <= wire.length; cut += 1)
      assert.equal(read(`${wire}MAIL FROM:<x@example.org>\r\n`, [cut]).step.state, 'violation');
    assert.equal(read(`${wire}MAIL FROM:<x@example.org>\r\n`, Array(wire.length).fill(1)).step.state, 'violation');
  });
}

test('a bare LF or CR away from dots stays as it is', () => {
  const { step, message } = read('one\ntwo\rthree\r\n.\r\nQUIT\r\n');
  assert.equal(message, 'one\ntwo\rthree\r\n');
  assert.deepEqual(step, { state: 'end', rest: Buffer.from('QUIT\r\n') });
});

test('an empty message ends at once, stuffed dots lose one dot', () => {
  assert.deepEqual(read('.\r\n'), { step: { state: 'end', rest: Buffer.alloc(0) }, message: '' });
  assert.equal(read('..\r\n...a\r\nb.\r\n.\r\n').message, '.\r\n..a\r\nb.\r\n');
});

test('what follows a NUL is no terminator', () => {
  assert.equal(read('a\r\n\0.\r\nb\r\n.\r\n').message, 'a\r\n\0.\r\nb\r\n');
});

test('any message, stuffed and cut anywhere, comes back', () => {
  const line = fc.stringMatching(/^[\x01-\x09\x0b\x0c\x0e-\xff]{0,12}$/);
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 40 }), (lines, sizes) => {
      const message = lines.map((text) => `${text}\r\n`).join('');
      const wire = `${lines.map((text) => `${text.startsWith('.') ? '.' : ''}${text}\r\n`).join('')}.\r\nNOOP\r\n`;
      const got = read(wire, sizes);
      assert.equal(got.message, message);
      assert.deepEqual(got.step, { state: 'end', rest: Buffer.from('NOOP\r\n') });
    }),
  );
});

test('lines that all begin with a dot are one piece, not one each', () => {
  const pieces: Buffer[] = [];
  const reader = new DataReader((piece) => pieces.push(piece));
  const step = reader.push(Buffer.from(`${'..\r\n'.repeat(10_000)}.\r\nrest`));
  assert.ok(pieces.length <= 2, `${pieces.length} pieces`);
  assert.equal(Buffer.concat(pieces).toString(), '.\r\n'.repeat(10_000));
  assert.deepEqual(step, { state: 'end', rest: Buffer.from('rest') });
});
