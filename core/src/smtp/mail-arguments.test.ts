import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readMailArguments } from './mail-arguments.ts';

const from = (text: string) => {
  const read = readMailArguments(text, 'FROM');
  return read === undefined ? undefined : { address: read.address, ...Object.fromEntries(read.parameters) };
};

test('paths: null, plain, quoted, routed, Unicode, literal, without domain', () => {
  for (const [text, address] of [
    ['FROM:<>', ''],
    ['from:<ada@example.test>', 'ada@example.test'],
    ['FROM: <ada@example.test>', 'ada@example.test'],
    ['FROM:<"ada lovelace \\"x\\""@example.test>', '"ada lovelace \\"x\\""@example.test'],
    ['FROM:<@relay.test,@other.test:ada@example.test>', 'ada@example.test'],
    ['FROM:<ädä@exämple.test>', 'ädä@exämple.test'],
    ['FROM:<ada@[127.0.0.1]>', 'ada@[127.0.0.1]'],
    ['FROM:<ada@[IPv6:::1]>', 'ada@[IPv6:::1]'],
    ['FROM:<ada>', 'ada'],
    ['FROM:<a+b=c.d@example.test>', 'a+b=c.d@example.test'],
  ] as const)
    assert.equal(from(text)?.address, address, text);
});

test('parameters: in upper case, with and without a value', () => {
  assert.deepEqual(from('FROM:<a@b.test> size=12 BODY=8BITMIME  SMTPUTF8 '), {
    address: 'a@b.test',
    SIZE: '12',
    BODY: '8BITMIME',
    SMTPUTF8: '',
  });
  assert.deepEqual(from('FROM:<a@b.test> __proto__=1'), undefined);
});

test('what is no path or no parameter is nothing', () => {
  for (const text of [
    '',
    'FROM',
    'TO:<a@b>',
    'FROM:a@b',
    'FROM:<a@b',
    'FROM:<a@b@c>',
    'FROM:<a b@c>',
    'FROM:<a@b>SIZE=1',
    'FROM:<a@b> SIZE=1 SIZE=2',
    'FROM:<a@b> SIZE=1=2',
    'FROM:<a\0b@c>',
    'FROM:<a\rb@c>',
    'FROM:<"a\r"@c>',
    'FROM:<<a@b>>',
    `FROM:<a@b> ${Array.from({ length: 21 }, (_, n) => `K${n}`).join(' ')}`,
  ])
    assert.equal(from(text), undefined, JSON.stringify(text));
});

test('hostile lengths take no time', () => {
  for (const text of [
    `FROM:<${'"\\a'.repeat(20_000)}`,
    `FROM:<${'@a,'.repeat(20_000)}`,
    `FROM:<a@b>${' a='.repeat(20_000)}`,
    `FROM:<${'('.repeat(60_000)}`,
  ])
    assert.equal(from(text), undefined);
});
