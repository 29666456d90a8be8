import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runOf } from '../mail/journal/uid-runs.ts';
import { FlagTextCache } from './flag-texts.ts';
import { HELLO, imapHouse } from './imap-house.fixture.ts';
import { SelectedMailbox, type ViewOwner } from './selected-mailbox.ts';

const owner: ViewOwner = {
  viewChanged: () => undefined,
  viewLost: () => undefined,
  isRev2: true,
  isCondstore: false,
  tellsVanished: false,
  isUidOnly: false,
  messageLimit: 0,
};

test('what others change while an own STORE waits for its turn is still to be told', async (t) => {
  const house = await imapHouse(t);
  const client = await house.login();
  for (let count = 0; count < 3; count += 1) await client.append('INBOX', HELLO);
  const access = await house.access();
  const other = await house.access();
  const box = access.mail.byName('INBOX');
  assert(box !== undefined);
  const texts = new FlagTextCache();
  const view = await SelectedMailbox.open(access, box.id, { access: 'read-write', owner, flagTexts: (info) => texts.of(info) });
  const { changed, unannounced } = await view.among(async () => {
    await other.store(box.id, runOf(2, 3), { mode: 'replace', flags: ['\\Flagged'] });
    return access.store(box.id, runOf(1, 2), { mode: 'add', flags: ['\\Draft'] });
  });
  assert.deepEqual(changed, runOf(1, 2));
  assert.deepEqual(unannounced, runOf(2, 3));
  view.close();
});
