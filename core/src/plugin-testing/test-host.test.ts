/** The test host through the SDK's own door, as a plugin's author uses it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { definePlugin, Refusal, Type } from '@pochard/plugin-sdk';
import { type CallOutcome, conformance, type Fault, startHost } from '@pochard/plugin-sdk/testing';
import { plugin as compressCodec } from '../../../plugins/examples/compress-codec/src/index.ts';
import { plugin as refuseRecipient } from '../../../plugins/examples/refuse-recipient/src/index.ts';
import { plugin as stampHeader } from '../../../plugins/examples/stamp-header/src/index.ts';

const ADA = 'ada@example.test';
const accounts = { [ADA]: 'secret' };
const RAW = 'From: bob@example.org\r\nSubject: hi\r\n\r\nocelot\r\n';

test('a wrong password is told in the words of the protocol', async () => {
  await using host = await startHost({ plugins: [], accounts });
  await assert.rejects(host.login(ADA, 'wrong'), /^Error: NO \[AUTHENTICATIONFAILED\]/);
  await assert.rejects(host.login(ADA, 'wrong', 'http'), /Wrong user name or password/);
});

test('submitted mail goes out and in, or is refused in the words of the server', async () => {
  await using host = await startHost({ plugins: [[stampHeader, { name: 'X-Site', value: 'here' }]], accounts });
  const ada = await host.login(ADA, 'secret');
  await assert.rejects(ada.submit(['bob@example.org'], RAW), /You may not send with this From address/);
  await ada.submit(['bob@example.org', ADA], RAW.replace('bob@example.org', ADA));
  await host.settle();
  assert.deepEqual(
    host.sent.map(({ from, to }) => [from, to]),
    [[ADA, ['bob@example.org']]],
  );
  assert.match(host.sent[0]?.raw ?? '', /^Received: by mx\.test with ESMTPSA [\s\S]*\r\n\r\nocelot\r\n$/);
  const replies = await ada.imap('a SELECT INBOX', 'b FETCH 1 BODY.PEEK[HEADER.FIELDS (X-Site)]');
  assert(replies.some((line) => line.includes('X-Site: here')));
});

test('deliver, append, read and IMAP scripts see one another', async () => {
  await using host = await startHost({ plugins: [[stampHeader, { name: 'X-Site', value: 'here' }]], accounts });
  const [message] = await host.deliver({ from: 'bob@example.org', to: ADA, raw: RAW });
  assert(message);
  const ada = await host.login(ADA, 'secret');
  assert.match(await ada.read(message), /^X-Site: here\r$/m);
  const appended = await ada.append('Drafts', RAW, ['\\Draft']);
  assert.equal(await ada.read(appended), RAW);
  const replies = await ada.imap('a SELECT INBOX', 'b APPEND INBOX {3}\r\na:b', 'c FETCH 2 BODY.PEEK[]', 'd IDLE', 'DONE');
  assert(replies.some((line) => line.startsWith('a OK')));
  assert(replies.some((line) => line.includes('FETCH (BODY[] {3}\r\na:b)')));
  assert.match(replies.at(-1) ?? '', /^d OK/);
  assert.deepEqual(host.explain('delivery.received'), ['normal stamp-header']);
  assert.deepEqual(
    host.calls('delivery.received').map(({ plugin, outcome }) => ({ plugin, outcome })),
    [{ plugin: 'stamp-header', outcome: 'ok' }],
  );
  await ada.logout();
});

test('a refusal reaches the sender as it is', async () => {
  await using host = await startHost({ plugins: [[refuseRecipient, { addresses: [ADA], text: 'gone fishing' }]], accounts });
  await assert.rejects(host.deliver({ from: 'bob@example.org', to: ADA, raw: RAW }), /gone fishing/);
});

test('each fault has its outcome, and one later call is good again', async () => {
  await using host = await startHost({ plugins: [[stampHeader]], accounts });
  const expected: Readonly<Record<Fault, readonly CallOutcome[]>> = {
    throw: ['fault'],
    hang: ['timeout'],
    garbage: ['fault'],
    nothing: ['fault'],
    twice: ['ok', 'again'],
    busy: ['fault'],
    'backend down': ['unavailable'],
  };
  for (const [how, outcomes] of Object.entries(expected) as [Fault, readonly CallOutcome[]][]) {
    const before = host.calls('delivery.received').length;
    host.fault('stamp-header', 'delivery.received', how);
    const sent = host.whileWaiting(host.deliver({ from: 'bob@example.org', to: ADA, raw: RAW }));
    if (how === 'twice') await sent;
    else await assert.rejects(sent, { code: 'unavailable' }, how);
    assert.deepEqual(
      host
        .calls('delivery.received')
        .slice(before)
        .map(({ outcome }) => outcome),
      outcomes,
      how,
    );
    await host.deliver({ from: `${how}@example.org`, to: ADA, raw: RAW });
  }
  assert.throws(() => host.fault('stamp-header', 'auth.verify', 'throw'), /has no tap at auth\.verify/);
});

const waiter = definePlugin({
  name: 'waiter',
  permissions: ['network'],
  config: Type.Object({ url: Type.String({ default: 'http://hook.test/' }) }),
  apply({ hooks, http, table }, { url }) {
    const seen = table('seen', Type.Object({ n: Type.Integer() }));
    hooks.journal.follow(['message.stored'], async ({ message, id }, { signal }) => {
      const reply = await http.send({ method: 'POST', url, body: id }, signal);
      if (reply.status !== 200) throw new Error('try again');
      await seen.put(message.accountId, id, { n: 1 });
    });
  },
});

test('followers settle; what fails waits, and is tried again when the clock has moved', async () => {
  await using host = await startHost({ plugins: [[waiter]], accounts });
  let status = 503;
  host.onHttp(({ method }) => ({ status: method === 'POST' ? status : 404 }));
  await host.deliver({ from: 'bob@example.org', to: ADA, raw: RAW });
  const { waiting } = await host.settle();
  assert.equal(waiting.length, 1);
  assert.equal(waiting[0]?.plugin, 'waiter');
  assert.equal(waiting[0]?.event?.type, 'message.stored');
  status = 200;
  await host.advance(10_000);
  assert.deepEqual((await host.settle()).waiting, []);
});

test('a request that nothing answers fails the test', async () => {
  const host = await startHost({ plugins: [[waiter]], accounts });
  await host.deliver({ from: 'bob@example.org', to: ADA, raw: RAW });
  await assert.rejects(host.settle(), /requests that nothing answered: POST http:\/\/hook\.test\//);
  await host[Symbol.asyncDispose]();
});

test('what is durable outlives a kill, a canary is found at rest, and is not behind a codec', async () => {
  for (const [plugins, isFound] of [
    [[], true],
    [[[compressCodec]], false],
  ] as const) {
    await using host = await startHost({ plugins, accounts });
    const words = 'the spotted ocelot sleeps '.repeat(40);
    const [message] = await host.deliver({ from: 'bob@example.org', to: ADA, raw: `Subject: x\n\n${words}\n` });
    assert(message);
    for (const how of ['kill', 'drain'] as const) {
      const former = await host.login(ADA, 'secret');
      await host.restart(how);
      assert(!(await former.imap('a NOOP')).some((reply) => reply.startsWith('a ')), 'its connection is gone');
      const ada = await host.login(ADA, 'secret');
      assert((await ada.read(message)).includes(words), how);
    }
    let hasCanary = false;
    for await (const octets of host.atRest()) hasCanary ||= Buffer.from(octets).includes(words);
    assert.equal(hasCanary, isFound);
  }
});

test('schedules run on the clock of the test, and end with the plugin', async () => {
  const ran: string[] = [];
  const hourly = definePlugin({
    name: 'hourly',
    permissions: ['schedule'],
    apply({ tasks, now, onClose }) {
      tasks.every({ name: 'tick', periodMs: 3_600_000, run: () => void ran.push(now().toISOString()) });
      onClose(() => void ran.push('closed'));
    },
  });
  await using host = await startHost({ plugins: [[hourly]] });
  await host.advance(2 * 3_600_000);
  assert.equal(ran.length, 2);
  await host.reload([]);
  await host.advance(3_600_000);
  assert.deepEqual(ran.slice(2), ['closed']);
});

test('the examples conform', async () => {
  for (const [plugin, config] of [
    [stampHeader, {}],
    [refuseRecipient, { addresses: ['nobody@inside.test'] }],
    [compressCodec, {}],
  ] as const) {
    const { hooks, notReached } = await conformance(plugin, config);
    assert.deepEqual(notReached, [], plugin.name);
    assert(hooks.every(({ faults }) => faults > 0));
  }
});

test('a plugin that harms others or does not close does not conform', async () => {
  const stray = definePlugin({
    name: 'stray',
    apply({ hooks, onClose }) {
      hooks.fetch.authorize.gate(() => {
        throw new Refusal('forbidden', 'never');
      });
      onClose(() => {
        throw new Error('left open');
      });
    },
  });
  await assert.rejects(conformance(stray), (error: Error) => {
    assert.match(error.message, /without faults: ada@inside\.test: a3 FETCH .*: a3 NO .*never/);
    assert.match(error.message, /closing: error onClose failed .*left open/);
    assert.doesNotMatch(error.message, /eve@outside\.test/);
    return true;
  });
});

test('a directory of its own logs people in; down, it is unavailable and never a wrong password', async () => {
  const directory = definePlugin({
    name: 'directory',
    permissions: ['network'],
    apply({ hooks, http }) {
      hooks.auth.verify.decide(async ({ username }, { signal }) => {
        const reply = await http.send({ method: 'GET', url: `http://users.test/${encodeURIComponent(username)}` }, signal);
        if (reply.status === 404) return undefined;
        if (reply.status !== 200) throw new Error(`status ${reply.status}`);
        return { result: 'accept', account: { username } };
      });
    },
  });
  await using host = await startHost({ plugins: [[directory]] });
  host.onHttp(({ url }) => ({ status: url.endsWith('eve%40example.test') ? 200 : 404 }));
  const eve = await host.login('eve@example.test', 'anything');
  assert.equal(eve.account.username, 'eve@example.test');
  await assert.rejects(host.login('mallory@example.test', 'x'), /AUTHENTICATIONFAILED/);
  host.onHttp(() => 'unreachable');
  await assert.rejects(host.login('eve@example.test', 'anything'), /UNAVAILABLE/);
});
