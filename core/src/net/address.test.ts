import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AddressSet, addressGroup, isCidr, isLoopback, isPrivate, plainAddress } from './address.ts';

test('what is no address is in no set and in the group "?"', () => {
  for (const text of ['', 'localhost', '1.2.3', '1.2.3.4.5', ':::', '::ffff:1.2.3.400', '1.2.3.4/8', '__proto__']) {
    assert.equal(plainAddress(text), undefined);
    assert.equal(addressGroup(text), '?');
    assert.equal(isLoopback(text) || isPrivate(text), false);
  }
});

test('ranges are checked', () => {
  for (const text of [
    '',
    '/8',
    '10.0.0.0/',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    'fe80::%eth0/64',
    'a.example/8',
    '10.0.0.0/1e1',
  ]) {
    assert.equal(isCidr(text), false, text);
    assert.throws(() => new AddressSet([text]), TypeError);
  }
  for (const text of ['10.0.0.0/8', '0.0.0.0/0', '::/0', 'fc00::/7', '192.0.2.7', '::1']) assert.equal(isCidr(text), true, text);
});

test('loopback and private addresses are known in every spelling', () => {
  for (const text of ['127.0.0.1', '127.9.9.9', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1', '::ffff:7f00:1', '0::FFFF:127.0.0.1']) {
    assert.ok(isLoopback(text), text);
    assert.ok(isPrivate(text), text);
  }
  for (const text of [
    '10.1.2.3',
    '172.31.255.255',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    'fe80::1%eth0',
    'fd00::1',
    '::',
    '2002:7f00:1::',
    '64:ff9b::7f00:1',
    '::ffff:10.0.0.1',
    '255.255.255.255',
    '224.0.0.1',
  ]) {
    assert.ok(isPrivate(text), text);
  }
  for (const text of ['8.8.8.8', '172.32.0.1', '2a00:1450::1', '::ffff:8.8.8.8']) assert.equal(isPrivate(text), false, text);
});

test('an IPv6 /64 is one client, an IPv4 address is one, in whatever spelling', () => {
  assert.equal(addressGroup('2a00:1450:0:1::1'), addressGroup('2A00:1450:0000:0001:ffff:ffff:ffff:ffff'));
  assert.notEqual(addressGroup('2a00:1450:0:1::1'), addressGroup('2a00:1450:0:2::1'));
  assert.equal(addressGroup('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(addressGroup('::1.2.3.4'), '0:0:0:0::/64');
  assert.equal(addressGroup('fe80::1%eth0'), 'fe80:0:0:0::/64');
});
