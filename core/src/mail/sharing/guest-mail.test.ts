import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AccountId, MailboxId } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import type { AccountMail, AppendItem, MailboxState, Origin } from '../journal/account-mail.ts';
import { type Guest, rightSet } from '../journal/acl.ts';
import { contentOf, FaultyStore, HandClock, instance, LocalBus, RecordingLog, turn } from '../journal/faulty-store.fixture.ts';
import { FLAGS, modSeqAtRow, UID_OFFSET, WORDS } from '../journal/layout.ts';
import { containsUid, runOf, runsOf } from '../journal/uid-runs.ts';
import { GuestMail } from './guest-mail.ts';

const ADA = 'ada' as AccountId;
const BOB: Guest = { id: 'bob' as AccountId, name: 'bob' };
const CAROL: Guest = { id: 'carol' as AccountId, name: 'carol' };
const OWNER: Origin = { by: 'imap', actor: 'ada' };
const ALL = runOf(1, 0xffff_ffff);
const NAMES = ['\\Seen', '\\Answered', '\\Flagged', '\\Deleted', '\\Draft'];

type Who = 'ada' | 'bob' | 'carol';
const EVERYBODY: readonly Who[] = ['ada', 'bob', 'carol'];

function world() {
  const store = new FaultyStore();
  const bus = new LocalBus();
  const clock = new HandClock();
  const log = new RecordingLog();
  const open = async () => {
    const mails = instance(store, bus.asBus(), clock, log);
    const mail = await mails.get(ADA);
    const as: Record<Who, AccountMail> = { ada: mail, bob: new GuestMail(mail, BOB), carol: new GuestMail(mail, CAROL) };
    return { mails, mail, as };
  };
  const item = (flags: readonly string[]): AppendItem => ({ content: contentOf(store.contents.newId(ADA), 10), flags, date: 1 });
  return { open, item, log, store };
}

/** What a user is shown: flags and MODSEQ by UID. */
function shown(state: MailboxState): Map<number, readonly [flags: number, modSeq: number]> {
  const rows = new Map<number, readonly [number, number]>();
  state.visit(ALL, (words, at, uid) => {
    rows.set(uid, [words[at + FLAGS] ?? 0, modSeqAtRow(words, at)]);
  });
  const again = new Map<number, readonly [number, number]>();
  for (const { n, count, words, maxModSeq, someFlags, everyFlags } of state.chunks) {
    for (let at = 0; at < count * WORDS; at += WORDS) {
      const modSeq = modSeqAtRow(words, at);
      assert.ok(modSeq <= maxModSeq);
      const flags = words[at + FLAGS] ?? 0;
      assert.deepEqual([flags & ~someFlags, everyFlags & ~flags], [0, 0]);
      again.set(n * 512 + (words[at + UID_OFFSET] ?? 0) + 1, [words[at + FLAGS] ?? 0, modSeq]);
    }
  }
  assert.deepEqual(again, rows);
  return rows;
}

const uid = fc.integer({ min: 1, max: 30 });
const uids = fc.uniqueArray(uid, { minLength: 1, maxLength: 6 });
const step = fc.oneof(
  fc.record({ do: fc.constant('append' as const), who: fc.constantFrom(...EVERYBODY), seen: fc.boolean() }),
  fc.record({
    do: fc.constant('store' as const),
    who: fc.constantFrom(...EVERYBODY),
    uids,
    mode: fc.constantFrom('add', 'remove', 'replace'),
    flags: fc.subarray(NAMES),
  }),
  fc.record({ do: fc.constant('expunge' as const), who: fc.constantFrom(...EVERYBODY), uids }),
  fc.record({ do: fc.constant('copy' as const), who: fc.constantFrom(...EVERYBODY), uids }),
  fc.record({
    do: fc.constant('rights' as const),
    who: fc.constantFrom('bob', 'carol'),
    rights: fc.constantFrom('lrswipkxtea', 'lrs', 'lrt', 'lrw', 'lri'),
  }),
  fc.record({ do: fc.constant('reopen' as const) }),
);

interface Message {
  readonly flags: Set<string>;
  readonly seen: Set<Who>;
}

test('whatever an owner and two guests do, each sees his own \\Seen, and nobody misses a change', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { open, item } = world();
      let house = await open();
      const inbox = await house.mail.createMailbox('INBOX', OWNER);
      const copies = await house.mail.createMailbox('Copies', OWNER);
      const rights: Record<Who, string> = { ada: 'lrswipkxtea', bob: '', carol: '' };
      const give = async (guest: Guest, letters: string): Promise<void> => {
        for (const box of [inbox, copies])
          await house.mail.setAcl(box, { identifier: guest.name, who: guest.id, mode: 'replace', rights: rightSet(letters) ?? 0 }, OWNER);
        rights[guest.name === 'bob' ? 'bob' : 'carol'] = letters;
      };
      await give(BOB, 'lrswipkxtea');
      await give(CAROL, 'lrs');
      const model = new Map<MailboxId, Map<number, Message>>([
        [inbox, new Map()],
        [copies, new Map()],
      ]);
      const may = (who: Who, right: string): boolean => rights[who].includes(right);
      const mayFlag = (who: Who, flag: string): boolean => may(who, flag === '\\Seen' ? 's' : flag === '\\Deleted' ? 't' : 'w');
      const before = new Map<string, { readonly rows: ReturnType<typeof shown>; readonly seq: number }>();

      for (const one of steps) {
        const messages = model.get(inbox) ?? new Map<number, Message>();
        try {
          if (one.do === 'append') {
            const { uids: placed } = await house.as[one.who].append(inbox, [item(one.seen ? ['\\Seen'] : [])], OWNER, {});
            assert.ok(may(one.who, 'i'));
            messages.set(placed[0] ?? 0, { flags: new Set(), seen: new Set(one.seen && mayFlag(one.who, '\\Seen') ? [one.who] : []) });
          } else if (one.do === 'store') {
            const asked = one.flags.filter((flag) => mayFlag(one.who, flag));
            await house.as[one.who].store(inbox, runsOf(one.uids), { mode: one.mode, flags: one.flags }, OWNER);
            assert.ok(one.flags.length === 0 || one.mode === 'replace' || asked.length > 0);
            for (const [id, message] of messages)
              if (one.uids.includes(id)) change(message, one.who, one.mode, one.flags, (flag) => mayFlag(one.who, flag));
          } else if (one.do === 'expunge') {
            await house.as[one.who].expunge(inbox, runsOf(one.uids), 'expunge', OWNER, { onlyDeleted: true });
            assert.ok(may(one.who, 'e'));
            for (const [id, { flags }] of messages) if (one.uids.includes(id) && flags.has('\\Deleted')) messages.delete(id);
          } else if (one.do === 'copy') {
            const { from, to } = await house.as[one.who].copy(inbox, runsOf(one.uids), copies, OWNER, {});
            assert.ok(may(one.who, 'i'));
            const sources = [...messages.keys()].filter((id) => containsUid(from, id)).sort((a, b) => a - b);
            for (const [n, id] of sources.entries()) {
              const source = messages.get(id);
              const flags = [...(source?.flags ?? [])].filter((flag) => mayFlag(one.who, flag));
              model.get(copies)?.set((to[0] ?? 0) + n, { flags: new Set(flags), seen: new Set(source?.seen) });
            }
          } else if (one.do === 'rights') await give(one.who === 'bob' ? BOB : CAROL, one.rights);
          else {
            await house.mails.drain();
            house = await open();
          }
        } catch (error) {
          if (!(error instanceof MailError) || error.code !== 'forbidden') throw error;
          const who = 'who' in one ? one.who : 'ada';
          const isRefused =
            (one.do === 'append' && !may(who, 'i')) ||
            (one.do === 'copy' && !may(who, 'i')) ||
            (one.do === 'expunge' && !may(who, 'e')) ||
            (one.do === 'store' && one.flags.every((flag) => !mayFlag(who, flag)));
          assert.ok(isRefused, `${who} was refused ${one.do}`);
        }
        for (const [box, expected] of model) {
          for (const who of EVERYBODY) {
            const state = await house.as[who].state(box);
            const { info } = state;
            const rows = shown(state);
            assert.deepEqual(
              [...rows.keys()],
              [...expected.keys()].sort((a, b) => a - b),
            );
            let unseen = 0;
            for (const [id, { flags, seen }] of expected) {
              const bits = NAMES.reduce(
                (all, name, bit) => all | ((name === '\\Seen' ? seen.has(who) : flags.has(name)) ? 1 << bit : 0),
                0,
              );
              assert.equal(rows.get(id)?.[0], bits, `flags of ${id} to ${who} after ${one.do}`);
              if (!seen.has(who)) unseen += 1;
            }
            assert.deepEqual([info.messages, info.unseen], [expected.size, unseen]);
            for (const [, [, modSeq]] of rows) assert.ok(modSeq <= info.highestModSeq);
            const last = before.get(`${box} ${who}`);
            assert.ok(last === undefined || info.highestModSeq >= last.seq);
            const changed = state.changedSince(last?.seq ?? 0);
            for (const [id, [bits]] of rows)
              if (last?.rows.get(id)?.[0] !== bits) assert.ok(containsUid(changed, id), `change of ${id} is missed by ${who}`);
            before.set(`${box} ${who}`, { rows, seq: info.highestModSeq });
          }
        }
      }
    }),
    { numRuns: 60 },
  );
});

function change({ flags, seen }: Message, who: Who, mode: string, names: readonly string[], may: (flag: string) => boolean): void {
  for (const name of NAMES) {
    if (!may(name)) continue;
    const isNamed = names.includes(name);
    const on = mode === 'remove' ? false : isNamed;
    if (mode !== 'replace' && !isNamed) continue;
    if (name === '\\Seen') on ? seen.add(who) : seen.delete(who);
    else on ? flags.add(name) : flags.delete(name);
  }
}

test("what is the owner's alone is refused, and what a guest may not see is not there", async () => {
  const { open } = world();
  const { mail, as } = await open();
  const inbox = await mail.createMailbox('INBOX', OWNER);
  const secret = await mail.createMailbox('INBOX/Secret', OWNER);
  await mail.setSpecialUse(inbox, ['\\Archive'], OWNER);
  await mail.setNote('anything', 'x', OWNER);
  await mail.setAcl(inbox, { identifier: 'bob', who: BOB.id, mode: 'replace', rights: rightSet('lr') ?? 0 }, OWNER);
  const { bob, carol } = as;
  assert.deepEqual([...carol.mailboxes()], []);
  assert.deepEqual(
    [bob.byName('INBOX/Secret'), bob.byId(secret), bob.note('anything'), bob.note('acl/1/bob')],
    [undefined, undefined, undefined, undefined],
  );
  assert.deepEqual(
    [...bob.mailboxes()].map(({ name, hasChildren, specialUse }) => [name, hasChildren, specialUse]),
    [['INBOX', false, []]],
  );
  const inheritedBefore = mail.acl(secret).length;
  assert.equal(inheritedBefore, 0); // it was there before the list was
  for (const work of [
    () => bob.setNote('x', 'y', OWNER),
    () => bob.setSpecialUse(inbox, [], OWNER),
    () => bob.subscribe('INBOX', 'subscribe', OWNER),
    () => bob.writeRecords([], OWNER),
    () => bob.liveContents(),
    () => bob.createMailboxes([{ name: 'x' }], OWNER),
    async () => bob.listen(() => {}),
    async () => bob.acl(inbox),
    () => bob.renameMailbox(inbox, 'x', OWNER),
    () => bob.append(inbox, [], OWNER, {}),
  ])
    await assert.rejects(work, { code: 'forbidden' });
  for (const work of [
    () => bob.state(secret),
    () => bob.store(secret, ALL, { mode: 'add', flags: ['\\Seen'] }, OWNER),
    () => bob.copy(secret, ALL, inbox, OWNER, {}),
    () => bob.move(secret, ALL, inbox, OWNER),
    () => bob.expunge(secret, ALL, 'expunge', OWNER),
    () => bob.deleteMailbox(secret, OWNER),
    () => bob.renameMailbox(secret, 'INBOX/Mine', OWNER),
    () => bob.setAcl(secret, { identifier: 'bob', who: BOB.id, mode: 'replace', rights: 1 }, OWNER),
    () => bob.annotate(secret, new Map([['/private/comment', 'x']]), OWNER, { atMost: 9 }),
    () => bob.beginTransfer(secret, 'transfer/x', OWNER),
  ])
    await assert.rejects(work, { code: 'no-such-mailbox' });
  await assert.rejects(bob.append(secret, [], OWNER, {}), { code: 'no-such-target' });
});

test("a guest in an open mailbox hears of his own marks and of the end of his rights, and of no other user's", async () => {
  const { open, item } = world();
  const { mail, as } = await open();
  const inbox = await mail.createMailbox('INBOX', OWNER);
  await mail.append(inbox, [item([]), item([])], OWNER, {});
  for (const guest of [BOB, CAROL])
    await mail.setAcl(inbox, { identifier: guest.name, who: guest.id, mode: 'replace', rights: rightSet('lrs') ?? 0 }, OWNER);
  const heard: string[] = [];
  let rows = new Uint32Array(0);
  const ear = {
    added: () => heard.push('added'),
    flagged: (which: Uint32Array) => heard.push(`flagged ${which}`),
    gone: (which: Uint32Array, gone: Uint32Array) => {
      heard.push(`gone ${which}`);
      rows = gone.slice();
    },
    keywords: () => heard.push('keywords'),
    closed: () => heard.push('closed'),
    reloaded: () => heard.push('reloaded'),
  };
  const opened = await as.bob.open(inbox, ear);
  await as.carol.store(inbox, ALL, { mode: 'add', flags: ['\\Seen'] }, OWNER);
  await mail.setAcl(inbox, { identifier: 'carol', who: CAROL.id, mode: 'replace', rights: 0 }, OWNER);
  assert.deepEqual(heard, []);
  await as.bob.store(inbox, runOf(1, 1), { mode: 'add', flags: ['\\Seen'] }, OWNER);
  await mail.expunge(inbox, ALL, 'expunge', OWNER);
  assert.deepEqual(heard, ['flagged 1,1', 'gone 1,2']);
  assert.deepEqual([rows[FLAGS], rows[WORDS + FLAGS]], [1, 0]); // seen by Bob, then not
  opened.rest();
  await opened.wake();
  await mail.setAcl(inbox, { identifier: 'bob', who: BOB.id, mode: 'remove', rights: rightSet('r') ?? 0 }, OWNER);
  assert.deepEqual(heard.slice(2), ['closed']);
  opened.close();
  await turn();
});

test('annotations of guests leave room for the owner', async () => {
  const { open } = world();
  const { mail, as } = await open();
  const inbox = await mail.createMailbox('INBOX', OWNER);
  await mail.setAcl(inbox, { identifier: 'bob', who: BOB.id, mode: 'replace', rights: rightSet('lr') ?? 0 }, OWNER);
  const long = 't'.padEnd(20_000, 'x');
  await as.bob.annotate(inbox, new Map([['/private/one', long]]), OWNER, { atMost: 250 });
  await assert.rejects(as.bob.annotate(inbox, new Map([['/private/two', long]]), OWNER, { atMost: 250 }), { code: 'limit' });
  await as.bob.annotate(inbox, new Map([['/private/one', null]]), OWNER, { atMost: 250 });
  await as.bob.annotate(inbox, new Map([['/private/two', long]]), OWNER, { atMost: 250 });
  await mail.deleteMailbox(await mail.createMailbox('Other', OWNER), OWNER);
  assert.equal([...mail.notes('meta/')].length, 1);
});
