/**
 * Proves that an account's stored state means what it says: checksums and order of chunks, counters, usage, contents that messages point
 * at, and that the journal, replayed from its start, gives the same octets as snapshot and tail. Read-only. The driver's own storage is
 * checked by `Store.check`.
 */
import type { AccountId, ContentId, Seq, Store, StoredChunk } from '../store/store.ts';
import { JournalPruned } from '../store/store.ts';
import type { MailboxRecord } from './journal/account-state.ts';
import { AccountState } from './journal/account-state.ts';
import type { Entry } from './journal/entry.ts';
import { DELETED, SEEN } from './journal/entry.ts';
import { decodeEntry } from './journal/entry-codec.ts';
import { FIRST_KEYWORD_BIT } from './journal/flag-names.ts';
import { chunkOf, contentAtRow, FLAGS, modSeqAtRow, SIZE, UID_OFFSET } from './journal/layout.ts';
import { PackedMailbox } from './journal/mailbox-state.ts';
import { redo, reduce } from './journal/reducer.ts';
import { decodeSnapshot, encodeSnapshot } from './journal/snapshot-codec.ts';

export interface FsckProblem {
  /** `account <id>`, `account <id> mailbox <id> (<name>)`, ... */
  readonly what: string;
  readonly problem: string;
}

const PAGE = 256;
const CONTENT_PAGE = 1_000;
/** Times that a mailbox is read again because another writer saved newer chunks meanwhile. */
const ATTEMPTS = 5;
/** Missing contents that are named one by one. */
const NAMED_CONTENTS = 20;

/** @throws what the store throws when it cannot be read */
export async function* fsckAccount(store: Store, account: AccountId): AsyncGenerator<FsckProblem, void, undefined> {
  const what = `account ${account}`;
  let base: AccountState;
  const entries: Entry[] = [];
  try {
    const snapshot = await store.load(account);
    base = snapshot === undefined ? new AccountState() : decodeSnapshot(snapshot);
  } catch (error) {
    yield { what, problem: `snapshot: ${textOf(error)}` };
    return;
  }
  const state = base;
  try {
    await readTail(store, account, state, entries);
  } catch (error) {
    yield { what, problem: `journal above the snapshot: ${textOf(error)}` };
    return;
  }

  const sizes = new Map<number, number>();
  const mailboxes = new Map<number, PackedMailbox>();
  let octets = 0;
  let messages = 0;
  for (const record of state.boxes) {
    const name = `${what} mailbox ${record.id} (${record.name})`;
    const read = await readMailbox(store, account, state, entries, record);
    for (const problem of read.problems) yield { what: name, problem };
    if (read.packed === undefined) continue;
    mailboxes.set(record.id, read.packed);
    for (const problem of checkMailbox(read.packed, record, state.seq, sizes)) yield { what: name, problem };
    octets += record.octets;
    messages += record.messages;
  }
  if (octets !== state.octets || messages !== state.messages)
    yield { what, problem: `usage says ${state.messages} messages, ${state.octets} octets; the mailboxes hold ${messages}, ${octets}` };
  for await (const problem of checkContents(store, account, sizes)) yield { what, problem };
  for await (const problem of checkReplay(store, account, state, mailboxes)) yield { what, problem };
}

async function readTail(store: Store, account: AccountId, state: AccountState, entries: Entry[]): Promise<void> {
  for (;;) {
    const page = await store.tail(account, state.seq, PAGE);
    for (const stored of page) {
      const entry = decodeEntry(stored);
      reduce(state, entry, () => false);
      entries.push(entry);
    }
    if (page.length < PAGE) return;
  }
}

interface MailboxRead {
  readonly packed: PackedMailbox | undefined;
  readonly problems: readonly string[];
}

async function readMailbox(
  store: Store,
  account: AccountId,
  state: AccountState,
  entries: Entry[],
  record: MailboxRecord,
): Promise<MailboxRead> {
  for (let attempt = 1; ; attempt++) {
    const packed = new PackedMailbox(record);
    const problems: string[] = [];
    const last = record.uidNext > 1 ? chunkOf(record.uidNext - 1) : 0;
    for (let from = 0; from <= last; from += PAGE) {
      for (const stored of await store.chunks(account, record.id, from, Math.min(last, from + PAGE - 1))) {
        try {
          packed.pushStored(stored);
        } catch (error) {
          problems.push(textOf(error));
        }
      }
    }
    if (packed.seq > state.seq && attempt < ATTEMPTS) {
      await readTail(store, account, state, entries);
      continue;
    }
    if (packed.seq > state.seq) problems.push(`a chunk is of entry ${packed.seq}, the journal ends at ${state.seq}`);
    if (problems.length > 0) return { packed: undefined, problems };
    try {
      redo(packed, entries);
    } catch (error) {
      return { packed: undefined, problems: [`redo: ${textOf(error)}`] };
    }
    return { packed, problems };
  }
}

function* checkMailbox(packed: PackedMailbox, record: MailboxRecord, head: Seq, sizes: Map<number, number>): Generator<string> {
  const counted = { messages: 0, unseen: 0, deleted: 0, deletedOctets: 0, octets: 0 };
  const known = record.keywords.length >= 27 ? 0xffff_ffff : 2 ** (FIRST_KEYWORD_BIT + record.keywords.length) - 1;
  let unknownKeywords = 0;
  let wrongModSeqs = 0;
  let sharedSizes = 0;
  let maxModSeq = 0;
  for (const chunk of packed.chunks) {
    for (let at = 0; at < chunk.count * 8; at += 8) {
      const flags = chunk.words[at + FLAGS] as number;
      const size = chunk.words[at + SIZE] as number;
      const modSeq = modSeqAtRow(chunk.words, at);
      const content = contentAtRow(chunk.words, at);
      counted.messages++;
      counted.octets += size;
      if ((flags & SEEN) === 0) counted.unseen++;
      if ((flags & DELETED) !== 0) {
        counted.deleted++;
        counted.deletedOctets += size;
      }
      if ((flags & ~known) !== 0) unknownKeywords++;
      if (modSeq < 1 || modSeq > chunk.seq || (chunk.words[at + UID_OFFSET] as number) > 511) wrongModSeqs++;
      if (modSeq > maxModSeq) maxModSeq = modSeq;
      if ((sizes.get(content) ?? size) !== size) sharedSizes++;
      sizes.set(content, size);
    }
  }
  for (const [name, value] of Object.entries(counted)) {
    const says = record[name as keyof typeof counted];
    if (says !== value) yield `counter ${name} says ${says}, there are ${value}`;
  }
  const lastUid = packed.uidAt(packed.count);
  if (lastUid >= record.uidNext) yield `UIDNEXT is ${record.uidNext}, but UID ${lastUid} exists`;
  if (maxModSeq > record.highestModSeq || record.highestModSeq > head)
    yield `HIGHESTMODSEQ is ${record.highestModSeq}; messages reach ${maxModSeq}, the journal ${head}`;
  if (unknownKeywords > 0) yield `${unknownKeywords} messages have keywords that the mailbox does not name`;
  if (wrongModSeqs > 0) yield `${wrongModSeqs} messages have a MODSEQ above their chunk's entry`;
  if (sharedSizes > 0) yield `${sharedSizes} messages disagree with others about the size of a shared content`;
}

/** @param wanted size by content id, as messages say */
async function* checkContents(store: Store, account: AccountId, wanted: Map<number, number>): AsyncGenerator<string> {
  const missing = new Map(wanted);
  let wrong = 0;
  for (let after: ContentId | 0 = 0; ; ) {
    const page: Awaited<ReturnType<Store['contents']['list']>> = await store.contents.list(account, after, CONTENT_PAGE);
    for (const { id, sizeOctets } of page) {
      if ((wanted.get(id) ?? sizeOctets) !== sizeOctets) wrong++;
      missing.delete(id);
      after = id;
    }
    if (page.length < CONTENT_PAGE) break;
  }
  if (wrong > 0) yield `${wrong} contents have another size than their messages say`;
  if (missing.size > 0) yield `${missing.size} contents are missing: ${[...missing.keys()].slice(0, NAMED_CONTENTS).join(', ')}`;
}

/** The whole journal again, where it is still there: account state and every chunk must come out octet for octet. */
async function* checkReplay(
  store: Store,
  account: AccountId,
  state: AccountState,
  mailboxes: ReadonlyMap<number, PackedMailbox>,
): AsyncGenerator<string> {
  const replayed = new AccountState();
  const again = new Map<number, PackedMailbox>();
  try {
    while (replayed.seq < state.seq) {
      const page = await store.tail(account, replayed.seq, PAGE);
      if (page.length === 0) break;
      for (const stored of page) {
        if (replayed.seq >= state.seq) break;
        const entry = decodeEntry(stored);
        reduce(replayed, entry, () => false);
        // After the account, as one entry may create a mailbox and fill it.
        for (const id of new Set(entry.ops.map((op) => ('box' in op ? op.box : 0)))) {
          const record = id === 0 ? undefined : replayed.byId(id);
          if (record === undefined) continue;
          const packed = again.get(record.id) ?? new PackedMailbox(record);
          again.set(record.id, packed);
          redo(packed, [entry]);
        }
      }
    }
  } catch (error) {
    if (!(error instanceof JournalPruned)) yield `journal from its start: ${textOf(error)}`;
    return;
  }
  if (replayed.seq !== state.seq) yield `journal ends at ${replayed.seq} instead of ${state.seq}`;
  for (const record of replayed.boxes) {
    const kept = mailboxes.get(record.id);
    const packed = again.get(record.id);
    if (kept === undefined || packed === undefined) continue;
    if (!sameChunks(allChunks(kept), allChunks(packed))) yield `mailbox ${record.id}: chunks differ from the journal replayed`;
  }
  for (const one of [state, replayed]) {
    // Soft: no entry says that a session was the first to see messages, or that a client has read the reply to its delivery.
    for (const record of one.boxes) record.recentFrom = 1;
    one.recentKeys = undefined;
  }
  if (Buffer.compare(encodeSnapshot(account, state).data, encodeSnapshot(account, replayed).data) !== 0)
    yield 'account state differs from the journal replayed';
}

function allChunks(packed: PackedMailbox): readonly StoredChunk[] {
  return packed.dirtyChunks(0, -1, Number.POSITIVE_INFINITY);
}

function sameChunks(a: readonly StoredChunk[], b: readonly StoredChunk[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ n, seq, data }, at) => {
      const other = b[at];
      return other !== undefined && n === other.n && seq === other.seq && Buffer.compare(data, other.data) === 0;
    })
  );
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
