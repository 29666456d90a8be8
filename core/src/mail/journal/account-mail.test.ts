import assert from 'node:assert/strict';
import { beforeEach, suite, test } from 'node:test';
import type { AccountId, MailboxId, RecordWrite } from '../../store/store.ts';
import { RecordConflict } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { AppendItem, MailboxListener, OpenMailbox, Origin } from './account-mail.ts';
import type { StoreAccountMails } from './account-mails.ts';
import { contentOf, FaultyStore, HandClock, instance, LocalBus, RecordingLog, turn } from './faulty-store.fixture.ts';
import { runOf, runsOf } from './uid-runs.ts';

const ADA = 'ada' as AccountId;
const IMAP: Origin = { by: 'imap', actor: 'ada' };
const ALL = runOf(1, 0xffff_ffff);

let store: FaultyStore;
let bus: LocalBus;
let clock: HandClock;
let log: RecordingLog;
let mails: StoreAccountMails;

beforeEach(() => {
  store = new FaultyStore();
  bus = new LocalBus();
  clock = new HandClock();
  log = new RecordingLog();
  mails = another();
});

function another(): StoreAccountMails {
  return instance(store, bus.asBus(), clock, log);
}
async function ada(of = mails) {
  return of.get(ADA);
}
async function adaWithInbox() {
  const mail = await ada();
  const inbox = await mail.createMailbox('INBOX', IMAP);
  return { mail, inbox };
}
function item(sizeOctets = 100, flags: readonly string[] = [], key?: string): AppendItem {
  const content = contentOf(store.contents.newId(ADA), sizeOctets);
  return { content, flags, date: 1_700_000_000, ...(key === undefined ? {} : { key }) };
}
function items(count: number): AppendItem[] {
  return Array.from({ length: count }, () => item());
}
function failsWith(code: string) {
  return (error: unknown) => error instanceof MailError && error.code === code;
}
class Heard implements MailboxListener {
  readonly events: string[] = [];
  rows: Uint32Array = new Uint32Array(0);
  added(uids: Uint32Array): void {
    this.events.push(`added ${uids}`);
  }
  flagged(uids: Uint32Array): void {
    this.events.push(`flagged ${uids}`);
  }
  gone(uids: Uint32Array, rows: Uint32Array): void {
    this.events.push(`gone ${uids}`);
    this.rows = rows;
  }
  keywords(): void {
    this.events.push('keywords');
  }
  closed(): void {
    this.events.push('closed');
  }
  reloaded(): void {
    this.events.push('reloaded');
  }
}
function flagsOf(open: Pick<OpenMailbox, 'state'>): number[] {
  const flags: number[] = [];
  open.state.visit(ALL, (words, at) => {
    flags.push(words[at] as number);
  });
  return flags;
}

suite('names that are refused', () => {
  const bad: [string, string][] = [
    ['', 'empty'],
    ['/a', 'leading delimiter'],
    ['a/', 'trailing delimiter'],
    ['a//b', 'empty level'],
    ['a\0b', 'NUL'],
    ['a\r\nb', 'CRLF'],
    ['a\u0085', 'C1'],
    ['\ud800', 'lone surrogate'],
    ['é'.repeat(128), 'level above 255 octets'],
    [Array.from({ length: 65 }, () => 'x').join('/'), 'more than 64 levels'],
    [Array.from({ length: 5 }, () => 'x'.repeat(240)).join('/'), 'more than 1000 octets'],
  ];
  for (const [name, why] of bad) {
    test(why, async () => {
      await assert.rejects((await ada()).createMailbox(name, IMAP), failsWith('invalid-name'));
    });
  }
});

test('names with .., spaces, wildcards or __proto__ are ordinary', async () => {
  const mail = await ada();
  for (const name of ['..', '../etc', 'a b', '*', '__proto__', 'constructor']) {
    const id = await mail.createMailbox(name, IMAP);
    assert.equal(mail.byName(name)?.id, id);
  }
});

test('INBOX is found in any case, also as the first level; other names are compared after NFC', async () => {
  const { mail, inbox } = await adaWithInbox();
  const child = await mail.createMailbox('inbox/x', IMAP);
  assert.equal(mail.byName('iNbOx')?.id, inbox);
  assert.equal(mail.byId(child)?.name, 'INBOX/x');
  const cafe = await mail.createMailbox('Cafe\u0301', IMAP);
  assert.equal(mail.byName('Caf\u00e9')?.id, cafe);
  assert.equal(mail.byName('INBOXES'), undefined);
});

suite('commands that are refused change nothing', () => {
  test('a keyword that is no atom, a system flag that does not exist', async () => {
    const { mail, inbox } = await adaWithInbox();
    for (const flag of ['', '\\Recent', 'a b', 'a(', 'é', '\\', 'x'.repeat(129)])
      await assert.rejects(mail.append(inbox, [item(1, [flag])], IMAP, {}), failsWith('invalid'));
    assert.equal(mail.head, 1);
  });
  test('the 28th keyword', async () => {
    const { mail, inbox } = await adaWithInbox();
    await mail.append(inbox, [item()], IMAP, {});
    const names = Array.from({ length: 27 }, (_, n) => `k${n}`);
    await mail.store(inbox, ALL, { mode: 'add', flags: names }, IMAP);
    await assert.rejects(mail.store(inbox, ALL, { mode: 'add', flags: ['k27'] }, IMAP), failsWith('limit'));
    await mail.store(inbox, ALL, { mode: 'add', flags: ['K0'] }, IMAP);
    assert.deepEqual(mail.byId(inbox)?.keywords, names);
  });
  test('runs that are not ascending', async () => {
    const { mail, inbox } = await adaWithInbox();
    await assert.rejects(mail.copy(inbox, new Uint32Array([5, 1]), inbox, IMAP, {}), failsWith('invalid'));
  });
  test('a mailbox that does not exist, as source and as target', async () => {
    const { mail, inbox } = await adaWithInbox();
    const none = 99 as MailboxId;
    await assert.rejects(mail.append(none, [item()], IMAP, {}), failsWith('no-such-target'));
    await assert.rejects(mail.copy(inbox, ALL, none, IMAP, {}), failsWith('no-such-target'));
    await assert.rejects(mail.copy(none, ALL, inbox, IMAP, {}), failsWith('no-such-mailbox'));
    await assert.rejects(mail.open(none, new Heard()), failsWith('no-such-mailbox'));
  });
  test('INBOX cannot be deleted, a mailbox not moved under itself or onto another', async () => {
    const { mail, inbox } = await adaWithInbox();
    const a = await mail.createMailbox('a', IMAP);
    await mail.createMailbox('b', IMAP);
    await assert.rejects(mail.deleteMailbox(inbox, IMAP), failsWith('forbidden'));
    await assert.rejects(mail.renameMailbox(a, 'a/b', IMAP), failsWith('invalid-name'));
    await assert.rejects(mail.renameMailbox(a, 'b', IMAP), failsWith('mailbox-exists'));
    await assert.rejects(mail.createMailbox('inbox', IMAP), failsWith('mailbox-exists'));
  });
  test('a rename that would make a name below too long', async () => {
    const mail = await ada();
    const a = await mail.createMailbox('a', IMAP);
    await mail.createMailbox(`a/${Array.from({ length: 4 }, () => 'x'.repeat(240)).join('/')}`, IMAP);
    await assert.rejects(mail.renameMailbox(a, 'y'.repeat(200), IMAP), failsWith('invalid-name'));
  });
  test('a precondition of a record that fails', async () => {
    const mail = await ada();
    const write: RecordWrite = { table: 'accounts', key: 'ada', value: {}, ifVersion: 99 };
    await assert.rejects(
      mail.createMailboxes([{ name: 'INBOX' }], IMAP, [write]),
      (error) => error instanceof RecordConflict && error.key === 'ada',
    );
    assert.equal(mail.head, 0);
  });
});

test('a submission lands whole or not at all: filed copy, kept content, records, outcomes', async () => {
  const { mail, inbox } = await adaWithInbox();
  const kept = contentOf(store.contents.newId(ADA), 50);
  const outcome = { submission: 'm1', recipient: 'bob@example.org', outcome: 'queued', reply: '' } as const;
  const record: RecordWrite = { table: 'queue', key: 'm1', value: { waits: true }, ifVersion: 0 };
  const change = {
    file: { box: inbox, item: item(100, ['\\Seen'], 'key'), limits: {} },
    outcomes: [outcome],
    drops: [],
    records: [record],
  };
  await assert.rejects(
    mail.submission({ ...change, file: { ...change.file, limits: { octets: 10 } }, keeps: [kept] }, IMAP),
    failsWith('over-quota'),
  );
  assert.equal(await store.records.get('queue', 'm1'), undefined);
  await mail.submission({ ...change, keeps: [kept] }, IMAP);
  assert.deepEqual([mail.byId(inbox)?.messages, mail.usage.messages], [1, 1]); // what is kept is nobody's message
  const [, stored] = await store.contents.load(ADA, [change.file.item.content.id, kept.id]);
  assert.equal(stored?.sizeOctets, 50);
  // Another writer was first: nothing of it, the copy included.
  await assert.rejects(mail.submission({ ...change, keeps: [] }, IMAP), RecordConflict);
  // The copy is there already, the rest lands.
  await mail.submission({ ...change, keeps: [], records: [{ ...record, ifVersion: 1 }] }, IMAP);
  assert.equal(mail.byId(inbox)?.messages, 1);
  const ops: string[] = [];
  for await (const entry of mail.changes(0)) ops.push(...entry.ops.map(({ op }) => op));
  assert.deepEqual(ops, ['box', 'add', 'outcome', 'outcome']);
});

test('the quota is exact: of two appends that meet in one entry, the one that fits is stored', async () => {
  const { mail, inbox } = await adaWithInbox();
  const limits = { octets: 250 };
  const outcomes = await Promise.allSettled([
    mail.append(inbox, [item(100)], IMAP, limits),
    mail.append(inbox, [item(200)], IMAP, limits),
    mail.append(inbox, [item(150)], IMAP, limits),
  ]);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.equal(mail.usage.octets, 250);
  await assert.rejects(mail.copy(inbox, ALL, inbox, IMAP, limits), failsWith('over-quota'));
  await mail.move(inbox, ALL, inbox, IMAP);
  await mail.replace(inbox, 3, inbox, item(100), IMAP, limits);
  assert.equal(mail.usage.octets, 250);
});

test('commands that arrive together share one entry, except where they touch the same message', async () => {
  const { mail, inbox } = await adaWithInbox();
  await mail.append(inbox, items(4), IMAP, {});
  const before = store.committed.length;
  const [a, b, c] = await Promise.all([
    mail.store(inbox, runOf(1, 2), { mode: 'add', flags: ['\\Seen'] }, IMAP),
    mail.store(inbox, runOf(3, 4), { mode: 'add', flags: ['\\Seen'] }, IMAP),
    mail.store(inbox, runOf(2, 3), { mode: 'add', flags: ['\\Flagged'] }, IMAP),
  ]);
  assert.equal(store.committed.length - before, 2);
  assert.equal(a.seq, b.seq);
  assert.equal(c.seq, a.seq + 1);
  const appended = await Promise.all(Array.from({ length: 50 }, () => mail.append(inbox, [item()], IMAP, {})));
  assert.equal(store.committed.length - before, 3);
  assert.deepEqual(
    appended.flatMap(({ uids }) => uids),
    Array.from({ length: 50 }, (_, n) => n + 5),
  );
});

test('STORE that changes nothing makes no entry; UNCHANGEDSINCE is judged at the head', async () => {
  const { mail, inbox } = await adaWithInbox();
  await mail.append(inbox, items(3), IMAP, {});
  const first = await mail.store(inbox, runOf(2, 2), { mode: 'add', flags: ['\\Seen'] }, IMAP);
  const again = await mail.store(inbox, runOf(2, 9), { mode: 'remove', flags: ['\\Draft', 'unknown'] }, IMAP, {
    unchangedSince: first.seq - 1,
  });
  assert.deepEqual([again.seq, again.changed, again.modified], [first.seq, runsOf([]), runsOf([2])]);
  const conditional = await mail.store(inbox, ALL, { mode: 'replace', flags: ['\\Deleted', 'Work'] }, IMAP, {
    unchangedSince: first.seq - 1,
  });
  assert.deepEqual([conditional.changed, conditional.modified], [runsOf([1, 3]), runsOf([2])]);
  const info = mail.byId(inbox);
  assert.deepEqual(
    [info?.unseen, info?.deleted, info?.deletedOctets, info?.keywords, info?.highestModSeq],
    [2, 2, 200, ['Work'], conditional.seq],
  );
});

test('HIGHESTMODSEQ of a mailbox moves with its own messages only', async () => {
  const { mail, inbox } = await adaWithInbox();
  const other = await mail.createMailbox('other', IMAP);
  assert.equal(mail.byId(inbox)?.highestModSeq, 1);
  assert.equal(mail.byId(other)?.highestModSeq, 2);
  await mail.subscribe('other', 'subscribe', IMAP);
  await mail.append(other, [item()], IMAP, {});
  assert.equal(mail.byId(inbox)?.highestModSeq, 1);
  assert.equal(mail.byId(other)?.highestModSeq, 4);
});

test('COPY takes keywords along by name, shares the content and answers both sets of UIDs', async () => {
  const { mail, inbox } = await adaWithInbox();
  const other = await mail.createMailbox('other', IMAP);
  await mail.append(other, [item(5, ['z', 'y'])], IMAP, {});
  await mail.append(inbox, [item(10, ['x', '\\Seen']), item(20, ['Y', 'x'])], IMAP, {});
  const copied = await mail.copy(inbox, ALL, other, IMAP, {});
  assert.deepEqual([copied.from, copied.to], [runsOf([1, 2]), runsOf([2, 3])]);
  assert.deepEqual(mail.byId(other)?.keywords, ['z', 'y', 'x']);
  assert.deepEqual(flagsOf({ state: await mail.state(other) }), [0b11 << 5, 1 | (1 << 7), (1 << 6) | (1 << 7)]);
  assert.equal((await mail.liveContents()).size, 3);
  assert.equal(mail.usage.octets, 65);
});

test('MOVE onto the same mailbox gives new UIDs; the contents are no candidates for the sweep', async () => {
  const { mail, inbox } = await adaWithInbox();
  await mail.append(inbox, items(3), IMAP, {});
  const heard = new Heard();
  const open = await mail.open(inbox, heard);
  const moved = await mail.move(inbox, runOf(2, 3), inbox, IMAP);
  assert.deepEqual([moved.from, moved.to], [runsOf([2, 3]), runsOf([4, 5])]);
  assert.deepEqual(heard.events, ['added 4,5', 'gone 2,3']);
  assert.equal(heard.rows.length, 16);
  assert.deepEqual(open.state.existing(ALL), runsOf([1, 4, 5]));
  assert.equal(store.dead.length, 0);
  await mail.expunge(inbox, ALL, 'expunge', IMAP);
  assert.equal(store.dead.length, 3);
});

test('EXPUNGE of \\Deleted takes only those that carry it at the head', async () => {
  const { mail, inbox } = await adaWithInbox();
  await mail.append(inbox, [item(1, ['\\Deleted']), item(1), item(1, ['\\Deleted'])], IMAP, {});
  const { gone } = await mail.expunge(inbox, runOf(2, 3), 'expunge', IMAP, { onlyDeleted: true });
  assert.deepEqual(gone, runsOf([3]));
  await assert.rejects(mail.replace(inbox, 3, inbox, item(), IMAP, {}), failsWith('expunged'));
});

test('a delivery whose key is known answers its first UID, also within one entry, for a day', async () => {
  const { mail, inbox } = await adaWithInbox();
  const [a, b] = await Promise.all([
    mail.append(inbox, [item(9, [], 'key')], IMAP, {}),
    mail.append(inbox, [item(9, [], 'key')], IMAP, {}),
  ]);
  assert.deepEqual([a.uids, a.duplicate, b.uids, b.duplicate, b.seq], [[1], false, [1], true, a.seq]);
  await mails.drain();
  mails = another();
  const later = await (await ada()).append(inbox, [item(9, [], 'key')], IMAP, {});
  assert.deepEqual([later.uids, later.duplicate, later.uidValidity], [[1], true, a.uidValidity]);
  clock.advance(86_400_001);
  const nextDay = await (await ada()).append(inbox, [item(9, [], 'key')], IMAP, {});
  assert.deepEqual([nextDay.uids, nextDay.duplicate], [[2], false]);
});

test('DELETE of a mailbox with inferiors leaves the name; CREATE makes it a new mailbox', async () => {
  const mail = await ada();
  const child = await mail.createMailbox('a/b', IMAP);
  const parent = mail.byName('a');
  assert(parent);
  await mail.append(parent.id, items(2), IMAP, {});
  const { uidValidity } = parent;
  const heard = new Heard();
  await mail.open(parent.id, heard);
  await mail.deleteMailbox(parent.id, IMAP);
  assert.deepEqual(heard.events, ['gone 1,2', 'closed']);
  assert.deepEqual([parent.selectable, parent.messages, mail.usage.messages], [false, 0, 0]);
  await assert.rejects(mail.deleteMailbox(parent.id, IMAP), failsWith('has-children'));
  await assert.rejects(mail.open(parent.id, new Heard()), failsWith('not-selectable'));
  await assert.rejects(mail.append(parent.id, [item()], IMAP, {}), failsWith('no-such-target'));
  assert.equal(await mail.createMailbox('a', IMAP), parent.id);
  assert(mail.byId(parent.id)?.selectable === true && parent.uidValidity > uidValidity);
  assert.deepEqual((await mail.append(parent.id, [item()], IMAP, {})).uids, [3]);
  await mail.deleteMailbox(child, IMAP);
  await mail.deleteMailbox(parent.id, IMAP);
  assert.equal([...mail.mailboxes()].length, 0);
});

test('UIDVALIDITY rises with every mailbox, also within a second and when the clock falls', async () => {
  const mail = await ada();
  const seen: number[] = [];
  for (let n = 0; n < 3; n++) {
    const id = await mail.createMailbox('x', IMAP);
    seen.push(mail.byId(id)?.uidValidity ?? 0);
    await mail.deleteMailbox(id, IMAP);
    clock.time -= 100_000;
  }
  assert.deepEqual(seen, [1_790_000_000, 1_790_000_001, 1_790_000_002]);
});

test('RENAME moves the subtree and subscriptions; a former name of a younger mailbox gives a new UIDVALIDITY', async () => {
  const mail = await ada();
  const a = await mail.createMailbox('a', IMAP);
  const b = await mail.createMailbox('a/b', IMAP);
  await mail.subscribe('a/b', 'subscribe', IMAP);
  const old = mail.byId(a)?.uidValidity;
  await mail.renameMailbox(a, 'n/m', IMAP);
  assert.deepEqual([mail.byId(a)?.name, mail.byId(b)?.name, [...mail.subscriptions()]], ['n/m', 'n/m/b', ['n/m/b']]);
  assert.equal(mail.byId(a)?.uidValidity, old);
  await mail.renameMailbox(a, 'a', IMAP);
  assert.equal(mail.byId(a)?.uidValidity, old, 'its own former name');
  const young = await mail.createMailbox('y', IMAP);
  const youngest = mail.byId(young)?.uidValidity ?? 0;
  await mail.deleteMailbox(young, IMAP);
  await mail.renameMailbox(a, 'y', IMAP);
  assert((mail.byId(a)?.uidValidity ?? 0) > youngest);
  assert.equal(mail.byName('y/b')?.id, b);
});

test('RENAME of INBOX moves its messages; INBOX keeps UIDVALIDITY, UIDNEXT and inferiors', async () => {
  const { mail, inbox } = await adaWithInbox();
  await mail.createMailbox('INBOX/x', IMAP);
  await mail.append(inbox, [item(7, ['k']), item(8)], IMAP, {});
  const info = mail.byId(inbox);
  assert(info);
  const { uidValidity } = info;
  await mail.renameMailbox(inbox, 'old/mail', IMAP);
  assert.deepEqual([info.uidValidity, info.uidNext, info.messages, info.name], [uidValidity, 3, 0, 'INBOX']);
  const moved = mail.byName('old/mail');
  assert.deepEqual([moved?.messages, moved?.octets, moved?.keywords], [2, 15, ['k']]);
  assert(mail.byName('INBOX/x') && mail.byName('old'));
  assert.equal(mail.usage.messages, 2);
});

test('a listener that throws keeps nothing from the others, and is logged', async () => {
  const { mail, inbox } = await adaWithInbox();
  const broken = new Heard();
  broken.added = () => {
    throw new Error('broken');
  };
  const heard = new Heard();
  await mail.open(inbox, broken);
  await mail.open(inbox, heard);
  await mail.append(inbox, [item(1, ['k'])], IMAP, {});
  assert.deepEqual(heard.events, ['keywords', 'added 1,1']);
  assert(log.lines.some((line) => line.includes('broken')));
});

test('a mailbox at rest may leave memory; its listener still hears, and waking brings it back', async () => {
  mails = instance(store, bus.asBus(), clock, log, { maxPackedOctets: 0 });
  const { mail, inbox } = await adaWithInbox();
  await mail.append(inbox, items(2), IMAP, {});
  const heard = new Heard();
  const open = await mail.open(inbox, heard);
  assert.equal(open.state.uidAt(2), 2);
  open.rest();
  assert.throws(() => open.state, failsWith('unavailable'));
  await mail.append(inbox, [item()], IMAP, {});
  const second = another();
  const elsewhere = await second.get(ADA);
  await elsewhere.expunge(inbox, runOf(1, 1), 'expunge', IMAP);
  for (let n = 0; n < 20; n++) await turn();
  assert.deepEqual(heard.events, ['added 3,3', 'gone 1,1']);
  assert.equal(heard.rows.length, 8);
  assert.deepEqual((await open.wake()).existing(ALL), runsOf([2, 3]));
  open.close();
  open.close();
});

test('two instances on one store agree, by beacon and by poll', async () => {
  const { mail, inbox } = await adaWithInbox();
  const second = another();
  const elsewhere = await ada(second);
  bus.deaf = true;
  await mail.append(inbox, items(2), IMAP, {});
  assert.equal(elsewhere.byId(inbox)?.messages, 0);
  assert.equal(await second.poll(), 1);
  assert.equal(elsewhere.byId(inbox)?.messages, 2);
  const created = await mail.createMailbox('new', IMAP);
  await elsewhere.append(created, [item()], IMAP, {});
  assert.equal(elsewhere.byId(created)?.messages, 1, 'judged again at the store head');
  const [a, b] = await Promise.all([mail.append(inbox, [item()], IMAP, {}), elsewhere.append(inbox, [item()], IMAP, {})]);
  assert.deepEqual([...a.uids, ...b.uids].sort(), [3, 4]);
});

suite('commits that fail', () => {
  test('a store that is down answers unavailable and loses nothing', async () => {
    const { mail, inbox } = await adaWithInbox();
    store.faults.push('unavailable');
    await assert.rejects(mail.append(inbox, [item()], IMAP, {}), failsWith('unavailable'));
    assert.deepEqual((await mail.append(inbox, [item()], IMAP, {})).uids, [1]);
  });
  test('an unknown outcome that landed is answered as done; listeners compare from scratch', async () => {
    const { mail, inbox } = await adaWithInbox();
    await mail.append(inbox, items(1), IMAP, {});
    const heard = new Heard();
    const open = await mail.open(inbox, heard);
    const info = mail.byId(inbox);
    store.faults.push('unknown-landed');
    assert.deepEqual((await mail.append(inbox, [item()], IMAP, {})).uids, [2]);
    assert.deepEqual(heard.events, ['reloaded']);
    assert.equal(mail.byId(inbox), info);
    assert.equal(info?.messages, 2);
    assert.equal(open.state.uidAt(2), 2);
  });
  test('an unknown outcome that did not land is answered unavailable, and again while the store is down', async () => {
    const { mail, inbox } = await adaWithInbox();
    store.faults.push('unknown-lost');
    await assert.rejects(mail.append(inbox, [item()], IMAP, {}), failsWith('unavailable'));
    store.faults.push('unknown-landed');
    const pending = mail.append(inbox, [item()], IMAP, {});
    await turn();
    await turn();
    await turn();
    store.down = true;
    await assert.rejects(pending, failsWith('unavailable'));
    await assert.rejects(mail.append(inbox, [item()], IMAP, {}), failsWith('unavailable'));
    store.down = false;
    assert.deepEqual((await mail.append(inbox, [item()], IMAP, {})).uids, [2]);
  });
});

suite('saving', () => {
  test('state is saved every 256 entries, when idle by one timer, and at the end', async () => {
    const { mail, inbox } = await adaWithInbox();
    assert.equal(clock.armed, 1);
    for (let n = 0; n < 300; n++) await mail.append(inbox, [item()], IMAP, {});
    assert.equal(store.saves, 1);
    assert.equal(clock.armed, 1);
    clock.advance(6_000);
    for (let n = 0; n < 20; n++) await turn();
    assert.equal(store.saves, 2);
    assert.equal((await store.load(ADA))?.applied, 301);
    assert.equal(clock.armed, 0);
    await mail.store(inbox, ALL, { mode: 'add', flags: ['\\Seen'] }, IMAP);
    await mails.drain();
    assert.equal((await store.load(ADA))?.applied, 302);
    await assert.rejects(mail.append(inbox, [item()], IMAP, {}), failsWith('unavailable'));
    mails = another();
    const reread = await ada();
    assert.deepEqual([reread.byId(inbox)?.unseen, reread.byId(inbox)?.messages], [0, 300]);
    assert.equal((await reread.state(inbox)).uidAt(300), 300);
  });

  test('entries are pruned once saved and old; a reader below the floor is told', async () => {
    const { mail, inbox } = await adaWithInbox();
    await mail.append(inbox, items(3), IMAP, {});
    assert.equal(await mails.prune(ADA), undefined);
    clock.advance(6_000);
    for (let n = 0; n < 20; n++) await turn();
    assert.equal(await mails.prune(ADA), undefined);
    clock.time += 8 * 86_400_000;
    await mail.append(inbox, items(1), IMAP, {});
    assert.equal(await mails.prune(ADA, { upTo: 1 }), 1);
    assert.equal(await mails.prune(ADA), 2);
    await assert.rejects(async () => {
      for await (const entry of mail.changes(0)) assert(entry);
    }, /pruned/);
    mails = another();
    assert.equal((await ada()).byId(inbox)?.messages, 4);
  });

  test('an account that nobody uses is forgotten, and never twice in memory while somebody holds it', async () => {
    mails = instance(store, bus.asBus(), clock, log, { maxIdleAccounts: 0 });
    const { mail, inbox } = await adaWithInbox();
    clock.advance(6_000);
    for (let n = 0; n < 20; n++) await turn();
    assert.equal(mails.gauges.accounts, 0);
    assert.equal(await ada(), mail);
    assert.deepEqual((await mail.append(inbox, [item()], IMAP, {})).uids, [1]);
    assert.equal(mails.gauges.accounts, 1);
  });
});
