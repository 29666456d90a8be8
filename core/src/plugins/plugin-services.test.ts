import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Account, AccountId, Call } from '@pochard/plugin-sdk';
import { Octets, Type } from '@pochard/plugin-sdk';
import { SchemaChecker } from './config-check.ts';
import type { TableStore } from './host-services.ts';
import { createCommit } from './identities.ts';
import { PluginHttp } from './plugin-http.ts';
import { pluginTable, ScratchTables } from './plugin-table.ts';
import { AddressRules } from './private-addresses.ts';
import { ada, context, message, pluginOf, startHost } from './test-values.ts';

async function rowsOf<T>(entries: AsyncIterable<T>): Promise<readonly T[]> {
  const rows: T[] = [];
  for await (const row of entries) rows.push(row);
  return rows;
}

class MemoryTables implements TableStore {
  readonly rows = new Map<string, Uint8Array>();
  readonly commits: unknown[] = [];
  async get(table: string, owner: AccountId | 'all', key: string) {
    return this.rows.get(`${table} ${owner} ${key}`);
  }
  async put(table: string, owner: AccountId | 'all', key: string, row: Uint8Array, options: { readonly in: unknown }) {
    this.rows.set(`${table} ${owner} ${key}`, row);
    this.commits.push(options.in);
  }
  async delete(table: string, owner: AccountId | 'all', key: string) {
    this.rows.delete(`${table} ${owner} ${key}`);
  }
  async *entries(table: string, owner: AccountId | 'all', prefix: string) {
    const start = `${table} ${owner} `;
    for (const [place, row] of this.rows) {
      if (place.startsWith(start + prefix)) yield [place.slice(start.length), row] as const;
    }
  }
}

test('private and special addresses are not reached, unless listed', () => {
  const rules = new AddressRules(['10.1.0.0/16', 'fd00::/8']);
  for (const address of [
    '127.0.0.1',
    '10.2.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '255.255.255.255',
    '224.0.0.1',
    '::1',
    '::',
    'fe80::1',
    'fc00::1',
    '::ffff:127.0.0.1',
    '::ffff:10.2.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    'localhost',
  ]) {
    assert.equal(rules.permits(address), false, address);
  }
  for (const address of ['8.8.8.8', '10.1.2.3', '2606:4700::1', 'fd00::1', '::ffff:8.8.8.8', '::ffff:10.1.2.3'])
    assert.equal(rules.permits(address), true, address);
  for (const wrong of ['10.0.0.0', '10.0.0.0/33', 'x/8', '10.0.0.0/', '::/129']) assert.throws(() => new AddressRules([wrong]), TypeError);
});

async function webServer(t: TestContext, answer: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(answer ?? (() => undefined));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const never = new AbortController().signal;

test('http: a literal private address and a name that leads to one are refused before a connection is made', async (t) => {
  let asked = 0;
  const url = await webServer(t, () => (asked += 1));
  const http = new PluginHttp({
    privateNetworks: [],
    lookup: (_name, _options, callback) => callback(null, [{ address: '127.0.0.1', family: 4 }]),
  });
  t.after(() => http.close());
  await assert.rejects(http.send({ method: 'GET', url }, never), /private address/);
  await assert.rejects(http.send({ method: 'GET', url: url.replace('127.0.0.1', 'rebind.example') }, never), /private address/);
  await assert.rejects(http.send({ method: 'GET', url: url.replace('127.0.0.1', '0x7f.1') }, never), /private address/);
  await assert.rejects(http.send({ method: 'GET', url: 'file:///etc/passwd' }, never), /http and https only/);
  assert.equal(asked, 0);
});

test('http: sends a message, reads the reply, follows no redirect, stops at 64 KiB and at the signal', async (t) => {
  const received: Buffer[] = [];
  const url = await webServer(t, (request, response) => {
    request.on('data', (chunk: Buffer) => received.push(chunk));
    request.on('end', () => {
      if (request.url === '/long') response.end(Buffer.alloc(100_000));
      else if (request.url === '/redirect') response.writeHead(302, { location: '/' }).end();
      else if (request.url !== '/hang') response.writeHead(201, { 'x-a': ['1', '2'] }).end('{"ok":true}');
    });
  });
  const http = new PluginHttp({ privateNetworks: ['127.0.0.0/8'] });
  t.after(() => http.close());
  const reply = await http.send({ method: 'POST', url, body: message('Subject: ocelot\r\n\r\n') }, never);
  assert.deepEqual([reply.status, reply.headers.get('x-a'), await reply.json()], [201, '1, 2', { ok: true }]);
  assert.equal(Buffer.concat(received).toString(), 'Subject: ocelot\r\n\r\n');
  assert.equal((await http.send({ method: 'GET', url: `${url}/redirect` }, never)).status, 302);
  const long = await http.send({ method: 'GET', url: `${url}/long` }, never);
  await assert.rejects(long.text(), RangeError);
  const ends = new AbortController();
  const hanging = http.send({ method: 'GET', url: `${url}/hang` }, ends.signal);
  ends.abort();
  await assert.rejects(hanging, { name: 'AbortError' });
});

test('a table keeps rows with octets, fills in defaults of today, and refuses what does not fit', async () => {
  const store = new MemoryTables();
  const checker = new SchemaChecker();
  const old = pluginTable(store, 'trial/keys', Type.Object({ key: Octets }), checker);
  const commit = createCommit({});
  await old.put(ada.id, 'slot/1', { key: Buffer.from([1, 2, 255]) }, { in: commit });
  assert.deepEqual(await old.get(ada.id, 'slot/1'), { key: new Uint8Array([1, 2, 255]) });
  assert.deepEqual(store.commits, [commit]);
  const today = pluginTable(store, 'trial/keys', Type.Object({ key: Octets, uses: Type.Number({ default: 1 }) }), checker);
  assert.deepEqual(await rowsOf(today.entries(ada.id, 'slot/')), [['slot/1', { key: new Uint8Array([1, 2, 255]), uses: 1 }]]);
  await assert.rejects(old.put(ada.id, 'x', { key: 'text' } as never), TypeError);
  await assert.rejects(old.put(ada.id, '', { key: new Uint8Array() }), TypeError);
  await assert.rejects(old.put(ada.id, 'x', { key: new Uint8Array(300_000) }), RangeError);
  await old.delete(ada.id, 'slot/1');
  assert.equal(await old.get(ada.id, 'slot/1'), undefined);
});

test("a shadow plugin's rows are seen by itself and by nobody else", async () => {
  const store = new MemoryTables();
  const checker = new SchemaChecker();
  const schema = Type.Object({ n: Type.Number() });
  const live = pluginTable(store, 'trial/rows', schema, checker);
  const shadow = pluginTable(new ScratchTables(store), 'trial/rows', schema, checker);
  await live.put('all', 'a', { n: 1 });
  await live.put('all', 'b', { n: 2 });
  await shadow.put('all', 'a', { n: 3 });
  await shadow.delete('all', 'b');
  assert.deepEqual(await rowsOf(shadow.entries('all')), [['a', { n: 3 }]]);
  assert.deepEqual(await live.get('all', 'a'), { n: 1 });
  assert.deepEqual(await live.get('all', 'b'), { n: 2 });
});

test('tasks: never beside themselves, with the plugin as actor, waited for at the end', async (t) => {
  const events: string[] = [];
  let finish: () => void = () => undefined;
  const find = async (id: AccountId): Promise<Account | undefined> => (id === ada.id ? ada : undefined);
  const { host, clock, logged } = await startHost(
    t,
    [
      pluginOf(({ tasks }) => {
        tasks.every({
          name: 'sweep',
          periodMs: 60_000,
          run: async ({ actor }) => {
            events.push(`sweep ${actor.type} ${actor.name}`);
            await new Promise<void>((resolve) => {
              finish = resolve;
            });
            events.push('swept');
          },
        });
        tasks.start({ name: 'import', accountId: ada.id, run: ({ account }) => void events.push(`import ${account.username}`) });
        tasks.start({ name: 'import', accountId: 'gone' as AccountId, run: () => void events.push('never') });
        tasks.start({
          name: 'broken',
          accountId: ada.id,
          run: () => {
            throw new Error('broken');
          },
        });
        assert.throws(() => tasks.every({ name: 'sweep', periodMs: 60_000, run: () => undefined }), TypeError);
        assert.throws(() => tasks.every({ name: 'fast', periodMs: 10, run: () => undefined }), RangeError);
      }),
    ],
    { accounts: { get: find, find: async () => undefined } },
  );
  await new Promise(setImmediate);
  assert.deepEqual(events, ['import ada@a.example']);
  assert.equal(logged.filter(({ message: text }) => text === 'task failed').length, 1);
  clock.advance(180_000);
  await new Promise(setImmediate);
  assert.deepEqual(events.slice(1), ['sweep plugin trial']);
  const { formerClosed } = await host.reload([]);
  finish();
  await formerClosed;
  assert.deepEqual(events.slice(2), ['swept']);
});

test('content is opened as who the tap was called for; a call that was made up is refused', async (t) => {
  const opened: string[] = [];
  let madeUp: unknown;
  const { host } = await startHost(
    t,
    [
      pluginOf(({ hooks, messages }) =>
        hooks.append.match.decide(async (_question, call) => {
          const ref = { accountId: ada.id } as never;
          await messages.open(ref, call);
          await messages.open(ref, { ...call, actor: call.actor } as Call as never).catch((error: unknown) => {
            madeUp = error;
          });
        }),
      ),
    ],
    {
      messages: {
        async open(_ref, { actor, session, account, signal }) {
          opened.push(`${actor.name} ${session?.id} ${account.username} ${signal?.aborted}`);
          return message('');
        },
      },
    },
  );
  const mailbox = { id: 'm' as never, accountId: ada.id, name: 'INBOX', specialUse: [] };
  await host.decide('append.match', { mailbox, flags: [] }, context);
  assert.deepEqual(opened, ['ada@a.example s1 ada@a.example false']);
  assert(madeUp instanceof TypeError);
});
