import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MailError } from '../errors.ts';
import { collationKey } from './collation-key.ts';
import { type SortCriterion, type SortKey, sortMessages } from './sort-messages.ts';
import { SortingMailbox } from './sorting-mailbox.fixture.ts';

const signal = new AbortController().signal;

/** Sequence numbers; `-SIZE` is REVERSE SIZE. */
async function sorted(mailbox: SortingMailbox, ...keys: readonly (SortKey | `-${SortKey}`)[]): Promise<number[]> {
  const criteria = keys.map((key): SortCriterion => ({ key: key.replace('-', '') as SortKey, reverse: key.startsWith('-') }));
  const order = await sortMessages({ content: mailbox.content }, mailbox.rows(), criteria, signal);
  return [...order].map((index) => index + 1);
}

function mailboxOf(...messages: readonly (readonly string[])[]): SortingMailbox {
  const mailbox = new SortingMailbox();
  for (const lines of messages) mailbox.addHead(lines);
  return mailbox;
}

test('what is damaged or gone sorts as if it had no header', async () => {
  const mailbox = mailboxOf(['Subject: b'], ['Subject: a'], ['Subject: c'], ['Subject: a']);
  mailbox.box.content.damaged.set(1, 'meta').set(3, 'gone');
  assert.deepEqual(await sorted(mailbox, 'SUBJECT'), [1, 3, 2, 4]);
});

test('an error that is not one message alone ends the command', async () => {
  const mailbox = mailboxOf(['Subject: b']);
  mailbox.box.content.onRead = () => {
    throw new MailError('locked', 'Locked');
  };
  await assert.rejects(sorted(mailbox, 'SUBJECT'), { code: 'locked' });
});

test('DATE is an instant, INTERNALDATE where there is no date', async () => {
  const mailbox = new SortingMailbox();
  mailbox.addHead(['Date: 1 Jan 2024 12:00:00 +0000'], 9);
  mailbox.addHead(['Date: 1 Jan 2024 12:30:00 +0100'], 8);
  mailbox.addHead(['Date: yesterday'], Date.UTC(2024, 0, 1, 11, 45) / 1000);
  mailbox.addHead([], Date.UTC(2023, 0, 1) / 1000);
  mailbox.addHead(['Date: 1 Jan 2024 12:00:00 +0000'], 7);
  assert.deepEqual(await sorted(mailbox, 'DATE'), [4, 2, 3, 1, 5]);
  assert.deepEqual(await sorted(mailbox, '-DATE'), [1, 5, 3, 2, 4]);
  assert.deepEqual(await sorted(mailbox, 'ARRIVAL'), [5, 2, 1, 4, 3]);
});

test('REVERSE is for one key; what is equal stands by sequence number', async () => {
  const mailbox = mailboxOf(['Subject: aa'], ['Subject: b'], ['Subject: aa'], ['Subject: cc']);
  assert.deepEqual(await sorted(mailbox, 'SIZE'), [2, 1, 3, 4]);
  assert.deepEqual(await sorted(mailbox, '-SIZE'), [1, 3, 4, 2]);
  assert.deepEqual(await sorted(mailbox, '-SIZE', '-SUBJECT'), [4, 1, 3, 2]);
  assert.deepEqual(await sorted(mailbox, 'SUBJECT', '-SUBJECT', 'SIZE'), [1, 3, 2, 4]);
  assert.equal(mailbox.pages.length, 2); // SIZE and ARRIVAL need no look into a message
});

test('FROM, TO and CC sort by the mailbox of the first address, DISPLAYFROM and DISPLAYTO by what is shown', async () => {
  const mailbox = mailboxOf(
    ['From: Zoe <b@x>, a@x', 'To: friends: q@x;', 'Cc: "c d"@x'],
    ['From: =?utf-8?q?=C3=81da?= <C@x>', 'To: zed@x'],
    ['From: a@z', 'To: Ann <b@x>', 'Cc: (comment) b@x'],
    ['To: undisclosed:;'],
    ['From: "" <b@y>'],
  );
  assert.deepEqual(await sorted(mailbox, 'FROM'), [4, 3, 1, 5, 2]);
  assert.deepEqual(await sorted(mailbox, 'TO'), [5, 3, 1, 4, 2]);
  assert.deepEqual(await sorted(mailbox, 'CC'), [2, 4, 5, 3, 1]);
  assert.deepEqual(await sorted(mailbox, 'DISPLAYFROM'), [4, 3, 2, 5, 1]);
  assert.deepEqual(await sorted(mailbox, 'DISPLAYTO'), [5, 3, 1, 4, 2]);
});

test('i;unicode-casemap: case does not count, letters stand before _, order is by code point', () => {
  assert.equal(collationKey('Caf\u00e9'), collationKey('CAFE\u0301'));
  assert.equal(collationKey('\u03c3\u03c2'), collationKey('\u03a3\u03a3'));
  assert.notEqual(collationKey('stra\u00dfe'), collationKey('strasse'));
  const inOrder = ['', 'a', 'A_', 'b', '_', '\u00df', '\u0416', '\ufffd', '\u{1f600}'];
  assert.equal(collationKey('a'), collationKey('A'));
  for (const [n, text] of inOrder.entries()) {
    for (const later of inOrder.slice(n + 1)) assert(collationKey(text) < collationKey(later), `${text} ${later}`);
  }
  const long = 'x'.repeat(5_000);
  assert(collationKey(long).length < 400);
  assert.notEqual(collationKey(long), collationKey(`${long}y`));
});

test('many messages are read in pages of 500, in the order of a stable sort', async () => {
  const mailbox = new SortingMailbox();
  let seed = 5;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  const messages = Array.from({ length: 1_300 }, (_, n) => ({ n, subject: `s${random(40)}`, date: random(20) }));
  for (const { subject, date } of messages) mailbox.addHead([`Subject: ${subject}`], date);
  const wanted = messages.toSorted((a, b) => (a.subject < b.subject ? -1 : a.subject > b.subject ? 1 : b.date - a.date));
  assert.deepEqual(
    await sorted(mailbox, 'SUBJECT', '-DATE'),
    wanted.map(({ n }) => n + 1),
  );
  assert.deepEqual(mailbox.pages, [500, 500, 300]);
});

test('others have a turn between pages, also where pages lie in memory', async () => {
  const mailbox = new SortingMailbox();
  for (let n = 0; n < 2_000; n++) mailbox.addHead([`Subject: ${n}`]);
  mailbox.box.content.onRead = () => {
    for (const until = performance.now() + 6; performance.now() < until; );
  };
  let turns = 0;
  let isOn = true;
  const count = (): void => {
    turns += 1;
    if (isOn) setImmediate(count);
  };
  setImmediate(count);
  await sorted(mailbox, 'SUBJECT');
  isOn = false;
  assert(turns >= mailbox.pages.length, `${turns} turns`);
});
