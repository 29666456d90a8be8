import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Delivery, Message } from '@pochard/plugin-sdk';
import { plugin } from './index.ts';

/** The lines of a header, as far as this plugin uses a message. */
function message(lines: readonly string[]): Message & { readonly lines: readonly string[] } {
  return {
    lines,
    sizeOctets: 0,
    open: async function* () {
      yield Buffer.from(lines.join('\r\n'));
    },
    header: { raw: Buffer.from(''), get: () => undefined, all: () => [] },
    text: async () => '',
    prepend: (name, value) => message([`${name}: ${value}`, ...lines]),
    without: (name) => message(lines.filter((line) => !line.startsWith(`${name}:`))),
    mapText: () => message(lines),
  };
}

async function stamp(config: object, lines: readonly string[]): Promise<unknown> {
  let tap: (delivery: object) => { readonly message: unknown } = () => ({ message: undefined });
  const hooks = { delivery: { received: { transform: (given: typeof tap) => (tap = given) } } };
  await plugin.apply({ hooks } as never, config as never);
  const delivery: Pick<Delivery, 'message' | 'with'> = { message: message(lines), with: (changed) => ({ message: changed }) as Delivery };
  return (tap(delivery).message as ReturnType<typeof message>).lines;
}

test('the field goes on top, and what the sender had put there stays', async () => {
  assert.deepEqual(await stamp({ name: 'X-Site', value: 'a', replace: false }, ['X-Site: forged', 'Subject: x']), [
    'X-Site: a',
    'X-Site: forged',
    'Subject: x',
  ]);
});

test('with `replace` the field is there once', async () => {
  assert.deepEqual(await stamp({ name: 'X-Site', value: 'a', replace: true }, ['X-Site: forged', 'Subject: x']), [
    'X-Site: a',
    'Subject: x',
  ]);
});

test('it asks for plaintext and for nothing else', () => {
  assert.deepEqual(plugin.permissions, ['plaintext']);
});
