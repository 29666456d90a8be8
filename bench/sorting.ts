/**
 * Micro benchmark of SORT and THREAD: `npx node bench/sorting.ts [messages]`. Metadata lies in memory, so this is the cost of keys,
 * comparisons and trees alone, in ms on this machine. Mail is generated, the same in every run.
 */

import { CONTENT_LOW, DATE, SIZE, WORDS } from '../core/src/mail/journal/layout.ts';
import type { ContentMetaRow, ContentReader } from '../core/src/mail/services.ts';
import { MessageRows } from '../core/src/mail/sorting/message-rows.ts';
import { sortMessages } from '../core/src/mail/sorting/sort-messages.ts';
import { threadMessages } from '../core/src/mail/sorting/thread-messages.ts';
import type { ContentId, MetaColumn } from '../core/src/store/store.ts';

const COUNT = Number(process.argv[2] ?? 10_000);
const TRACE = `Received: from mx1.example.org (mx1.example.org [192.0.2.17])\r\n\tby mail.example.test (Postfix) with ESMTPS id 4F2A71C0042\r\n\tfor <ada@example.test>; Tue, 17 Nov 2026 10:22:31 +0100 (CET)\r\n`;

function idOf(n: number): string {
  return `<20261117102229.${n}@mx1.example.org>`;
}

/** Threads of up to 20; every third subject has an encoded-word. */
function metaOf(n: number): ContentMetaRow {
  const depth = n % 20;
  const references = Array.from({ length: depth }, (_, at) => idOf(n - depth + at));
  const topic = `${(n - depth) % 3 === 0 ? '=?utf-8?Q?Caf=C3=A9?= ' : ''}on Tuesday, and what to bring for it (${(n * 7_919) % COUNT})`;
  const subject = depth === 0 ? topic : `Re: [list] ${topic}`;
  const head = [
    `${TRACE.repeat(4)}DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=2026;\r\n\th=from:to:subject; b=${'q7Zx'.repeat(80)}`,
    `From: "Sender Number ${n}" <sender-${n % 97}@example.org>`,
    'To: Ada Lovelace <ada@example.test>, Charles <charles@example.test>',
    `Subject: ${subject}`,
    `Message-ID: ${idOf(n)}`,
    ...(depth === 0 ? [] : [`References: ${references.join('\r\n ')}`, `In-Reply-To: ${references.at(-1)}`]),
    'MIME-Version: 1.0\r\n\r\n',
  ].join('\r\n');
  const from = `(("Sender Number ${n}" NIL "sender-${n % 97}" "example.org"))`;
  return {
    sentAt: 1_700_000_000_000 + ((n * 104_729) % COUNT) * 1000,
    head: Buffer.from(head),
    envelope: `("17 Nov 2026 10:22:29 +0100" "${subject}" ${from} ${from} ${from} (("Ada" NIL "ada" "example.test")) NIL NIL NIL "${idOf(n)}")`,
  };
}

const metas = Array.from({ length: COUNT }, (_, n) => metaOf(n));
const content: ContentReader = {
  meta: async (ids: readonly ContentId[], _columns: readonly MetaColumn[]) => ids.map((id) => metas[id]),
  open: () => Promise.reject(new Error('nothing is opened')),
};
const rows = new MessageRows(COUNT);
const words = new Uint32Array(WORDS);
for (let n = 0; n < COUNT; n++) {
  words[CONTENT_LOW] = n;
  words[DATE] = 1_700_000_000 + n;
  words[SIZE] = 2_000 + ((n * 31) % 9_000);
  rows.push(words, 0, n + 1);
}
const { signal } = new AbortController();

/** Median of the runs within two seconds, five at least. */
async function measure(name: string, run: () => Promise<unknown>): Promise<void> {
  const times: number[] = [];
  for (const until = performance.now() + 2_000; performance.now() < until || times.length < 5; ) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const ms = (times[times.length >> 1] ?? Number.NaN).toFixed(1);
  console.log(`${name.padEnd(24)} ${ms.padStart(8)} ms for ${COUNT} messages, best ${(times[0] ?? Number.NaN).toFixed(1)}`);
}

await measure('SORT (SIZE)', () => sortMessages({ content }, rows, [{ key: 'SIZE', reverse: false }], signal));
await measure('SORT (DATE)', () => sortMessages({ content }, rows, [{ key: 'DATE', reverse: false }], signal));
await measure('SORT (SUBJECT)', () => sortMessages({ content }, rows, [{ key: 'SUBJECT', reverse: false }], signal));
await measure('SORT (DISPLAYFROM)', () => sortMessages({ content }, rows, [{ key: 'DISPLAYFROM', reverse: false }], signal));
await measure('THREAD ORDEREDSUBJECT', () => threadMessages({ content }, rows, 'ORDEREDSUBJECT', signal));
await measure('THREAD REFERENCES', () => threadMessages({ content }, rows, 'REFERENCES', signal));
