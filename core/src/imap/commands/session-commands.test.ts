import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandTable } from '../command-table.ts';
import { imapHouse } from '../imap-house.fixture.ts';

test('every command is BAD in the states that it does not declare', async (t) => {
  const house = await imapHouse(t, { limits: { imapBadCommands: 1000, imapBadCommandsBeforeLogin: 1000 } });
  const stranger = await house.connect();
  const client = await house.login();
  for (const { name, states, uidForm } of commandTable) {
    for (const form of uidForm === true ? [name, `UID ${name}`] : [name]) {
      if (!states.includes('not-authenticated')) await stranger.expect(`${form} x`, '$ BAD Log in first');
      else if (!states.includes('authenticated')) await client.expect(`${form} x`, '$ BAD Already logged in');
      if (states.length === 1 && states[0] === 'selected') await client.expect(`${form} x`, '$ BAD No mailbox selected');
    }
  }
});

test('commands without arguments take none', async (t) => {
  const client = await (await imapHouse(t, { limits: { imapBadCommands: 100 } })).select();
  for (const name of ['CAPABILITY', 'NOOP', 'LOGOUT', 'CHECK', 'NAMESPACE', 'IDLE', 'EXPUNGE', 'CLOSE', 'UNSELECT']) {
    await client.expect(`${name} x`, '$ BAD Unexpected text after the last argument');
  }
});

test('what CAPABILITY offers, before and after login', async (t) => {
  const house = await imapHouse(t);
  const stranger = await house.connect();
  await stranger.expect(
    'capability',
    '* CAPABILITY IMAP4rev1 IMAP4rev2 SASL-IR AUTH=PLAIN AUTH=LOGIN LITERAL- ID ENABLE',
    '$ OK CAPABILITY done',
  );
  const [after] = await (await house.login()).run('CAPABILITY');
  for (const name of [
    'UIDPLUS',
    'MOVE',
    'IDLE',
    'NAMESPACE',
    'UNSELECT',
    'SPECIAL-USE',
    'CONDSTORE',
    'QUOTA',
    'QUOTA=RES-STORAGE',
    'CHILDREN',
    'UTF8=ACCEPT',
    'ESEARCH',
    'LIST-STATUS',
    'SORT',
    'SORT=DISPLAY',
    'ESORT',
    'THREAD=ORDEREDSUBJECT',
    'THREAD=REFERENCES',
  ]) {
    assert(after?.split(' ').includes(name), name);
  }
});

test('ID tells who we are and takes any client', async (t) => {
  const client = await (await imapHouse(t, { limits: { imapBadCommandsBeforeLogin: 50 } })).connect();
  const answer = ['* ID ("name" "Pochard" "version" "0.0.0-test")', '$ OK ID done'];
  await client.expect('ID', '$ BAD Argument missing');
  await client.expect('ID ("name")', '$ BAD Space expected');
  await client.expect('ID NIL', ...answer);
  await client.expect('ID ("name" "x" "__proto__" NIL)', ...answer);
  await client.expect('ID ()', ...answer);
});

test('ENABLE answers with what it has switched on now', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.expect('ENABLE', '$ BAD Argument missing');
  await client.expect('ENABLE X-NONE', '* ENABLED', '$ OK ENABLE done');
  await client.expect('ENABLE condstore UTF8=ACCEPT X-NONE', '* ENABLED CONDSTORE UTF8=ACCEPT', '$ OK ENABLE done');
  await client.expect('ENABLE CONDSTORE imap4rev2', '* ENABLED IMAP4rev2', '$ OK ENABLE done');
});

test('QUOTA: one root, administered elsewhere', async (t) => {
  const client = await (await imapHouse(t)).login();
  await client.expect('GETQUOTA', '$ BAD Argument missing');
  await client.expect('GETQUOTA ""', '* QUOTA "" ()', '$ OK GETQUOTA done');
  await client.expect('GETQUOTA other', '$ NO [NONEXISTENT] No such quota root');
  await client.expect('GETQUOTAROOT nowhere', '$ NO [NONEXISTENT] No such mailbox');
  await client.expect('SETQUOTA "" (STORAGE x)', '$ BAD Number expected');
  await client.expect('SETQUOTA "" (STORAGE 512)', '$ NO [NOPERM] Quota is set by the administrator');
});

test('LOGOUT says BYE and closes', async (t) => {
  const house = await imapHouse(t);
  for (const client of [await house.connect(), await house.select()]) {
    await client.expect('LOGOUT', '* BYE Logging out', '$ OK LOGOUT done');
    assert(await client.isClosed());
  }
});
