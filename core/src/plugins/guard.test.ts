import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Call, JournalEvent, LoginVerdict, ModSeq, Verdict } from '@pochard/plugin-sdk';
import { Damaged, Gone, Locked, Refusal, Unavailable } from '@pochard/plugin-sdk';
import { HookUnavailable } from './errors.ts';
import type { FakeClock } from './fake-clock.ts';
import { createSecret } from './secrets.ts';
import { account, actor, ada, context, delivery, hang, message, pluginOf, session, startHost, type TestedHost } from './test-values.ts';

/** One hook of each kind, with an answer that is good there, one that is not, and how the core calls it. */
interface Kind {
  readonly kind: string;
  readonly hook: string;
  readonly deadlineMs: number;
  readonly good: unknown;
  readonly garbage: readonly unknown[];
  readonly result: unknown;
  tap(fn: (about: never, call: Call) => unknown): ReturnType<typeof pluginOf>;
  call(host: TestedHost['host']): unknown;
}
const attempt = { username: 'ada@a.example', mechanism: 'PLAIN', protocol: 'imap', remoteAddress: '192.0.2.1' } as const;
const accepts: LoginVerdict = { result: 'accept', account: { username: 'ada@a.example' } };
const verdict: Verdict = { source: 'trial', about: 'spam', action: 'junk' };
const route = { mailbox: 'INBOX', flags: [] } as const;
const event: JournalEvent = { type: 'quota.crossed', id: 'e1', seq: 7 as ModSeq, at: new Date(0), percent: 90, usedOctets: 9 };
const kinds: readonly Kind[] = [
  {
    kind: 'decide',
    hook: 'auth.verify',
    deadlineMs: 5_000,
    good: accepts,
    garbage: [null, false, true, 'yes', {}, { result: 'accept' }, { result: 'accept', account: { username: 'a\r\nb' } }, [accepts]],
    result: accepts,
    tap: (fn) => pluginOf(({ hooks }) => hooks.auth.verify.decide(fn as never)),
    call: (host) => host.decide('auth.verify', { ...attempt, secret: createSecret(Buffer.from('pw')) }, { actor, session }),
  },
  {
    kind: 'collect',
    hook: 'delivery.scan',
    deadlineMs: 30_000,
    good: [verdict],
    garbage: [null, verdict, [{ ...verdict, action: 'burn' }], 'junk'],
    result: [verdict],
    tap: (fn) => pluginOf(({ hooks }) => hooks.delivery.scan.collect(fn as never)),
    call: (host) => host.collect('delivery.scan', delivery(message('A: b\r\n\r\nc')), { actor }),
  },
  {
    kind: 'transform',
    hook: 'delivery.route',
    deadlineMs: 5_000,
    good: { mailbox: '\\Junk', flags: ['$Junk'] },
    garbage: [null, false, {}, { mailbox: '\\Nowhere', flags: [] }, { mailbox: 'INBOX', flags: [7] }],
    result: { mailbox: '\\Junk', flags: ['$Junk'] },
    tap: (fn) => pluginOf(({ hooks }) => hooks.delivery.route.transform(fn as never)),
    call: (host) => host.transform('delivery.route', route, { ...context, delivery: delivery(message('')), verdicts: [] }),
  },
  {
    kind: 'gate',
    hook: 'rcpt.accept',
    deadlineMs: 5_000,
    good: undefined,
    garbage: [false, true, null, {}],
    result: undefined,
    tap: (fn) => pluginOf(({ hooks }) => hooks.rcpt.accept.gate(fn as never)),
    call: (host) => host.gate('rcpt.accept', { address: 'ada@a.example', reversePath: '', declaredOctets: undefined }, context),
  },
];

for (const kind of kinds) {
  const start = async (t: Parameters<typeof startHost>[0], fn: (about: never, call: Call) => unknown) => startHost(t, [kind.tap(fn)]);
  const failsTemporarily = async (result: unknown) => assert.rejects(Promise.resolve(result), HookUnavailable);

  test(`${kind.kind}: an answer comes back, at once when the tap gave it at once`, async (t) => {
    const { host, outcomes } = await start(t, () => kind.good);
    const result = kind.call(host);
    assert(!(result instanceof Promise));
    assert.deepEqual(result, kind.result);
    assert.deepEqual(outcomes, [`trial ${kind.hook} ok`]);
  });
  test(`${kind.kind}: a promised answer comes back`, async (t) => {
    const { host } = await start(t, async () => kind.good);
    assert.deepEqual(await kind.call(host), kind.result);
  });
  test(`${kind.kind}: undefined means what the kind says`, async (t) => {
    const { host, outcomes } = await start(t, () => undefined);
    if (kind.kind === 'collect' || kind.kind === 'transform') {
      await failsTemporarily(kind.call(host));
      assert.deepEqual(outcomes, [`trial ${kind.hook} fault`]);
    } else assert.equal(await kind.call(host), undefined);
  });
  test(`${kind.kind}: a Refusal is a permanent no, thrown or rejected`, async (t) => {
    for (const fn of [
      () => {
        throw new Refusal('policy', 'no');
      },
      async () => {
        throw new Refusal('policy', 'no');
      },
    ]) {
      const { host, outcomes } = await start(t, fn);
      await assert.rejects(Promise.resolve(kind.call(host)), (error) => error instanceof Refusal && error.code === 'policy');
      assert.deepEqual(outcomes, [`trial ${kind.hook} refused`]);
    }
  });
  test(`${kind.kind}: Locked and Damaged pass through and do not open the breaker`, async (t) => {
    let error: Error = new Locked();
    const { host } = await start(t, async () => {
      throw error;
    });
    for (let turn = 0; turn < 10; turn += 1) await assert.rejects(Promise.resolve(kind.call(host)), Locked);
    error = new Damaged();
    for (let turn = 0; turn < 10; turn += 1) await assert.rejects(Promise.resolve(kind.call(host)), Damaged);
  });
  test(`${kind.kind}: a tap that breaks is a temporary failure, with one log line that holds no argument`, async (t) => {
    for (const fn of [
      () => {
        throw new Error('broken');
      },
      async () => {
        throw new Error('broken');
      },
      () => {
        throw undefined;
      },
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: a broken promise of someone's own making
        then() {
          throw new Error('broken');
        },
      }),
    ]) {
      const { host, outcomes, logged } = await start(t, fn);
      await failsTemporarily(kind.call(host));
      assert.deepEqual(outcomes, [`trial ${kind.hook} fault`]);
      const lines = logged.filter(({ level }) => level === 'error');
      assert.equal(lines.length, 1);
      assert(!JSON.stringify(lines).includes('ada@'));
    }
  });
  test(`${kind.kind}: past the deadline the signal aborts and the call goes on; a late answer changes nothing`, async (t) => {
    let late: (value: unknown) => void = () => undefined;
    let signal: AbortSignal | undefined;
    const { host, clock, outcomes } = await start(t, (_about, call) => {
      signal = call.signal;
      return new Promise((resolve) => {
        late = resolve;
      });
    });
    const result = kind.call(host);
    clock.advance(kind.deadlineMs - 50);
    assert.equal(signal?.aborted, false);
    clock.advance(100);
    await failsTemporarily(result);
    assert.equal(signal?.aborted, true);
    late(kind.good);
    await new Promise(setImmediate);
    assert.deepEqual(outcomes, [`trial ${kind.hook} timeout`, `trial ${kind.hook} late`]);
  });
  test(`${kind.kind}: an answer of the wrong shape is a fault`, async (t) => {
    for (const garbage of kind.garbage) {
      const { host } = await start(t, () => garbage);
      await failsTemporarily(kind.call(host));
    }
  });
  test(`${kind.kind}: the second answer is ignored and counted`, async (t) => {
    const { host, outcomes } = await start(t, () => ({
      // biome-ignore lint/suspicious/noThenProperty: answers twice
      then(resolve: (value: unknown) => void) {
        resolve(kind.good);
        resolve(kind.garbage[0]);
      },
    }));
    assert.deepEqual(await kind.call(host), kind.result);
    assert.equal(outcomes.at(-1), `trial ${kind.hook} again`);
  });
  test(`${kind.kind}: a tap that blocks the loop past its deadline has answered too late`, async (t) => {
    let blocks: FakeClock | undefined;
    const { host, clock, outcomes } = await start(t, () => {
      blocks?.block(kind.deadlineMs + 1);
      return kind.good;
    });
    blocks = clock;
    await failsTemporarily(kind.call(host));
    assert.deepEqual(outcomes, [`trial ${kind.hook} fault`]);
  });
  test(`${kind.kind}: five faults in a row open the breaker for a second, then one call tries; the rests grow up to 4 s`, async (t) => {
    let calls = 0;
    let isWell = false;
    const { host, clock, outcomes } = await start(t, async () => {
      calls += 1;
      if (!isWell) throw new Error('down');
      return kind.good;
    });
    for (let turn = 0; turn < 8; turn += 1) await failsTemporarily(kind.call(host));
    assert.equal(calls, 5);
    assert.equal(outcomes.filter((outcome) => outcome.endsWith('unchecked')).length, 3);
    let tried = 5;
    for (const restMs of [1_000, 2_000, 4_000, 4_000]) {
      clock.advance(restMs - 1);
      await failsTemporarily(kind.call(host));
      assert.equal(calls, tried);
      clock.advance(1);
      const trial = kind.call(host);
      await failsTemporarily(kind.call(host)); // only one tries
      await failsTemporarily(trial);
      tried += 1;
      assert.equal(calls, tried);
    }
    isWell = true;
    clock.advance(4_000);
    assert.deepEqual(await kind.call(host), kind.result);
    assert.deepEqual(await kind.call(host), kind.result);
    assert.equal(calls, tried + 2);
  });
  test(`${kind.kind}: Unavailable is a temporary failure, is no fault, and the first answer after it counts`, async (t) => {
    let calls = 0;
    let isUp = false;
    const { host, outcomes } = await start(t, async () => {
      calls += 1;
      if (!isUp) throw new Unavailable('the database does not answer');
      return kind.good;
    });
    for (let turn = 0; turn < 100; turn += 1) await failsTemporarily(kind.call(host));
    assert.equal(calls, 100);
    assert.deepEqual(new Set(outcomes), new Set([`trial ${kind.hook} unavailable`]));
    isUp = true;
    assert.deepEqual(await kind.call(host), kind.result);
  });
}

test('64 calls overdue at once open the breaker though successes came between', async (t) => {
  let isHanging = false;
  const { host, clock } = await startHost(t, [pluginOf(({ hooks }) => hooks.rcpt.accept.gate(() => (isHanging ? hang() : undefined)))]);
  const ask = () => host.gate('rcpt.accept', { address: 'a@a.example', reversePath: '', declaredOctets: undefined }, context);
  for (let turn = 0; turn < 16; turn += 1) {
    isHanging = true;
    const stuck = [ask(), ask(), ask(), ask()];
    isHanging = false;
    clock.advance(5_100);
    await Promise.allSettled(stuck);
    if (turn < 15) await ask();
  }
  assert.equal(host.explain('rcpt.accept')[0]?.breaker, 'open');
});

test('when the client has gone the tap is not blamed', async (t) => {
  const { host, outcomes } = await startHost(t, [
    pluginOf(({ hooks }) =>
      hooks.rcpt.accept.gate((_request, call) => new Promise((_resolve, reject) => call.signal.addEventListener('abort', reject))),
    ),
  ]);
  for (let turn = 0; turn < 6; turn += 1) {
    const client = new AbortController();
    const asked = host.gate(
      'rcpt.accept',
      { address: 'a@a.example', reversePath: '', declaredOctets: undefined },
      { ...context, signal: client.signal },
    );
    client.abort();
    await assert.rejects(Promise.resolve(asked), HookUnavailable);
  }
  assert.equal(host.explain('rcpt.accept')[0]?.breaker, 'closed');
  assert.equal(outcomes.at(-1), 'trial rcpt.accept aborted');
});

test('hooks that skip on a fault go on: to the next tap, or with the value as it was', async (t) => {
  const { host } = await startHost(t, [
    pluginOf(({ hooks }) => {
      hooks.quota.limits.decide(() => {
        throw new Error('down');
      });
      hooks.quota.limits.decide(() => ({ octets: 5 }), { label: 'second' });
      hooks.imap.capabilities.transform(() => undefined as never);
      hooks.imap.capabilities.transform((list) => list.filter((name) => name !== 'MOVE'), { label: 'second' });
    }),
  ]);
  assert.deepEqual(await host.decide('quota.limits', { origin: 'append' }, context), { octets: 5 });
  assert.deepEqual(await host.transform('imap.capabilities', ['IDLE', 'MOVE'], { actor }), ['IDLE']);
});

test('an observer is told, and whatever it does reaches nobody', async (t) => {
  const seen: string[] = [];
  const { host, clock, outcomes } = await startHost(t, [
    pluginOf(({ hooks }) => {
      hooks.auth.failed.observe(({ username }) => seen.push(username));
      hooks.auth.failed.observe(() => {
        throw new Refusal('policy', 'too late');
      });
      hooks.auth.failed.observe(() => {
        throw new Error('broken');
      });
      hooks.auth.failed.observe(hang);
    }),
  ]);
  host.observe('auth.failed', { username: 'ada@a.example', mechanism: 'PLAIN', reason: 'credentials' }, { actor });
  clock.advance(5_100);
  await new Promise(setImmediate);
  assert.deepEqual(seen, ['ada@a.example']);
  assert.deepEqual(
    outcomes.sort(),
    ['fault', 'ok', 'refused', 'timeout'].map((outcome) => `trial auth.failed ${outcome}`),
  );
});

test('a follower is done, waits for the owner, or is retried', async (t) => {
  let act: () => unknown = () => undefined;
  const { host, clock } = await startHost(t, [pluginOf(({ hooks }) => hooks.journal.follow(['quota.crossed'], () => act()))]);
  const [follower] = host.followers();
  assert(follower);
  assert.deepEqual([follower.id, follower.from, [...follower.types]], ['trial', 'now', ['quota.crossed']]);
  const deliver = () => follower.deliver(event, { ...context, attempt: 1 });
  for (const done of [() => 'anything', async () => undefined, () => Promise.reject(new Gone())]) {
    act = done;
    await deliver();
  }
  act = () => Promise.reject(new Locked());
  await assert.rejects(deliver(), Locked);
  act = () => Promise.reject(new Damaged());
  await assert.rejects(deliver(), Damaged);
  for (const broken of [() => Promise.reject(new Error('down')), () => Promise.reject(new Refusal('policy', 'no'))]) {
    act = broken;
    await assert.rejects(deliver(), HookUnavailable);
  }
  act = hang;
  const stuck = deliver();
  clock.advance(30_100);
  await assert.rejects(stuck, HookUnavailable);
});

test('a declared function is guarded: its faults are temporary failures', async (t) => {
  let act: () => unknown = () => undefined;
  const { host, clock } = await startHost(t, [
    pluginOf(({ hooks }) => hooks.notify.channel.declare({ name: 'mqtt', deliver: () => act() as Promise<void> })),
  ]);
  const [channel] = host.declared('notify.channel');
  assert(channel);
  const deliver = async () => channel.deliver(event, 'topic', context);
  await deliver();
  act = () => Promise.reject(new Error('down'));
  await assert.rejects(deliver(), HookUnavailable);
  act = () => Promise.reject(new Refusal('rate', 'later'));
  await assert.rejects(deliver(), Refusal);
  act = hang;
  const stuck = deliver();
  clock.advance(5_100);
  await assert.rejects(stuck, HookUnavailable);
});

test('an answer that vouches for an account outside the scope is a fault', async (t) => {
  const { host } = await startHost(t, [
    [
      pluginOf(({ hooks }) => hooks.auth.verify.decide(() => ({ result: 'accept', account: { username: 'eve@b.example' } }))),
      { scope: { domains: ['a.example'] } },
    ],
  ]);
  await assert.rejects(
    Promise.resolve(host.decide('auth.verify', { ...attempt, secret: createSecret(Buffer.from('pw')) }, { actor, session })),
    HookUnavailable,
  );
});

test('outside its scope a tap is not there', async (t) => {
  const asked: string[] = [];
  const { host } = await startHost(t, [
    [
      pluginOf(({ hooks }) => {
        hooks.rcpt.accept.gate(({ address }) => void asked.push(address));
        hooks.rcpt.resolve.decide(({ address }) => void asked.push(address));
      }),
      { scope: { domains: ['A.example'], accounts: ['eve@b.example'], listeners: ['imap'] } },
    ],
  ]);
  const gate = (username: string, listener = 'imap') =>
    host.gate(
      'rcpt.accept',
      { address: username, reversePath: '', declaredOctets: undefined },
      { actor, listener, account: account(username) },
    );
  await gate('ada@a.example');
  await gate('ada@a.example', 'mx');
  await gate('bob@b.example');
  await gate('eve@b.example');
  await host.decide('rcpt.resolve', { address: 'new@a.example', reversePath: '' }, { actor });
  await host.decide('rcpt.resolve', { address: 'new@c.example', reversePath: '' }, { actor });
  assert.deepEqual(asked, ['ada@a.example', 'eve@b.example', 'new@a.example']);
});

test('taps with plaintext do not run for sealed accounts, unless the entry allows it, mail in transit apart', async (t) => {
  const asked: string[] = [];
  const spy = (name: string) =>
    pluginOf(({ hooks }) => {
      hooks.search.rewrite.transform((query) => {
        asked.push(`${name} search`);
        return query;
      });
      hooks.delivery.scan.collect(() => {
        asked.push(`${name} scan`);
        return [];
      });
    }, name);
  const { host } = await startHost(t, [spy('strict'), [spy('allowed'), { sealedAccounts: 'allow' }]]);
  const sealed = { actor, account: account('ada@a.example', { sealed: true }) };
  await host.transform('search.rewrite', { op: 'all' }, { ...sealed, mailboxes: [] });
  await host.collect('delivery.scan', delivery(message('')), sealed);
  assert.deepEqual(asked, ['allowed search', 'strict scan', 'allowed scan']);
});

test('secrets are lent: readable with the permission, gone when the tap returns, never printed', async (t) => {
  const kept: { readonly lent?: { readonly wiped: boolean; bytes(): Uint8Array }; readonly copy?: { bytes(): Uint8Array } }[] = [];
  const { host } = await startHost(t, [
    pluginOf(({ hooks }) =>
      hooks.auth.verify.decide(async ({ secret }) => {
        assert.equal(Buffer.from(secret.bytes()).toString(), 'pw');
        assert.equal(`${secret} ${JSON.stringify({ secret })}`, '[secret] {"secret":"[secret]"}');
        kept.push({ lent: secret, copy: secret.copy() });
      }),
    ),
  ]);
  const secret = createSecret(Buffer.from('pw'));
  await host.decide('auth.verify', { ...attempt, secret }, { actor, session });
  assert.equal(kept[0]?.lent?.wiped, true);
  assert.throws(() => kept[0]?.lent?.bytes(), TypeError);
  assert.equal(Buffer.from(kept[0]?.copy?.bytes() ?? []).toString(), 'pw');
  assert.equal(secret.wiped, false);
  assert.equal(ada.sealed, false);
});
