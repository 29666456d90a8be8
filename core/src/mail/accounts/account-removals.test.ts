import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definePlugin, type JournalEventType, type Plugin } from '@pochard/plugin-sdk';
import { startMail, type TestHost } from '../mail-test-host.ts';

const ADA = 'ada@example.test';
const types = [
  'account.created',
  'account.updated',
  'account.suspended',
  'account.deleted',
  'message.stored',
] as const satisfies JournalEventType[];

function follower(name: string): {
  readonly plugin: Plugin;
  readonly heard: string[];
  fails: boolean;
  until(count: number): Promise<void>;
} {
  let wake = () => {};
  const it = {
    heard: [] as string[],
    fails: false,
    async until(count: number) {
      while (it.heard.length < count) await new Promise<void>((resolve) => (wake = resolve));
    },
    plugin: definePlugin({
      name,
      apply({ hooks }) {
        hooks.journal.follow(types, (event, { account, actor, attempt }) => {
          if (it.fails) {
            wake();
            throw new Error('not now');
          }
          it.heard.push(`${event.type} ${'username' in event ? event.username : ''} ${account.username === ADA} ${actor.type} ${attempt}`);
          wake();
        });
      },
    }),
  };
  return it;
}
const rowsOf = async (host: TestHost) => (await host.store.records.list('account-removal', { limit: 10 })).length;

test('an account that is changed, suspended and deleted is told of, in order, with its name and owner', async (t) => {
  const watch = follower('watch');
  const host = await startMail(t, { plugins: [{ plugin: watch.plugin }] });
  await host.followers.start();
  const { id } = await host.account(ADA);
  await host.accounts.update(id, { displayName: 'Ada' });
  await host.accounts.addAddress(id, 'sales@example.test');
  await host.accounts.update(id, { disabled: true });
  await host.accounts.update(id, { disabled: false });
  await host.accounts.delete(id);
  await watch.until(6);
  assert.deepEqual(
    watch.heard.map((line) => line.split(' ')[0]),
    ['account.created', 'account.updated', 'account.updated', 'account.suspended', 'account.updated', 'account.deleted'],
  );
  assert.equal(watch.heard.at(-1), `account.deleted ${ADA} true admin 1`);
  assert.equal(await host.accounts.find(ADA), undefined);
});

test('a deleted account is erased when its last follower has been told, and not before; its name is free meanwhile', async (t) => {
  const quick = follower('quick');
  const slow = follower('slow');
  const host = await startMail(t, { plugins: [{ plugin: quick.plugin }, { plugin: slow.plugin }] });
  await host.followers.start();
  const { id } = await host.account(ADA);
  await host.send('Subject: one', [ADA]);
  await Promise.all([quick.until(2), slow.until(2)]);
  slow.fails = true;
  await host.accounts.delete(id);
  assert.notEqual((await host.account(ADA)).id, id);
  await quick.until(4); // the deletion, and the new account
  assert(quick.heard.includes(`account.deleted ${ADA} true admin 1`));
  assert.equal(await rowsOf(host), 1);
  await host.followers.stop();
  slow.fails = false;
  host.at += 10_000;
  await host.followers.start();
  await slow.until(4);
  assert.equal(slow.heard.filter((line) => line === `account.deleted ${ADA} true admin 2`).length, 1);
  await host.followers.stop(); // what runs ends first
  assert.equal(await rowsOf(host), 0);
  assert.equal((await host.parts.mails.get(id)).head, 0);
  assert.deepEqual(await host.store.records.list(`account/${id}/credential`, { limit: 1 }), []);
});

test('a follower that is not configured any more holds nothing back', async (t) => {
  const watch = follower('watch');
  const host = await startMail(t, { plugins: [{ plugin: watch.plugin }] });
  const { id } = await host.account(ADA);
  await host.accounts.delete(id);
  assert.equal(await rowsOf(host), 1);
  await host.hooks.reload([]);
  await host.followers.start();
  assert.equal(await rowsOf(host), 0);
  assert.equal((await host.parts.mails.get(id)).head, 0);
});

test('without followers a deletion erases at once', async (t) => {
  const host = await startMail(t);
  const { id } = await host.account(ADA);
  await host.accounts.delete(id);
  assert.equal(await rowsOf(host), 0);
  assert.equal((await host.parts.mails.get(id)).head, 0);
});
