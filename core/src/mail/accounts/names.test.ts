import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normalizeAddress, normalizeDomain, normalizeUsername } from './names.ts';

const refusedUsernames = [
  '',
  '@',
  'ada@',
  '@example.test',
  'a b',
  'ada\0',
  'ada\r\nRCPT',
  'ada\u202egpj',
  'a\u200bda',
  'ada\ud800',
  '\u{1f600}',
  'a\u00a0b',
  '\ufb01sh',
  'ada@exa mple.test',
  'ada@exam%70le.test',
  'ada@127.1',
  'ada@xn--a.test',
  'ada@a..test',
  'x'.repeat(400),
];
for (const name of refusedUsernames) {
  test(`username ${JSON.stringify(name.slice(0, 30))} is refused`, () => {
    assert.throws(() => normalizeUsername(name), { code: 'invalid' });
  });
}

test('usernames are compared in one form', () => {
  assert.equal(normalizeUsername('u1'), 'u1');
  assert.equal(normalizeUsername('Ada@Example.TEST'), 'ada@example.test');
  assert.equal(normalizeUsername('ＡＤＡ@example.test'), 'ada@example.test');
  assert.equal(normalizeUsername('Zoe\u0308@example.test'), 'zo\u00eb@example.test');
  assert.equal(normalizeUsername('ΑΣ'), 'ας');
  assert.equal(normalizeUsername('__proto__'), '__proto__');
});

test('homographs do not merge', () => {
  assert.notEqual(normalizeUsername('\u0430da'), normalizeUsername('ada')); // Cyrillic a
});

test('a domain is its U-label, however it is written', () => {
  assert.equal(normalizeDomain('xn--bcher-kva.example'), 'bücher.example');
  assert.equal(normalizeDomain('BÜCHER.Example.'), 'bücher.example');
  assert.equal(normalizeDomain('例え。テスト'), '例え.テスト');
  assert.equal(normalizeDomain('[IPv6:2001:DB8::1]'), '[ipv6:2001:db8::1]');
});

test('addresses: quoted, Unicode, without a domain', () => {
  assert.deepEqual(normalizeAddress('u1'), { full: 'u1', local: 'u1', domain: '' });
  assert.equal(normalizeAddress('"john doe"@example.test').full, 'john doe@example.test');
  assert.equal(normalizeAddress('"a\\"b"@example.test').local, 'a"b');
  assert.equal(normalizeAddress('Пётр@пример.test').full, 'пётр@пример.test');
  assert.equal(normalizeAddress('*@example.test').full, '*@example.test');
});

for (const address of [
  '"a"b"@x.test',
  '"a\\"@x.test',
  'a<b@x.test',
  'a b@x.test',
  'a\0@x.test',
  '"\r\n"@x.test',
  `${'ä'.repeat(80)}@x.test`,
]) {
  test(`address ${JSON.stringify(address.slice(0, 30))} is refused`, () => {
    assert.throws(() => normalizeAddress(address), { code: 'invalid' });
  });
}
