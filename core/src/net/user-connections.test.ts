import assert from 'node:assert/strict';
import { test } from 'node:test';

import { UserConnections } from './user-connections.ts';

test('a user has so many sessions from one address, and others from elsewhere', () => {
  const users = new UserConnections(2);
  assert.ok(users.enter('ada', '2a00::1'));
  assert.ok(users.enter('ada', '2a00::2'));
  assert.equal(users.enter('ada', '2a00::3'), false);
  assert.ok(users.enter('ada', '192.0.2.1'));
  assert.ok(users.enter('bob', '2a00::1'));
  users.leave('ada', '2a00::1');
  assert.ok(users.enter('ada', '2a00::3'));
  assert.equal(users.enter('ada', '2a00::3'), false);
});
