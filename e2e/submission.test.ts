/** Mail on its way out: clients we did not write submit, another real server takes, refuses, goes away and comes back. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ImapScript } from './support/imap-script.ts';
import { openSink, type RelaySink } from './support/relay-sink.ts';
import { mustRun, runProgram } from './support/run-program.ts';
import { isDistributed, startServer, type TestServer, temporaryFolder } from './support/server.ts';
import { needsProgram } from './support/skip.ts';
import { SmtpScript } from './support/smtp-script.ts';

const ADA = 'ada@example.test';
const BEA = 'bea@example.test';
const PASSWORD = 'correct horse';
const local = (tls: string) => ({ address: '127.0.0.1', port: 0, tls });
const listeners = [local('none'), local('starttls'), local('implicit')];
const queue = { retryFirstMs: 200, retryMaxMs: 400 };

async function house(
  t: TestContext,
  sink: RelaySink | undefined,
  more: {
    readonly submission?: Readonly<Record<string, unknown>>;
    readonly config?: Readonly<Record<string, unknown>>;
    readonly data?: string;
  } = {},
): Promise<TestServer> {
  const relay = sink === undefined ? {} : { relay: { host: '127.0.0.1', port: sink.port, tls: 'none' } };
  return startServer(t, {
    accounts: { [ADA]: PASSWORD, [BEA]: PASSWORD },
    ...(more.data === undefined ? {} : { data: more.data }),
    config: { submission: { listeners, queue, ...relay, ...more.submission }, mail: { domains: ['example.test'] }, ...more.config },
  });
}

const plain = (username: string, password: string) => Buffer.from(`\0${username}\0${password}`).toString('base64');
async function loggedIn(t: TestContext, server: TestServer, username = ADA): Promise<SmtpScript> {
  const smtp = await SmtpScript.open(t, server.port('submission'), 'EHLO');
  await smtp.command(`AUTH PLAIN ${plain(username, PASSWORD)}`, 235);
  return smtp;
}
const mail = (more = '', from = ADA) => Buffer.from(`From: Ada <${from}>\r\nTo: you\r\nSubject: hello\r\n${more}\r\n.a dot\r\nbody\r\n`);

/** Whole messages of a mailbox, once there are `count`. */
async function messagesOf(t: TestContext, server: TestServer, username: string, count: number, box = 'INBOX'): Promise<readonly string[]> {
  const imap = await ImapScript.login(t, server.port('imap'), username, PASSWORD);
  const end = Date.now() + 20_000;
  for (;;) {
    const { untagged } = await imap.command(`SELECT "${box}"`);
    if (Number(/\* (\d+) EXISTS/.exec(untagged.join('\n'))?.[1]) >= count) break;
    if (Date.now() > end) throw new Error(`${username} has not got ${count} messages`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const texts: string[] = [];
  for (let n = 1; n <= count; n += 1) texts.push((await imap.command(`FETCH ${n} BODY.PEEK[]`)).untagged.join('\r\n'));
  imap.socket.destroy();
  return texts;
}
async function untilQueueIs(
  server: TestServer,
  count: number,
  withinMs = 20_000,
): Promise<readonly { readonly id: string; readonly recipients: readonly { readonly address: string; readonly reply?: string }[] }[]> {
  const end = Date.now() + withinMs;
  for (;;) {
    const { messages } = (await (await server.api('GET', '/v1/queue')).json()) as { messages: [] };
    if (messages.length === count) return messages;
    if (Date.now() > end) throw new Error(`${messages.length} messages in the queue instead of ${count}: ${JSON.stringify(messages)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('who has not logged in sends nothing, a wrong password is 535, the third one ends the connection', async (t) => {
  const server = await house(t, undefined);
  const smtp = await SmtpScript.open(t, server.port('submission'), 'EHLO');
  assert.match((await smtp.command(`MAIL FROM:<${ADA}>`)).text, /^530 5\.7\.0 /);
  assert.match((await smtp.command('AUTH CRAM-MD5')).text, /^504 5\.5\.4 /);
  assert.match((await smtp.command('AUTH PLAIN @@@')).text, /^501 5\.5\.2 /);
  assert.match((await smtp.command('AUTH PLAIN', 334)).text, /^334 /);
  assert.match((await smtp.command('*')).text, /^501 5\.5\.2 Authentication cancelled/);
  for (let n = 0; n < 3; n += 1) assert.match((await smtp.command(`AUTH PLAIN ${plain(ADA, 'wrong')}`)).text, /^535 5\.7\.8 /);
  assert.equal((await smtp.reply()).code, 421);
  await smtp.end();
  const nobody = await SmtpScript.open(t, server.port('submission'), 'EHLO');
  assert.match((await nobody.command(`AUTH PLAIN ${plain('nobody@example.test', 'wrong')}`)).text, /^535 5\.7\.8 /);
});

test('a password needs TLS where it is not from this machine; the offer says so', async (t) => {
  const server = await house(t, undefined, { config: { mail: { domains: ['example.test'] }, auth: { cleartextLogin: 'never' } } });
  const smtp = await SmtpScript.connect(t, server.port('submission', 'starttls'));
  const { text } = await smtp.command('EHLO client.example.org', 250);
  assert.match(text, /STARTTLS/);
  assert.doesNotMatch(text, /AUTH/);
  for (const word of ['SIZE', '8BITMIME', 'SMTPUTF8', 'PIPELINING', 'ENHANCEDSTATUSCODES', 'DSN']) assert.match(text, new RegExp(word));
  assert.match((await smtp.command(`AUTH PLAIN ${plain(ADA, PASSWORD)}`)).text, /^538 5\.7\.11 /);
  assert.equal((await smtp.command(`MAIL FROM:<${ADA}>`)).code, 530);
});

test('a directory that is down is 454, never a wrong password', async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, 'plugins'));
  const sdk = new URL('../plugin-sdk/src/index.ts', import.meta.url).pathname;
  const file = join(folder, 'plugins', 'down.ts');
  await writeFile(
    file,
    `import { definePlugin } from '${sdk}';
export const plugin = definePlugin({ name: 'down', apply({ hooks }) { hooks.auth.verify.decide(() => { throw new Error('no connection'); }); } });\n`,
  );
  const server = await house(t, undefined, { config: { plugins: [{ use: file }] } });
  const smtp = await SmtpScript.open(t, server.port('submission'), 'EHLO');
  assert.match((await smtp.command(`AUTH PLAIN ${plain('eve@other.test', 'x')}`)).text, /^454 4\.7\.0 /);
  await smtp.command('AUTH LOGIN', 334);
  await smtp.command(Buffer.from('eve@other.test').toString('base64'), 334);
  assert.match((await smtp.command(Buffer.from('x').toString('base64'))).text, /^454 4\.7\.0 /);
});

test('others’ addresses, unknown recipients of ours, and dots between bare line ends are refused', async (t) => {
  const sink = await openSink(t);
  const server = await house(t, sink);
  const smtp = await loggedIn(t, server);
  assert.match((await smtp.command(`MAIL FROM:<${BEA}>`)).text, /^550 5\.7\.1 /);
  assert.match(
    (await smtp.command('MAIL FROM:<пётр@example.test>'.replace('пётр', Buffer.from('пётр').toString('latin1')))).text,
    /^553 5\.1\.3 /,
  );
  await smtp.command('MAIL FROM:<ada+label@example.test>', 250);
  assert.match((await smtp.command('RCPT TO:<nobody@example.test>')).text, /^550 5\.1\.1 /);
  await smtp.command('RSET', 250);
  assert.match(
    (await smtp.deliver(ADA, ['bob@example.org'], mail('', BEA)))[0]?.text ?? '',
    /^550 5\.7\.1 You may not send with this From/,
  );
  const twice = Buffer.concat([Buffer.from(`From: ${BEA}\r\n`), mail()]);
  assert.match((await smtp.deliver(ADA, ['bob@example.org'], twice))[0]?.text ?? '', /^554 5\.6\.0 .*more than one From/);
  assert.match((await smtp.deliver(ADA, ['bob@example.org'], Buffer.from('Subject: x\r\n\r\nhi\r\n')))[0]?.text ?? '', /^554 5\.6\.0 /);
  for (const end of ['\n.\n', '\n.\r\n', '\r\n.\n', '\r.\r\n']) {
    const one = await loggedIn(t, server);
    await one.begin(ADA, ['bob@example.org']);
    one.socket.write(`From: ${ADA}\r\n\r\nhi${end}MAIL FROM:<${ADA}>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\n`);
    assert.equal((await one.reply()).code, 554);
    await one.end();
  }
  assert.deepEqual(await untilQueueIs(server, 0), []);
  assert.equal(sink.taken.length, 0);
});

test('swaks, curl over STARTTLS and implicit TLS: here and elsewhere, without Bcc, with what was missing', async (t) => {
  if (!needsProgram(t, 'swaks') || !needsProgram(t, 'curl')) return;
  const sink = await openSink(t);
  const server = await house(t, sink);
  const swaks = await runProgram('swaks', [
    ...['--server', '127.0.0.1', '--port', String(server.port('submission')), '--auth', 'LOGIN'],
    ...['--auth-user', ADA, '--auth-password', PASSWORD, '--from', ADA, '--to', `${BEA},bob@example.org`],
    ...[
      '--data',
      `From: Ada <${ADA}>\nTo: bob@example.org\nBcc: secret@example.org,\n hidden@example.org\nSubject: by swaks\n\n.dot\nhi\n`,
    ],
  ]);
  assert.equal(swaks.code, 0, swaks.stdout + swaks.stderr);
  await sink.until(1);
  const [first] = sink.taken;
  assert(first);
  assert.deepEqual([first.from, first.to.map(({ address }) => address)], [ADA, ['bob@example.org']]);
  assert.match(
    first.raw,
    /^Received: by mail\.example\.test with ESMTPA id \w+;\r\n\t[^\r]+\r\nDate: [^\r]+\r\nMessage-ID: <[^\r]+@mail\.example\.test>\r\nFrom: Ada/,
  );
  assert.doesNotMatch(first.raw, /Bcc|hidden|secret|127\.0\.0\.1/);
  assert.match(first.raw, /\r\n\r\n\.dot\r\nhi\r\n(\r\n)?$/);
  const [here] = await messagesOf(t, server, BEA, 1);
  assert.match(here ?? '', /Return-Path: <ada@example\.test>/);
  assert.match(here ?? '', /Subject: by swaks/);
  assert.doesNotMatch(here ?? '', /Bcc/);

  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'mail.eml'), mail('Message-ID: <own@example.test>\r\nDate: Mon, 5 Jan 2026 07:08:09 +0000\r\n'));
  const urls = [`smtps://127.0.0.1:${server.port('submission', 'implicit')}`, `smtp://127.0.0.1:${server.port('submission', 'starttls')}`];
  for (const [n, url] of urls.entries()) {
    await mustRun('curl', [
      ...['-sS', '--insecure', '--ssl-reqd', '--url', url, '--user', `${ADA}:${PASSWORD}`],
      ...['--mail-from', ADA, '--mail-rcpt', 'carol@example.org', '--upload-file', join(folder, 'mail.eml')],
    ]);
    await sink.until(n + 2);
    const { raw = '' } = sink.taken[n + 1] ?? {};
    assert.match(raw, /^Received: by mail\.example\.test with ESMTPSA /);
    assert.equal(raw.match(/^(Date|Message-ID):/gm)?.length, 2);
    assert.match(raw, /Message-ID: <own@example\.test>/);
  }
  await untilQueueIs(server, 0);
});

test('each recipient has the reply that the other server gave: taken, tried again, returned with a report', async (t) => {
  const sink = await openSink(t);
  let later = 0;
  sink.behaviour = {
    rcpt(address) {
      if (address.startsWith('never')) return { code: 550, text: '5.1.1 No such user' };
      if (address.startsWith('later') && (later += 1) < 3) return { code: 451, text: '4.7.1 Greylisted' };
      return 'ok';
    },
  };
  const server = await house(t, sink);
  const smtp = await loggedIn(t, server);
  const to = ['good@example.org', 'never@example.org', 'later@example.org'];
  const [reply] = await smtp.deliver(ADA, to, mail('Message-ID: <m1@example.test>\r\n'));
  assert.match(reply?.text ?? '', /^250 2\.0\.0 Queued as /);
  await sink.until(2);
  assert.deepEqual(
    sink.taken.map((message) => message.to.map(({ address }) => address)),
    [['good@example.org'], ['later@example.org']],
  );
  const [report] = await messagesOf(t, server, ADA, 1);
  assert(report);
  assert.match(report, /^Return-Path: <>/m);
  assert.match(report, /Content-Type: multipart\/report; report-type=delivery-status;/);
  assert.match(report, /Final-Recipient: rfc822; never@example\.org\r\nAction: failed\r\nStatus: 5\.1\.1\r\n/);
  assert.match(report, /Diagnostic-Code: smtp; 550 5\.1\.1 No such user\r\n/);
  assert.match(report, /Content-Type: text\/rfc822-headers[\s\S]*Message-ID: <m1@example\.test>/);
  assert.doesNotMatch(report, /good@|later@/);
  await untilQueueIs(server, 0);
  assert.equal((await messagesOf(t, server, ADA, 1)).length, 1);
});

test('what the sender wants to know: NOTIFY, RET, ENVID, ORCPT go along; a success here is told', async (t) => {
  const sink = await openSink(t);
  const server = await house(t, sink);
  const smtp = await loggedIn(t, server);
  await smtp.command(`MAIL FROM:<${ADA}> RET=HDRS ENVID=e+2B1 BODY=8BITMIME`, 250);
  await smtp.command('RCPT TO:<bob@example.org> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bobby@example.org', 250);
  await smtp.command(`RCPT TO:<${BEA}> NOTIFY=SUCCESS`, 250);
  await smtp.command('RCPT TO:<carol@example.org> NOTIFY=NEVER', 250);
  await smtp.command('DATA', 354);
  smtp.socket.write(mail());
  await smtp.command('.', 250);
  await sink.until(2);
  const bob = sink.taken.find(({ to }) => to[0]?.address === 'bob@example.org');
  assert.partialDeepStrictEqual(bob, {
    mailArgs: { RET: 'HDRS', ENVID: 'e+1' },
    to: [{ args: { NOTIFY: 'SUCCESS,FAILURE', ORCPT: 'rfc822;bobby@example.org' } }],
  });
  const [report] = await messagesOf(t, server, ADA, 1);
  assert.match(report ?? '', /Original-Envelope-Id: e\+1\r\nReporting-MTA: dns; mail\.example\.test/);
  assert.match(report ?? '', /Final-Recipient: rfc822; bea@example\.test\r\nAction: delivered\r\nStatus: 2\.0\.0/);
  await untilQueueIs(server, 0);
});

test('a relay that is down keeps nothing back for ever: the mail goes when it is up; the command line shows and hurries it', async (t) => {
  const sink = await openSink(t);
  await sink.close();
  const data = await temporaryFolder(t);
  const server = await house(t, sink, { data, submission: { queue: { retryFirstMs: 600_000, retryMaxMs: 600_000 } } });
  const smtp = await loggedIn(t, server);
  for (const who of ['bob', 'carol', 'dan']) await smtp.deliver(ADA, [`${who}@example.org`], mail());
  await untilQueueIs(server, 3);
  const pochard = (...args: string[]) =>
    mustRun(process.execPath, [
      join(import.meta.dirname, '../core/src/main.ts'),
      '--config',
      join(data, 'pochard.yaml'),
      '--data',
      data,
      ...args,
    ]);
  const end = Date.now() + 20_000;
  let listed = '';
  while (!/dan@example\.org>\t1 attempts\t/.test(listed) && Date.now() < end) listed = (await pochard('queue', 'list')).stdout;
  assert.match(listed, /^\w+\tada@example\.test\t<ada@example\.test>\t\d+ octets/);
  const messages = (await pochard('queue', 'list', '--json')).stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string; recipients: { address: string }[] });
  const carol = messages.find(({ recipients }) => recipients[0]?.address === 'carol@example.org');
  assert.match((await pochard('queue', 'delete', carol?.id ?? '')).stdout, /--yes/);
  await pochard('queue', 'delete', carol?.id ?? '', '--yes');
  assert.match(
    (
      await runProgram(process.execPath, [
        join(import.meta.dirname, '../core/src/main.ts'),
        '--config',
        join(data, 'pochard.yaml'),
        '--data',
        data,
        'queue',
        'retry',
        'nothing',
      ])
    ).stderr,
    /no message "nothing"/,
  );
  await sink.open();
  assert.match((await pochard('queue', 'retry', '--all')).stdout, /^2 messages/);
  await sink.until(2);
  assert.deepEqual(sink.taken.map(({ to }) => to[0]?.address).sort(), ['bob@example.org', 'dan@example.org']);
  await untilQueueIs(server, 0);
});

test('what cannot be delivered for its whole life comes back', async (t) => {
  const sink = await openSink(t);
  await sink.close();
  const server = await house(t, sink, {
    submission: { queue: { retryFirstMs: 100, retryMaxMs: 200, lifetimeMs: 6_000, delayNoticeMs: 300 } },
  });
  const smtp = await loggedIn(t, server);
  await smtp.deliver(ADA, ['bob@example.org'], mail());
  const [delayed, failed] = await messagesOf(t, server, ADA, 2);
  assert.match(delayed ?? '', /Action: delayed\r\nStatus: 4\.4\.1\r\n[\s\S]*Will-Retry-Until: /);
  assert.match(failed ?? '', /Action: failed\r\nStatus: 4\.4\.7\r\n/);
  await untilQueueIs(server, 0);
});

test('killed while it sends, it goes on after the start: each acknowledged message arrives, here and there', {
  timeout: 300_000,
}, async (t) => {
  const sink = await openSink(t);
  const data = await temporaryFolder(t);
  let server = await house(t, sink, { data });
  const acknowledged = new Set<string>();
  // Where the lease of the dead has to end first, each round takes half a minute.
  const rounds = isDistributed ? 2 : 4;
  for (let round = 0; round < rounds; round += 1) {
    const killAt = 5 + round * 9;
    let count = 0;
    const killed = Promise.withResolvers<number | null>();
    sink.behaviour = {
      data: () => {
        count += 1;
        if (count === killAt) {
          killed.resolve(server.kill());
          return killed.promise.then(() => 'ok' as const); // taken, but nobody hears of it
        }
        return 'ok';
      },
    };
    const clients = Array.from({ length: 4 }, async (_, client) => {
      const smtp = await loggedIn(t, server);
      for (let n = 0; n < 10; n += 1) {
        const id = `r${round}c${client}n${n}@example.test`;
        const [reply] = await smtp.deliver(ADA, [BEA, 'bob@example.org'], mail(`Message-ID: <${id}>\r\n`));
        if (reply?.code === 250) acknowledged.add(id);
      }
    });
    // The clients may be done long before so much of it was sent on.
    await Promise.allSettled(clients);
    await killed.promise;
    server = await startServer(t, {
      data,
      config: {
        submission: { listeners, queue, relay: { host: '127.0.0.1', port: sink.port, tls: 'none' } },
        mail: { domains: ['example.test'] },
      },
    });
  }
  sink.behaviour = {};
  await untilQueueIs(server, 0, 120_000);
  const there = sink.taken.map(({ raw }) => /Message-ID: <([^>]+)>/.exec(raw)?.[1]);
  const imap = await ImapScript.login(t, server.port('imap'), BEA, PASSWORD);
  await imap.command('SELECT INBOX');
  const { untagged } = await imap.command('FETCH 1:* BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]');
  const here = [...untagged.join('\n').matchAll(/Message-ID: <([^>]+)>/g)].map((match) => match[1]);
  const twice = there.length - new Set(there).size;
  console.error(
    `${acknowledged.size} acknowledged over ${rounds} kills: ${new Set(there).size} there (${twice} twice), ${new Set(here).size} here (${here.length - new Set(here).size} twice)`,
  );
  for (const id of acknowledged) assert(there.includes(id) && here.includes(id), `${id} is lost`);
  assert(acknowledged.size > 10);
  assert.equal(new Set(here).size, here.length, 'a delivery here is made once');
  assert.equal(await server.stop(), 0);
  const checked = await runProgram(process.execPath, [
    ...[join(import.meta.dirname, '../core/src/main.ts'), '--config', join(data, 'pochard.yaml'), '--data', data, 'fsck'],
  ]);
  assert.equal(checked.code, 0, checked.stdout);
});

test('a big message goes through whole, in memory that does not grow with it', async (t) => {
  const sink = await openSink(t, { size: 100_000_000 });
  const server = await house(t, sink);
  // 30 MB; 7 where each goes through the MongoDB test engine.
  const lines = isDistributed ? 100_000 : 400_000;
  const encoded = 'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAx\r\n'.repeat(lines);
  const raw = `From: ${ADA}\r\nDate: Mon, 5 Jan 2026 07:08:09 +0000\r\nMessage-ID: <big@example.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n${encoded}--b--\r\n`;
  const before = await server.residentOctets();
  const clients = await Promise.all(Array.from({ length: 4 }, () => loggedIn(t, server)));
  const replies = await Promise.all(clients.map((smtp) => smtp.deliver(ADA, ['bob@example.org', BEA], Buffer.from(raw, 'latin1'))));
  assert.deepEqual(
    replies.map(([reply]) => reply?.code),
    [250, 250, 250, 250],
  );
  await sink.until(4, 60_000);
  for (const { raw: got } of sink.taken) assert(got.endsWith(raw) && got.length < raw.length + 500, 'octets as they were, below Received');
  await untilQueueIs(server, 0);
  const grown = (await server.residentOctets()) - before;
  console.error(`4 messages of ${(raw.length / 1e6).toFixed(0)} MB at once, each to two: memory grew by ${(grown / 1e6).toFixed(0)} MB`);
  assert(grown < 400e6, `${grown}`);
});

test('POST /v1/submissions goes the same way; a repeat with its key sends nothing twice', async (t) => {
  const sink = await openSink(t);
  const server = await house(t, sink);
  const post = (query: string, body: Uint8Array, key?: string) =>
    fetch(`http://127.0.0.1:${server.port('http')}/v1/submissions?${query}`, {
      method: 'POST',
      body,
      headers: {
        authorization: `Bearer ${server.token}`,
        'content-type': 'message/rfc822',
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
    });
  assert.equal((await post(`account=${ADA}&to=bob@example.org`, mail('', BEA))).status, 403);
  assert.equal((await post(`account=nobody&to=bob@example.org`, mail())).status, 404);
  assert.equal((await post(`account=${ADA}&to=nobody@example.test`, mail())).status, 404);
  const first = await post(`account=${ADA}&to=bob@example.org&to=${BEA}`, mail(), 'k1');
  assert.equal(first.status, 202);
  const again = await post(`account=${ADA}&to=bob@example.org&to=${BEA}`, mail(), 'k1');
  const { id } = (await first.json()) as { id: string };
  assert.deepEqual(await again.json(), { id, duplicate: true });
  await sink.until(1);
  await untilQueueIs(server, 0);
  assert.equal(sink.taken.length, 1);
  assert.match(sink.taken[0]?.raw ?? '', /^Received: by mail\.example\.test with HTTP id /);
  assert.equal((await messagesOf(t, server, BEA, 1)).length, 1);
});
