import assert from 'node:assert/strict';
import { test } from 'node:test';
import { receivedField, type Trace, traceFields } from './trace-fields.ts';

const trace: Trace = {
  hostname: 'mx.example.test',
  id: 'abc123',
  origin: 'smtp',
  helo: 'client.example.org',
  remoteAddress: '::ffff:192.0.2.7',
  esmtp: { utf8: false, tls: true },
  reversePath: 'bob@example.org',
  onlyRecipient: 'ada@example.test',
  at: new Date(Date.UTC(2026, 0, 5, 7, 8, 9)),
};

test('what a client says cannot end a field or add one', () => {
  const text = traceFields(
    { ...trace, helo: 'x)\r\nX-Evil: 1', reversePath: 'a\r\nX-Evil: 1@b', remoteAddress: '1.2.3.4)\r\n' },
    'ada\r\nX-Evil: 1',
  );
  assert.equal(text.includes('\r\nX-Evil'), false);
  assert.ok(text.includes('from [unknown] ([unknown])'));
});

test('fields of RFC 5321 §4.4', () => {
  assert.equal(
    traceFields(trace, 'ada@example.test'),
    'Return-Path: <bob@example.org>\r\nDelivered-To: ada@example.test\r\n' +
      'Received: from client.example.org ([192.0.2.7])\r\n\tby mx.example.test with ESMTPS id abc123\r\n' +
      '\tfor <ada@example.test>;\r\n\tMon, 5 Jan 2026 07:08:09 +0000\r\n',
  );
});

test('for is left out with several recipients; the null path stays empty', () => {
  assert.equal(receivedField({ ...trace, onlyRecipient: undefined }).includes('for <'), false);
  assert.ok(traceFields({ ...trace, reversePath: '' }, 'x').startsWith('Return-Path: <>\r\n'));
});

test('with says what was spoken', () => {
  const spoken = (origin: Trace['origin'], esmtp: Trace['esmtp']) => / with (\S+)/.exec(receivedField({ ...trace, origin, esmtp }))?.[1];
  assert.equal(spoken('smtp', undefined), 'SMTP');
  assert.equal(spoken('smtp', { utf8: false, tls: false }), 'ESMTP');
  assert.equal(spoken('smtp', { utf8: true, tls: true }), 'UTF8SMTPS');
  assert.equal(spoken('lmtp', { utf8: false, tls: false }), 'LMTP');
  assert.equal(spoken('lmtp', { utf8: true, tls: false }), 'UTF8LMTP');
  assert.equal(spoken('api', undefined), 'HTTP');
  assert.equal(spoken('submission', { utf8: false, tls: true }), 'ESMTPSA');
  assert.equal(spoken('submission', { utf8: true, tls: false }), 'UTF8SMTPA');
});
