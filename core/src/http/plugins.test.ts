import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { definePlugin, Refusal, Type, Unavailable } from '@pochard/plugin-sdk';
import type { GivenPlugin } from '../plugins/plugin-loader.ts';
import { startApi, TOKEN } from './api-house.fixture.ts';

const notes = definePlugin({
  name: 'notes',
  apply({ hooks, table, accounts }) {
    const all = table('notes', Type.Object({ text: Type.String() }));
    hooks.http.route.declare({
      method: 'PUT',
      path: '/:account/note',
      scope: 'admin:notes',
      summary: 'Sets the note of an account',
      params: Type.Object({ account: Type.String() }),
      query: Type.Object({ mode: Type.Optional(Type.Union([Type.Literal('append'), Type.Literal('replace')])) }),
      body: Type.Object({ text: Type.String({ maxLength: 10 }) }),
      replies: { 200: Type.Object({ text: Type.String() }), 404: Type.Object({ title: Type.String() }) },
      async handle({ params, body }, call) {
        if (body.text === 'secret') throw new Refusal('policy', 'not that');
        if (body.text === 'broken') return call.reply(200, { text: 7 } as never);
        if (body.text === 'throws') throw new Error('detail of the plugin');
        const account = await accounts.find(params.account);
        if (account === undefined) return call.reply(404, { title: 'no such account' });
        await all.put(account.id, 'note', body);
        return call.reply(200, { text: body.text });
      },
    });
    hooks.cli.command.declare({
      name: 'notes',
      summary: 'prints what it is given',
      run(args, { print }) {
        if (args[0] === 'fail') throw new Refusal('policy', 'not today');
        if (args[0] === 'down') throw new Unavailable('notes db:\u001b ECONNREFUSED');
        for (const arg of args) print(`note ${arg}`);
      },
    });
  },
});

async function api(t: TestContext, plugins: readonly GivenPlugin[]) {
  const { mail, ask } = await startApi(t, plugins);
  return {
    mail,
    async ask(method: 'GET' | 'POST' | 'PUT', url: string, body?: unknown, token = TOKEN) {
      const reply = await ask({ method, url, authorization: `Bearer ${token}`, body });
      return { status: reply.status, body: reply.body as Readonly<Record<string, unknown>> | undefined };
    },
  };
}

test('routes of plugins need the token, and what does not fit their schemas is 400', async (t) => {
  const { ask, mail } = await api(t, [{ plugin: notes }]);
  await mail.account('ada@example.test');
  assert.equal((await ask('PUT', '/plugins/notes/ada@example.test/note', { text: 'x' }, 'wrong')).status, 401);
  for (const [body, query] of [
    [{ text: 7 }, ''],
    [{ text: 'longer than ten' }, ''],
    [{ text: 'x', more: 1 }, ''],
    [[], ''],
    [{ text: 'x' }, '?mode=shred'],
    [{ text: 'x' }, '?unknown=1'],
  ] as const) {
    const { status, body: problem } = await ask('PUT', `/plugins/notes/ada@example.test/note${query}`, body);
    assert.equal(status, 400, JSON.stringify(body));
    assert.equal(problem?.['code'], 'invalid');
  }
  assert.equal((await ask('PUT', '/plugins/notes/%zz/note', { text: 'x' })).status, 400);
  assert.equal((await ask('GET', '/plugins/notes/ada@example.test/note')).status, 404);
  assert.equal((await ask('PUT', '/plugins/other/x', { text: 'x' })).status, 404);
});

test('routes of plugins answer what they declared, refuse in their words, and break in ours', async (t) => {
  const { ask, mail } = await api(t, [{ plugin: notes }]);
  await mail.account('ada@example.test');
  const put = (text: string, account = 'ada%40example.test') => ask('PUT', `/plugins/notes/${account}/note?mode=append`, { text });
  assert.deepEqual(await put('hello'), { status: 200, body: { text: 'hello' } });
  assert.deepEqual(await put('hello', 'nobody'), { status: 404, body: { title: 'no such account' } });
  assert.deepEqual(await put('secret'), { status: 403, body: { title: 'not that', status: 403, code: 'policy' } });
  assert.equal((await put('broken')).status, 500);
  const { status, body } = await put('throws');
  assert.equal(status, 503);
  assert.doesNotMatch(JSON.stringify(body), /detail/);
  const page = await ask('GET', '/v1/plugins/openapi.json');
  assert.match(JSON.stringify(page.body), /"\/plugins\/notes\/\{account\}\/note":\{"put":\{"tags":\["notes"\]/);
});

test('a reload takes the routes away, and the commands', async (t) => {
  const { ask, mail } = await api(t, [{ plugin: notes }]);
  assert.deepEqual(await ask('POST', '/v1/plugins/commands/notes', { args: ['a', 'b'] }), {
    status: 200,
    body: { lines: ['note a', 'note b'] },
  });
  assert.equal((await ask('POST', '/v1/plugins/commands/notes', { args: ['fail'] })).status, 403);
  assert.deepEqual(await ask('POST', '/v1/plugins/commands/notes', { args: ['down'] }), {
    status: 503,
    body: { title: 'notes is unavailable: notes db:  ECONNREFUSED', status: 503, code: 'unavailable' },
  });
  await mail.hooks.reload([]);
  assert.equal((await ask('PUT', '/plugins/notes/x/note', { text: 'x' })).status, 404);
  assert.equal((await ask('POST', '/v1/plugins/commands/notes', { args: [] })).status, 400);
});

test('/readyz is 503 while a health check of a plugin throws or hangs', async (t) => {
  let state: 'well' | 'ill' | 'hangs' = 'well';
  const directory = definePlugin({
    name: 'directory',
    apply({ hooks }) {
      hooks.health.check.declare({
        name: 'directory',
        async check({ signal }) {
          if (state === 'hangs') await new Promise((resolve) => signal.addEventListener('abort', resolve));
          if (state === 'ill') throw new Error('the directory is down');
        },
      });
    },
  });
  const { ask } = await api(t, [{ plugin: directory, deadlineMs: { 'health.check': 20 } }]);
  assert.deepEqual(await ask('GET', '/readyz'), { status: 200, body: { status: 'ready' } });
  state = 'ill';
  assert.deepEqual(await ask('GET', '/readyz'), { status: 503, body: { status: 'unavailable' } });
  state = 'hangs';
  assert.equal((await ask('GET', '/readyz')).status, 503);
  state = 'well';
  assert.equal((await ask('GET', '/readyz')).status, 200);
});

const gatekeeper = definePlugin({
  name: 'gatekeeper',
  apply({ hooks }) {
    hooks.auth.normalize.transform((name) => name.replace(/^corp\\/, ''));
    hooks.auth.mechanism.gate(({ username }) => {
      if (username.startsWith('robot')) throw new Refusal('policy', 'robots have app passwords');
    });
    hooks.auth.verify.decide(({ username }) => {
      if (username.startsWith('broken')) throw new Error('the backend is down');
      return username.startsWith('guest') ? { result: 'reject', reason: 'policy' } : undefined;
    });
    hooks.rcpt.expand.transform((to) => to);
    hooks.fetch.authorize.gate(() => undefined, { label: 'office hours' });
  },
});

test('plugins are listed with hooks and state; explain names the taps in order and what each decided', async (t) => {
  const { ask, mail } = await api(t, [{ plugin: gatekeeper }]);
  await mail.account('ada@example.test');
  const { body } = await ask('GET', '/v1/plugins');
  assert.deepEqual(body, {
    plugins: [
      {
        id: 'gatekeeper',
        version: '1.0.0',
        permissions: [],
        state: 'live',
        hooks: ['auth.normalize', 'auth.verify', 'auth.mechanism', 'rcpt.expand', 'fetch.authorize'],
      },
    ],
  });
  const explain = async (what: string, name?: string) => {
    const reply = await ask('GET', `/v1/plugins/explain/${what}${name === undefined ? '' : `?name=${encodeURIComponent(name)}`}`);
    return reply.body?.['lines'];
  };
  assert.deepEqual(await explain('login'), [
    'auth.normalize (transform; a fault means tempfail)',
    '  gatekeeper (500 ms)',
    'auth.mechanism (gate; a fault means tempfail)',
    '  gatekeeper (1000 ms)',
    'auth.verify (decide; a fault means tempfail)',
    '  core (verify)',
    '  gatekeeper (verify, 5000 ms)',
  ]);
  assert.deepEqual(((await explain('login', 'corp\\ada@example.test')) as string[]).slice(-2), [
    '  auth.normalize gatekeeper: changed to "ada@example.test"',
    'account ada@example.test; what the verifiers say needs a password: pochard auth test corp\\ada@example.test',
  ]);
  assert.deepEqual(((await explain('deliver', 'ada@example.test')) as string[]).slice(-2), [
    '  rcpt.expand gatekeeper: unchanged',
    'would be delivered to ada@example.test',
  ]);
  assert.equal(((await explain('deliver', 'nobody@example.test')) as string[]).at(-1), 'refused: No such recipient');
  assert.deepEqual(((await explain('fetch', 'ada@example.test')) as string[]).slice(-2), [
    '  fetch.authorize gatekeeper office hours: let pass',
    'content may be read',
  ]);
  assert.equal((await ask('GET', '/v1/plugins/explain/sleep')).status, 400);
});

test('a login test tells who said what, and never the password', async (t) => {
  const { ask, mail } = await api(t, [{ plugin: gatekeeper }]);
  await mail.account('ada@example.test');
  const attempt = async (username: string, password: string) => (await ask('POST', '/v1/plugins/login-test', { username, password })).body;
  const good = await attempt('corp\\ada@example.test', 'secret');
  assert.equal(good?.['accepted'], true);
  assert.deepEqual(good?.['lines'], [
    '  auth.normalize gatekeeper: changed to "ada@example.test"',
    '  auth.mechanism gatekeeper: let pass',
    '  auth.verify core: {"result":"accept","account":{"username":"ada@example.test"}}',
    'accepted as ada@example.test',
  ]);
  for (const [username, word] of [
    ['ada@example.test', /auth\.verify core: \{"result":"reject","reason":"credentials"\}/],
    ['guest@example.test', /auth\.verify gatekeeper: \{"result":"reject","reason":"policy"\}/],
    ['robot@example.test', /auth\.mechanism gatekeeper: said no: robots have app passwords/],
    ['broken@example.test', /auth\.verify gatekeeper: could not answer: .*threw \(the backend is down\)/],
  ] as const) {
    const bad = await attempt(username, 'hunter2');
    assert.equal(bad?.['accepted'], false);
    assert.match(JSON.stringify(bad?.['lines']).replaceAll('\\"', '"'), word);
    assert.doesNotMatch(JSON.stringify(bad), /hunter2/);
  }
});
