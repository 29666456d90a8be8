/**
 * Micro benchmark of the journal without a store: `npx node --expose-gc bench/journal.ts`. Targets: STORE 1:* on 100k below 3 ms, an
 * append below 10 us, an idle open mailbox of one message below 1.5 KiB.
 */

import type { MailboxListener } from '../core/src/mail/journal/account-mail.ts';
import { StoreAccountMails } from '../core/src/mail/journal/account-mails.ts';
import { AccountState } from '../core/src/mail/journal/account-state.ts';
import { Draft } from '../core/src/mail/journal/draft.ts';
import type { Entry } from '../core/src/mail/journal/entry.ts';
import { decodeEntry, encodeEntry } from '../core/src/mail/journal/entry-codec.ts';
import { PackedMailbox } from '../core/src/mail/journal/mailbox-state.ts';
import { appendCommand, storeCommand } from '../core/src/mail/journal/message-commands.ts';
import { reduce } from '../core/src/mail/journal/reducer.ts';
import { runOf } from '../core/src/mail/journal/uid-runs.ts';
import { MemoryBus } from '../core/src/store/memory/memory-bus.ts';
import { MemoryStore } from '../core/src/store/memory/memory-store.ts';
import type { AccountId, ContentId, MailboxId, NewContent } from '../core/src/store/store.ts';

const TOKEN = '0123456789abcdef';
const ALL = runOf(1, 0xffff_ffff);
const AT = 1_790_000_000_000;
const silent = () => false;

function content(n: number): NewContent {
  return { id: n as ContentId, sizeOctets: 8_800, codecs: [], meta: { sealed: new Uint8Array(0) }, bodyOffset: 0, segments: [] };
}

function mailbox(messages: number): { readonly state: AccountState; readonly box: MailboxId } {
  const state = new AccountState();
  const box = 1 as MailboxId;
  const create: Entry = {
    seq: 1,
    token: TOKEN,
    at: AT,
    origin: 'imap',
    ops: [{ op: 'box', box, parent: 0, name: 'INBOX', uidValidity: 1, selectable: true, specialUse: [] }],
  };
  reduce(state, create, silent);
  const record = state.byId(box);
  if (record === undefined) throw new Error('no mailbox');
  record.packed = new PackedMailbox(record);
  for (let from = 0; from < messages; from += 1_000) {
    const draft = new Draft(state, AT);
    const items = Array.from({ length: Math.min(1_000, messages - from) }, (_, n) => ({
      content: content(from + n + 1),
      flags: [],
      date: 1,
    }));
    appendCommand(box, items, 'imap', {}).compute(draft);
    reduce(state, draft.entry(TOKEN, 'imap'), silent);
  }
  return { state, box };
}

/** Median and best of some rounds, in ms. */
function measure(name: string, rounds: number, run: (round: number) => void): void {
  for (let round = 0; round < 3; round++) run(round);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    run(round + 3);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  console.log(`${name.padEnd(58)} median ${(times[rounds >> 1] ?? 0).toFixed(3)} ms, best ${(times[0] ?? 0).toFixed(3)} ms`);
}

for (const messages of [100_000, 1_000_000]) {
  const { state, box } = mailbox(messages);
  const packed = state.byId(box)?.packed;
  if (packed === undefined) throw new Error('no messages');
  measure(`STORE 1:* on ${messages}: compute + reduce`, 15, (round) => {
    const draft = new Draft(state, AT);
    storeCommand(box, ALL, { mode: round % 2 === 0 ? 'add' : 'remove', flags: ['\\Seen'] }, 'imap', undefined).compute(draft);
    reduce(state, draft.entry(TOKEN, 'imap'), silent);
  });
  let sum = 0;
  measure(`visit ${messages} rows`, 15, () => {
    packed.visit(ALL, (words, at, uid, sequence) => {
      sum += (words[at] as number) + uid + sequence;
    });
  });
  const stored = packed.dirtyChunks(0, -1, Number.POSITIVE_INFINITY);
  measure(`chunks to the store: ${messages}`, 9, () => packed.dirtyChunks(0, -1, Number.POSITIVE_INFINITY));
  measure(`load of chunks: ${messages}`, 9, () => PackedMailbox.fromStored(packed.info, stored));
  measure(`uidAt + countBelow, 100k random of ${messages}`, 9, () => {
    for (let n = 0; n < 100_000; n++) sum += packed.countBelow(packed.uidAt(((n * 7_919) % messages) + 1));
  });
  const odd = new Uint32Array(messages);
  for (let n = 0; n < messages / 2; n++) odd.fill(n * 2 + 1, n * 2, n * 2 + 2);
  measure(`existing() of every other UID of ${messages}`, 9, () => packed.existing(odd));
  const start = performance.now();
  const gone = packed.planGone(odd, 0);
  reduce(
    state,
    { seq: state.seq + 1, token: TOKEN, at: AT, origin: 'imap', ops: [{ op: 'gone', box, cause: 'expunge', ...gone }] },
    silent,
  );
  console.log(
    `expunge every other of ${messages} (once)`.padEnd(58),
    `${(performance.now() - start).toFixed(3)} ms, ${packed.count} left, ${sum}`,
  );
}

{
  const { state, box } = mailbox(0);
  let next = 1;
  let octets = 0;
  const one = (): void => {
    const draft = new Draft(state, AT + next);
    appendCommand(
      box,
      [{ content: content(next++), flags: [], date: 1_790_000_000, key: `${next}`.split('').toReversed().join('').padEnd(64, 'a') }],
      'lmtp ada@example.test',
      {},
    ).compute(draft);
    const entry = draft.entry(TOKEN, 'lmtp ada@example.test');
    octets = encodeEntry(entry).data.length;
    reduce(state, entry, silent);
  };
  for (const [name, keyed] of [
    ['append: compute + encode + reduce, with a key', true],
    ['append: the same without a key', false],
  ] as const) {
    const run = keyed
      ? one
      : () => {
          const draft = new Draft(state, AT + next);
          appendCommand(box, [{ content: content(next++), flags: [], date: 1_790_000_000 }], 'lmtp ada@example.test', {}).compute(draft);
          const entry = draft.entry(TOKEN, 'lmtp ada@example.test');
          octets = encodeEntry(entry).data.length;
          reduce(state, entry, silent);
        };
    for (let n = 0; n < 20_000; n++) run();
    const start = performance.now();
    for (let n = 0; n < 50_000; n++) run();
    console.log(name.padEnd(58), `${(((performance.now() - start) * 1000) / 50_000).toFixed(2)} us, ${octets} octets`);
  }
  const draft = new Draft(state, AT);
  appendCommand(box, [{ content: content(1), flags: [], date: 1 }], 'lmtp ada', {}).compute(draft);
  const stored = encodeEntry(draft.entry(TOKEN, 'lmtp ada'));
  const start = performance.now();
  for (let n = 0; n < 100_000; n++) decodeEntry(stored);
  console.log('decode of such an entry'.padEnd(58), `${(((performance.now() - start) * 1000) / 100_000).toFixed(2)} us`);
}

const nobody: MailboxListener = {
  added: () => undefined,
  flagged: () => undefined,
  gone: () => undefined,
  keywords: () => undefined,
  closed: () => undefined,
  reloaded: () => undefined,
};
const ACCOUNTS = 10_000;
for (const how of ['awake', 'at rest, dropped'] as const) {
  const store = new MemoryStore();
  const mails = new StoreAccountMails({
    store,
    bus: new MemoryBus(),
    clock: { now: Date.now, after: () => () => undefined },
    log: console,
    newToken: () => TOKEN,
    maxPackedOctets: how === 'awake' ? 64 * 1024 * 1024 : 0,
  });
  // Filled by another instance, so that only what an idle session needs is measured here.
  const filler = new StoreAccountMails({
    store,
    bus: new MemoryBus(),
    clock: { now: Date.now, after: () => () => undefined },
    log: console,
    newToken: () => TOKEN,
  });
  const origin = { by: 'imap', actor: '' };
  const ids = Array.from({ length: ACCOUNTS }, (_, n) => `a${n}` as AccountId);
  for (const id of ids) {
    const mail = await filler.get(id);
    const inbox = await mail.createMailbox('INBOX', origin);
    await mail.append(inbox, [{ content: content(store.contents.newId(id)), flags: [], date: 1 }], origin, {});
  }
  await filler.drain();
  const held: unknown[] = [];
  await settle();
  const before = memory();
  for (const id of ids) {
    const mail = await mails.get(id);
    const inbox = mail.byName('INBOX');
    if (inbox === undefined) throw new Error('no INBOX');
    const open = await mail.open(inbox.id, nobody);
    if (how !== 'awake') open.rest();
    held.push(open);
  }
  await settle();
  const each = (memory() - before) / ACCOUNTS;
  console.log(`idle open mailbox of one message, ${how}`.padEnd(58), `${each.toFixed(0)} octets each, of ${held.length}`);
}

async function settle(): Promise<void> {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  for (let n = 0; n < 4; n++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function memory(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
