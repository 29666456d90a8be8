import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';

import { createLogger } from './logger.ts';
import { Secret } from './secret.ts';

function recorder(pretty = false) {
  const lines: string[] = [];
  const log = createLogger({ level: 'info', pretty, to: { write: (line) => lines.push(line) } });
  return { log, lines };
}

test('secrets and octets do not reach the log, at any depth, in errors, bindings or arrays', () => {
  const { log, lines } = recorder();
  const secret = new Secret('hunter2');
  const cause = Object.assign(new Error('inner'), { body: Buffer.from('hunter2'), secret });
  const loop: { secret: Secret; self?: object } = { secret };
  loop.self = loop;
  log
    .child({ secret, buffer: Buffer.from('hunter2') })
    .info({ a: { b: [{ secret, raw: new Uint8Array(7) }] }, loop, err: new Error('outer', { cause }) }, 'said');
  const text = lines.join('');
  assert.doesNotMatch(text, /hunter2|"data"|104,117/);
  const { a, err, level, msg } = JSON.parse(text);
  assert.deepEqual(a, { b: [{ secret: '[secret]', raw: '[7 octets]' }] });
  assert.equal(err.cause.body, '[7 octets]');
  assert.equal(err.message, 'outer');
  assert.deepEqual([level, msg], ['info', 'said']);
});

test('a secret shows itself nowhere', () => {
  const secret = new Secret('hunter2');
  assert.equal(`${secret} ${JSON.stringify({ secret })} ${inspect({ secret })}`, '[secret] {"secret":"[secret]"} { secret: [secret] }');
});

test('a line break in a detail does not make a line, pretty or not', () => {
  for (const pretty of [false, true]) {
    const { log, lines } = recorder(pretty);
    log.warn({ name: 'x\r\nINFO forged' }, 'odd name');
    assert.equal(lines.length, 1);
    assert.equal(lines[0]?.trimEnd().split('\n').length, 1);
  }
});

test('levels below the configured one are not written; children add their details', () => {
  const { log, lines } = recorder();
  log.debug({}, 'no');
  log.child({ session: 7 }).error({ key: '__proto__' }, 'yes');
  assert.equal(lines.length, 1);
  assert.equal(JSON.parse(lines[0] ?? '').session, 7);
  assert.equal(log.isLevelEnabled('debug'), false);
});
