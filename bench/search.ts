/**
 * Micro benchmark of SEARCH without an index: `npx node bench/search.ts`. Contents lie in memory, so this is the cost of evaluation alone:
 * milliseconds for each search and microseconds for each message, on this machine. Mail is generated, the same in every run.
 */
import type { SearchQuery } from '@pochard/plugin-sdk';
import { runOf } from '../core/src/mail/journal/uid-runs.ts';
import { TestMailbox } from '../core/src/mail/search/mailbox.fixture.ts';
import { searchMailbox } from '../core/src/mail/search/search.ts';

const LINE = 'The quick brown fox jumps over the lazy dog, and then it does so once more.\r\n';

function head(n: number): string {
  return [
    'Return-Path: <newsletter-bounces@lists.example.org>',
    'Delivered-To: ada@example.test',
    'Received: from mx1.example.org (mx1.example.org [192.0.2.17])\r\n\tby mail.example.test (Postfix) with ESMTPS id 4F2A71C0042\r\n\tfor <ada@example.test>; Tue, 17 Nov 2026 10:22:31 +0100 (CET)',
    'Received: from localhost (localhost [127.0.0.1])\r\n\tby mx1.example.org (Postfix) with ESMTP id 9B3C2200F1\r\n\tfor <ada@example.test>; Tue, 17 Nov 2026 10:22:30 +0100 (CET)',
    `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=2026;\r\n\th=from:to:subject:date:message-id; bh=${'Ab3+'.repeat(11)};\r\n\tb=${'q7Zx'.repeat(43)}`,
    `Date: ${(n % 28) + 1} Nov 2026 10:22:29 +0100`,
    `From: "Sender Number ${n}" <sender-${n % 97}@example.org>`,
    'To: Ada Lovelace <ada@example.test>, Charles <charles@example.test>',
    `Subject: =?utf-8?Q?Caf=C3=A9?= on Tuesday, and what to bring for it (${n})`,
    `Message-ID: <20261117102229.${n}@mx1.example.org>`,
    'References: <20261115090000.77BB@example.org> <20261116181502.11AA@example.test>',
    'MIME-Version: 1.0',
  ].join('\r\n');
}

/** The fastest tenth of the runs, since the machine may be busy with something else. */
async function measure(name: string, box: TestMailbox, query: SearchQuery): Promise<void> {
  const run = () => searchMailbox(box, query, box.state, runOf(1, 0xffff_ffff), new AbortController().signal);
  const { length: found } = await run();
  const times: number[] = [];
  for (const until = performance.now() + 1_000; performance.now() < until; ) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const ms = times[Math.floor(times.length / 10)] ?? Number.NaN;
  const { count } = box.state;
  const us = ((ms * 1000) / count).toFixed(3);
  console.log(`${name.padEnd(40)} ${ms.toFixed(2).padStart(8)} ms ${us.padStart(8)} us a message  found ${found} of ${count}`);
}

const flagged = new TestMailbox();
for (let n = 0; n < 100_000; n++) {
  const flags = [...(n % 3 === 0 ? [] : ['\\Seen']), ...(n % 50 === 0 ? ['\\Flagged'] : [])];
  flagged.add({ raw: '', flags, date: 1_700_000_000 + n, ...(n > 0 ? { contentOf: 1 } : {}) });
}
const heads = new TestMailbox();
for (let n = 0; n < 10_000; n++) heads.add({ raw: `${head(n)}\r\n\r\n`, flags: n % 10 === 0 ? [] : ['\\Seen'] });
const bodies = new TestMailbox();
for (let n = 0; n < 1_000; n++) {
  const kind = n % 3;
  const text = LINE.repeat(65);
  const body =
    kind === 0
      ? `Content-Type: text/plain; charset=utf-8\r\n\r\n${text}`
      : kind === 1
        ? `Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n${text.replaceAll('fox', 'f=C3=B6x')}`
        : `Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(text)
            .toString('base64')
            .replaceAll(/.{76}/g, '$&\r\n')}`;
  bodies.add({ raw: `${head(n)}\r\n${body}`, flags: n % 10 === 0 ? [] : ['\\Seen'] });
}

const unseen: SearchQuery = { op: 'not', of: { op: 'flag', flag: '\\Seen' } };
const from: SearchQuery = { op: 'from', contains: 'sender-42@example' };
const absent: SearchQuery = { op: 'body', contains: 'nowhere to be found' };
await measure('UNSEEN, 100k', flagged, unseen);
await measure('FLAGGED UNSEEN SINCE, 100k', flagged, {
  op: 'and',
  of: [unseen, { op: 'flag', flag: '\\Flagged' }, { op: 'date', field: 'internal', from: new Date(1_700_050_000_000) }],
});
await measure('ALL, 100k', flagged, { op: 'all' });
await measure('FROM, 10k', heads, from);
await measure('UNSEEN FROM, 10k of which 1k unseen', heads, { op: 'and', of: [from, unseen] });
await measure('SUBJECT with encoded words, 10k', heads, { op: 'subject', contains: 'café on' });
await measure('SENTON, 10k', heads, { op: 'date', field: 'sent', from: new Date('2026-11-07'), before: new Date('2026-11-08') });
await measure('BODY that is nowhere, 1k of 5 kB', bodies, absent);
await measure('BODY that is everywhere, 1k of 5 kB', bodies, { op: 'body', contains: 'quick' });
await measure('TEXT that is nowhere, 1k of 5 kB', bodies, { op: 'text', contains: 'nowhere to be found' });
