import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AccountId, MailboxId } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import { ALL_RIGHTS, aclMailbox, aclNotes, aclValue, lettersOf, RIGHTS, requireRights, rightSet, rightsOf, shownLetters } from './acl.ts';

const BOX = 3 as MailboxId;
const BOB = { id: 'b1' as AccountId, name: 'bob' };

function rights(letters: string): number {
  const set = rightSet(letters);
  assert.notEqual(set, undefined, letters);
  return set ?? 0;
}
function notes(entries: Record<string, string>): ReadonlyMap<string, string> {
  return new Map(Object.entries(entries).map(([identifier, value]) => [aclNotes(BOX) + identifier, value]));
}

test('letters that are no rights make no set', () => {
  for (const letters of ['z', 'L', 'l r', '+l', 'lr0', 'n']) assert.equal(rightSet(letters), undefined, letters);
});

test('rights are shown in order, with c and d for clients of RFC 2086', () => {
  assert.equal(lettersOf(rights('aetr')), 'rtea');
  assert.equal(rights(RIGHTS), ALL_RIGHTS);
  assert.equal(lettersOf(rights('cd')), 'kxte');
  assert.equal(shownLetters(rights('kr')), 'rkc');
  assert.equal(shownLetters(rights('t')), 'td');
  assert.equal(shownLetters(0), '');
});

test('the user and anyone add up, and what is taken from either is taken; a name that meant another account gives nothing', () => {
  const may = (entries: Record<string, string>): string => lettersOf(rightsOf(notes(entries), BOX, BOB));
  assert.equal(lettersOf(rightsOf(undefined, BOX, BOB)), '');
  assert.equal(may({}), '');
  assert.equal(may({ bob: aclValue(rights('lr'), BOB.id), anyone: aclValue(rights('ls'), undefined) }), 'lrs');
  assert.equal(may({ bob: aclValue(rights('lrs'), BOB.id), '-bob': aclValue(rights('r'), BOB.id) }), 'ls');
  assert.equal(may({ bob: aclValue(rights('lrs'), BOB.id), '-anyone': aclValue(rights('s'), undefined) }), 'lr');
  assert.equal(may({ bob: aclValue(rights('lrs'), 'b0' as AccountId) }), '');
  assert.equal(may({ bob: aclValue(rights('lr'), BOB.id), '-bob': aclValue(rights('r'), 'b0' as AccountId) }), 'lr');
  assert.equal(may({ bob: 'torn' }), '');
  // A user whose name is what another entry is called.
  assert.equal(lettersOf(rightsOf(notes({ anyone: aclValue(rights('lr'), undefined) }), BOX, { id: BOB.id, name: 'anyone' })), 'lr');
  assert.equal(lettersOf(rightsOf(notes({ '-bob': aclValue(rights('lr'), BOB.id) }), BOX, { id: 'x' as AccountId, name: '-bob' })), '');
});

test('who may not look a mailbox up hears that there is none', () => {
  const failsWith = (code: string) => (error: unknown) => error instanceof MailError && error.code === code;
  assert.throws(() => requireRights(rights('r'), 'i', 'no-such-target'), failsWith('no-such-target'));
  assert.throws(() => requireRights(0, 'l'), failsWith('no-such-mailbox'));
  assert.throws(() => requireRights(rights('lr'), 'ri'), failsWith('forbidden'));
  requireRights(rights('lri'), 'ri');
  requireRights(0, '');
});

test('notes that are entries of a list name their mailbox', () => {
  assert.equal(aclMailbox(`${aclNotes(BOX)}bob/x`), BOX);
  for (const name of ['sub/acl/3/bob', 'meta/3/shared/acl', 'acl']) assert.equal(aclMailbox(name), undefined, name);
});
