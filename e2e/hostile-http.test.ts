/** Hostile HTTP clients: wrong types, sizes and depths in every field are 400, 401, 404, 413 or 415; never 2xx, never 500. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { ADA, hostileHouse, throwAt } from './support/hostile-house.ts';

const DEEP = 10_000;
const bodies: readonly (readonly [name: string, json: string])[] = [
  ['an operator', '{"$gt":""}'],
  ['__proto__', '{"__proto__":{"admin":true}}'],
  ['an array', '["x"]'],
  ['nested arrays', '[["x"]]'],
  ['1e308', '1e308'],
  ['a number', '7'],
  ['-1', '-1'],
  ['null', 'null'],
  ['true', 'true'],
  ['an empty string', '""'],
  ['a string with CR and LF', '"a\\r\\nb"'],
  ['a string with NUL', '"a\\u0000b"'],
  ['a lone surrogate', '"\\ud800"'],
  ['a string of 100 kB', `"${'x'.repeat(100_000)}"`],
  ['10 MiB', `"${'x'.repeat(10 * 1_048_576)}"`],
  [`depth ${DEEP} of arrays`, '['.repeat(DEEP) + ']'.repeat(DEEP)],
  [`depth ${DEEP} of objects`, `${'{"a":'.repeat(DEEP)}1${'}'.repeat(DEEP)}`],
];

test('hostile HTTP clients', async (t) => {
  const house = await hostileHouse(t);
  const { server } = house;
  const port = server.port('http');
  /** Who sends too much is answered and cut off; whether the answer still gets through is up to TCP. */
  const ask = async (method: string, path: string, body?: unknown, contentType?: string): Promise<Response> => {
    try {
      return await server.api(method, path, body, contentType);
    } catch (error) {
      const { cause } = error as Error;
      const size = typeof body === 'string' || body instanceof Uint8Array ? body.length : 0;
      if (size > 1_048_576 && cause instanceof Error && /EPIPE|ECONNRESET|closed/.test(cause.message))
        return new Response('cut off', { status: 413 });
      throw error;
    }
  };
  const attack = (name: string, work: (t: import('node:test').TestContext) => Promise<void>): Promise<void> =>
    t.test(name, async (sub) => {
      await work(sub);
      await house.unharmed();
    });

  await attack('random octets, half requests, huge heads', async () => {
    await Promise.all(Array.from({ length: 30 }, () => throwAt(port, randomBytes(65_536))));
    for (const text of [
      'GET',
      'GET / HTTP/1.1\r\n',
      `GET /${'x'.repeat(100_000)} HTTP/1.1\r\n\r\n`,
      `GET / HTTP/1.1\r\n${'A: b\r\n'.repeat(20_000)}\r\n`,
      'POST /v1/accounts HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n',
      'POST /v1/accounts HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n',
      'POST /v1/accounts HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n',
    ])
      assert.doesNotMatch(await throwAt(port, text), /^HTTP\/1\.1 (2|500)/m, text.slice(0, 40));
  });

  await attack('without a token, or with a wrong one, every route below /v1 is 401', async () => {
    for (const authorization of [
      '',
      'Bearer',
      'Bearer x',
      `Basic ${server.token}`,
      'Bearer __proto__',
      `Bearer ${server.token}x`,
      `Bearer ${'x'.repeat(8_000)}`,
    ])
      for (const path of [
        '/v1/accounts',
        `/v1/accounts/${ADA}`,
        '/v1/metrics',
        `/v1/accounts/${ADA}/mailboxes`,
        `/v1/accounts/${ADA}/events`,
      ])
        assert.equal(
          (await fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization } })).status,
          401,
          `${path} ${authorization.slice(0, 20)}`,
        );
    assert.equal(
      (
        await fetch(`http://127.0.0.1:${port}/v1/deliveries?to=${ADA}`, {
          method: 'POST',
          headers: { 'content-type': 'message/rfc822' },
          body: 'x: y\r\n\r\n',
        })
      ).status,
      401,
    );
  });

  const fields = (field: string, json: string, base: Readonly<Record<string, unknown>>): string =>
    `{${Object.entries(base)
      .filter(([name]) => name !== field)
      .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)},`)
      .join('')}${JSON.stringify(field)}:${json}}`;
  const routes: readonly {
    readonly method: string;
    readonly path: string;
    readonly base: Readonly<Record<string, unknown>>;
    readonly fair: Readonly<Record<string, readonly string[]>>;
  }[] = [
    {
      method: 'POST',
      path: '/v1/accounts',
      base: { username: 'new@example.test', password: 'secret secret' },
      fair: {
        password: ['a string with CR and LF', 'a string with NUL', 'a lone surrogate'],
        displayName: ['an empty string', 'a string with CR and LF', 'a string with NUL', 'a lone surrogate'],
        addresses: ['an array'],
        quotaOctets: ['a number'],
      },
    },
    {
      method: 'PATCH',
      path: `/v1/accounts/${ADA}`,
      base: {},
      fair: {
        displayName: ['an empty string', 'a string with CR and LF', 'a string with NUL', 'a lone surrogate', 'null'],
        quotaOctets: ['a number', 'null'],
      },
    },
    {
      method: 'PUT',
      path: `/v1/accounts/${ADA}/password`,
      base: {},
      fair: { password: ['a string with CR and LF', 'a string with NUL', 'a lone surrogate'] },
    },
    { method: 'POST', path: `/v1/accounts/${ADA}/addresses`, base: {}, fair: {} },
    { method: 'PUT', path: '/v1/aliases/all@example.test', base: {}, fair: { to: ['an array'] } },
  ];
  const names: Readonly<Record<string, readonly string[]>> = {
    '/v1/accounts': [
      'username',
      'password',
      'passwordHash',
      'displayName',
      'addresses',
      'quotaOctets',
      'allow',
      '__proto__',
      'constructor',
      'admin',
    ],
    [`/v1/accounts/${ADA}`]: ['displayName', 'quotaOctets', 'allow', 'username', '__proto__'],
    [`/v1/accounts/${ADA}/password`]: ['password', 'passwordHash'],
    [`/v1/accounts/${ADA}/addresses`]: ['address'],
    '/v1/aliases/all@example.test': ['to'],
  };
  for (const { method, path, base, fair } of routes) {
    await attack(`${method} ${path.replace(ADA, 'NAME')}: wrong values in every field`, async () => {
      const wrong: string[] = [];
      for (const field of names[path] ?? []) {
        for (const [name, json] of bodies) {
          if (Object.hasOwn(fair, field) && fair[field]?.includes(name) === true) continue;
          const reply = await ask(method, path, fields(field, json, base));
          const text = await reply.text();
          if (![400, 404, 409, 413].includes(reply.status)) wrong.push(`${field} is ${name}: ${reply.status} ${text.slice(0, 150)}`);
          if (reply.status === 201 && path === '/v1/accounts') await ask('DELETE', '/v1/accounts/new@example.test');
        }
      }
      for (const [name, json] of bodies) {
        const reply = await ask(method, path, json);
        if (reply.status >= 500 || reply.status < 400) wrong.push(`body is ${name}: ${reply.status}`);
      }
      for (const text of ['', '{', '{"a":', 'null', '[]', '"', '\0', '{"username":"a","username":"b"'] as const) {
        const reply = await ask(method, path, text);
        if (reply.status >= 500 || reply.status < 400) wrong.push(`body is ${JSON.stringify(text)}: ${reply.status}`);
      }
      const reply = await ask(method, path, '<x/>', 'application/xml');
      if (reply.status !== 415) wrong.push(`XML: ${reply.status}`);
      assert.deepEqual(wrong, []);
    });
  }

  await attack('paths and queries', async () => {
    const wrong: string[] = [];
    for (const path of [
      '/v1/accounts/__proto__',
      '/v1/accounts/constructor',
      '/v1/accounts/%00',
      '/v1/accounts/..%2f..%2fetc',
      '/v1/accounts/%',
      '/v1/accounts/%ff',
      `/v1/accounts/${'x'.repeat(5_000)}`,
      '/v1/accounts?limit=1e308',
      '/v1/accounts?limit=-1',
      `/v1/accounts?after=${'x'.repeat(1_000)}`,
      '/v1/accounts/__proto__/mailboxes',
      '/v1/accounts/__proto__/events',
      '/v1/../etc/passwd',
      '//',
      '/v1/aliases/__proto__',
      '/docs/..%2f..%2fpackage.json',
    ]) {
      const reply = await ask('GET', path);
      await reply.arrayBuffer();
      if (reply.status < 400 || reply.status >= 500) wrong.push(`${path.slice(0, 60)}: ${reply.status}`);
    }
    for (const query of [
      '',
      'to=',
      'to=__proto__',
      'to=a%00b@example.test',
      `to=${ADA}&to=${'x'.repeat(10_000)}`,
      `to=${ADA}&from=a%0d%0aRCPT`,
      `to=${ADA}&from=${'x'.repeat(1_000)}`,
      'to[$gt]=',
    ]) {
      const reply = await ask('POST', `/v1/deliveries?${query}`, 'Subject: x\r\n\r\nx\r\n', 'message/rfc822');
      const text = await reply.text();
      if (reply.status >= 500 || (reply.status < 400 && text.includes('"stored":true')))
        wrong.push(`deliveries?${query.slice(0, 60)}: ${reply.status} ${text.slice(0, 100)}`);
    }
    for (const [body, type] of [
      ['{}', 'application/json'],
      ['x', 'text/plain'],
      ['', 'message/rfc822'],
    ] as const) {
      const reply = await ask('POST', `/v1/deliveries?to=${ADA}`, body, type);
      if (reply.status >= 500 || (type !== 'message/rfc822' && reply.status < 400)) wrong.push(`delivery of ${type}: ${reply.status}`);
    }
    const big = await ask('POST', `/v1/deliveries?to=${ADA}`, Buffer.alloc(53_000_000, 'a'), 'message/rfc822');
    // The next request must not wait behind what nobody reads.
    if (big.status !== 413) wrong.push(`delivery of 53 MB: ${big.status}`);
    for (const mailbox of ['..', '__proto__', 'a%00b', 'a%0d%0ab', 'x'.repeat(2_000), 'd%2f'.repeat(300)]) {
      const reply = await ask('POST', `/v1/accounts/${ADA}/messages?mailbox=${mailbox}`, 'Subject: x\r\n\r\nx\r\n', 'message/rfc822');
      if (reply.status >= 500) wrong.push(`messages?mailbox=${mailbox.slice(0, 20)}: ${reply.status}`);
    }
    for (const id of ['-1', '1e308', '__proto__', '99999999999999999999', 'x'.repeat(5_000)]) {
      const abort = new AbortController();
      const reply = await fetch(`http://127.0.0.1:${port}/v1/accounts/${ADA}/events`, {
        headers: { authorization: `Bearer ${server.token}`, 'last-event-id': id },
        signal: abort.signal,
      });
      if (reply.status >= 500) wrong.push(`Last-Event-ID ${id.slice(0, 20)}: ${reply.status}`);
      abort.abort();
    }
    assert.deepEqual(wrong, []);
  });
});
