/** Reliability 15 and 16 (design/reliability.md): a plugin that goes wrong at any live hook, in any way, harms no other session. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pendingHooks } from '../core/src/plugins/pending-hooks.ts';
import { arg, definePlugin, type HookName, specs, Type } from '../plugin-sdk/src/index.ts';
import { conformance } from '../plugin-sdk/src/testing/index.ts';

/** Taps everything, changes nothing. */
const everywhere = definePlugin({
  name: 'everywhere',
  permissions: ['plaintext', 'credentials', 'network', 'schedule', 'write'],
  apply({ hooks }) {
    hooks.auth.normalize.transform((name) => name);
    hooks.auth.mechanism.gate(() => undefined);
    hooks.auth.verify.decide(() => undefined, { stage: 'policy' });
    hooks.auth.succeeded.gate(() => undefined);
    hooks.auth.failed.observe(() => undefined);
    hooks.auth.credential.gate(() => undefined);
    hooks.session.ended.observe(() => undefined);
    hooks.account.lookup.decide(({ username }) => (username.startsWith('seen-') ? { username } : undefined));
    hooks.account.provision.transform((seed) => seed);
    hooks.account.creating.gate(() => undefined);
    hooks.account.mailboxes.transform((plans) => plans);
    hooks.rcpt.resolve.decide(() => undefined);
    hooks.rcpt.expand.transform((addresses) => addresses);
    hooks.rcpt.accept.gate(() => undefined);
    hooks.delivery.received.transform((delivery) => delivery);
    hooks.delivery.scan.collect(() => []);
    hooks.delivery.route.transform((routing) => routing);
    hooks.append.before.gate(() => undefined);
    hooks.append.match.decide(() => undefined);
    hooks.store.before.gate(() => undefined);
    hooks.store.codec.declare({
      name: 'everywhere-plain',
      stage: 'compress',
      appliesTo: () => true,
      encode: (plain) => plain.open(),
      decode: (encoded) => encoded.open(),
    });
    hooks.index.document.transform((document) => document);
    hooks.copy.before.gate(() => undefined);
    hooks.expunge.before.gate(() => undefined);
    hooks.mailbox.before.gate(() => undefined);
    hooks.quota.limits.decide(() => undefined);
    hooks.fetch.authorize.gate(() => undefined);
    hooks.search.rewrite.transform((query) => query);
    hooks.search.plan.decide(() => undefined);
    hooks.submission.identity.decide(() => undefined);
    hooks.submission.before.gate(() => undefined);
    hooks.submission.message.transform((message) => message);
    hooks.submission.sentCopy.transform((copy) => copy);
    hooks.submission.relay.decide(() => undefined);
    hooks.journal.follow(['message.stored', 'account.updated'], () => undefined);
    hooks.imap.capabilities.transform((names) => names);
    hooks.imap.command.declare({ name: 'XEVERYWHERE', states: ['authenticated', 'selected'], args: arg.none, handle: () => undefined });
    hooks.http.route.declare({
      method: 'GET',
      path: '/nothing',
      scope: 'admin:nothing',
      summary: 'Nothing',
      replies: { 200: Type.Object({}) },
      handle: (_request, call) => call.reply(200, {}),
    });
    hooks.cli.command.declare({ name: 'everywhere', summary: 'does nothing', run: () => undefined });
    hooks.health.check.declare({ name: 'everywhere', check: () => undefined });
  },
});

test('at each live hook: thrown, hung, garbage, nothing, twice, busy, backend down; nobody outside notices', {
  timeout: 600_000,
}, async () => {
  const { hooks, notReached } = await conformance(everywhere);
  // The test host has no search index; what it does with a plugin's faults is tested beside it.
  assert.deepEqual(notReached, ['index.document']);
  const harmed = new Map(hooks.map(({ hook, faults }) => [hook, faults]));
  for (const hook of Object.keys(specs) as HookName[]) {
    if (pendingHooks[hook] === undefined && hook !== 'index.document') assert((harmed.get(hook) ?? 0) > 0, `${hook}: no call went wrong`);
  }
});
