import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arg, definePlugin, Refusal } from '@pochard/plugin-sdk';
import { imapHouse } from './imap-house.fixture.ts';

const plugin = definePlugin({
  name: 'xcount',
  apply({ hooks }) {
    hooks.imap.command.declare({
      name: 'XCOUNT',
      capability: 'XCOUNT',
      states: ['selected'],
      args: arg.pairs({ up: arg.number, names: arg.list(arg.astring) }),
      async handle({ up, names }, { untagged, selected }) {
        if (up === 13) throw new Refusal('policy', 'Not that number');
        if (up === 99) throw new Error('on purpose');
        await untagged('XCOUNT', up, names, selected?.name ?? 'none', 'tw"o\r\nlines');
      },
    });
    hooks.imap.capabilities.transform((names) => [...names.filter((name) => name !== 'QUOTA'), 'XFREE']);
  },
});

test('a plugin command is parsed, checked for its state, and answered like our own', async (t) => {
  const house = await imapHouse(t, { limits: { imapBadCommands: 100 } });
  await house.hooks.reload([{ plugin }]);
  const client = await house.login();
  await client.expect('XCOUNT up 3 names (a)', '$ BAD No mailbox selected');
  await client.run('SELECT INBOX');
  await client.expect('XCOUNT', '$ BAD Wrong arguments');
  await client.expect('XCOUNT up three names ()', '$ BAD Wrong arguments');
  await client.expect('XCOUNT up 3 names (a', '$ BAD Closing parenthesis expected');
  await client.expect(`XCOUNT up 3 names ${'('.repeat(100)}`, '$ BAD Nested too deeply');
  await client.expect(
    'XCOUNT names (a "b c" {1+}\r\nd) up 3',
    '* XCOUNT 3 ("a" "b c" "d") "INBOX" {11}\r\ntw"o\r\nlines',
    '$ OK XCOUNT done',
  );
  await client.expect('XCOUNT up 13 names ()', '$ NO [NOPERM] Not that number');
  await client.expect('XCOUNT up 99 names ()', '$ NO [UNAVAILABLE] Temporarily unavailable');
  await client.expect('NOOP', '$ OK NOOP done');
});

test('plugins change CAPABILITY', async (t) => {
  const house = await imapHouse(t);
  await house.hooks.reload([{ plugin }]);
  const [capability] = await (await house.login()).run('CAPABILITY');
  const names = (capability ?? '').split(' ');
  assert(names.includes('XCOUNT'));
  assert(names.includes('XFREE'));
  assert(!names.includes('QUOTA'));
});
