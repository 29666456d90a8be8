/** Mail goes out through a Postfix: TLS with its certificate, octets as they were, refusals, a restart, and nothing smuggled. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ImapScript } from './support/imap-script.ts';
import { startPostfix } from './support/postfix.ts';
import { startServer } from './support/server.ts';
import { SmtpScript } from './support/smtp-script.ts';

const ADA = 'ada@example.test';
const PASSWORD = 'correct horse';

test('through a Postfix: octets, refusals, a restart, smuggling', async (t) => {
  const postfix = await startPostfix(t);
  if (postfix === undefined) return;
  const server = await startServer(t, {
    accounts: { [ADA]: PASSWORD },
    config: {
      submission: {
        listeners: [{ address: '127.0.0.1', port: 0, tls: 'none' }],
        relay: { host: '127.0.0.1', port: postfix.port, tls: 'starttls', caFile: postfix.caFile },
        queue: { retryFirstMs: 200, retryMaxMs: 400 },
      },
      mail: { domains: ['example.test'] },
    },
  });
  const smtp = await SmtpScript.open(t, server.port('submission'), 'EHLO');
  await smtp.command(`AUTH PLAIN ${Buffer.from(`\0${ADA}\0${PASSWORD}`).toString('base64')}`, 235);
  const send = async (raw: string, ...to: string[]): Promise<void> => {
    const [reply] = await smtp.deliver(ADA, to, Buffer.from(raw, 'latin1'));
    assert.equal(reply?.code, 250, reply?.text);
  };
  const head = (id: string) => `From: ${ADA}\r\nDate: Mon, 5 Jan 2026 07:08:09 +0000\r\nMessage-ID: <${id}@example.test>\r\n`;

  await t.test('what arrives is what was sent, below the trace fields', async () => {
    const raw = `${head('one')}Subject: =?utf-8?q?d=C3=BCrfen?=\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n.\r\n..\r\n.dot\r\nd\xc3\xbcrfen \t\r\n${'x'.repeat(900)}\r\n\r\n`;
    await send(raw, 'bob@example.org');
    const [stored = ''] = await postfix.messages(1);
    assert.equal(stored.slice(stored.indexOf('From: ')), raw.replaceAll('\r\n', '\n'));
    await postfix.logged(/disconnect from .* ehlo=2 starttls=1 /);
  });

  await t.test('no dot between bare line ends ends a message on the way', async () => {
    let accepted = 0;
    for (const end of ['\r\r\n.\r\n', '\n\n.\r\n', '\r\n\x00.\r\n', '\rMAIL FROM\r']) {
      const one = await SmtpScript.open(t, server.port('submission'), 'EHLO');
      await one.command(`AUTH PLAIN ${Buffer.from(`\0${ADA}\0${PASSWORD}`).toString('base64')}`, 235);
      await one.begin(ADA, ['bob@example.org']);
      one.socket.write(
        `${head(`smuggle${accepted}`)}\r\nbefore${end}MAIL FROM:<eve@example.org>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\nFrom: eve@example.org\r\n\r\nsmuggled\r\n.\r\n`,
        'latin1',
      );
      const { code } = await one.reply();
      assert(code === 250 || code === 554, String(code));
      if (code === 250) accepted += 1;
      one.close();
    }
    const all = await postfix.messages(1 + accepted);
    assert.equal(all.length, 1 + accepted);
    assert.equal(all.filter((text) => text.startsWith('Return-Path: <eve')).length, 0);
  });

  await t.test('a refusal comes back, what is put off waits through a restart of the relay', async () => {
    await send(`${head('three')}Subject: three\r\n\r\nhi\r\n`, 'never@example.org', 'carol@example.org');
    const imap = await ImapScript.login(t, server.port('imap'), ADA, PASSWORD);
    await imap.command('SELECT INBOX');
    let report = '';
    // News of it may come with the FETCH that does not see it yet.
    for (const end = Date.now() + 20_000; !report.includes('Final-Recipient:') && Date.now() < end; ) {
      await imap.command('NOOP');
      report = (await imap.command('UID FETCH 1:* BODY.PEEK[]')).untagged.join('\n');
    }
    assert.match(report, /Final-Recipient: rfc822; never@example\.org\r?\nAction: failed\r?\nStatus: 5\.7\.1/);
    assert.match(report, /Diagnostic-Code: smtp; 554 5\.7\.1 <never@example\.org>: Recipient address rejected/);

    const before = (await postfix.messages(1)).length;
    await postfix.stop();
    await send(`${head('four')}Subject: four\r\n\r\nhi\r\n`, 'dan@example.org');
    const { messages } = (await (await server.api('GET', '/v1/queue')).json()) as { messages: unknown[] };
    assert.equal(messages.length, 1);
    await postfix.start();
    assert.equal((await postfix.messages(before + 1)).filter((text) => text.includes('<four@')).length, 1);
  });
});
