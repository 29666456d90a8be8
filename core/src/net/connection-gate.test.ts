import assert from 'node:assert/strict';
import { test } from 'node:test';

import { AddressSet } from './address.ts';
import { ConnectionGate } from './connection-gate.ts';
import { FakeClock } from './fake-clock.ts';

function setUp(limits: Partial<ConstructorParameters<typeof ConnectionGate>[0]['limits']> = {}) {
  const clock = new FakeClock();
  const all = { connectionsTotal: 100, connectionsPerAddress: 3, connectionsPerAddressMinute: 10, ...limits };
  return { clock, gate: new ConnectionGate({ limits: all, trusted: new AddressSet(['127.0.0.0/8']), now: clock.now }) };
}

test('one address, or one IPv6 /64, has so many connections open and no more', () => {
  const { gate } = setUp();
  for (let host = 1; host <= 3; host += 1) assert.equal(gate.admit(`2a00::${host}`), undefined);
  assert.equal(gate.admit('2a00::4'), 'too many connections from this address');
  assert.equal(gate.admit('2a00:0:0:1::4'), undefined);
  gate.release('2a00::2');
  assert.equal(gate.admit('2a00::5'), undefined);
  assert.equal(gate.openConnections, 4);
});

test('new connections of a minute are counted, refused ones too', () => {
  const { clock, gate } = setUp();
  for (let turn = 0; turn < 10; turn += 1) {
    assert.equal(gate.admit('192.0.2.1'), undefined);
    gate.release('192.0.2.1');
  }
  assert.equal(gate.admit('192.0.2.1'), 'too many new connections from this address');
  assert.equal(gate.admit('192.0.2.2'), undefined);
  clock.advance(60_000);
  assert.equal(gate.admit('192.0.2.1'), undefined);
});

test('trusted addresses have only the limit of the whole server', () => {
  const { gate } = setUp({ connectionsTotal: 20 });
  for (let turn = 0; turn < 20; turn += 1) assert.equal(gate.admit('127.0.0.1'), undefined);
  assert.equal(gate.admit('127.0.0.1'), 'server full');
  gate.release('127.0.0.1');
  assert.equal(gate.admit('192.0.2.1'), undefined);
});
