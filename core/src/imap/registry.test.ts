import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MailError } from '../mail/errors.ts';
import { commandTable } from './command-table.ts';
import { responseCodes } from './errors.ts';
import { CommandRegistry, isAllowed } from './registry.ts';
import { replyTo } from './replies.ts';
import { safeText } from './responder.ts';

test('two commands of one name are refused, UID forms included', () => {
  const [first] = commandTable;
  assert(first);
  assert.throws(() => new CommandRegistry([first, first], []), /two commands/);
  const fetch = commandTable.find(({ name }) => name === 'FETCH');
  assert(fetch);
  assert.throws(() => new CommandRegistry([fetch, { ...fetch, name: 'UID FETCH', uidForm: true }], []), /UID FETCH/);
});

test('every command of RFC 3501 and RFC 9051 is there', () => {
  const registry = new CommandRegistry(commandTable, []);
  const names =
    'CAPABILITY NOOP LOGOUT STARTTLS AUTHENTICATE LOGIN ENABLE SELECT EXAMINE CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE LIST LSUB NAMESPACE STATUS APPEND IDLE CHECK CLOSE UNSELECT EXPUNGE SEARCH FETCH STORE COPY MOVE ID GETQUOTA GETQUOTAROOT SETQUOTA';
  for (const name of names.split(' ')) assert(registry.find(name), name);
  for (const name of ['FETCH', 'STORE', 'SEARCH', 'COPY', 'MOVE', 'EXPUNGE']) assert(registry.find(`UID ${name}`), name);
  assert.equal(registry.find('__proto__'), undefined);
  assert.equal(registry.find('UID NOOP'), undefined);
});

test('only FETCH, STORE, SEARCH, SORT and THREAD hold EXPUNGE back, besides those that end the selection', () => {
  const holding = commandTable
    .filter(({ mayExpunge, states }) => !mayExpunge && !states.includes('not-authenticated'))
    .map(({ name }) => name);
  assert.deepEqual(holding.sort(), ['CLOSE', 'FETCH', 'SEARCH', 'SORT', 'STORE', 'THREAD', 'UNAUTHENTICATE', 'UNSELECT']);
});

test('a selected session is an authenticated one', () => {
  assert(isAllowed(['authenticated'], 'selected'));
  assert(!isAllowed(['selected'], 'authenticated'));
  assert(!isAllowed(['not-authenticated'], 'selected'));
});

test('every error of the services has its response code', () => {
  for (const code of Object.keys(responseCodes) as (keyof typeof responseCodes)[]) {
    const reply = replyTo(new MailError(code, 'text'));
    assert.equal(reply.code, responseCodes[code]);
    assert.equal(reply.message, 'text');
  }
});

test('texts cannot break a line', () => {
  assert.equal(safeText('fine'), 'fine');
  assert.equal(safeText('a\r\nb NO x'), 'a??b NO x');
  assert.equal(safeText('schön'), 'sch?n');
  assert.equal(safeText(''), 'Done');
  assert.equal(safeText('x'.repeat(1000)).length, 400);
});
