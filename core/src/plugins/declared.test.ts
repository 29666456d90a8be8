import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arg, type CompressCodec, Damaged, type Segment, type Stream, Type } from '@pochard/plugin-sdk';
import { HookUnavailable } from './errors.ts';
import type { CodecContext } from './hook-calls.ts';
import { account, context, hang, pluginOf, session, startHost } from './test-values.ts';

function segment(...chunks: readonly string[]): Segment {
  return {
    role: 'message',
    plainOctets: chunks.join('').length,
    open: async function* () {
      for (const chunk of chunks) yield Buffer.from(chunk);
    },
  };
}
const notes = new Map<string, Uint8Array>();
const codecContext: CodecContext = {
  ...context,
  binding: Buffer.from('ada/1'),
  notes: { get: (name) => notes.get(name), set: (name, octets) => void notes.set(name, octets) },
};
async function* upper(plain: Segment): Stream {
  for await (const chunk of plain.open()) yield Buffer.from(Buffer.from(chunk).toString().toUpperCase());
}
const codec: CompressCodec = { name: 'upper', stage: 'compress', appliesTo: () => true, encode: upper, decode: upper };
async function read(stream: Stream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += Buffer.from(chunk).toString();
  return text;
}

test('a codec streams; outside its scope it does not apply but still decodes', async (t) => {
  const { host } = await startHost(t, [[pluginOf(({ hooks }) => hooks.store.codec.declare(codec)), { scope: { domains: ['a.example'] } }]]);
  const [declared] = host.declared('store.codec');
  assert(declared);
  assert.equal(await declared.appliesTo(context.account, context), true);
  assert.equal(await declared.appliesTo(account('bob@b.example'), context), false);
  assert.equal(await read(await declared.encode(segment('ab', 'c'), codecContext)), 'ABC');
  assert.equal(await read(await declared.decode(segment('ab'), { ...codecContext, account: account('bob@b.example') })), 'AB');
  assert.equal(declared.decodeRange, undefined);
});

test('a stream that breaks, or gives what are no octets, is a temporary failure; Damaged says what it is', async (t) => {
  let stream: () => Stream = () => upper(segment('a'));
  const { host } = await startHost(t, [pluginOf(({ hooks }) => hooks.store.codec.declare({ ...codec, decode: () => stream() }))]);
  const [declared] = host.declared('store.codec');
  assert(declared);
  const decode = async () => read(await declared.decode(segment('a'), codecContext));
  stream = async function* () {
    yield Buffer.from('a');
    throw new Error('torn');
  };
  await assert.rejects(decode, HookUnavailable);
  stream = async function* () {
    yield 'text' as never;
  };
  await assert.rejects(decode, HookUnavailable);
  stream = () => ({}) as never;
  await assert.rejects(decode, HookUnavailable);
  stream = async function* () {
    yield Buffer.from('a');
    throw new Damaged();
  };
  await assert.rejects(decode, Damaged);
});

test('the deadline of a stream is the longest wait for a chunk, not counting what the core has to bring', async (t) => {
  const { host, clock } = await startHost(t, [
    pluginOf(({ hooks }) =>
      hooks.store.codec.declare({
        ...codec,
        decode: async function* () {
          yield Buffer.from('a');
          await hang();
        },
      }),
    ),
  ]);
  const [declared] = host.declared('store.codec');
  assert(declared);
  const stalled = (await declared.decode(segment('a'), codecContext))[Symbol.asyncIterator]();
  await stalled.next();
  const second = stalled.next();
  clock.advance(10_100);
  await assert.rejects(second, HookUnavailable);

  // The plugin waits for a client that types slowly: 60 s, and then all is well.
  let bring: () => void = () => undefined;
  const slow: Segment = {
    ...segment(),
    open: async function* () {
      await new Promise<void>((resolve) => {
        bring = resolve;
      });
      yield Buffer.from('a');
    },
  };
  const waiting = read(await declared.encode(slow, codecContext));
  await new Promise(setImmediate);
  clock.advance(60_000);
  bring();
  assert.equal(await waiting, 'A');
});

test('a reader that stops early closes the plugin’s stream', async (t) => {
  let isClosed = false;
  const { host } = await startHost(t, [
    pluginOf(({ hooks }) =>
      hooks.store.codec.declare({
        ...codec,
        decode: async function* () {
          try {
            for (;;) yield Buffer.from('a');
          } finally {
            isClosed = true;
          }
        },
      }),
    ),
  ]);
  for await (const _chunk of (await host.declared('store.codec')[0]?.decode(segment(), codecContext)) ?? []) break;
  await new Promise(setImmediate);
  assert(isClosed);
});

test('an encrypting codec seals metadata, one result for each; its own taps see its sealed accounts', async (t) => {
  const searched: string[] = [];
  const { host } = await startHost(t, [
    pluginOf(({ hooks }) => {
      hooks.search.rewrite.transform((query, call) => {
        searched.push(call.account.username);
        return query;
      });
      hooks.store.codec.declare({
        ...codec,
        name: 'sealed',
        stage: 'encrypt',
        canOpen: (_account, { id }) => {
          if (id === 's1') return true;
          throw new Error('no such session');
        },
        sealMetadata: (plain) => plain,
        openMetadata: (sealed) => sealed.slice(0, 1).map(({ octets }) => ({ plain: octets })),
      });
    }),
  ]);
  const [declared] = host.declared('store.codec');
  assert(declared?.canOpen && declared.openMetadata && declared.sealMetadata);
  assert.equal(declared.canOpen(context.account, session), true);
  assert.equal(declared.canOpen(context.account, { ...session, id: 'other' }), false);
  // Were it outside its own scope, the next mail would be stored plain.
  assert.equal(await declared.appliesTo(account('ada@a.example', { sealed: true }), context), true);
  const sealed = { octets: await declared.sealMetadata(Buffer.from('x'), codecContext), binding: codecContext.binding };
  assert.deepEqual(await declared.openMetadata([sealed], context), [{ plain: Buffer.from('x') }]);
  await assert.rejects(async () => declared.openMetadata?.([sealed, sealed], context), HookUnavailable);
  await host.transform('search.rewrite', { op: 'all' }, { ...context, account: account('ada@a.example', { sealed: true }), mailboxes: [] });
  assert.deepEqual(searched, ['ada@a.example']);
});

test('an IMAP command gets typed arguments and writes untagged replies; outside its scope it is not offered', async (t) => {
  const { host } = await startHost(t, [
    [
      pluginOf(({ hooks }) =>
        hooks.imap.command.declare({
          name: 'xping',
          states: ['authenticated'],
          args: arg.pairs({ count: arg.number }),
          handle: async ({ count }, { untagged, session: through }) => untagged('XPING', count, through.id),
        }),
      ),
      { scope: { accounts: ['ada@a.example'] } },
    ],
  ]);
  const [command] = host.declared('imap.command');
  assert(command);
  assert.equal(command.name, 'XPING');
  assert.equal(command.isOffered(context), true);
  assert.equal(command.isOffered({ ...context, account: account('bob@b.example') }), false);
  const written: unknown[] = [];
  const { value } = command.args.read(['count', '3'], 0);
  await command.handle(value, { ...context, session, selected: undefined, untagged: async (...reply) => void written.push(reply) });
  assert.deepEqual(written, [['XPING', 3, 's1']]);
});

test('a route replies with what it has declared, below its plugin’s name', async (t) => {
  let status: 200 | 404 = 200;
  const { host } = await startHost(t, [
    pluginOf(({ hooks }) =>
      hooks.http.route.declare({
        method: 'GET',
        path: '/holds/:username',
        scope: 'admin:holds',
        summary: 'Shows a hold',
        params: Type.Object({ username: Type.String() }),
        replies: { 200: Type.Object({ name: Type.String() }) },
        handle: ({ params }, { reply }) => reply(status as 200, { name: params.username }),
      }),
    ),
  ]);
  const [route] = host.declared('http.route');
  assert(route);
  assert.equal(route.path, '/plugins/trial/holds/:username');
  const request = { params: { username: 'ada' }, query: undefined, body: undefined };
  const reply = await route.handle(request, context);
  assert.deepEqual([reply.status, reply.body], [200, { name: 'ada' }]);
  status = 404;
  await assert.rejects(async () => route.handle(request, context), HookUnavailable);
});
