import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusal } from '@pochard/plugin-sdk';
import { silentLog } from './log.ts';
import { PluginHost } from './plugin-host.ts';
import { actor, context, delivery, message } from './test-values.ts';

test('the example plugins load by name and do through the guard what they say', async (t) => {
  const host = new PluginHost({ log: silentLog, configFolder: '/' });
  t.after(() => host.close());
  await host.reload([
    { use: 'examples/refuse-recipient', config: { addresses: ['former@a.example'] } },
    { use: 'examples/stamp-header', config: { value: 'a.example', replace: true } },
    { use: 'examples/compress-codec' },
  ]);
  const ask = async (address: string) =>
    host.gate('rcpt.accept', { address, reversePath: 'bob@b.example', declaredOctets: undefined }, context);
  await ask('ada@a.example');
  await assert.rejects(ask('Former@a.example'), (error) => error instanceof Refusal && error.message === 'This address does not take mail');

  const received = await host.transform('delivery.received', delivery(message('X-Stamp: forged\r\nSubject: x\r\n\r\n')), { actor });
  assert.equal(await received.message.text(), 'X-Stamp: a.example\r\nSubject: x\r\n\r\n');

  const [codec] = host.declared('store.codec');
  assert(codec?.decodeRange);
  const notes = new Map<string, Uint8Array>();
  const codecContext = {
    ...context,
    binding: Buffer.from('x'),
    notes: { get: (name: string) => notes.get(name), set: (name: string, octets: Uint8Array) => void notes.set(name, octets) },
  };
  const plain = { role: 'message' as const, plainOctets: 600_000, open: message('ocelot'.repeat(100_000)).open };
  const chunks: Uint8Array[] = [];
  for await (const chunk of await codec.encode(plain, codecContext)) chunks.push(chunk);
  const encoded = Buffer.concat(chunks);
  const stored = { role: 'message' as const, plainOctets: 600_000, open: message(encoded.toString('latin1')).open };
  let text = '';
  for await (const chunk of await codec.decodeRange(stored, { start: 300_000, end: 300_006 }, codecContext))
    text += Buffer.from(chunk).toString();
  assert.equal(text, 'ocelot');
});
