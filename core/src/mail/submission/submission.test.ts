/** The pipeline and the queue over the real services, with hooks; another real server where mail goes out. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { definePlugin, Refusal } from '@pochard/plugin-sdk';
import type { AccountId } from '../../store/store.ts';
import { session, startMail, type TestHost } from '../mail-test-host.ts';
import type { SubmissionRequest } from '../services.ts';
import { defaultSubmission, type SubmissionSettings } from '../settings.ts';
import { type OtherServer, startOtherServer } from './other-server.fixture.ts';

const ADA = 'ada@example.test';
const mail = (more = '', from = ADA) => `From: Ada <${from}>\r\nSubject: hello\r\n${more}\r\nbody\r\n`;
const WHOLE = 'Message-ID: <1@example.test>\r\nDate: Mon, 5 Jan 2026 07:08:09 +0000\r\n';

async function house(
  t: TestContext,
  options: Parameters<typeof startMail>[1] & { readonly relay?: OtherServer; readonly recipientsPerHour?: number } = {},
) {
  const { relay, recipientsPerHour = 1000, ...more } = options;
  const submission: SubmissionSettings = {
    ...defaultSubmission,
    recipientsPerHour,
    relay: relay === undefined ? undefined : { host: '127.0.0.1', port: relay.port, tls: 'none', ca: undefined, auth: undefined },
  };
  const host = await startMail(t, { ...more, settings: { ...more.settings, submission } });
  const ada = await host.account(ADA, { addresses: ['ada@other.test'] });
  return { host, ada };
}

async function submit(host: TestHost, id: AccountId, raw: string, to: readonly string[], more: Partial<SubmissionRequest> = {}) {
  const access = await host.admin(id);
  const sender = { account: access.account, actor: host.parts.actors.system, session: undefined, access };
  const reversePath = more.reversePath ?? ADA;
  const recipients = [];
  for (const address of to) recipients.push({ address, goes: await host.submissions.resolve(sender, address, reversePath, session) });
  const request: SubmissionRequest = {
    source: host.source(raw),
    reversePath,
    recipients,
    way: 'submission',
    esmtp: { utf8: false, tls: true },
    ...more,
  };
  return host.submissions.submit(request, sender, host.never);
}

/** Runs what is due until nothing is in flight or due any more, at the time that stands. */
async function worked(host: TestHost): Promise<void> {
  host.submissionQueue.start();
  for (let turns = 0; turns < 4000; turns += 1) {
    host.submissionQueue.poke();
    await new Promise((resolve) => setTimeout(resolve, 2));
    const queued = await host.submissionQueue.list({ limit: 100 });
    if (host.submissionQueue.gauges.messages === 0 && queued.every(({ dueAt }) => dueAt > host.at)) return;
  }
  throw new Error('the queue does not come to rest');
}
async function inbox(host: TestHost, id: AccountId, name = 'INBOX'): Promise<readonly string[]> {
  return (await host.messages(await host.admin(id), name)).map((octets) => octets.toString());
}
async function queued(host: TestHost) {
  return host.submissionQueue.list({ limit: 100 });
}

test('what may not be sent leaves nothing behind', async (t) => {
  const { host, ada } = await house(t);
  await host.account('bea@example.test');
  await host.accounts.setAlias('team@example.test', [ADA]);
  const bob = ['bob@example.org'];
  await assert.rejects(submit(host, ada.id, mail(), []), { code: 'invalid' });
  await assert.rejects(submit(host, ada.id, 'Subject: x\r\n\r\ny\r\n', bob), { code: 'invalid' });
  for (const from of ['bea@example.test', 'team@example.test', `${ADA}>, <eve@example.org`, 'ada@example.test.evil.org'])
    await assert.rejects(submit(host, ada.id, mail('', from), bob), { code: 'forbidden' }, from);
  await assert.rejects(submit(host, ada.id, mail(`X: ${'y'.repeat(100)}\r\n`.repeat(12_000)), bob), { code: 'too-big' });
  for (const to of ['nobody@example.test', 'nobody@other.test'])
    await assert.rejects(submit(host, ada.id, mail(), [to]), { code: 'no-such-recipient' });
  await assert.rejects(submit(host, ada.id, mail(), ['a b@example.org']), { code: 'invalid-name' });
  assert.deepEqual(await queued(host), []);
  for (const from of [ADA, 'ADA@EXAMPLE.test', 'ada+label@example.test', 'ada@other.test']) await submit(host, ada.id, mail('', from), bob);
  assert.equal((await queued(host)).length, 4);
});

test('more recipients in an hour than an account may have wait for the next hour', async (t) => {
  const { host, ada } = await house(t, { recipientsPerHour: 3 });
  await submit(host, ada.id, mail(), ['a@example.org', 'b@example.org']);
  await assert.rejects(submit(host, ada.id, mail(), ['a@example.org', 'b@example.org']), { code: 'rate' });
  await submit(host, ada.id, mail(), ['c@example.org']); // what was refused used nothing up
  host.at += 3_600_001;
  await submit(host, ada.id, mail(), ['a@example.org', 'b@example.org']);
});

test('a plugin lends identities, sees Bcc before, writes what goes out, files the copy; a fault puts off', async (t) => {
  let fault: 'none' | 'identity' | 'before' | 'message' | 'copy' = 'none';
  const seen: string[] = [];
  const outcomes: string[] = [];
  const fails = (where: typeof fault): void => {
    if (fault === where) throw new Error('broken');
  };
  const plugin = definePlugin({
    name: 'sender',
    permissions: ['plaintext'],
    apply({ hooks }) {
      hooks.submission.identity.decide(({ address, where }) => {
        fails('identity');
        seen.push(`${where} ${address}`);
        return address === 'list@example.org' ? { allowed: true } : undefined;
      });
      hooks.submission.before.gate(({ recipients, message, reversePath }) => {
        fails('before');
        seen.push(`before ${reversePath} ${recipients.join()} ${message.header.get('Bcc')}`);
        if (message.header.get('Subject') === 'no') throw new Refusal('policy', 'Not this');
      });
      hooks.submission.message.transform(
        (message, { submission, account }) => {
          fails('message');
          seen.push(`message ${message.header.get('Bcc')} ${submission.message.header.get('Bcc')} ${account.username}`);
          return message.prepend('X-Signed', 'yes');
        },
        { stage: 'sign' },
      );
      hooks.submission.message.transform((message) => message.mapText((text) => `${text}footer\n`), { stage: 'body' });
      hooks.submission.sentCopy.transform(() => {
        fails('copy');
        return { file: { mailbox: '\\Sent', flags: ['\\Seen'] }, sameWithinMs: 600_000 };
      });
      hooks.append.match.decide(({ mailbox }) => (mailbox.specialUse.includes('\\Sent') ? { sameWithinMs: 600_000 } : undefined));
      hooks.journal.follow(['submission.outcome'], (event) => {
        outcomes.push(`${event.recipient} ${event.outcome} ${event.reply ?? ''}`);
      });
    },
  });
  const relay = await startOtherServer(t);
  const { host, ada } = await house(t, { plugins: [{ plugin }], relay });
  await host.followers.start();
  const raw = mail(`Bcc: secret@example.org\r\n${WHOLE}`, 'list@example.org');
  for (fault of ['identity', 'before', 'message', 'copy'] as const)
    await assert.rejects(submit(host, ada.id, raw, ['bob@example.org']), { code: 'unavailable' });
  fault = 'none';
  // The breaker has heard of faults: what it cost is over after a while.
  host.at += 60_000;
  await assert.rejects(submit(host, ada.id, raw.replace('hello', 'no'), ['bob@example.org']), { code: 'policy', message: 'Not this' });
  assert.deepEqual(await queued(host), []);
  assert.deepEqual(await inbox(host, ada.id, 'Sent'), []);
  seen.length = 0;
  await submit(host, ada.id, raw, ['bob@example.org', 'secret@example.org']);
  assert.deepEqual(seen, [
    'from list@example.org',
    `before ${ADA} bob@example.org,secret@example.org secret@example.org`,
    `message undefined secret@example.org ${ADA}`,
  ]);
  // The copy is what the client made; its own APPEND of it is the same message.
  assert.deepEqual(await inbox(host, ada.id, 'Sent'), [raw]);
  const access = await host.admin(ada.id);
  await access.append(host.box(access, 'Sent'), [{ source: host.source(raw), flags: [] }], host.never);
  assert.equal((await inbox(host, ada.id, 'Sent')).length, 1);
  await worked(host);
  assert.equal(relay.taken.length, 1);
  assert.match(relay.taken[0]?.raw ?? '', /^Received: by mx\.test with ESMTPSA [\s\S]*X-Signed: yes\r\n[\s\S]*\r\n\r\nbody\r\nfooter\r\n$/);
  assert.doesNotMatch(relay.taken[0]?.raw ?? '', /Bcc/);
  for (let turns = 0; turns < 400 && outcomes.length < 4; turns += 1) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(outcomes, [
    'bob@example.org queued ',
    'secret@example.org queued ',
    'bob@example.org delivered 250 2.0.0',
    'secret@example.org delivered 250 2.0.0',
  ]);
});

test('a copy that does not fit refuses the submission: sent is filed, or nothing is', async (t) => {
  const plugin = definePlugin({
    name: 'copies',
    apply({ hooks }) {
      hooks.submission.sentCopy.transform(() => ({ file: { mailbox: { name: 'Out/Gesendet' }, flags: [] }, sameWithinMs: 0 }));
    },
  });
  const { host, ada } = await house(t, { plugins: [{ plugin }] });
  await host.accounts.update(ada.id, { quotaOctets: 150 });
  await submit(host, ada.id, mail(), ['bob@example.org']);
  assert.equal((await inbox(host, ada.id, 'Out/Gesendet')).length, 1);
  await assert.rejects(submit(host, ada.id, mail(), ['bob@example.org']), { code: 'over-quota' });
  assert.equal((await queued(host)).length, 1);
});

test('submission.relay names the way out: a host, a refusal that comes back to the sender', async (t) => {
  const relay = await startOtherServer(t);
  const plugin = definePlugin({
    name: 'ways',
    apply({ hooks }) {
      hooks.submission.relay.decide(({ domain, reversePath }) => {
        assert.equal(reversePath, ADA);
        if (domain === 'blocked.test') throw new Refusal('policy', 'We do not write there');
        return domain === 'example.org' ? { host: '127.0.0.1', port: relay.port, tls: 'opportunistic' } : undefined;
      });
    },
  });
  const resolver = { resolveMx: async () => [{ exchange: '', priority: 0 }], resolve4: async () => [], resolve6: async () => [] };
  const { host, ada } = await house(t, { plugins: [{ plugin }], resolver });
  await submit(host, ada.id, mail(WHOLE), ['bob@example.org', 'eve@blocked.test', 'nul@null.test']);
  await worked(host);
  assert.deepEqual(
    relay.taken.map(({ to }) => to),
    [['bob@example.org']],
  );
  const [report = ''] = await inbox(host, ada.id);
  assert.match(report, /rfc822; eve@blocked\.test\r\nAction: failed\r\nStatus: 5\.7\.1/);
  assert.match(report, /rfc822; nul@null\.test\r\nAction: failed\r\nStatus: 5\.1\.10/);
  assert.deepEqual(await queued(host), []);
});

test('by MX: the next host when one is down, each domain by itself', async (t) => {
  const [one, down] = [await startOtherServer(t), await startOtherServer(t)];
  await down.close();
  const resolver = {
    resolveMx: async (domain: string) => {
      if (domain === 'gone.test') throw Object.assign(new Error('no name'), { code: 'ENOTFOUND' });
      return [{ exchange: '127.0.0.1', priority: 10 }];
    },
    resolve4: async () => [],
    resolve6: async () => [],
  };
  const { host, ada } = await house(t, { resolver, mxPort: one.port });
  await submit(host, ada.id, mail(), ['a@one.test', 'b@one.test', 'c@two.test', 'd@gone.test']);
  await worked(host);
  assert.deepEqual(one.taken.map(({ to }) => to).sort(), [['a@one.test', 'b@one.test'], ['c@two.test']]);
  assert.match((await inbox(host, ada.id))[0] ?? '', /d@gone\.test\r\nAction: failed\r\nStatus: 5\.1\.2/);
});

test('retries wait longer each time, a delay is told once, the end is told; nothing is told to the null path or with NOTIFY=NEVER', async (t) => {
  const relay = await startOtherServer(t);
  relay.replies.set('MAIL', [451, '4.3.0 Later']);
  const { host, ada } = await house(t, { relay });
  const { id } = await submit(host, ada.id, mail(), ['bob@example.org']);
  await submit(host, ada.id, mail(), ['bob@example.org'], { reversePath: '' });
  const access = await host.admin(ada.id);
  const sender = { account: access.account, actor: host.parts.actors.system, session: undefined, access };
  const silent = {
    source: host.source(mail()),
    reversePath: ADA,
    recipients: [{ address: 'bob@example.org', goes: 'out', notify: ['never'] }],
    way: 'api',
  } as const;
  await host.submissions.submit(silent, sender, host.never);
  const waits: number[] = [];
  for (let attempt = 1; attempt <= 7; attempt += 1) {
    await worked(host);
    const message = (await queued(host)).find((one) => one.id === id);
    assert.equal(message?.recipients[0]?.attempts, attempt);
    waits.push((message?.dueAt ?? 0) - host.at);
    host.at = message?.dueAt ?? host.at;
  }
  assert.deepEqual(
    waits,
    [1, 2, 4, 8, 16, 32, 60].map((minutes) => minutes * 60_000),
  );
  host.at += 4 * 3_600_000;
  await worked(host);
  assert.match(
    (await inbox(host, ada.id)).join(),
    /Action: delayed\r\nStatus: 4\.3\.0[\s\S]*Will-Retry-Until: Sat, 10 Jan 2026 00:00:00 \+0000/,
  );
  host.at += 5 * 86_400_000;
  await worked(host);
  const reports = await inbox(host, ada.id);
  assert.equal(reports.length, 2);
  assert.match(reports[1] ?? '', /Action: failed\r\nStatus: 4\.4\.7\r\n/);
  assert.deepEqual(await queued(host), []);
});

test('a full mailbox here is waited for; an account that is gone takes its queue along; a report for a full sender waits', async (t) => {
  const { host, ada } = await house(t);
  const bea = await host.account('bea@example.test', { quotaOctets: 10 });
  await submit(host, ada.id, mail(WHOLE), ['bea@example.test']);
  await worked(host);
  assert.equal((await queued(host))[0]?.recipients[0]?.reply, 'Mailbox full');
  await host.accounts.update(bea.id, { quotaOctets: 100_000 });
  host.at += 60_000;
  await worked(host);
  assert.equal((await inbox(host, bea.id)).length, 1);
  assert.deepEqual(await queued(host), []);

  const relay = await startOtherServer(t);
  relay.replies.set('MAIL', [550, '5.7.1 No']);
  const other = await house(t, { relay });
  await other.host.accounts.update(other.ada.id, { quotaOctets: 10 });
  await submit(other.host, other.ada.id, mail(), ['bob@example.org']);
  await worked(other.host);
  assert.equal((await queued(other.host)).length, 1);
  await other.host.accounts.update(other.ada.id, { quotaOctets: 100_000 });
  other.host.at += 3_600_000;
  await worked(other.host);
  assert.match((await inbox(other.host, other.ada.id))[0] ?? '', /Status: 5\.7\.1/);
  assert.deepEqual(await queued(other.host), []);

  relay.replies.set('MAIL', [451, '4.3.0 Later']);
  await submit(other.host, other.ada.id, mail(), ['bob@example.org']);
  await worked(other.host);
  await other.host.accounts.delete(other.ada.id);
  other.host.at += 86_400_000;
  await worked(other.host);
  assert.deepEqual(await queued(other.host), []);
});

test('the administrator hurries a message or gives it up, also while it is being sent', async (t) => {
  const relay = await startOtherServer(t);
  relay.replies.set('MAIL', [451, '4.3.0 Later']);
  const { host, ada } = await house(t, { relay });
  const first = await submit(host, ada.id, mail(), ['bob@example.org']);
  const second = await submit(host, ada.id, mail(), ['bob@example.org']);
  await worked(host);
  assert.equal(await host.submissionQueue.delete('nothing'), false);
  assert.equal(await host.submissionQueue.delete(first.id), true);
  relay.replies.delete('MAIL');
  assert.equal(await host.submissionQueue.retry(second.id), true);
  await worked(host);
  assert.equal(relay.taken.length, 1);
  assert.deepEqual(await queued(host), []);
  const third = await submit(host, ada.id, mail(), ['bob@example.org']);
  host.submissionQueue.poke();
  await host.submissionQueue.delete(third.id);
  await worked(host);
  assert.deepEqual(await queued(host), []);
  assert.deepEqual(await inbox(host, ada.id), []);
});

test('a message that goes back whole, in Unicode; a big one is returned by its header', async (t) => {
  const relay = await startOtherServer(t);
  relay.replies.set('DATA', [550, '5.6.0 Nein, пётр']);
  const { host, ada } = await house(t, { relay });
  const unicode = mail(`X-Name: пётр\r\n${WHOLE}`);
  await submit(host, ada.id, unicode, ['пётр@пример.test'], { returns: 'full', envelopeId: 'id 1' });
  const big = mail(`${WHOLE}Content-Type: text/plain\r\n`) + 'long line\r\n'.repeat(200_000);
  await submit(host, ada.id, big, ['bob@example.org'], { returns: 'full' });
  await worked(host);
  const reports = await inbox(host, ada.id);
  const whole = reports.find((text) => text.includes('message/global\r\n')) ?? '';
  assert.match(whole, /message\/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\nOriginal-Envelope-Id: id 1\r\n/);
  assert.match(whole, /Final-Recipient: utf-8; пётр@пример\.test\r\nAction: failed\r\nStatus: 5\.6\.0/);
  assert.match(whole, /X-Name: пётр\r\n[\s\S]*\r\n\r\nbody\r\n\r\n--/);
  const headers = reports.find((text) => text.includes('text/rfc822-headers')) ?? '';
  assert(headers.length > 500 && headers.length < 5000);
  assert.equal(reports.length, 2);
});

test('what was known to be sent is not sent again by a second instance; what was not known is', async (t) => {
  const relay = await startOtherServer(t);
  const { host, ada } = await house(t, { relay });
  await submit(host, ada.id, mail(WHOLE), ['bob@example.org', ADA]);
  await worked(host);
  await host.submissionQueue.stop();
  assert.deepEqual([relay.taken.length, (await inbox(host, ada.id)).length], [1, 1]);
  const { id } = await submit(host, ada.id, mail(), ['bob@example.org']);
  assert.deepEqual(
    (await queued(host)).map((message) => message.id),
    [id],
  ); // stopped: it waits for the next start
});
