import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Flag, ModSeq, SearchQuery, Uid, UidRanges } from '@pochard/plugin-sdk';
import fc from 'fast-check';
import { StoreUnavailable } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import { compactRuns, runOf } from '../journal/uid-runs.ts';
import type { MailLog } from '../log.ts';
import { ThreadRoots, threadIdText } from '../sorting/thread-ids.ts';
import { TestMailbox } from './mailbox.fixture.ts';
import { naiveSearch } from './naive-search.fixture.ts';
import { type SearchDeps, searchMailbox } from './search.ts';

const EVERYTHING = runOf(1, 0xffff_ffff);
const never = new AbortController().signal;

async function find(box: TestMailbox, query: SearchQuery, deps: Partial<SearchDeps> = {}): Promise<number[]> {
  return [...(await searchMailbox({ content: box.content, ...deps }, query, box.state, EVERYTHING, never))];
}

function mailboxOf(...raws: readonly string[]): TestMailbox {
  const box = new TestMailbox();
  for (const raw of raws) box.add({ raw });
  return box;
}

function and(...of: readonly SearchQuery[]): SearchQuery {
  return { op: 'and', of };
}
function or(...of: readonly SearchQuery[]): SearchQuery {
  return { op: 'or', of };
}
function not(of: SearchQuery): SearchQuery {
  return { op: 'not', of };
}
function flag(name: string): SearchQuery {
  return { op: 'flag', flag: name };
}
function uids(...in_: readonly (readonly [number, number])[]): SearchQuery {
  return { op: 'uid', in: in_ as readonly (readonly [number, number])[] as UidRanges };
}
function from(contains: string): SearchQuery {
  return { op: 'from', contains };
}
function body(contains: string): SearchQuery {
  return { op: 'body', contains };
}
function sent(first: string, before: string): SearchQuery {
  return { op: 'date', field: 'sent', from: new Date(first), before: new Date(before) };
}

class TestLog implements MailLog {
  readonly lines: { readonly details: Readonly<Record<string, unknown>>; readonly message: string }[] = [];
  info(details: Readonly<Record<string, unknown>>, message: string): void {
    this.lines.push({ details, message });
  }
  warn = this.info;
  error = this.info;
}

/* ── Malformed and hostile ── */

test('50 levels of NOT, AND and OR are evaluated; more than 200 are refused', async () => {
  const box = mailboxOf('From: ada\r\n\r\nengine', 'From: bob\r\n\r\nloom');
  const nested = (levels: number): SearchQuery => {
    let query: SearchQuery = or(from('ada'), body('nothing'));
    for (let level = 0; level < levels; level++) query = level % 2 === 0 ? not(query) : and(or(query, flag('$none')), { op: 'all' });
    return query;
  };
  assert.deepEqual(await find(box, nested(48)), [1]);
  assert.deepEqual(await find(box, nested(50)), [2]);
  await assert.rejects(find(box, nested(1000)), (error) => error instanceof MailError && error.code === 'limit');
});

test('more than 5 000 keys are refused', async () => {
  const keys = Array.from({ length: 5_001 }, () => flag('\\Seen'));
  await assert.rejects(find(mailboxOf('\r\n'), and(...keys)), (error) => error instanceof MailError && error.code === 'limit');
});

test('a date that is none and a number that is none are refused', async () => {
  const isInvalid = (error: unknown) => error instanceof MailError && error.code === 'invalid';
  await assert.rejects(find(mailboxOf('\r\n'), { op: 'date', field: 'sent', from: new Date(Number.NaN) }), isInvalid);
  await assert.rejects(find(mailboxOf('\r\n'), { op: 'size', above: Number.NaN }), isInvalid);
});

test('an empty string is in every body; in a header key it asks whether the field is there', async () => {
  const box = mailboxOf('Subject:\r\n\r\n', 'X-Other: 1\r\n\r\nbody', '');
  assert.deepEqual(await find(box, body('')), [1, 2, 3]);
  assert.deepEqual(await find(box, { op: 'text', contains: '' }), [1, 2, 3]);
  assert.deepEqual(await find(box, { op: 'subject', contains: '' }), [1]);
  assert.deepEqual(await find(box, not({ op: 'header', name: 'x-OTHER', contains: '' })), [1, 3]);
  assert.deepEqual(await find(box, { op: 'header', name: '', contains: '' }), []);
  assert.deepEqual(await find(box, and()), [1, 2, 3]);
  assert.deepEqual(await find(box, or()), []);
  assert.deepEqual(await find(box, { op: 'uid', in: [] }), []);
  assert.deepEqual(box.content.opened, []);
});

test('names and text from the network are no more than that: __proto__, NUL, colons, 8 bit', async () => {
  const box = mailboxOf('__proto__: a\0b\r\nconstructor: c\r\n\r\nleft\0right', 'Subject: none\r\n\r\nleftright');
  assert.deepEqual(await find(box, { op: 'header', name: '__proto__', contains: 'A\0B' }), [1]);
  assert.deepEqual(await find(box, { op: 'header', name: 'Constructor', contains: '' }), [1]);
  assert.deepEqual(await find(box, { op: 'header', name: 'subject: none', contains: '' }), []);
  assert.deepEqual(await find(box, { op: 'header', name: 'sübject', contains: '' }), []);
  assert.deepEqual(await find(box, body('left\0RIGHT')), [1]);
  assert.deepEqual(await find(box, body('\0')), [1]);
  assert.deepEqual(await find(box, flag('__proto__')), []);
  assert.deepEqual(await find(box, not(flag('not a flag'))), [1, 2]);
  assert.deepEqual(await find(box, { op: 'emailId', is: 'M1' }), [1]);
  assert.deepEqual(await find(box, { op: 'emailId', is: 'M1x' }), []);
});

test('a needle of 1 MB is found in a body of 3 MB that comes in pieces, and not found when its last character differs', async () => {
  const line = 'All work and no play makes Jack a dull boy.\r\n';
  const needle = line.repeat(Math.ceil(1_000_000 / line.length));
  const padding = 'x'.repeat(72).concat('\r\n').repeat(13_000);
  for (const chunkOctets of [undefined, 5_000]) {
    const box = mailboxOf(`Subject: big\r\n\r\n${padding}${needle}${padding}`);
    box.content.chunkOctets = chunkOctets;
    assert.deepEqual(await find(box, body(needle)), [1]);
    assert.deepEqual(await find(box, body(`${needle}?`)), []);
    assert.deepEqual(await find(box, { op: 'subject', contains: needle }), []);
    assert.deepEqual(await find(box, not({ op: 'text', contains: `?${needle}` })), [1]);
  }
});

test('header blocks with thousands of repeated, endless and nameless fields are searched to their end', async () => {
  const many = 'From: nobody\r\n'.repeat(20_000);
  const box = mailboxOf(
    `${many}From: ada\r\n\r\n`,
    `:\r\n::\r\n from: ada\r\nFrom\r\nX: from: ada\r\n\r\nFrom: ada`,
    'FROM \t:\r\n\tada',
    'from:ada',
  );
  assert.deepEqual(await find(box, from('ada')), [1, 3, 4]);
});

for (const damage of ['meta', 'content', 'stream', 'gone'] as const) {
  test(`a message with damage (${damage}) is matched on what can be read, logged, and fails nothing`, async () => {
    const box = new TestMailbox();
    for (let uid = 1; uid <= 5; uid++)
      box.add({ raw: `From: ada\r\nDate: 1 Jan 2024 12:00:00 +0000\r\n\r\nbegin ${'x '.repeat(2_000)} end`, flags: ['\\Seen'] });
    box.content.damaged.set(3, damage);
    const log = new TestLog();
    const all = [1, 2, 3, 4, 5];
    const others = [1, 2, 4, 5];
    const hasHead = damage === 'content' || damage === 'stream';
    assert.deepEqual(await find(box, and(flag('\\Seen'), from('ada')), { log }), hasHead ? all : others);
    assert.deepEqual(await find(box, sent('2024-01-01', '2024-01-02'), { log }), hasHead ? all : others);
    assert.deepEqual(await find(box, body('begin'), { log }), damage === 'stream' || damage === 'meta' ? all : others);
    assert.deepEqual(await find(box, body('end'), { log }), damage === 'meta' ? all : others);
    assert.deepEqual(await find(box, and(flag('\\Seen'), not(body('end'))), { log }), damage === 'meta' ? [] : [3]);
    assert.ok(log.lines.length >= 2);
    assert.ok(
      log.lines.every(({ details, message }) => details['uid'] === 3 && details['mailbox'] === 7 && !/ada|begin|end/.test(message)),
    );
  });
}

test('a damaged mailbox does not flood the log', async () => {
  const box = new TestMailbox();
  for (let uid = 1; uid <= 50; uid++) {
    box.add({ raw: 'From: ada\r\n\r\n' });
    box.content.damaged.set(uid, 'meta');
  }
  const log = new TestLog();
  assert.deepEqual(await find(box, from('ada'), { log }), []);
  assert.equal(log.lines.length, 21);
  assert.deepEqual(log.lines.at(-1)?.details, { mailbox: 7, messages: 50 });
});

test('mail that is locked is an answer of its own, not a message without text', async () => {
  const box = mailboxOf('From: ada\r\n\r\n');
  box.content.onRead = () => {
    throw new MailError('locked', 'This mail cannot be opened in this session');
  };
  await assert.rejects(find(box, from('ada')), (error) => error instanceof MailError && error.code === 'locked');
  box.content.onRead = () => {
    throw new StoreUnavailable('disk full');
  };
  await assert.rejects(find(box, body('ada')), (error) => error instanceof MailError && error.code === 'unavailable');
});

test('a separator inside a needle does not join the values of a repeated field', async () => {
  const box = mailboxOf('From: ada\r\nFrom: bob\r\n\r\n', 'From: ada\uffffbob\r\n\r\n');
  assert.deepEqual(await find(box, from('ada\uffffbob')), [2]);
});

/* ── While others act ── */

test('an abort ends the search with its reason, before it and between pages', async () => {
  const box = new TestMailbox();
  for (let uid = 1; uid <= 2_000; uid++) box.add({ raw: 'From: ada\r\n\r\n' });
  const reason = new Error('the connection is gone');
  await assert.rejects(searchMailbox(box, flag('\\Seen'), box.state, EVERYTHING, AbortSignal.abort(reason)), reason);
  const controller = new AbortController();
  box.content.onRead = () => {
    if (box.content.heads.length >= 500) controller.abort(reason);
  };
  await assert.rejects(searchMailbox(box, from('ada'), box.state, EVERYTHING, controller.signal), reason);
  assert.ok(box.content.heads.length <= 1000);
});

test('messages that are expunged during a search are not in its answer, and those after them are not lost', async () => {
  const box = new TestMailbox();
  for (let uid = 1; uid <= 3_000; uid++) box.add({ raw: 'From: ada\r\n\r\n', flags: uid % 2 === 0 ? ['\\Seen'] : [] });
  let isDone = false;
  box.content.onRead = () => {
    if (isDone) return;
    isDone = true;
    box.state.applyGone(5_000, compactRuns([2, 3, 513, 1500]), 'drop-rows');
  };
  const found = await find(box, or(flag('\\Seen'), from('ada')));
  assert.deepEqual(
    found,
    Array.from({ length: 3_000 }, (_, n) => n + 1).filter((uid) => uid !== 2 && uid !== 3 && (uid < 513 || uid > 1500)),
  );
});

test('a long search lets others take their turns', async () => {
  const box = new TestMailbox();
  const text = 'Größe und Maß '.repeat(15_000);
  for (let uid = 1; uid <= 40; uid++) box.add({ raw: `Content-Type: text/plain; charset=utf-8\r\n\r\n${text}` });
  let turns = 0;
  let isOver = false;
  const takeTurn = () => {
    turns += 1;
    if (!isOver) setImmediate(takeTurn);
  };
  setImmediate(takeTurn);
  assert.deepEqual(await find(box, body('not there')), []);
  isOver = true;
  assert.ok(turns > 5, `${turns} turns`);
});

/* ── What is read ── */

test('flags, dates, sizes and UIDs are answered without reading anything', async () => {
  const box = new TestMailbox();
  box.add({ raw: 'From: ada\r\n\r\n', flags: ['\\Seen', '$Label1'], date: 1_700_000_000, saved: 1_700_000_500 });
  box.add({ raw: 'From: bob\r\n\r\nlonger', flags: ['\\Flagged'], date: 1_700_100_000, uid: 600 });
  box.add({ raw: 'From: bob\r\n\r\nlonger still', uid: 70_000, seq: 2 ** 33, contentOf: 600, saved: 5 });
  const internal = (first: number, before: number): SearchQuery => ({
    op: 'date',
    field: 'internal',
    from: new Date(first * 1000),
    before: new Date(before * 1000),
  });
  assert.deepEqual(await find(box, { op: 'all' }), [1, 600, 70_000]);
  assert.deepEqual(await find(box, flag('$label1')), [1]);
  assert.deepEqual(await find(box, not(flag('\\seen'))), [600, 70_000]);
  assert.deepEqual(await find(box, and(not(flag('\\Seen')), not(flag('\\Flagged')))), [70_000]);
  assert.deepEqual(await find(box, or(flag('\\Seen'), flag('\\Flagged'))), [1, 600]);
  assert.deepEqual(await find(box, not(or(flag('\\Seen'), not(flag('\\Flagged'))))), [600]);
  assert.deepEqual(await find(box, or(flag('\\Seen'), not(flag('\\Seen')))), [1, 600, 70_000]);
  assert.deepEqual(await find(box, and(flag('\\Seen'), not(flag('\\Seen')))), []);
  assert.deepEqual(await find(box, internal(1_700_000_000, 1_700_100_000)), [1]);
  assert.deepEqual(await find(box, { op: 'date', field: 'saved', from: new Date(1_700_000_000_001) }), [1, 600]);
  assert.deepEqual(await find(box, { op: 'size', above: 18 }), [600, 70_000]);
  assert.deepEqual(await find(box, { op: 'size', below: 16 }), [1]);
  assert.deepEqual(await find(box, uids([70_000, 599], [2, 2])), [600, 70_000]);
  assert.deepEqual(await find(box, not(uids([1, 1]))), [600, 70_000]);
  assert.deepEqual(await find(box, { op: 'modSeq', atLeast: (2 ** 33) as ModSeq }), [70_000]);
  assert.deepEqual(await find(box, { op: 'emailId', is: 'M600' }), [600, 70_000]);
  assert.deepEqual(await find(box, not({ op: 'threadId', is: 'T1' })), [1, 600, 70_000]);
  assert.deepEqual([...(await searchMailbox(box, { op: 'all' }, box.state, compactRuns([2, 600]), never))], [600]);
  assert.deepEqual([box.content.heads, box.content.sentDates, box.content.opened], [[], [], []]);
});

test('text is read only of messages that the rest of the query leaves open, cheap keys first', async () => {
  const box = new TestMailbox();
  for (let uid = 1; uid <= 40; uid++) {
    box.add({
      raw: `From: ${uid % 4 === 0 ? 'ada' : 'bob'}\r\nDate: ${(uid % 20) + 1} Jan 2024 12:00:00 +0000\r\n\r\ntext`,
      flags: uid <= 30 ? ['\\Seen'] : [],
    });
  }
  const { content } = box;
  assert.deepEqual(await find(box, and(body('text'), from('ada'), not(flag('\\Seen')))), [32, 36, 40]);
  assert.deepEqual(content.heads, [31, 32, 33, 34, 35, 36, 37, 38, 39, 40]);
  assert.deepEqual(content.opened, [32, 36, 40]);
  content.heads.length = 0;
  content.opened.length = 0;
  assert.deepEqual((await find(box, or(flag('\\Seen'), from('ada'), body('text')))).length, 40);
  assert.deepEqual(content.heads, [31, 32, 33, 34, 35, 36, 37, 38, 39, 40]);
  assert.deepEqual(content.opened, [31, 33, 34, 35, 37, 38, 39]);
  content.heads.length = 0;
  assert.deepEqual(await find(box, sent('2024-01-01', '2024-01-02')), [20, 40]);
  assert.deepEqual(content.heads.length, 2 * 5, 'the zone can matter only within days of a bound');
});

test('an index narrows what is read; what it answers is verified, and "unknown" means everything', async () => {
  const box = mailboxOf('From: ada\r\n\r\n', 'From: bob\r\n\r\n', 'From: ada\r\n\r\n', 'From: ada\r\n\r\n');
  const asked: SearchQuery[] = [];
  const candidates: SearchDeps['candidates'] = async (query) => {
    asked.push(query);
    return runOf(1, 3);
  };
  assert.deepEqual(await find(box, from('ada'), { candidates }), [1, 3]);
  assert.deepEqual(box.content.heads, [1, 2, 3]);
  assert.deepEqual(await find(box, from('ada'), { candidates: async () => undefined }), [1, 3, 4]);
  assert.deepEqual(await find(box, not(flag('\\Seen')), { candidates }), [1, 2, 3, 4]);
  assert.equal(asked.length, 1);
});

/* ── Text ── */

test('a sent date is the day that the sender wrote, whatever the zone', async () => {
  const box = new TestMailbox();
  for (const date of [
    'Mon, 1 Jan 2024 23:00:00 -0800',
    'Mon, 1 Jan 2024 01:00:00 +1400',
    'Sun, 31 Dec 2023 23:59:59 -1200',
    'Tue, 2 Jan 2024 00:00:00 +0000',
    'Mon, 1 Jan 2024 00:00:00 EST',
    'Mon, 1 Jan 2024 12:00:00 -9959',
    'yesterday',
  ]) {
    box.add({ raw: `Date: ${date}\r\n\r\n` });
  }
  box.add({ raw: 'Subject: undated\r\n\r\n' });
  box.add({ raw: 'Date: Tue, 2 Jan 2024 00:00:00 +0000\r\nDate: Mon, 1 Jan 2024 20:00:00 -1100\r\n\r\n' });
  assert.deepEqual(await find(box, sent('2024-01-01', '2024-01-02')), [1, 2, 5, 6, 9]);
  assert.deepEqual(await find(box, { op: 'date', field: 'sent', before: new Date('2024-01-01') }), [3]);
  assert.deepEqual(await find(box, { op: 'date', field: 'sent', from: new Date('2024-01-02') }), [4]);
  assert.deepEqual(await find(box, not({ op: 'date', field: 'sent', from: new Date('1970-01-01') })), [7, 8]);
});

test('header keys look at decoded, unfolded values of every occurrence, without regard to case', async () => {
  const box = mailboxOf(
    'From: =?utf-8?Q?Andr=C3=A9?= <a@x.example>\r\nSubject: a very\r\n\tlong   subject\r\n\r\nFrom: zoe',
    'Received: one\r\nReceived: two\r\nCC: ADA\r\n\r\n',
    'Subject: =?utf-8?B?w6Rw?=\r\n =?utf-8?B?ZmVs?=\r\nBcc: hidden\r\n\r\n',
  );
  assert.deepEqual(await find(box, from('ANDRÉ <a@')), [1]);
  assert.deepEqual(await find(box, from('zoe')), []);
  assert.deepEqual(await find(box, { op: 'subject', contains: 'very long subject' }), [1]);
  assert.deepEqual(await find(box, { op: 'subject', contains: 'ÄPFEL' }), [3]);
  assert.deepEqual(await find(box, { op: 'cc', contains: 'ada' }), [2]);
  assert.deepEqual(await find(box, { op: 'bcc', contains: 'HID' }), [3]);
  assert.deepEqual(await find(box, { op: 'header', name: 'RECEIVED', contains: 'two' }), [2]);
  assert.deepEqual(await find(box, { op: 'text', contains: 'received: TWO' }), [2]);
});

test('BODY looks at decoded text, TEXT at headers too; soft line breaks are no part of the text', async () => {
  const box = mailboxOf(
    'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nsoft=\r\nbreak caf=C3=A9',
    'Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8g\r\nd29ybGQ=\r\n',
    'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png; name=soft.png\r\n\r\nhello world\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntext\r\n--b--\r\n',
  );
  assert.deepEqual(await find(box, body('SOFTBREAK CAFÉ')), [1]);
  assert.deepEqual(await find(box, body('hello world')), [2]);
  assert.deepEqual(await find(box, body('subject: inner')), [3]);
  assert.deepEqual(await find(box, body('soft')), [1]);
  assert.deepEqual(await find(box, { op: 'text', contains: 'soft' }), [1, 3]);
  assert.deepEqual(await find(box, and(body('hello'), { op: 'text', contains: 'base64' })), [2]);
});

test('a match across pieces is found, and so is one whose accent begins the next piece', async () => {
  const text = `${'x'.repeat(65_530)}neeDle cafe\u0301 ${'y'.repeat(70_000)} \u1100\u1161\u11a8 last`;
  const raw = `Content-Type: text/plain; charset=utf-8\r\n\r\n${text}`;
  for (const chunkOctets of [undefined, 7, 65_537]) {
    const box = mailboxOf(raw);
    box.content.chunkOctets = chunkOctets;
    for (const needle of ['xneedle', 'CAFÉ y', 'yy 각 LAST', '각'])
      assert.deepEqual(await find(box, body(needle)), [1], `${needle} ${chunkOctets}`);
    assert.deepEqual(await find(box, body('needles')), []);
  }
});

/* ── Everything against the plain meaning ── */

const WORDS = ['ada', 'Zoë', 'straße', 'e', 'x y', '日本', '', 'loom', 'not there', ':', '\0'];

const REPLY_THREAD = threadIdText(new ThreadRoots().digest(Buffer.from('Message-ID: <c@x>\r\n')), '');
const ROOT_THREAD = threadIdText(new ThreadRoots().digest(Buffer.from('Message-ID: <root@x>\r\n')), '');

const query = fc.letrec<{ query: SearchQuery; group: SearchQuery; not: SearchQuery; key: SearchQuery }>((tie) => ({
  query: fc.oneof({ depthSize: 'medium', withCrossShrink: true }, tie('key'), tie('group'), tie('not')),
  group: fc.record({ op: fc.constantFrom('and' as const, 'or' as const), of: fc.array(tie('query'), { maxLength: 4 }) }),
  not: fc.record({ op: fc.constantFrom('not' as const, 'not' as const, 'fuzzy' as const), of: tie('query') }),
  key: fc.oneof<fc.Arbitrary<SearchQuery>[]>(
    fc.record({
      op: fc.constant('flag' as const),
      flag: fc.constantFrom<Flag[]>('\\Seen', '\\seen', '\\Flagged', '\\Deleted', '$Junk', '$junk', 'none', '\\Recent'),
    }),
    fc.record({
      op: fc.constantFrom(
        'text' as const,
        'body' as const,
        'subject' as const,
        'from' as const,
        'to' as const,
        'cc' as const,
        'bcc' as const,
      ),
      contains: fc.constantFrom(...WORDS),
    }),
    fc.record({
      op: fc.constant('header' as const),
      name: fc.constantFrom('X-A', 'date', 'From', 'nope'),
      contains: fc.constantFrom(...WORDS),
    }),
    fc
      .array(fc.tuple(fc.integer({ min: 1, max: 1_600 }), fc.integer({ min: 1, max: 1_600 })), { maxLength: 3 })
      .map((ranges) => ({ op: 'uid' as const, in: ranges as [Uid, Uid][] })),
    fc.oneof<fc.Arbitrary<SearchQuery>[]>(
      fc.record({ op: fc.constant('size' as const), above: fc.nat(400) }),
      fc.record({ op: fc.constant('size' as const), below: fc.nat(400) }),
      fc.record({ op: fc.constant('size' as const), above: fc.nat(200), below: fc.nat(400) }),
    ),
    fc
      .tuple(fc.constantFrom('internal' as const, 'sent' as const, 'saved' as const), fc.nat(12), fc.nat(12), fc.nat(2))
      .map(([field, first, before, ends]) => ({
        op: 'date' as const,
        field,
        ...(ends === 1 ? {} : { from: new Date(Date.UTC(2024, 0, first)) }),
        ...(ends === 2 ? {} : { before: new Date(Date.UTC(2024, 0, before)) }),
      })),
    fc.record({ op: fc.constant('modSeq' as const), atLeast: fc.nat(1_600) as fc.Arbitrary<number> as fc.Arbitrary<ModSeq> }),
    fc.record({ op: fc.constant('emailId' as const), is: fc.constantFrom('M1', 'M7', 'M900', 'x') }),
    fc.record({ op: fc.constant('threadId' as const), is: fc.constantFrom('T1', 'TM1', 'TM4', 'TM9999', ROOT_THREAD, REPLY_THREAD) }),
    fc.constant<SearchQuery>({ op: 'all' }),
  ),
}));

function smallMailbox(): TestMailbox {
  const box = new TestMailbox();
  const zones = ['+0000', '-0800', '+1345', 'EST', '-9959'];
  for (let n = 0; n < 45; n++) {
    const word = WORDS[n % WORDS.length] ?? '';
    const other = WORDS[(n * 7 + 3) % WORDS.length] ?? '';
    const encoded = `=?utf-8?B?${Buffer.from(other).toString('base64')}?=`;
    const head = [
      n % 5 === 4 ? 'X-A: e' : `Date: ${(n % 11) + 1} Jan 2024 ${n % 24}:30:00 ${zones[n % zones.length]}`,
      n % 3 === 0 ? `From: ${encoded} <ada@example.org>` : `from: ${word}\r\n\tx y`,
      n % 4 === 0 ? `Subject: ${word}\r\nSubject: ${encoded}` : 'X-A: loom',
      n % 6 === 0 ? `To: ${word}\r\nCc: Ada` : `BCC: ${other}`,
      n % 4 === 1 ? 'Message-ID: <root@x>' : n % 4 === 2 ? 'References: <root@x> <b@x>\r\nMessage-ID: <c@x>' : 'X-No: id',
    ].join('\r\n');
    const raw =
      n % 7 === 3
        ? `${head}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\nContent-Type: text/plain; charset=utf-8; name="loom"\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(`${word} ${other}`).toString('base64')}\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: ${encoded}\r\n\r\ninner\r\n--b--`
        : `${head}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>${other}</p>`;
    const flags = ['\\Seen', '\\Flagged', '\\Deleted', '$Junk'].filter((_, bit) => ((n * 5 + 3) & (1 << bit)) !== 0);
    const date = Date.UTC(2024, 0, 1 + (n % 10), n % 24) / 1000;
    const uid = n < 20 ? n + 1 : n < 40 ? 880 + n : 1_500 + n * 2;
    box.add({ raw, flags, date, saved: date + n * 3_600, uid, ...(n === 30 ? { contentOf: 7 } : {}) });
  }
  return box;
}

test('any query finds what a reader of every message finds, however bodies are stored', async () => {
  const box = smallMailbox();
  const within = fc
    .array(fc.integer({ min: 1, max: 1_600 }), { minLength: 2, maxLength: 6 })
    .map((ends) => compactRuns(ends.slice(0, ends.length & ~1)));
  let matched = 0;
  await fc.assert(
    fc.asyncProperty(
      query.query,
      fc.oneof(fc.constant(EVERYTHING), within),
      fc.constantFrom(undefined, 3),
      async (asked, runs, chunkOctets) => {
        box.content.chunkOctets = chunkOctets;
        const found = [...(await searchMailbox(box, asked, box.state, runs, never))];
        assert.deepEqual(found, naiveSearch(box, asked, runs));
        if (found.length > 0 && found.length < 45) matched += 1;
      },
    ),
    { numRuns: 1_500 },
  );
  assert.ok(matched > 300, `${matched} queries told messages apart`);
});
