import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { generate } from 'selfsigned';
import type { MessageSource } from '../services.ts';
import { startOtherServer } from './other-server.fixture.ts';
import { RelayFailure, type RelayHost, type RelayTransaction, sendBySmtp } from './smtp-client.ts';

const options = { hostname: 'mx.test', signal: new AbortController().signal };
function sourceOf(text: string): MessageSource {
  const bytes = Buffer.from(text, 'latin1');
  return {
    sizeOctets: bytes.length,
    bytes,
    async *open() {
      yield bytes;
    },
    async dispose() {},
  };
}
function transaction(more: Partial<RelayTransaction> = {}): RelayTransaction {
  return {
    reversePath: 'ada@example.test',
    recipients: ['bob@example.org'],
    notify: undefined,
    originalRecipient: undefined,
    returns: undefined,
    envelopeId: undefined,
    isUtf8: false,
    source: sourceOf('Subject: hi\r\n\r\n.dot\r\n..\r\nbare\rcr\r\n'),
    ...more,
  };
}
const host = (port: number, tls: RelayHost['tls'] = 'none'): RelayHost => ({ host: '127.0.0.1', port, tls });

/** Says `lines` one after the other, each after a line of the client's; then closes. */
async function scripted(t: TestContext, ...lines: readonly string[]): Promise<number> {
  const server = createServer((socket) => {
    const left = [...lines];
    const say = (): void => {
      const line = left.shift();
      if (line === undefined) socket.end();
      else socket.write(line, 'latin1');
    };
    socket.on('error', () => undefined);
    socket.on('data', say);
    say();
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
const failure = (scope: RelayFailure['scope'], code: number, status: string) => (error: unknown) => {
  assert(error instanceof RelayFailure, String(error));
  assert.deepEqual([error.scope, error.reply.code, error.reply.status], [scope, code, status]);
  return true;
};

test('a server that greets with garbage, refuses, or is not there is a failure of the host, never of the message', async (t) => {
  await assert.rejects(sendBySmtp(host(await scripted(t, 'SSH-2.0-x\r\n')), transaction(), options), failure('host', 0, '4.4.1'));
  await assert.rejects(sendBySmtp(host(await scripted(t, '554 5.7.1 go away\r\n')), transaction(), options), failure('host', 554, '5.7.1'));
  await assert.rejects(sendBySmtp(host(await scripted(t, '220 x\r\n')), transaction(), options), failure('host', 0, '4.4.1'));
  const gone = await startOtherServer(t);
  await gone.close();
  await assert.rejects(sendBySmtp(host(gone.port), transaction(), options), failure('host', 0, '4.4.1'));
});

test('TLS that is demanded and not offered, or with a certificate of nobody, sends nothing', async (t) => {
  const open = await startOtherServer(t);
  await assert.rejects(
    sendBySmtp(host(open.port, 'starttls'), transaction(), options),
    (error) => error instanceof RelayFailure && error.scope === 'host',
  );
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'other.test' }]);
  const secure = await startOtherServer(t, { key, cert, disabledCommands: [] });
  await assert.rejects(sendBySmtp(host(secure.port, 'starttls'), transaction(), options), failure('host', 0, '4.7.5'));
  assert.deepEqual([open.taken.length, secure.taken.length], [0, 0]);
  await sendBySmtp(host(secure.port, 'opportunistic'), transaction(), options);
  assert.equal(secure.taken[0]?.isSecure, true);
  await sendBySmtp(host(open.port, 'opportunistic'), transaction(), options);
  assert.equal(open.taken[0]?.isSecure, false);
});

test('refused for good at MAIL or after DATA is final, 4xx is for later', async (t) => {
  const other = await startOtherServer(t);
  for (const at of ['MAIL', 'DATA']) {
    other.replies.set(at, [550, '5.7.1 Not you']);
    await assert.rejects(sendBySmtp(host(other.port), transaction(), options), failure('final', 550, '5.7.1'));
    other.replies.set(at, [451, '4.3.0 Later']);
    await assert.rejects(sendBySmtp(host(other.port), transaction(), options), failure('message', 451, '4.3.0'));
    other.replies.delete(at);
  }
  const small = await startOtherServer(t, { size: 10 });
  await assert.rejects(sendBySmtp(host(small.port), transaction(), options), failure('final', 0, '5.3.4'));
});

test('each recipient has its own reply, also when none was taken; a status that does not fit the code is not believed', async (t) => {
  const other = await startOtherServer(t);
  other.replies
    .set('no@example.org', [550, '5.1.1 Unknown'])
    .set('later@example.org', [450, '5.9.9 Odd'])
    .set('bare@example.org', [553, 'No']);
  const recipients = ['bob@example.org', 'no@example.org', 'later@example.org', 'bare@example.org'];
  const { replies } = await sendBySmtp(host(other.port), transaction({ recipients }), options);
  assert.deepEqual(
    recipients.map((address) => [replies.get(address)?.code, replies.get(address)?.status]),
    [
      [250, '2.0.0'],
      [550, '5.1.1'],
      [450, '4.0.0'],
      [553, '5.0.0'],
    ],
  );
  assert.deepEqual(other.taken[0]?.to, ['bob@example.org']);
  const none = await sendBySmtp(host(other.port), transaction({ recipients: recipients.slice(1) }), options);
  assert.deepEqual(
    [...none.replies.values()].map(({ code }) => code),
    [550, 450, 553],
  );
});

test('dots are stuffed, a bare CR becomes a line end: nothing can be smuggled to the next server', async (t) => {
  const other = await startOtherServer(t);
  await sendBySmtp(host(other.port), transaction(), options);
  assert.equal(other.taken[0]?.raw, 'Subject: hi\r\n\r\n.dot\r\n..\r\nbare\r\ncr\r\n');
  const smuggled = 'Subject: hi\r\n\r\na\r.\rMAIL FROM:<eve@example.org>\r\n';
  await sendBySmtp(host(other.port), transaction({ source: sourceOf(smuggled) }), options);
  assert.equal(other.taken.length, 2);
  assert.match(other.taken[1]?.raw ?? '', /a\r\n\.\r\nMAIL FROM/);
});

test('SMTPUTF8 is said when an address or a header needs it, and demanded then; domains go as A-labels', async (t) => {
  const other = await startOtherServer(t);
  // The other server shows what it was given as a U-label; SMTPUTF8 was not needed for it.
  await sendBySmtp(host(other.port), transaction({ recipients: ['bob@пример.test'] }), options);
  assert.deepEqual([other.taken[0]?.to, other.taken[0]?.mailArgs['SMTPUTF8']], [['bob@пример.test'], undefined]);
  await sendBySmtp(host(other.port), transaction({ isUtf8: true }), options);
  await sendBySmtp(host(other.port), transaction({ recipients: ['пётр@пример.test'] }), options);
  assert.deepEqual(
    other.taken.slice(1).map(({ mailArgs }) => mailArgs['SMTPUTF8']),
    [true, true],
  );
  const old = await startOtherServer(t, { hideSMTPUTF8: true });
  await assert.rejects(sendBySmtp(host(old.port), transaction({ isUtf8: true }), options), failure('final', 0, '5.6.7'));
});

test('DSN parameters go where they are understood; the password goes to the relay', async (t) => {
  const other = await startOtherServer(t, {
    onAuth: ({ username, password }, _session, done) => done(null, { user: `${username}:${password}` }),
    allowInsecureAuth: true,
  });
  const asked = transaction({
    notify: ['success', 'delay'],
    originalRecipient: 'rfc822;bobby+1@example.org',
    returns: 'full',
    envelopeId: 'e 1',
  });
  const withAuth = { ...host(other.port), auth: { user: 'relay', password: 'secret' } };
  assert.equal((await sendBySmtp(withAuth, asked, options)).takesDsn, true);
  assert.partialDeepStrictEqual(other.taken[0], {
    user: 'relay:secret',
    mailArgs: { RET: 'FULL', ENVID: 'e 1' },
    rcptArgs: { NOTIFY: 'SUCCESS,DELAY', ORCPT: 'rfc822;bobby+1@example.org' },
  });
  const plain = await startOtherServer(t, { hideDSN: true });
  assert.equal((await sendBySmtp(host(plain.port), asked, options)).takesDsn, false);
  const strict = await startOtherServer(t, {
    onAuth: (_auth, _session, done) => done(Object.assign(new Error('5.7.8 No'), { responseCode: 535 })),
    allowInsecureAuth: true,
  });
  // The configuration is wrong, not the message.
  await assert.rejects(sendBySmtp({ ...withAuth, port: strict.port }, asked, options), failure('host', 535, '5.7.8'));
});

test('an abort ends it at once; a source that breaks off is never taken for a whole message', async (t) => {
  const silent = await scripted(t, '220 x\r\n', '250 x\r\n');
  const abort = new AbortController();
  const sending = sendBySmtp(host(silent), transaction(), { ...options, signal: abort.signal });
  setImmediate(() => abort.abort(new Error('enough')));
  await assert.rejects(sending, /enough/);
  const other = await startOtherServer(t);
  const source: MessageSource = {
    ...sourceOf('x'.repeat(100_000)),
    async *open() {
      yield Buffer.alloc(70_000, 'x');
      throw new Error('the disk is gone');
    },
  };
  await assert.rejects(sendBySmtp(host(other.port), transaction({ source }), options), RelayFailure);
  assert.equal(other.taken.length, 0);
});
