import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collect } from '../mail-test-host.ts';
import type { MessageSource } from '../services.ts';
import { messageView } from './message-view.ts';
import { type ParsedSource, parseSource } from './parsed-source.ts';

const never = new AbortController().signal;
const mail = Buffer.from(
  'Received: by a\r\nSubject: =?utf-8?Q?gr=C3=BC=C3=9Fe?=\r\nX-Spam: yes\r\n  folded\r\nReceived: by b\r\nMIME-Version: 1.0\r\n' +
    'Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n' +
    'Content-Transfer-Encoding: quoted-printable\r\n\r\nhello w=C3=B6rld\r\n--b\r\nContent-Type: text/plain\r\n' +
    'Content-Disposition: attachment\r\n\r\nhello attachment\r\n--b--\r\n',
);

function memory(bytes: Uint8Array): MessageSource {
  return {
    sizeOctets: bytes.length,
    bytes,
    async *open(range) {
      yield range === undefined ? bytes : bytes.subarray(range.start, range.end);
    },
    async dispose() {},
  };
}
/** As a spooled one: nothing in memory, small chunks. */
function streamed(bytes: Uint8Array): MessageSource {
  return {
    sizeOctets: bytes.length,
    bytes: undefined,
    async *open(range) {
      for (let at = range?.start ?? 0; at < (range?.end ?? bytes.length); at += 7) {
        yield bytes.subarray(at, Math.min(at + 7, range?.end ?? bytes.length));
      }
    },
    async dispose() {},
  };
}
async function view(source: MessageSource) {
  const parsed: ParsedSource = await parseSource(source, 'parse', never);
  return messageView(parsed);
}
async function text(
  message: { open(range?: { start: number; end: number }): AsyncIterable<Uint8Array> },
  range?: { start: number; end: number },
) {
  return (await collect(message.open(range))).toString();
}

test('a field with a line end or a bad name is refused', async () => {
  const message = await view(memory(mail));
  assert.throws(() => message.prepend('X-A', 'b\r\nX-C: d'), TypeError);
  assert.throws(() => message.prepend('X-A', 'b\0'), TypeError);
  assert.throws(() => message.prepend('X A', 'b'), TypeError);
  assert.throws(() => message.prepend('X:A', 'b'), TypeError);
});

for (const [name, make] of [
  ['in memory', memory],
  ['spooled', streamed],
] as const) {
  test(`header, text and octets of a message ${name}`, async () => {
    const message = await view(make(mail));
    assert.equal(message.header.get('subject'), 'grüße');
    assert.deepEqual(message.header.all('RECEIVED'), ['by a', 'by b']);
    assert.equal(message.header.get('__proto__'), undefined);
    assert.equal(await text(message), mail.toString());
    assert.equal(await text(message, { start: 5, end: 30 }), mail.subarray(5, 30).toString());
    assert.ok((await message.text()).includes('hello wörld'));
  });

  test(`each change of a message ${name} gives a new one; sizes are exact`, async () => {
    const message = await view(make(mail));
    const changed = message
      .prepend('X-Note', 'ünïcode')
      .without('x-spam')
      .mapText((body) => body.replace('hello', 'HELLO TO YOU'));
    const octets = await text(changed);
    assert.equal(Buffer.byteLength(octets), changed.sizeOctets);
    assert.ok(octets.startsWith('X-Note: =?utf-8?B?'));
    assert.equal(changed.header.get('x-note'), 'ünïcode');
    assert.equal(octets.includes('X-Spam'), false);
    assert.equal(octets.includes('folded'), false);
    assert.ok(octets.includes('HELLO TO YOU w=C3=B6rld\r\n--b'));
    assert.ok(octets.includes('hello attachment'));
    assert.equal(await text(changed, { start: 10, end: 200 }), octets.slice(10, 200));
    assert.equal(await text(message), mail.toString());
  });
}

test('signed text is left alone', async () => {
  const signed = Buffer.from(mail.toString().replace('multipart/mixed', 'multipart/signed'));
  const message = await view(memory(signed));
  assert.equal(await text(message.mapText(() => 'changed')), signed.toString());
});
