import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type NaiveMessage, naiveReferences } from './naive-thread.fixture.ts';
import { nested, SortingMailbox } from './sorting-mailbox.fixture.ts';
import type { ThreadForest } from './thread-forest.ts';
import { type ThreadAlgorithm, threadMessages } from './thread-messages.ts';

const signal = new AbortController().signal;

function threaded(mailbox: SortingMailbox, algorithm: ThreadAlgorithm = 'REFERENCES'): Promise<ThreadForest> {
  return threadMessages({ content: mailbox.content }, mailbox.rows(), algorithm, signal);
}

/** INTERNALDATE n: by sequence number, since there is no Date. */
function mailboxOf(...messages: readonly (readonly string[])[]): SortingMailbox {
  const mailbox = new SortingMailbox();
  for (const [n, lines] of messages.entries()) mailbox.addHead(lines, n);
  return mailbox;
}

test('references that go round in circles lose the link that would close them', async () => {
  const mailbox = mailboxOf(
    ['Message-ID: <a@x>', 'References: <b@x>'],
    ['Message-ID: <b@x>', 'References: <a@x>'],
    ['Message-ID: <c@x>', 'References: <c@x>'],
    ['Message-ID: <d@x>', 'References: <e@x> <d@x> <e@x>'],
  );
  assert.deepEqual(nested(await threaded(mailbox)), [[2, [1]], [3], [4]]);
});

test('broken fields are passed over; of In-Reply-To only the first id counts, and only without References', async () => {
  const mailbox = mailboxOf(
    ['Message-ID: <a@x>'],
    ['Message-ID: none', 'References: rubbish <> <nothing', 'In-Reply-To: your mail of <a@x> and <c@x>'],
    ['Message-ID: <c@x>', 'In-Reply-To: <a@x>'],
    ['References: <c@x>', 'In-Reply-To: <a@x>'],
    ['Message-ID: <"a"@x>', 'Subject: a second a'],
  );
  assert.deepEqual(nested(await threaded(mailbox)), [[1, [2], [3, [4]]], [5]]);
});

test('a message that is not there holds its replies together at the top, and nowhere else', async () => {
  const mailbox = mailboxOf(
    ['References: <gone@x>'],
    ['References: <gone@x> <gone2@x>'],
    ['References: <lonely@x>'],
    ['Message-ID: <a@x>'],
    ['References: <a@x> <gone3@x>'],
    ['References: <a@x> <gone3@x>'],
  );
  assert.deepEqual(nested(await threaded(mailbox)), [[undefined, [1], [2]], [3], [4, [5], [6]]]);
});

test('the last reference is the parent, also where another message said otherwise', async () => {
  const mailbox = mailboxOf(
    ['Message-ID: <a@x>'],
    ['Message-ID: <b@x>'],
    ['References: <a@x> <c@x>'],
    ['Message-ID: <c@x>', 'References: <b@x>'],
  );
  assert.deepEqual(nested(await threaded(mailbox)), [[1], [2, [4, [3]]]]);
});

test('threads of one base subject become one', async () => {
  const mailbox = mailboxOf(
    ['Subject: Re: lunch'],
    ['Subject: Lunch'],
    ['Subject: [list] LUNCH (fwd)'],
    ['Subject: =?utf-8?q?caf=C3=A9?='],
    ['Subject: CAF\xc9'],
    [],
    ['Subject: Re:'],
  );
  assert.deepEqual(nested(await threaded(mailbox)), [[2, [1], [3]], [undefined, [4], [5]], [6], [7]]);
});

test('siblings and threads stand by date, equal dates by sequence number', async () => {
  const mailbox = new SortingMailbox();
  mailbox.addHead(['Message-ID: <a@x>', 'Date: 3 Jan 2024 10:00:00 +0000'], 0);
  mailbox.addHead(['References: <a@x>', 'Date: 5 Jan 2024 10:00:00 +0000']);
  mailbox.addHead(['References: <a@x>', 'Date: 4 Jan 2024 10:00:00 +0000']);
  mailbox.addHead(['Date: 3 Jan 2024 12:00:00 +0300']);
  mailbox.addHead(['Date: not a date'], Date.UTC(2024, 0, 2) / 1000);
  mailbox.addHead(['Date: 3 Jan 2024 10:00:00 +0000']);
  assert.deepEqual(nested(await threaded(mailbox)), [[5], [4], [1, [3], [2]], [6]]);
});

test('ORDEREDSUBJECT: the oldest message of a subject has all others as children', async () => {
  const mailbox = new SortingMailbox();
  mailbox.addHead(['Subject: Re: b'], 5);
  mailbox.addHead(['Subject: a'], 4);
  mailbox.addHead(['Subject: B'], 3);
  mailbox.addHead(['Subject: [x] b'], 9);
  mailbox.addHead([], 8);
  mailbox.addHead([], 7);
  assert.deepEqual(nested(await threaded(mailbox, 'ORDEREDSUBJECT')), [[3, [1], [4]], [2], [6, [5]]]);
});

test('damaged messages are threads of their own, and the log says so', async () => {
  const mailbox = mailboxOf(['Message-ID: <a@x>'], ['References: <a@x>'], ['References: <a@x>'], ['References: <a@x>']);
  mailbox.box.content.damaged.set(2, 'meta').set(3, 'gone');
  const told: unknown[] = [];
  const log = { info: () => undefined, error: () => undefined, warn: (details: object) => void told.push(details) };
  const forest = await threadMessages({ content: mailbox.content, log }, mailbox.rows(), 'REFERENCES', signal);
  assert.deepEqual(nested(forest), [[1, [4]], [2], [3]]);
  assert.equal(told.length, 1);
});

test('REFERENCES is what RFC 5256 says, whatever refers to whatever', async () => {
  let seed = 11;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  for (let round = 0; round < 400; round++) {
    const count = 1 + random(14);
    const ids = 1 + random(16);
    const mailbox = new SortingMailbox();
    const messages: NaiveMessage[] = [];
    for (let n = 0; n < count; n++) {
      const id = random(8) === 0 ? undefined : `${random(ids)}@x`;
      const references = Array.from({ length: random(5) }, () => `${random(ids)}@x`);
      const subject = ['', 'a', 'b', 'c'][random(4)] ?? '';
      const isReply = random(3) === 0;
      const date = random(5);
      messages.push({ id, references, subject, isReply, date });
      const lines = [`Subject: ${isReply ? 'Re: ' : ''}${subject}`];
      if (id !== undefined) lines.push(`Message-ID: <${id}>`);
      if (references.length > 0) lines.push(`References: ${references.map((reference) => `<${reference}>`).join('\r\n ')}`);
      mailbox.addHead(lines, date);
    }
    const forest = await threaded(mailbox);
    assert.deepEqual(nested(forest), naiveReferences(messages), JSON.stringify(messages));
    const shown = JSON.stringify(nested(forest)).match(/\d+/g) ?? [];
    assert.deepEqual(
      shown.map(Number).toSorted((a, b) => a - b),
      Array.from({ length: count }, (_, n) => n + 1),
    );
  }
});

test('a thread of 50 000 replies to replies, in every order of arrival', async () => {
  const count = 50_000;
  for (const place of [(n: number) => n, (n: number) => count - 1 - n, (n: number) => (n * 7_919) % count]) {
    const mailbox = new SortingMailbox();
    for (let n = 0; n < count; n++) {
      const depth = place(n);
      mailbox.addHead(depth === 0 ? ['Message-ID: <0@x>'] : [`Message-ID: <${depth}@x>`, `In-Reply-To: <${depth - 1}@x>`], depth);
    }
    const { roots, firstChild } = await threaded(mailbox);
    assert.equal(roots.length, 1);
    let length = 0;
    for (let at = roots[0] as number; at >= 0; at = firstChild[at] as number) length += 1;
    assert.equal(length, count);
  }
});

test('deep threads that are hung under each other again and again take no quadratic time', async () => {
  // Pairs are linked first; then each pair is hung under the deepest message so far.
  const count = 20_000;
  const mailbox = new SortingMailbox();
  for (let n = 0; n < count; n++) mailbox.addHead([`Message-ID: <c${n}@x>`, `References: <b${n}@x>`], n);
  for (let n = 1; n < count; n++) mailbox.addHead([`Message-ID: <b${n}@x>`, `References: <c${n - 1}@x>`], n);
  const rows = mailbox.rows();
  const start = performance.now();
  const { roots } = await threadMessages({ content: mailbox.content }, rows, 'REFERENCES', signal);
  assert.equal(roots.length, 1);
  assert(performance.now() - start < 5_000);
});

test('THREAD gives up when the connection ends', async () => {
  const mailbox = mailboxOf([]);
  await assert.rejects(
    threadMessages({ content: mailbox.content }, mailbox.rows(), 'REFERENCES', AbortSignal.abort(new Error('gone'))),
    /gone/,
  );
});
