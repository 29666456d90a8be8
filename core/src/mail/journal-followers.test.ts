import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definePlugin, type JournalEvent, Locked, type Plugin } from '@pochard/plugin-sdk';
import { createActor } from '../plugins/identities.ts';
import { runOf } from './journal/uid-runs.ts';
import { startMail, type TestHost } from './mail-test-host.ts';

const mail = 'Message-ID: <1@example.org>\r\nSubject: hi\r\n\r\nhello\r\n';
const all = runOf(1, 0xffff_ffff);
const types = [
  'account.created',
  'mailbox.created',
  'mailbox.renamed',
  'mailbox.deleted',
  'mailbox.subscribed',
  'mailbox.unsubscribed',
  'message.stored',
  'message.copied',
  'message.moved',
  'message.flagged',
  'message.expunged',
  'spam.feedback',
  'quota.crossed',
] as const;

const EXPECTED = [
  'message.stored INBOX lmtp',
  'message.flagged +\\Seen,$Junk -',
  'spam.feedback spam by keyword',
  'message.copied INBOX>Junk 1',
  'spam.feedback spam by copy',
  'message.moved INBOX>Junk 1',
  'spam.feedback spam by move',
  'message.moved Junk>INBOX 1',
  'spam.feedback ham by move',
  'message.expunged Junk',
  'mailbox.created a',
  'mailbox.created a/b',
  'mailbox.renamed c was a',
  'mailbox.deleted c/b',
  'message.stored INBOX api',
  'quota.crossed 80',
];

interface Heard {
  readonly events: JournalEvent[];
  readonly attempts: number[];
  /** Resolves when as many events were heard. */
  until(count: number): Promise<void>;
  fail: ((event: JournalEvent, attempt: number) => void) | undefined;
}
function follower(): { readonly plugin: Plugin; readonly heard: Heard } {
  let hear: () => void = () => {};
  const heard: Heard = {
    events: [],
    attempts: [],
    fail: undefined,
    async until(count) {
      while (heard.events.length < count) await new Promise<void>((resolve) => (hear = resolve));
    },
  };
  const plugin = definePlugin({
    name: 'follower',
    permissions: ['write'],
    apply({ hooks }) {
      hooks.journal.follow([...types], (event, { attempt }) => {
        heard.fail?.(event, attempt);
        heard.events.push(event);
        heard.attempts.push(attempt);
        hear();
      });
    },
  });
  return { plugin, heard };
}
function said(events: readonly JournalEvent[]): readonly string[] {
  return events.map((event) => {
    if ('mailbox' in event) return `${event.type} ${event.mailbox.name}${'formerName' in event ? ` was ${event.formerName}` : ''}`;
    if ('target' in event) return `${event.type} ${event.source.name}>${event.target.name} ${event.messages.length}`;
    if ('judged' in event) return `${event.type} ${event.judged} by ${event.cause}`;
    if ('added' in event) return `${event.type} +${event.added.join()} -${event.removed.join()}`;
    if ('message' in event) return `${event.type} ${event.message.mailbox.name} ${event.origin}`;
    if ('percent' in event) return `${event.type} ${event.percent}`;
    return event.type;
  });
}
async function settled(host: TestHost): Promise<void> {
  host.followers.poke();
  for (let n = 0; n < 50; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('what happens is told in order, once, with names and references', async (t) => {
  const { plugin, heard } = follower();
  const host = await startMail(t, { plugins: [{ plugin }] });
  await host.followers.start();
  const { id } = await host.account('ada@example.test', { quotaOctets: 1000 });
  const access = await host.admin(id);
  await settled(host);
  assert.equal(heard.events[0]?.type, 'account.created');
  assert.ok(said(heard.events).includes('mailbox.subscribed Junk'));
  heard.events.length = 0;
  await host.send(mail, ['ada@example.test']);
  const inbox = host.box(access, 'INBOX');
  const junk = host.box(access, 'Junk');
  await access.store(inbox, all, { mode: 'add', flags: ['\\Seen', '$Junk'] });
  await access.copy(inbox, all, junk);
  await access.move(inbox, all, junk);
  await access.move(junk, runOf(1, 1), inbox);
  await access.expunge(junk, runOf(2, 2), 'expunge');
  const a = await access.create('a/b');
  await access.rename('a', 'c');
  await access.delete('c/b');
  await access.append(inbox, [{ source: host.source(`${mail}${'x'.repeat(600)}`), flags: [] }], host.never);
  await settled(host);
  assert.deepEqual(said(heard.events), EXPECTED);
  const ids = heard.events.map(({ id: event }) => event);
  assert.equal(new Set(ids).size, ids.length);
  assert.ok(a.id > 0);
});

test('what fails is tried again, holds up its account only, and is set aside after three days', async (t) => {
  const { plugin, heard } = follower();
  const host = await startMail(t, { plugins: [{ plugin }] });
  const { id } = await host.account('ada@example.test');
  await host.account('bea@example.test');
  await host.followers.start();
  const [follow] = host.hooks.followers();
  assert.ok(follow);
  heard.fail = (event) => {
    if (event.id.startsWith(`${id}:`) && event.type === 'message.stored' && event.message.uid === 1) throw new Error('broken');
  };
  await host.send(mail, ['ada@example.test']);
  await host.send(mail.replace('<1@', '<2@'), ['ada@example.test']);
  await host.send(mail, ['bea@example.test']);
  await heard.until(1);
  await settled(host);
  assert.equal(heard.events.length, 1); // bea's; ada's second waits behind the first
  assert.equal((await host.store.feed.parked(follow.id)).length, 1);
  host.at += 1001;
  await settled(host);
  assert.equal(heard.events.length, 1);
  heard.fail = undefined;
  host.at += 60_000;
  host.followers.poke();
  await heard.until(3);
  assert.deepEqual(
    heard.events.slice(1).map((event) => event.type === 'message.stored' && event.message.uid),
    [1, 2],
  );
  assert.equal(heard.attempts[1], 3);
  assert.equal((await host.store.feed.parked(follow.id)).length, 0);
  // Poison: given up after three days, and the account goes on.
  heard.fail = (event) => {
    if (event.type === 'message.stored' && event.message.uid === 3) throw new Error('poison');
  };
  await host.send(mail.replace('<1@', '<3@'), ['ada@example.test']);
  await settled(host);
  host.at += 3 * 86_400_000 + 1;
  await settled(host);
  await host.send(mail.replace('<1@', '<4@'), ['ada@example.test']);
  await heard.until(4);
  assert.equal((await host.store.feed.parked(follow.id))[0]?.retryAt, undefined);
  assert.ok(host.logged.some((line) => line.includes('set aside')));
});

test('locked mail waits for its owner and never counts as failing', async (t) => {
  const { plugin, heard } = follower();
  const host = await startMail(t, { plugins: [{ plugin }] });
  const { id } = await host.account('ada@example.test');
  await host.followers.start();
  heard.fail = (event) => {
    if (event.type === 'message.stored') throw new Locked();
  };
  await host.send(mail, ['ada@example.test']);
  await settled(host);
  host.at += 10 * 86_400_000;
  await settled(host);
  const [follow] = host.hooks.followers();
  assert.ok(follow);
  const [parked] = await host.store.feed.parked(follow.id);
  assert.ok(parked?.retryAt !== undefined);
  heard.fail = undefined;
  await host.followers.unlocked(id);
  await heard.until(1);
});

test('a plugin does not hear what it did itself', async (t) => {
  const { plugin, heard } = follower();
  const host = await startMail(t, { plugins: [{ plugin }] });
  const { id } = await host.account('ada@example.test');
  await host.followers.start();
  const own = await host.accounts.access(id, createActor({ type: 'plugin', name: 'follower' }));
  await own.append(host.box(own, 'INBOX'), [{ source: host.source(mail), flags: [] }], host.never);
  await host.send(mail, ['ada@example.test']);
  await heard.until(1);
  await settled(host);
  assert.deepEqual(said(heard.events), ['message.stored INBOX lmtp']);
});
