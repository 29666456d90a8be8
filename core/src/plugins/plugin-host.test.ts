import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IndexDocument } from '@pochard/plugin-sdk';
import { drop, Refusal, type SessionSecret } from '@pochard/plugin-sdk';
import { HookUnavailable, PluginLoadError } from './errors.ts';
import { createCommit, createLogin, createSession } from './identities.ts';
import { createSecret } from './secrets.ts';
import { actor, context, delivery, message, pluginOf, session, startHost } from './test-values.ts';

const recipient = { address: 'ada@a.example', reversePath: '', declaredOctets: undefined };

test('a hook without taps gives its value back at once', async (t) => {
  const { host } = await startHost(t, []);
  const list = ['IDLE'];
  assert.equal(host.has('imap.capabilities'), false);
  assert.equal(host.transform('imap.capabilities', list, { actor }), list);
  assert.equal(host.decide('quota.limits', { origin: 'append' }, context), undefined);
  assert.deepEqual(host.collect('delivery.scan', delivery(message('')), { actor }), []);
  assert.equal(host.gate('rcpt.accept', recipient, context), undefined);
  host.observe('auth.failed', { username: 'x', mechanism: 'PLAIN', reason: 'unknown' }, { actor });
});

test('taps run by stage, the core before plugins, plugins in the order of the configuration', async (t) => {
  const asked: string[] = [];
  const asks = (name: string, stage?: 'policy' | 'verify' | 'fallback') =>
    pluginOf(({ hooks }) => hooks.auth.verify.decide(() => void asked.push(name), stage ? { stage } : {}), name);
  const { host } = await startHost(t, [
    asks('late', 'fallback'),
    asks('b'),
    asks('a'),
    asks('early', 'policy'),
    [asks('eager'), { beforeCore: ['auth.verify'] }],
  ]);
  host.core.decide('auth.verify', 'verify', () => void asked.push('core'));
  const secret = createSecret(Buffer.from('pw'));
  const attempt = { username: 'ada@a.example', mechanism: 'PLAIN', protocol: 'imap', remoteAddress: '', secret } as const;
  await host.decide('auth.verify', attempt, { actor, session });
  assert.deepEqual(asked, ['early', 'eager', 'core', 'b', 'a', 'late']);
  assert.deepEqual(
    host.explain('auth.verify').map(({ plugin, stage }) => `${plugin}:${stage}`),
    ['early:policy', 'eager:verify', 'core:verify', 'b:verify', 'a:verify', 'late:fallback'],
  );
});

test('the first answer wins and the rest is not asked', async (t) => {
  const asked: string[] = [];
  const answers = (name: string) =>
    pluginOf(({ hooks }) => {
      hooks.quota.limits.decide(() => {
        asked.push(name);
        return { octets: name.length };
      });
    }, name);
  const { host } = await startHost(t, [answers('one'), answers('second')]);
  assert.deepEqual(host.decide('quota.limits', { origin: 'status' }, context), { octets: 3 });
  assert.deepEqual(asked, ['one']);
});

test("a core step's own errors and answers pass unchanged, its lists among those of plugins", async (t) => {
  const { host } = await startHost(t, [
    pluginOf(({ hooks }) => hooks.delivery.scan.collect(async () => [{ source: 'slow', about: 'spam', action: 'junk' }])),
  ]);
  host.core.collect('delivery.scan', () => [{ source: 'core', about: 'policy', action: 'accept' }]);
  const found = await host.collect('delivery.scan', delivery(message('')), { actor });
  assert.deepEqual(
    found.map(({ source }) => source),
    ['core', 'slow'],
  );
  class Overquota extends Error {}
  host.core.gate('append.before', () => {
    throw new Overquota();
  });
  const mailbox = { id: 'm' as never, accountId: context.account.id, name: 'INBOX', specialUse: [] };
  await assert.rejects(async () => host.gate('append.before', { mailbox, sizeOctets: 1 }, context), Overquota);
});

test('each transform gets what the one before returned, and a drop ends the series', async (t) => {
  const seen: string[] = [];
  const adds = (name: string) =>
    pluginOf(({ hooks }) => {
      hooks.index.document.transform((document) => {
        seen.push(`${name} ${Object.keys(document.fields).join()}`);
        return name === 'drops' ? drop : { ...document, fields: { ...document.fields, [name]: 'x' } };
      });
    }, name);
  const { host } = await startHost(t, [adds('a'), adds('drops'), adds('c')]);
  const document: IndexDocument = { message: message(''), fields: {} };
  assert.equal(await host.transform('index.document', document, context), drop);
  assert.deepEqual(seen, ['a ', 'drops a']);
});

test('drop is a fault where a value may not be dropped', async (t) => {
  const { host } = await startHost(t, [pluginOf(({ hooks }) => hooks.delivery.route.transform(() => drop as never))]);
  await assert.rejects(
    async () =>
      host.transform('delivery.route', { mailbox: 'INBOX', flags: [] }, { ...context, delivery: delivery(message('')), verdicts: [] }),
    HookUnavailable,
  );
});

test('calls carry who acts, the account and what the hook adds', async (t) => {
  const { host, logged } = await startHost(t, [
    pluginOf(({ hooks }) => {
      hooks.rcpt.expand.transform((list, { address, actor: who, session: through, log, signal }) => {
        log.info('expanding', { message: message('secret mail') });
        assert.equal(signal.aborted, false);
        return [...list, address, who.name, through?.id ?? 'none'];
      });
    }),
  ]);
  assert.deepEqual(await host.transform('rcpt.expand', ['a@a.example'], { actor, session, address: 'list@a.example' }), [
    'a@a.example',
    'list@a.example',
    'ada@a.example',
    's1',
  ]);
  const line = logged.find(({ message: text }) => text === 'expanding');
  assert.deepEqual(line?.fields, { plugin: 'trial', hook: 'rcpt.expand', session: 's1', message: '[message]' });
});

test('a reload swaps all hooks at once; calls in flight end on the former plugins, which then close, last registered first', async (t) => {
  const events: string[] = [];
  let finish: () => void = () => undefined;
  const version = (name: string) =>
    pluginOf(({ hooks, onClose }) => {
      hooks.rcpt.accept.gate(async () => {
        events.push(`${name} asked`);
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        events.push(`${name} done`);
      });
      onClose(() => void events.push(`${name} closed first made`));
      onClose(async () => void events.push(`${name} closed`));
    }, name);
  const { host } = await startHost(t, [version('old')]);
  const inFlight = host.gate('rcpt.accept', recipient, context);
  const finishOld = finish;
  let reloads = 0;
  host.onReload(() => (reloads += 1));
  const { formerClosed } = await host.reload([{ plugin: version('new') }]);
  assert.equal(reloads, 1);
  const onNew = host.gate('rcpt.accept', recipient, context);
  finish();
  await onNew;
  assert.deepEqual(events, ['old asked', 'new asked', 'new done']);
  finishOld();
  await inFlight;
  await formerClosed;
  assert.deepEqual(events.slice(3), ['old done', 'old closed', 'old closed first made']);
});

test('a reload that fails leaves everything as it was, and closes what it had begun', async (t) => {
  const closed: string[] = [];
  const { host } = await startHost(t, [pluginOf(({ hooks }) => hooks.quota.limits.decide(() => ({ octets: 1 })))]);
  const begun = pluginOf(({ onClose }) => onClose(() => void closed.push('begun')), 'begun');
  const broken = pluginOf(({ onClose }) => {
    onClose(() => void closed.push('broken'));
    throw new Error('no database');
  }, 'broken');
  await assert.rejects(host.reload([{ plugin: begun }, { plugin: broken }]), (error) => {
    assert(error instanceof PluginLoadError);
    assert.match(error.message, /plugin broken: no database/);
    return true;
  });
  assert.deepEqual(closed, ['broken', 'begun']);
  assert.deepEqual(host.decide('quota.limits', { origin: 'status' }, context), { octets: 1 });
});

test('a former generation that does not end is closed after 30 s, and what still calls it is told so', async (t) => {
  const { host, clock } = await startHost(t, [
    pluginOf(({ hooks }) => hooks.journal.follow(['quota.crossed'], () => new Promise(() => undefined))),
  ]);
  const [follower] = host.followers();
  assert(follower);
  const event = { type: 'quota.crossed', id: 'e', seq: 1 as never, at: new Date(0), percent: 90, usedOctets: 1 } as const;
  const stuck = follower.deliver(event, { ...context, attempt: 1 });
  const { formerClosed } = await host.reload([]);
  clock.advance(30_100);
  await assert.rejects(stuck, HookUnavailable);
  await formerClosed;
  await assert.rejects(follower.deliver(event, { ...context, attempt: 1 }), /unloaded/);
});

test('session secrets: attached while auth.succeeded runs, read by their owner alone, kept over a reload, wiped at the end', async (t) => {
  const wiped: string[] = [];
  let keys: SessionSecret<string> | undefined;
  let kept: { login?: Parameters<SessionSecret<string>['attach']>[0] } = {};
  const holder = pluginOf(({ hooks, sessionSecret }) => {
    keys = sessionSecret<string>({ wipe: (value) => void wiped.push(value) });
    const mine = keys;
    hooks.auth.succeeded.gate((login) => {
      mine.attach(login, 'master key');
      kept = { login };
    });
  });
  const { host } = await startHost(t, [holder]);
  const own = createSession({ id: 's2', protocol: 'imap', listener: 'imap', remoteAddress: '' });
  const login = createLogin({ credentialId: 'password', secret: undefined, session: own, first: false, commit: createCommit({}) });
  await host.gate('auth.succeeded', login, { ...context, session: own });
  assert.equal(keys?.of(own), 'master key');
  assert.equal(keys?.of(session), undefined);
  assert.throws(() => keys?.attach(kept.login as never, 'again'), TypeError);
  assert.throws(() => keys?.attach(login, 'the core’s own'), TypeError);
  await host.reload([{ plugin: holder }]);
  assert.equal(keys?.of(own), 'master key');
  await host.endSession({ durationMs: 1, reason: 'logout' }, { ...context, session: own });
  assert.equal(keys?.of(own), undefined);
  assert.deepEqual(wiped, ['master key']);
});

test('session.ended is seen before the secrets are wiped, and a hanging observer cannot keep them', async (t) => {
  const seen: (string | undefined)[] = [];
  const { host, clock } = await startHost(t, [
    pluginOf(({ hooks, sessionSecret }) => {
      const keys = sessionSecret<string>({ wipe: () => undefined });
      hooks.auth.succeeded.gate((login) => keys.attach(login, 'key'));
      hooks.session.ended.observe((_end, call) => {
        seen.push(keys.of(call.session));
        return new Promise(() => undefined);
      });
      hooks.account.mailboxes.transform((plans, call) => {
        seen.push(keys.of(call.session));
        return plans;
      });
    }),
  ]);
  const login = createLogin({ credentialId: 'password', secret: undefined, session, first: false, commit: createCommit({}) });
  await host.gate('auth.succeeded', login, context);
  const ended = host.endSession({ durationMs: 1, reason: 'closed' }, { ...context, session });
  clock.advance(5_100);
  await ended;
  await host.transform('account.mailboxes', [], context);
  assert.deepEqual(seen, ['key', undefined]);
});

test('shadow taps run after the live result, change nothing, and their differences are counted', async (t) => {
  const seen: string[] = [];
  const live = pluginOf(({ hooks }) => hooks.quota.limits.decide(() => ({ octets: 1 })), 'live');
  const shadow = pluginOf(({ hooks }) => {
    hooks.quota.limits.decide(() => {
      seen.push('quota');
      return { octets: 2 };
    });
    hooks.rcpt.accept.gate(() => {
      seen.push('gate');
      throw new Refusal('policy', 'no');
    });
    hooks.auth.verify.decide(({ secret }) => {
      seen.push(Buffer.from(secret.bytes()).toString());
    });
    hooks.imap.capabilities.transform((list) => list);
    hooks.auth.failed.observe(() => void seen.push('observed'));
    hooks.journal.follow(['quota.crossed'], () => undefined);
    hooks.expunge.before.gate(({ keep, messages }) => keep(messages, 'held'));
  }, 'shadow');
  const { host, clock, divergences } = await startHost(t, [live, [shadow, { shadow: true }]]);
  assert.deepEqual(host.decide('quota.limits', { origin: 'status' }, context), { octets: 1 });
  await host.gate('rcpt.accept', recipient, context);
  const secret = createSecret(Buffer.from('pw'));
  await host.decide(
    'auth.verify',
    { username: 'ada@a.example', mechanism: 'PLAIN', protocol: 'imap', remoteAddress: '', secret },
    { actor },
  );
  secret[Symbol.dispose]();
  await host.transform('imap.capabilities', ['IDLE'], { actor });
  host.observe('auth.failed', { username: 'x', mechanism: 'PLAIN', reason: 'unknown' }, { actor });
  let kept = 0;
  await host.gate('expunge.before', { messages: [], cause: 'expunge', keep: () => void (kept += 1) }, context);
  assert.deepEqual(seen, []);
  clock.advance(1);
  assert.deepEqual(seen, ['quota', 'gate', 'pw']);
  assert.equal(kept, 0);
  assert.deepEqual(divergences, ['shadow quota.limits', 'shadow rcpt.accept']);
  assert.deepEqual(
    host.divergences().map(({ live: was, shadow: would }) => `${was} / ${would}`),
    ['an answer / an answer', 'nothing / refused: policy'],
  );
  assert.deepEqual(host.followers(), []);
});

test('an onClose that fails or hangs does not keep the others, nor the server', async (t) => {
  const closed: string[] = [];
  const { host, clock, logged } = await startHost(t, [
    pluginOf(({ onClose }) => {
      onClose(() => void closed.push('first made'));
      onClose(() => new Promise(() => undefined));
      onClose(() => {
        throw new Error('broken');
      });
    }),
  ]);
  const { formerClosed } = await host.reload([]);
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
  clock.advance(30_000);
  await formerClosed;
  assert.deepEqual(closed, ['first made']);
  assert.equal(logged.filter(({ message: text }) => text === 'onClose failed').length, 2);
});

test('two plugins cannot declare the same thing', async (t) => {
  const { host } = await startHost(t, []);
  const declares = (name: string) =>
    pluginOf(({ hooks }) => hooks.health.check.declare({ name: 'database', check: () => undefined }), name);
  await assert.rejects(
    host.reload([{ plugin: declares('one') }, { plugin: declares('two') }]),
    /health.check database is declared by one already/,
  );
});
