/** The HTTP API as an application uses it. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { EventStream } from './support/event-stream.ts';
import { ImapScript } from './support/imap-script.ts';
import { MailScript } from './support/mail-script.ts';
import { startServer, type TestServer, temporaryFolder } from './support/server.ts';

const PASSWORD = 'correct horse';
const MESSAGE = 'From: bob@example.org\r\nSubject: hello\r\n\r\nbody\r\n';

async function json(reply: Response): Promise<Record<string, unknown>> {
  return (await reply.json()) as Record<string, unknown>;
}

async function isProblem(reply: Response, status: number, what: string): Promise<void> {
  const text = await reply.text();
  assert.equal(reply.status, status, `${what}: ${reply.status} ${text}`);
  assert.match(reply.headers.get('content-type') ?? '', /^application\/problem\+json/, what);
  const { title, status: inside, code } = JSON.parse(text) as Record<string, unknown>;
  assert.equal(typeof title, 'string', what);
  assert.equal(typeof code, 'string', what);
  assert.equal(inside, status, what);
}

test('the HTTP API', async (t) => {
  const server = await startServer(t, { config: { mail: { domains: ['example.test'] } } });
  const base = `http://127.0.0.1:${server.port('http')}`;
  const login = (user: string, password = PASSWORD) => ImapScript.login(t, server.port('imap'), user, password);

  await t.test('without the right token 401, health and documentation apart', async () => {
    for (const authorization of [
      undefined,
      'Bearer wrong',
      'Bearer ',
      `Basic ${Buffer.from(`x:${server.token}`).toString('base64')}`,
      server.token,
    ]) {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      for (const path of ['/v1/accounts', '/v1/accounts/ada/events', '/v1/metrics'])
        await isProblem(await fetch(`${base}${path}`, { headers }), 401, path);
      const delivery = await fetch(`${base}/v1/deliveries?to=a@example.test`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'message/rfc822' },
        body: MESSAGE,
      });
      await isProblem(delivery, 401, 'delivery');
    }
    for (const path of ['/healthz', '/readyz', '/docs/json']) assert.equal((await fetch(`${base}${path}`)).status, 200, path);
  });

  await t.test('malformed requests are 400 or their like, never 500', async () => {
    await server.createAccount('mal@example.test', PASSWORD);
    const bodies: [string, string, unknown, string?][] = [
      ['POST', '/v1/accounts', '{'],
      ['POST', '/v1/accounts', ''],
      ['POST', '/v1/accounts', '[]'],
      ['POST', '/v1/accounts', 'null'],
      ['POST', '/v1/accounts', {}],
      ['POST', '/v1/accounts', { username: 5 }],
      ['POST', '/v1/accounts', { username: '' }],
      ['POST', '/v1/accounts', { username: 'x'.repeat(2000) }],
      ['POST', '/v1/accounts', { username: 'a\u0000b' }],
      ['POST', '/v1/accounts', { username: 'a\r\nb@example.test' }],
      ['POST', '/v1/accounts', { username: 'new@example.test', colour: 'red' }],
      ['POST', '/v1/accounts', { username: 'new@example.test', password: 'x', passwordHash: '{PLAIN}x' }],
      ['POST', '/v1/accounts', { username: 'new@example.test', passwordHash: '{NOPE}x' }],
      ['POST', '/v1/accounts', { username: 'new@example.test', addresses: ['not an address'] }],
      ['POST', '/v1/accounts', { username: 'new@example.test', quotaOctets: -1 }],
      ['POST', '/v1/accounts', '{"username":"new@example.test","__proto__":{"disabled":true}}'],
      ['PATCH', '/v1/accounts/mal@example.test', { disabled: 'yes please' }],
      ['PUT', '/v1/accounts/mal@example.test/password', {}],
      ['PUT', '/v1/accounts/mal@example.test/password', { password: 'a', passwordHash: 'b' }],
      ['POST', '/v1/accounts/mal@example.test/addresses', { address: '' }],
      ['PUT', '/v1/aliases/x@example.test', { to: [] }],
      ['PUT', '/v1/aliases/x@example.test', { to: 'mal@example.test' }],
      ['POST', '/v1/deliveries', MESSAGE, 'message/rfc822'],
      ['POST', '/v1/deliveries?to=mal@example.test', { a: 1 }],
      ['POST', '/v1/accounts/mal@example.test/messages?internalDate=never', MESSAGE, 'message/rfc822'],
      ['POST', '/v1/accounts/mal@example.test/messages?flag=%5CNope%20x', MESSAGE, 'message/rfc822'],
      ['POST', '/v1/accounts/mal@example.test/messages?mailbox=a/../%00', MESSAGE, 'message/rfc822'],
    ];
    for (const [method, path, body, type] of bodies) {
      await isProblem(await server.api(method, path, body, type), 400, `${method} ${path} ${JSON.stringify(body).slice(0, 80)}`);
    }
    await isProblem(await server.api('GET', '/v1/accounts?limit=many'), 400, 'limit');
    await isProblem(await server.api('POST', '/v1/accounts', 'x=1', 'application/x-www-form-urlencoded'), 415, 'form');
    await isProblem(await server.api('GET', '/v1/nothing'), 404, 'path');
    await isProblem(await server.api('GET', '/v1/accounts/__proto__'), 404, '__proto__');
    await isProblem(await server.api('GET', '/v1/accounts/constructor/mailboxes'), 404, 'constructor');
    await isProblem(await server.api('POST', '/v1/accounts', { username: 'MAL@example.test' }), 409, 'exists');
    assert.doesNotMatch(await server.log(), /request failed/);
  });

  await t.test('accounts: create, read, page, change, password, delete', async () => {
    const made = await server.api('POST', '/v1/accounts', {
      username: 'grüße@example.test',
      password: PASSWORD,
      displayName: 'Ünicode',
      quotaOctets: 1_000_000,
    });
    assert.equal(made.status, 201);
    const account = await json(made);
    assert.equal(made.headers.get('location'), `/v1/accounts/${String(account['id'])}`);
    assert.deepEqual(account['addresses'], [], 'its own name needs no entry');
    assert.deepEqual(await json(await server.api('GET', `/v1/accounts/${String(account['id'])}`)), account);
    assert.deepEqual(await json(await server.api('GET', `/v1/accounts/${encodeURIComponent('grüße@example.test')}`)), account);
    await server.createAccount('nodomain', PASSWORD);
    await server.createAccount('bob@example.test', PASSWORD);
    const names: string[] = [];
    let after = '';
    for (;;) {
      const page = await json(await server.api('GET', `/v1/accounts?limit=2${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`));
      names.push(...(page['accounts'] as { username: string }[]).map(({ username }) => username));
      if (page['next'] === undefined) break;
      after = String(page['next']);
    }
    assert.deepEqual([...names].sort(), ['bob@example.test', 'grüße@example.test', 'mal@example.test', 'nodomain'].sort());
    await login('nodomain');

    assert.equal((await json(await server.api('PATCH', '/v1/accounts/bob@example.test', { disabled: true })))['disabled'], true);
    await assert.rejects(login('bob@example.test'), /NO/);
    await server.api('PATCH', '/v1/accounts/bob@example.test', { disabled: false });
    const open = await login('bob@example.test');
    assert.equal((await server.api('PUT', '/v1/accounts/bob@example.test/password', { password: 'another one' })).status, 204);
    await open.until(/^\* BYE /);
    await assert.rejects(login('bob@example.test'), /AUTHENTICATIONFAILED/);
    await login('bob@example.test', 'another one');
    assert.equal((await server.api('PATCH', '/v1/accounts/bob@example.test', { allow: ['http'] })).status, 200);
    await assert.rejects(login('bob@example.test', 'another one'), /NO/);

    assert.equal((await server.api('DELETE', '/v1/accounts/bob@example.test')).status, 204);
    await isProblem(await server.api('GET', '/v1/accounts/bob@example.test'), 404, 'deleted');
    await isProblem(await server.api('DELETE', '/v1/accounts/bob@example.test'), 404, 'deleted');
    await isProblem(await deliver(server, 'bob@example.test'), 404, 'deleted');
  });

  await t.test('addresses, labels, aliases and catch-all decide who receives', async () => {
    for (const name of ['carol', 'dave', 'rest']) await server.createAccount(`${name}@example.test`, PASSWORD);
    const status = async (user: string): Promise<number> => {
      const { mailboxes } = await json(await server.api('GET', `/v1/accounts/${user}@example.test/mailboxes`));
      return (mailboxes as { name: string; messages: number }[]).find(({ name }) => name === 'INBOX')?.messages ?? -1;
    };
    assert.equal((await server.api('POST', '/v1/accounts/carol@example.test/addresses', { address: 'sales@example.test' })).status, 201);
    await isProblem(await server.api('POST', '/v1/accounts/dave@example.test/addresses', { address: 'sales@example.test' }), 409, 'taken');
    assert.equal(
      (await server.api('PUT', '/v1/aliases/all@example.test', { to: ['carol@example.test', 'dave@example.test'] })).status,
      204,
    );
    for (const [n, to] of ['sales@example.test', 'SALES@Example.Test', 'carol+news@example.test'].entries())
      await server.deliver(to, `Subject: ${n}\r\n\r\n`);
    await server.deliver('all@example.test', 'Subject: all\r\n\r\n');
    assert.deepEqual([await status('carol'), await status('dave')], [4, 1]);
    await isProblem(await deliver(server, 'whoever@example.test'), 404, 'nobody');
    assert.equal((await server.api('POST', '/v1/accounts/rest@example.test/addresses', { address: '*@example.test' })).status, 201);
    await server.deliver('whoever@example.test', MESSAGE);
    await server.deliver('sales@example.test', 'Subject: own address first\r\n\r\n');
    assert.deepEqual([await status('carol'), await status('rest')], [5, 1]);
    assert.equal((await server.api('DELETE', '/v1/accounts/rest@example.test/addresses/*@example.test')).status, 200);
    await isProblem(await deliver(server, 'whoever@example.test'), 404, 'catch-all removed');
    assert.equal((await server.api('DELETE', '/v1/aliases/all@example.test')).status, 204);
    await isProblem(await deliver(server, 'all@example.test'), 404, 'alias removed');
    const lmtp = await MailScript.connect(t, server.port('lmtp'), 'LHLO client.example');
    assert.match(await lmtp.send(Buffer.from(MESSAGE), 'sales@example.test'), /^250 /);
    assert.match(await lmtp.send(Buffer.from(MESSAGE), 'whoever@example.test'), /^550 5\.1\.1 /);
  });

  await t.test('deliveries: several recipients; messages filed as they are; too large is 413', async () => {
    const path = '/v1/deliveries?to=carol@example.test&to=dave@example.test&from=bob@example.org';
    const first = await json(await server.api('POST', path, 'Subject: both\r\n\r\n', 'message/rfc822'));
    assert.deepEqual(first['outcomes'], [
      { recipient: 'carol@example.test', stored: true, duplicate: false },
      { recipient: 'dave@example.test', stored: true, duplicate: false },
    ]);
    const filed = await server.api(
      'POST',
      '/v1/accounts/dave@example.test/messages?mailbox=Imported/Öl&flag=%5CSeen&flag=%24Label1&internalDate=1772532000',
      MESSAGE,
      'message/rfc822',
    );
    assert.equal(filed.status, 201);
    const imap = await login('dave@example.test');
    await imap.command('SELECT "Imported/&ANY-l"');
    const { untagged } = await imap.command('FETCH 1 (INTERNALDATE BODY.PEEK[] FLAGS)');
    assert.match(untagged.join(), /INTERNALDATE " 3-Mar-2026 10:00:00 \+0000"/);
    assert.match(untagged.join(), /\\Seen.*\$Label1|\$Label1.*\\Seen/);
    assert.ok(untagged.join().includes(MESSAGE));
    const large = await server
      .api('POST', '/v1/deliveries?to=dave@example.test', Buffer.alloc(53 * 2 ** 20, 'x\r\n'), 'message/rfc822')
      .catch(() => undefined);
    if (large !== undefined) await isProblem(large, 413, 'too large');
    assert.equal((await fetch(`${base}/healthz`)).status, 200);
  });

  await t.test('the OpenAPI document is whole: every reference resolves, every schema compiles', async () => {
    const document = await json(await fetch(`${base}/docs/json`));
    assert.match(String(document['openapi']), /^3\.1\./);
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema(document, 'openapi');
    let operations = 0;
    let schemas = 0;
    for (const [path, item] of Object.entries(document['paths'] as Record<string, Record<string, Record<string, unknown>>>)) {
      for (const [method, operation] of Object.entries(item)) {
        operations += 1;
        assert.ok(Object.keys(operation['responses'] as object).length > 0, `${method} ${path} has responses`);
        assert.equal(typeof operation['summary'], 'string', `${method} ${path} has a summary`);
        const parameters = (operation['parameters'] ?? []) as { in: string; name: string; required?: boolean }[];
        for (const [, name] of path.matchAll(/\{([^}]+)\}/g))
          assert.ok(
            parameters.some((parameter) => parameter.in === 'path' && parameter.name === name && parameter.required),
            `${path}: ${name}`,
          );
      }
    }
    const walk = (value: unknown, pointer: string): void => {
      if (typeof value !== 'object' || value === null) return;
      for (const [key, inner] of Object.entries(value)) {
        const at = `${pointer}/${encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))}`;
        if (key === 'schema') {
          schemas += 1;
          assert.ok(ajv.getSchema(`openapi#${at}`), at);
        }
        walk(inner, at);
      }
    };
    walk(document, '');
    assert.ok(operations >= 15 && schemas >= 15, `${operations} operations, ${schemas} schemas`);
  });
});

function deliver(server: TestServer, to: string): Promise<Response> {
  return server.api('POST', `/v1/deliveries?to=${encodeURIComponent(to)}`, MESSAGE, 'message/rfc822');
}

test('change events resume with Last-Event-ID, also over a restart', async (t) => {
  const data = await temporaryFolder(t);
  const first = await startServer(t, { data, accounts: { 'ada@example.test': PASSWORD } });
  const events = async (server: TestServer, lastEventId?: string): Promise<EventStream> => {
    const reply = await fetch(`http://127.0.0.1:${server.port('http')}/v1/accounts/ada@example.test/events`, {
      headers: { authorization: `Bearer ${server.token}`, ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }) },
    });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers.get('content-type'), 'text/event-stream');
    return new EventStream(reply);
  };
  const live = await events(first);
  await first.deliver('ada@example.test', 'Subject: one\r\n\r\n');
  const added = await live.next();
  assert.equal(added?.type, 'message.stored');
  assert.doesNotMatch(JSON.stringify(added), /Subject/, 'no content in an event');
  const imap = await ImapScript.login(t, first.port('imap'), 'ada@example.test', PASSWORD);
  await imap.command('SELECT INBOX');
  await imap.command('STORE 1 +FLAGS (\\Seen)');
  const flagged = await live.next();
  assert.match(String(flagged?.type), /^message\.flagged$/);

  // All that comes from the beginning is what came, in the same order and with the same ids.
  const whole = await events(first, '0');
  assert.equal((await whole.next())?.type, 'account.created');
  const again = await whole.until('message.stored');
  assert.deepEqual(again, added);
  assert.deepEqual(await whole.next(), flagged);
  await whole.close();

  // An idle event stream does not hold the server up, and what happens while nobody listens is told later.
  await imap.command('STORE 1 +FLAGS (\\Flagged)');
  await live.next();
  await first.deliver('ada@example.test', 'Subject: two\r\n\r\n');
  const stopping = performance.now();
  assert.equal(await first.stop(), 0);
  assert.ok(performance.now() - stopping < 15_000, 'idle connections do not hold up the drain');
  const second = await startServer(t, { data });
  assert(flagged !== undefined);
  const resumed = await events(second, flagged.id);
  const types = [await resumed.next(), await resumed.next()].map((event) => event?.type);
  assert.deepEqual(types, [flagged.type, 'message.stored']);
  await second.deliver('ada@example.test', 'Subject: three\r\n\r\n');
  assert.equal((await resumed.next())?.type, 'message.stored');
  await resumed.close();
  assert.equal(await second.stop(), 0);
});

test('a client that hangs in the middle of a request is cut off at drain, not waited for', async (t) => {
  const server = await startServer(t, { config: { limits: { shutdownTimeMs: 2000 } } });
  const socket = connect(server.port('http'), '127.0.0.1');
  socket.on('error', () => undefined);
  t.after(() => socket.destroy());
  socket.write('POST /v1/deliveries?to=x HTTP/1.1\r\nHost: x\r\n');
  assert.equal((await fetch(`http://127.0.0.1:${server.port('http')}/healthz`)).status, 200);
  assert.equal(await server.stop(), 0);
});
