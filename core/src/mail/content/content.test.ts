import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { brotliCompressSync, brotliDecompressSync } from 'node:zlib';
import { Damaged, definePlugin, Gone, Locked, type Plugin } from '@pochard/plugin-sdk';
import { normaliseCrlf } from '../../mime/crlf.ts';
import type { ContentId, MetaColumn, NewContent } from '../../store/store.ts';
import { runOf } from '../journal/uid-runs.ts';
import type { HookedMailAccess } from '../mail-access.ts';
import { collect, startMail, type TestHost } from '../mail-test-host.ts';
import { mailboxRef, messageRef } from '../sdk-values.ts';
import { parseSource } from './parsed-source.ts';

const corpus = join(import.meta.dirname, '../../../../../shared/corpus/messages');
const columns: readonly MetaColumn[] = ['envelope', 'structure', 'body', 'preview', 'sentAt', 'head', 'parts', 'headText'];
const all = runOf(1, 0xffff_ffff);

/** With numbers in it, so that no two blocks are alike. */
function noise(octets: number, seed = 1): Buffer {
  const out = Buffer.alloc(octets);
  for (let at = 0, state = seed; at < octets; at += 1) {
    state = (state * 1_103_515_245 + 12_345) & 0x7fff_ffff;
    out[at] = state >>> 16;
  }
  return out;
}
function withAttachment(data: Buffer, lineLength = 76): Buffer {
  const body = data.toString('base64').replaceAll(new RegExp(`.{${lineLength}}`, 'g'), '$&\r\n');
  return Buffer.from(
    'Message-ID: <a@b>\r\nSubject: canary\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello canary\r\n--b\r\n' +
      `Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n${body}\r\n--b--\r\n`,
  );
}
async function append(host: TestHost, access: HookedMailAccess, raw: Uint8Array): Promise<ContentId> {
  await access.append(host.box(access, 'INBOX'), [{ source: host.source(Buffer.from(raw)), flags: [] }], host.never);
  const id = (await host.contentIds(access, 'INBOX')).at(-1);
  assert.ok(id);
  return id;
}
async function opened(access: HookedMailAccess, id: ContentId) {
  const [content] = await access.content.open([id]);
  assert.ok(content);
  return content;
}
async function stored(host: TestHost, access: HookedMailAccess, id: ContentId) {
  const [content] = await host.store.contents.load(access.mail.account, [id]);
  assert.ok(content);
  return content;
}
async function adasMail(host: TestHost): Promise<HookedMailAccess> {
  const { id } = await host.account('ada@example.test');
  return host.admin(id);
}

/** Not for use: a stream cipher of one octet, but with all the manners of an encrypting codec. */
function toyCrypt(state: { fails?: boolean } = {}): Plugin {
  return definePlugin({
    name: 'toy-crypt',
    permissions: ['plaintext'],
    apply({ hooks, sessionSecret }) {
      const unlocked = sessionSecret<{ open: boolean }>({ wipe() {} });
      hooks.auth.succeeded.gate((login) => unlocked.attach(login, { open: true }));
      const mask = (octets: Uint8Array) => octets.map((octet) => octet ^ 0x5a);
      async function* masked(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
        for await (const chunk of stream) yield mask(chunk);
      }
      hooks.store.codec.declare({
        name: 'toy',
        stage: 'encrypt',
        appliesTo: ({ domain }) => domain === 'example.test',
        encode(plain, { notes, binding }) {
          if (state.fails === true) throw new Error('no entropy');
          notes.set('binding', binding);
          return masked(plain.open());
        },
        decode(encoded, { session, notes, binding }) {
          if (unlocked.of(session) === undefined) throw new Locked();
          if (Buffer.compare(notes.get('binding') ?? new Uint8Array(), binding) !== 0) throw new Damaged();
          return masked(encoded.open());
        },
        decodeRange: (encoded, range) => masked(encoded.open(range)),
        canOpen: (_account, session) => unlocked.of(session) !== undefined,
        sealMetadata: (plain, { binding }) => mask(Buffer.concat([binding, Buffer.from('\0\0'), plain])),
        openMetadata(sealed, { session }) {
          if (unlocked.of(session) === undefined) throw new Locked();
          return sealed.map(({ octets, binding }) => {
            const plain = mask(octets);
            if (Buffer.compare(plain.subarray(0, binding.length), binding) !== 0) throw new Damaged();
            return { plain: plain.subarray(binding.length + 2), replacement: octets };
          });
        },
      });
    },
  });
}
const brotli = definePlugin({
  name: 'compressor',
  permissions: ['plaintext'],
  apply({ hooks }) {
    hooks.store.codec.declare({
      name: 'brotli',
      stage: 'compress',
      appliesTo: () => true,
      async *encode(plain, { notes }) {
        const octets = await collect(plain.open());
        notes.set('plain', Buffer.from(String(octets.length)));
        yield brotliCompressSync(octets);
      },
      async *decode(encoded, { notes }) {
        const octets = brotliDecompressSync(await collect(encoded.open()));
        if (String(octets.length) !== Buffer.from(notes.get('plain') ?? []).toString()) throw new Damaged();
        yield octets;
      },
    });
  },
});

test('a missing blob, a part table or a recipe that was altered: damaged, and nothing is shown', async (t) => {
  const host = await startMail(t);
  const access = await adasMail(host);
  const raw = withAttachment(noise(120_000));
  const id = await append(host, access, raw);
  const original = host.store.contents.load.bind(host.store.contents);
  const altered = async (change: (content: Awaited<ReturnType<typeof stored>>) => object) => {
    host.store.contents.load = async (account, ids) =>
      (await original(account, ids)).map((content) => content && { ...content, ...change(content) });
    return opened(await host.admin(access.mail.account), id);
  };
  const read = (content: Awaited<ReturnType<typeof opened>>) => collect(content.read(0, content.sizeOctets, host.never));
  const noBlob = await altered(({ segments }) => ({
    segments: segments.map((s) => (s.at === 'blob' ? { ...s, blob: 'ab'.repeat(32) } : s)),
  }));
  await assert.rejects(read(noBlob), { code: 'damaged' });
});

test('a recipe, a manifest or a part table that makes no sense', async (t) => {
  const host = await startMail(t);
  const access = await adasMail(host);
  const id = await append(host, access, withAttachment(noise(120_000)));
  const original = host.store.contents.load.bind(host.store.contents);
  const cases: readonly ((content: Awaited<ReturnType<typeof stored>>) => object)[] = [
    ({ segments }) => ({ segments: segments.map((s) => (s.at === 'blob' ? { ...s, recipe: Uint8Array.of(9, 9, 9) } : s)) }),
    ({ segments }) => ({ segments: segments.slice(0, 1) }),
    ({ segments }) => ({ segments: segments.map((s) => (s.at === 'blob' ? { ...s, sizeOctets: s.sizeOctets + 2 } : s)) }),
  ];
  for (const change of cases) {
    host.store.contents.load = async (account, ids) =>
      (await original(account, ids)).map((content) => content && { ...content, ...change(content) });
    const content = await (async () => {
      const [loaded] = await host.store.contents.load(access.mail.account, [id]);
      assert.ok(loaded);
      host.parts.cache.set(access.mail.account, loaded);
      return opened(access, id);
    })();
    await assert.rejects(collect(content.read(0, content.sizeOctets, host.never)), { code: 'damaged' });
  }
});

test('a small message is one segment; its header block lies apart', async (t) => {
  const host = await startMail(t);
  const access = await adasMail(host);
  const raw = Buffer.from('Subject: x\r\n\r\nbody\r\n');
  const content = await stored(host, access, await append(host, access, raw));
  assert.equal(content.bodyOffset, 14);
  assert.deepEqual(
    content.segments.map(({ at, sizeOctets }) => [at, sizeOctets]),
    [['inline', 6]],
  );
  for (const odd of ['', '\r\n', 'Subject: only a head\r\n', 'no header at all', '\r\nbody', `${'X: y\r\n'.repeat(200_000)}\r\nbody`]) {
    const id = await append(host, access, Buffer.from(odd));
    const view = await opened(access, id);
    assert.equal((await collect(view.read(0, view.sizeOctets, host.never))).toString(), odd);
    assert.equal(view.sizeOctets, odd.length);
    const piece = view.bytes(3, 12);
    if (piece !== undefined) assert.equal(Buffer.from(piece).toString(), odd.slice(3, 12));
  }
});

test('a 3 MB attachment lies decoded, once, and any range of it reads what it needs', async (t) => {
  const host = await startMail(t);
  const access = await adasMail(host);
  const data = noise(3_000_001);
  const raw = withAttachment(data);
  const id = await append(host, access, raw);
  const twin = await append(host, access, Buffer.concat([Buffer.from('X-Other: 1\r\n'), raw]));
  const [one, two] = [await stored(host, access, id), await stored(host, access, twin)];
  const blobs = [one, two].flatMap(({ segments }) => segments.filter((segment) => segment.at === 'blob'));
  assert.equal(blobs.length, 2);
  assert.equal(blobs[0]?.blobOctets, data.length);
  assert.equal(blobs[0]?.blob, blobs[1]?.blob);
  const content = await opened(access, id);
  assert.equal(Buffer.compare(await collect(content.read(0, content.sizeOctets, host.never)), raw), 0);
  const before = host.parts.cache.octetsRead.blob;
  for (const [from, to] of [
    [0, 1],
    [200, 400],
    [1_000_000, 1_001_024],
    [raw.length - 30, raw.length + 5],
    [raw.length, raw.length + 1],
  ] as const) {
    assert.equal(Buffer.compare(await collect(content.read(from, to, host.never)), raw.subarray(from, to)), 0, `${from}-${to}`);
  }
  assert.ok(host.parts.cache.octetsRead.blob - before < 4000, 'no more than the ranges need');
});

test('parts that base64 cannot make again, and big text, lie as they are', async (t) => {
  const host = await startMail(t);
  const access = await adasMail(host);
  const odd = Buffer.from(withAttachment(noise(90_000)).toString().replace('\r\n--b--', '=\r\n--b--'));
  const text = Buffer.from(`Subject: long\r\n\r\n${'a line of text\r\n'.repeat(30_000)}`);
  const glue = Buffer.concat([
    Buffer.from('Content-Type: multipart/mixed; boundary=b\r\n\r\n'),
    ...Array.from({ length: 20 }, (_, n) => Buffer.from(`--b\r\n\r\n${`part ${n} `.repeat(4000)}\r\n`)),
    Buffer.from('--b--\r\n'),
  ]);
  for (const raw of [odd, text, glue]) {
    const id = await append(host, access, raw);
    const { segments } = await stored(host, access, id);
    assert.ok(segments.some((segment) => segment.at === 'blob' && segment.recipe.length === 0));
    const view = await opened(access, id);
    assert.equal(Buffer.compare(await collect(view.read(0, view.sizeOctets, host.never)), raw), 0);
  }
});

test('equal parts are stored once per account, or once for all', async (t) => {
  const raw = withAttachment(noise(100_000));
  for (const dedupe of ['account', 'global'] as const) {
    const host = await startMail(t, { settings: { attachments: { thresholdOctets: 50_000, dedupe } } });
    const ids = await Promise.all(
      ['ada', 'bea'].map(async (name) => {
        const access = await host.admin((await host.account(name)).id);
        const { segments } = await stored(host, access, await append(host, access, raw));
        return segments.find((segment) => segment.at === 'blob')?.blob;
      }),
    );
    assert.equal(ids[0] === ids[1], dedupe === 'global');
  }
});

for (const [name, plugins] of [
  ['compressed', [brotli]],
  ['sealed', [toyCrypt()]],
  ['compressed, then sealed', [toyCrypt(), brotli]],
] as const) {
  test(`mail that lies ${name} comes back octet for octet, whole and in ranges`, async (t) => {
    const host = await startMail(t, { plugins: plugins.map((plugin) => ({ plugin, sealedAccounts: 'allow' as const })) });
    await host.account('ada@example.test');
    const { access: shown, account } = await host.login('ada@example.test', 'secret');
    const access = shown as HookedMailAccess;
    assert.equal(account.sealed, name !== 'compressed');
    for (const raw of [
      Buffer.from('Subject: canary\r\n\r\ncanary\r\n'),
      Buffer.from(''),
      withAttachment(noise(400_000)),
      withAttachment(noise(60_000)),
    ]) {
      const id = await append(host, access, raw);
      const row = await stored(host, access, id);
      assert.ok(row.codecs.length > 0);
      const content = await opened(access, id);
      assert.equal(Buffer.compare(await collect(content.read(0, content.sizeOctets, host.never)), raw), 0);
      for (const [from, to] of [
        [0, 5],
        [18, 25],
        [300, 301],
        [50_000, 50_100],
        [raw.length - 3, raw.length],
      ] as const) {
        assert.equal(Buffer.compare(await collect(content.read(from, to, host.never)), raw.subarray(Math.max(0, from), to)), 0, `${from}`);
      }
      const [meta] = await access.content.meta([id], columns);
      assert.equal(meta?.preview, raw.length === 0 ? '' : raw.length < 100 ? 'canary' : 'hello canary');
      assert.equal(meta?.headText, Buffer.from(content.head).toString('latin1'));
    }
    // What lies there shows nothing of sealed mail.
    if (name === 'compressed') return;
    for (const id of await host.contentIds(access, 'INBOX')) {
      const row = await stored(host, access, id);
      assert.ok('sealed' in row.meta && !Buffer.from(row.meta.sealed).includes('canary'));
      for (const segment of row.segments) {
        if (segment.at === 'inline') assert.equal(Buffer.from(segment.data ?? []).includes('canary'), false);
        else
          assert.equal((await collect(host.store.blobs.read(segment.blob, 0, segment.blobOctets, host.never))).includes('canary'), false);
      }
    }
  });
}

test('sealed mail: delivery needs no session, reading does; what was moved is damaged; a codec that fails stores nothing plain', async (t) => {
  const state = { fails: false };
  const host = await startMail(t, { plugins: [{ plugin: toyCrypt(state) }] });
  const { id: accountId } = await host.account('ada@example.test');
  await host.send('Message-ID: <1@x>\r\nSubject: canary\r\n\r\nhello\r\n', ['ada@example.test']);
  const admin = await host.admin(accountId);
  const inbox = host.box(admin, 'INBOX');
  const [id] = await host.contentIds(admin, 'INBOX');
  assert.ok(id);
  await assert.rejects(admin.authorize(inbox, all, 'content'), { code: 'locked' });
  await admin.authorize(inbox, all, 'metadata');
  await assert.rejects(admin.content.meta([id], ['envelope']), { code: 'locked' });
  await assert.rejects(admin.content.open([id]), { code: 'locked' });
  const { access: shown } = await host.login('ada@example.test', 'secret');
  const access = shown as HookedMailAccess;
  await access.authorize(inbox, all, 'content');
  assert.match((await access.content.meta([id], ['envelope']))[0]?.envelope ?? '', /canary/);
  // Ciphertext of one message under the id of another.
  await host.send('Message-ID: <2@x>\r\nSubject: other\r\n\r\nhello\r\n', ['ada@example.test']);
  const other = (await host.contentIds(admin, 'INBOX')).at(-1);
  assert.ok(other);
  const { meta } = await stored(host, admin, other);
  assert.ok('sealed' in meta);
  await host.store.contents.reseal(accountId, id, meta.sealed);
  await assert.rejects(access.content.open([id]), { code: 'damaged' });
  state.fails = true;
  const [outcome] = await host.send('Message-ID: <3@x>\r\n\r\nhello\r\n', ['ada@example.test']);
  assert.equal(outcome?.stored === false && 'code' in outcome.error && outcome.error.code, 'unavailable');
  assert.equal(admin.mail.byName('INBOX')?.messages, 2);
});

test('content whose codec is missing is not served', async (t) => {
  const host = await startMail(t, { plugins: [{ plugin: brotli }] });
  const access = await adasMail(host);
  const id = await append(host, access, Buffer.from('Subject: x\r\n\r\nbody\r\n'));
  await host.hooks.reload([]);
  const content = await opened(access, id);
  assert.throws(() => content.requireReadable(), { code: 'unavailable' });
  await assert.rejects(collect(content.read(0, 20, host.never)), { code: 'unavailable' });
  assert.equal(Buffer.from(content.head).toString(), 'Subject: x\r\n\r\n'); // it lies plain
});

test('plugins open messages through the gates: gone, locked, as received', async (t) => {
  const host = await startMail(t, { plugins: [{ plugin: toyCrypt() }] });
  await host.account('ada@example.test');
  const { access: shown, account, actor, session } = await host.login('ada@example.test', 'secret');
  const access = shown as HookedMailAccess;
  const raw = Buffer.from('Subject: =?utf-8?Q?=C3=BC?=\r\n\r\nhello\r\n');
  await append(host, access, raw);
  const info = access.mail.byName('INBOX');
  assert.ok(info);
  const refs: ReturnType<typeof messageRef>[] = [];
  (await access.mail.state(info.id)).visit(all, (words, at, uid) => {
    refs.push(messageRef(access.mail.account, mailboxRef(access.mail.account, info), uid, words, at));
  });
  const [ref] = refs;
  assert.ok(ref);
  const message = await host.host.messages.open(ref, { actor, session, account });
  assert.equal(message.header.get('subject'), 'ü');
  assert.equal(Buffer.compare(await collect(message.open()), raw), 0);
  await assert.rejects(host.host.messages.open(ref, { actor, account }), Locked);
  await assert.rejects(host.host.messages.open({ ...ref, uid: 77 as typeof ref.uid }, { actor, session, account }), Gone);
});

test('the corpus comes back octet for octet, small threshold, trace fields before it', async (t) => {
  if (!existsSync(corpus)) {
    t.skip(`no corpus at ${corpus}: NOT TESTED`);
    return;
  }
  const host = await startMail(t, { settings: { attachments: { thresholdOctets: 1024, dedupe: 'global' } } });
  const access = await adasMail(host);
  const prefix = Buffer.from('Received: by x\r\n');
  let messages = 0;
  let recoded = 0;
  for (const source of readdirSync(corpus)) {
    for (const file of readdirSync(join(corpus, source))) {
      const raw = normaliseCrlf(readFileSync(join(corpus, source, file)));
      for (const before of [Buffer.alloc(0), prefix]) {
        const parsed = await parseSource(host.source(raw), 'parse', host.never);
        const content: NewContent = await host.parts.ingest.prepare(parsed, before, {
          account: access.account,
          actor: host.parts.actors.system,
          session: undefined,
          signal: host.never,
        });
        host.store.contents.add(access.mail.account, content);
        const view = await opened(access, content.id);
        const whole = Buffer.concat([before, raw]);
        assert.equal(view.sizeOctets, whole.length, file);
        assert.equal(Buffer.compare(await collect(view.read(0, view.sizeOctets, host.never)), whole), 0, `${source}/${file}`);
        const from = Math.floor(whole.length / 3);
        assert.equal(Buffer.compare(await collect(view.read(from, from + 700, host.never)), whole.subarray(from, from + 700)), 0, file);
        recoded += content.segments.filter((segment) => segment.at === 'blob' && segment.recipe.length > 0).length;
      }
      messages += 1;
    }
  }
  assert.ok(messages > 1000);
  t.diagnostic(`${messages} messages, ${recoded} parts lie decoded`);
});
