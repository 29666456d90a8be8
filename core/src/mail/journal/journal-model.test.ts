/**
 * Random commands of several callers on two instances over one store, with conflicts, unknown outcomes, saves, prunes and restarts,
 * against a model made of plain Maps that reads nothing but the journal's entries and the answers.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AccountId, MailboxId } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import { fsckAccount } from '../fsck.ts';
import type { AccountMail, AppendItem, MailboxListener, Origin } from './account-mail.ts';
import type { StoreAccountMails } from './account-mails.ts';
import type { Entry } from './entry.ts';
import { decodeEntry } from './entry-codec.ts';
import type { Fault } from './faulty-store.fixture.ts';
import { contentOf, FaultyStore, HandClock, instance, LocalBus, RecordingLog, turn } from './faulty-store.fixture.ts';
import { contentAtRow, FLAGS, modSeqAtRow } from './layout.ts';
import { countUids, iterateUids, runOf } from './uid-runs.ts';

const ADA = 'ada' as AccountId;
const IMAP: Origin = { by: 'imap', actor: 'ada' };
const ALL = runOf(1, 0xffff_ffff);
const FLAG_NAMES = ['\\Seen', '\\Deleted', '\\Flagged', 'alpha', 'beta', 'gamma'];
const NAMES = ['a', 'b', 'a/c', 'a/c/d', 'INBOX/x'];

type Step =
  | { do: 'append'; box: number; count: number; flag: number; key: number }
  | { do: 'store'; box: number; lo: number; length: number; mode: 'add' | 'remove' | 'replace'; flags: number[]; since: number }
  | { do: 'copy' | 'move'; box: number; lo: number; length: number; to: number }
  | { do: 'expunge'; box: number; lo: number; length: number; onlyDeleted: boolean }
  | { do: 'replace'; box: number; lo: number; to: number }
  | { do: 'create'; name: number }
  | { do: 'delete' | 'rename'; box: number; name: number }
  | { do: 'idle' | 'restart' | 'prune' | 'wait' | 'poll' | 'note' | 'open' | 'rest' }
  | { do: 'fault'; fault: Fault };

const box = fc.nat(5);
const lo = fc.integer({ min: 1, max: 40 });
const length = fc.integer({ min: 0, max: 30 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      box,
      count: fc.integer({ min: 1, max: 5 }),
      flag: fc.nat(8),
      key: fc.nat(12),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('store' as const),
      box,
      lo,
      length,
      mode: fc.constantFrom('add' as const, 'remove' as const, 'replace' as const),
      flags: fc.array(fc.nat(5), { maxLength: 3 }),
      since: fc.nat(60),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('copy' as const, 'move' as const), box, lo, length, to: box }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('expunge' as const), box, lo, length, onlyDeleted: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replace' as const), box, lo, to: box }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('create' as const), name: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('delete' as const, 'rename' as const), box, name: fc.nat(4) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom('idle', 'restart', 'prune', 'wait', 'wait', 'poll', 'note', 'open', 'rest'),
    }) as fc.Arbitrary<Step>,
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('fault' as const),
      fault: fc.constantFrom<Fault>('unknown-landed', 'unknown-lost', 'unavailable'),
    }),
  },
);

/** The second opinion: the journal as nested Maps, no chunk, no counter. */
interface ModelMessage {
  content: number;
  size: number;
  flags: number;
  modSeq: number;
}
class Model {
  readonly boxes = new Map<
    MailboxId,
    { uidNext: number; highest: number; keywords: string[]; messages: Map<number, ModelMessage>; selectable: boolean }
  >();
  seq = 0;

  apply(entry: Entry): void {
    assert.equal(entry.seq, ++this.seq, 'no gap');
    const touched = new Set<string>();
    const touch = (id: MailboxId, uid: number) => {
      assert(!touched.has(`${id}/${uid}`), 'two commands of one entry touch one message');
      touched.add(`${id}/${uid}`);
    };
    for (const op of entry.ops) {
      if (op.op === 'note' || op.op === 'outcome') continue;
      let mailbox = this.boxes.get(op.box);
      if (op.op === 'box') {
        if (mailbox === undefined)
          this.boxes.set(op.box, { uidNext: 1, highest: entry.seq, keywords: [], messages: new Map(), selectable: true });
        else if (op.selectable && !mailbox.selectable) mailbox.highest = entry.seq;
        mailbox = this.boxes.get(op.box);
        if (mailbox) mailbox.selectable = op.selectable;
        continue;
      }
      assert(mailbox);
      if (op.op === 'unbox') {
        assert.equal(mailbox.messages.size, 0);
        this.boxes.delete(op.box);
      } else if (op.op === 'keyword') mailbox.keywords[op.bit - 5] = op.name;
      else if (op.op === 'add') {
        mailbox.highest = entry.seq;
        for (const message of op.messages) {
          assert(message.uid >= mailbox.uidNext, 'UIDs rise');
          mailbox.uidNext = message.uid + 1;
          touch(op.box, message.uid);
          mailbox.messages.set(message.uid, { content: message.content, size: message.size, flags: message.flags, modSeq: entry.seq });
        }
      } else if (op.op === 'flag') {
        mailbox.highest = entry.seq;
        for (const uid of iterateUids(op.uids)) {
          touch(op.box, uid);
          const message = mailbox.messages.get(uid);
          assert(message, 'flags of a message that exists');
          const flags = ((message.flags | op.set) & ~op.clear) >>> 0;
          assert.notEqual(flags, message.flags, 'only what really changes');
          message.flags = flags;
          message.modSeq = entry.seq;
        }
      } else if (op.op === 'gone') {
        mailbox.highest = entry.seq;
        for (const [n, uid] of [...iterateUids(op.uids)].entries()) {
          touch(op.box, uid);
          assert.equal(mailbox.messages.get(uid)?.content, op.contents[n]);
          mailbox.messages.delete(uid);
        }
      }
    }
  }

  async compare(mail: AccountMail): Promise<void> {
    assert.equal(mail.head, this.seq);
    assert.deepEqual(
      [...mail.mailboxes()].map(({ id }) => id),
      [...this.boxes.keys()],
    );
    let octets = 0;
    for (const info of mail.mailboxes()) {
      const mailbox = this.boxes.get(info.id);
      assert(mailbox);
      const rows = [...mailbox.messages.values()];
      const deleted = rows.filter(({ flags }) => (flags & 8) !== 0);
      const sum = (list: ModelMessage[]) => list.reduce((total, { size }) => total + size, 0);
      octets += sum(rows);
      assert.deepEqual(
        [info.uidNext, info.highestModSeq, info.messages, info.unseen, info.deleted, info.deletedOctets, info.octets, info.keywords],
        [
          mailbox.uidNext,
          mailbox.highest,
          rows.length,
          rows.filter(({ flags }) => (flags & 1) === 0).length,
          deleted.length,
          sum(deleted),
          sum(rows),
          mailbox.keywords,
        ],
      );
      if (!info.selectable) continue;
      const seen = new Map<number, ModelMessage>();
      const state = await mail.state(info.id);
      state.visit(ALL, (words, at, uid, sequence) => {
        seen.set(uid, {
          content: contentAtRow(words, at),
          size: words[at + 1] as number,
          flags: words[at + FLAGS] as number,
          modSeq: modSeqAtRow(words, at),
        });
        assert.equal(sequence, seen.size);
        assert.equal(state.uidAt(sequence), uid);
        assert.equal(state.countBelow(uid), sequence - 1);
        assert(state.has(uid));
      });
      assert.deepEqual(seen, mailbox.messages);
      const since = Math.floor(this.seq / 2);
      assert.deepEqual(
        [...iterateUids(state.changedSince(since))],
        [...mailbox.messages].filter(([, { modSeq }]) => modSeq > since).map(([uid]) => uid),
      );
      assert.equal(countUids(state.existing(ALL)), mailbox.messages.size);
    }
    assert.equal(mail.usage.octets, octets);
  }
}

/** A session that knows the mailbox by what it was told alone. */
class Follower implements MailboxListener {
  readonly uids = new Set<number>();
  closedOnce = false;
  /** Filled by whoever opened it. */
  refill: () => void = () => undefined;
  added(uids: Uint32Array): void {
    for (const uid of iterateUids(uids)) this.uids.add(uid);
  }
  flagged(): void {}
  gone(uids: Uint32Array, rows: Uint32Array): void {
    assert(rows.length === 0 || rows.length === countUids(uids) * 8);
    if (this.closedOnce) return;
    for (const uid of iterateUids(uids)) assert(this.uids.delete(uid), `told of the expunge of unknown UID ${uid}`);
  }
  keywords(): void {}
  closed(): void {
    this.closedOnce = true;
  }
  reloaded(): void {
    this.refill();
  }
}

class Run {
  readonly store = new FaultyStore();
  readonly bus = new LocalBus();
  readonly clock = new HandClock();
  readonly log = new RecordingLog();
  readonly model = new Model();
  instances: StoreAccountMails[] = [];
  readonly pending: Promise<void>[] = [];
  /** Appends that were acknowledged: mailbox/UID -> content. */
  readonly acknowledged = new Map<string, number | undefined>();
  followers: { follower: Follower; close: () => void; rest: () => void }[] = [];
  contents = 0;

  constructor() {
    this.instances = [this.start(), this.start()];
  }

  start(): StoreAccountMails {
    // So little memory that packed state is always on its way out.
    return instance(this.store, this.bus.asBus(), this.clock, this.log, { maxPackedOctets: 2_000, maxIdleAccounts: 0 });
  }

  mail(caller: number): Promise<AccountMail> {
    return (this.instances[caller % 2] as StoreAccountMails).get(ADA);
  }

  async step(caller: number, step: Step): Promise<void> {
    const mail = await this.mail(caller);
    const boxes = [...mail.mailboxes()];
    const pick = (n: number): MailboxId => (boxes[n % Math.max(1, boxes.length)]?.id ?? 1) as MailboxId;
    switch (step.do) {
      case 'append': {
        const items: AppendItem[] = Array.from({ length: step.count }, () => ({
          content: contentOf(this.store.contents.newId(ADA), 10 + (this.contents++ % 90)),
          flags: FLAG_NAMES.slice(step.flag % 7, (step.flag % 7) + 2),
          date: 1,
          ...(step.key < 4 && step.count === 1 ? { key: `key-${step.key}` } : {}),
        }));
        const target = pick(step.box);
        const answer = await mail.append(target, items, IMAP, {});
        for (const [n, uid] of answer.uids.entries())
          if (!answer.duplicate) this.acknowledged.set(`${target}/${uid}`, items[n]?.content.id);
        return;
      }
      case 'store': {
        const change = { mode: step.mode, flags: step.flags.map((n) => FLAG_NAMES[n] ?? '') };
        const options = step.since < 30 ? { unchangedSince: step.since } : {};
        const { changed, modified } = await mail.store(pick(step.box), runOf(step.lo, step.lo + step.length), change, IMAP, options);
        for (const uid of iterateUids(changed)) assert(![...iterateUids(modified)].includes(uid));
        return;
      }
      case 'copy':
        await mail.copy(pick(step.box), runOf(step.lo, step.lo + step.length), pick(step.to), IMAP, { octets: 5_000 });
        return;
      case 'move':
        await mail.move(pick(step.box), runOf(step.lo, step.lo + step.length), pick(step.to), IMAP);
        return;
      case 'expunge':
        await mail.expunge(pick(step.box), runOf(step.lo, step.lo + step.length), 'expunge', IMAP, { onlyDeleted: step.onlyDeleted });
        return;
      case 'replace': {
        const content = contentOf(this.store.contents.newId(ADA), 50);
        await mail.replace(pick(step.box), step.lo, pick(step.to), { content, flags: [], date: 2 }, IMAP, {});
        return;
      }
      case 'create':
        await mail.createMailbox(NAMES[step.name] ?? '', IMAP);
        return;
      case 'delete':
        await mail.deleteMailbox(pick(step.box), IMAP);
        return;
      case 'rename':
        await mail.renameMailbox(pick(step.box), `${NAMES[step.name]}-new`, IMAP);
        return;
      case 'note':
        await mail.setNote('note', String(this.contents++), IMAP);
        return;
      case 'idle':
        this.clock.advance(6_000);
        return;
      case 'prune':
        await this.instances[caller % 2]?.prune(ADA, { olderThanMs: -10_000_000 });
        return;
      case 'poll':
        this.bus.deaf = !this.bus.deaf;
        await this.instances[caller % 2]?.poll();
        return;
      case 'wait':
        return;
      case 'restart':
        // As after a kill: nothing is drained.
        if (caller % 2 === 0) this.followers = [];
        this.instances[caller % 2] = this.start();
        return;
      case 'open': {
        const follower = new Follower();
        const mailbox = pick(caller);
        const open = await (await this.mail(0)).open(mailbox, follower);
        follower.refill = () => {
          follower.uids.clear();
          for (const uid of iterateUids(open.state.existing(ALL))) follower.uids.add(uid);
        };
        follower.refill();
        const rest = () => {
          open.rest();
          // One that rests would compare from scratch when it wakes; this one leaves it at that.
          follower.refill = () => {
            follower.closedOnce = true;
          };
        };
        this.followers.push({ follower, close: () => open.close(), rest });
        return;
      }
      case 'rest':
        if (this.followers.length > 2) this.followers.pop()?.close();
        else this.followers[0]?.rest();
        return;
      case 'fault':
        this.store.faults.push(step.fault);
        return;
    }
  }

  launch(caller: number, step: Step): void {
    const tolerated = this.step(caller, step).catch((error: unknown) => {
      if (!(error instanceof MailError) || error.code === 'bug' || error.code === 'damaged') throw error;
    });
    this.pending.push(tolerated);
  }
}

test('whatever three callers on two instances do, all copies agree and nothing acknowledged is lost', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(2), step, fc.boolean()), { minLength: 20, maxLength: 150, size: 'max' }), async (steps) => {
      const run = new Run();
      await (await run.mail(0)).createMailboxes([{ name: 'INBOX', subscribed: true }, { name: 'a' }], IMAP);
      for (const [caller, one, wait] of steps) {
        if (one.do === 'restart' || one.do === 'wait' || one.do === 'prune') await Promise.all(run.pending);
        run.launch(caller, one);
        if (wait) await turn();
      }
      await Promise.all(run.pending);
      run.store.faults.length = 0;
      const journal = run.store.committed.map(decodeEntry);
      for (const entry of journal) run.model.apply(entry);
      const third = run.start();
      for (const mails of [...run.instances, third]) {
        await mails.poll();
        await run.model.compare(await mails.get(ADA));
      }
      const contents = new Map<string, number | undefined>();
      for (const entry of journal)
        for (const op of entry.ops)
          if (op.op === 'add') for (const message of op.messages) contents.set(`${op.box}/${message.uid}`, message.content);
      for (const [place, content] of run.acknowledged) assert(contents.get(place) === content, 'acknowledged and in the journal');
      for (const { follower } of run.followers) if (!follower.closedOnce) checkFollower(run, follower);
      const problems: string[] = [];
      for await (const { what, problem } of fsckAccount(run.store, ADA)) problems.push(`${what}: ${problem}`);
      assert.equal(problems.join(), '');
      for (const mails of run.instances) await mails.drain();
      for await (const { what, problem } of fsckAccount(run.store, ADA)) problems.push(`${what}: ${problem}`);
      assert.equal(problems.join(), '');
      assert.deepEqual(run.log.lines, []);
    }),
    { numRuns: 200 },
  );
});

function checkFollower(run: Run, follower: Follower): void {
  const sets = [...run.model.boxes.values()].map(({ messages }) => [...messages.keys()].join());
  const mine = [...follower.uids].sort((a, b) => a - b).join();
  assert(sets.includes(mine), `a follower holds ${mine}`);
}
