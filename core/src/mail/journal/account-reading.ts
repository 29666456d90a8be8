/** Reading an account from the store: snapshot, tail, chunks. */
import type { AccountId, MailboxId, Seq, Store } from '../../store/store.ts';
import { JournalPruned } from '../../store/store.ts';
import type { MailboxRecord } from './account-state.ts';
import { AccountState } from './account-state.ts';
import type { Entry } from './entry.ts';
import { decodeEntry } from './entry-codec.ts';
import { chunkOf } from './layout.ts';
import { PackedMailbox } from './mailbox-state.ts';
import { reduce } from './reducer.ts';
import { decodeSnapshot } from './snapshot-codec.ts';

/** Entries that one query reads. */
export const TAIL_PAGE = 256;
/** Chunks (up to 16 KiB each) that one query reads. */
export const CHUNK_PAGE = 256;

/** An account as the store has it. */
export interface Loaded {
  readonly state: AccountState;
  readonly applied: Seq;
  readonly tail: Entry[];
}

/** Snapshot plus tail. @throws StoreDamaged, EntryLevelTooHigh */
export async function loadAccount(store: Store, account: AccountId): Promise<Loaded> {
  for (let attempt = 0; ; attempt++) {
    const snapshot = await store.load(account);
    const state = snapshot === undefined ? new AccountState() : decodeSnapshot(snapshot);
    const applied = state.seq;
    const tail: Entry[] = [];
    try {
      for (;;) {
        const page = await store.tail(account, state.seq, TAIL_PAGE);
        for (const stored of page) {
          const entry = decodeEntry(stored);
          reduce(state, entry, () => false);
          tail.push(entry);
        }
        if (page.length < TAIL_PAGE) return { state, applied, tail };
      }
    } catch (error) {
      // Somebody saved and pruned between the two reads.
      if (!(error instanceof JournalPruned) || attempt >= 3) throw error;
    }
  }
}

/** The messages of a mailbox as they were saved: some chunks may be older than the account's state, or newer. */
export async function readChunks(
  store: Store,
  account: AccountId,
  record: MailboxRecord,
  uidNext = record.uidNext,
): Promise<PackedMailbox> {
  const packed = new PackedMailbox(record);
  const last = uidNext > 1 ? chunkOf(uidNext - 1) : 0;
  for (let from = 0; from <= last; from += CHUNK_PAGE) {
    const page = await store.chunks(account, record.id, from, Math.min(last, from + CHUNK_PAGE - 1));
    for (const stored of page) packed.pushStored(stored);
  }
  return packed;
}

/** What redoing an entry costs: messages placed, runs changed. */
export function weightOf(entry: Entry): number {
  let messages = 0;
  for (const op of entry.ops) messages += op.op === 'add' ? op.messages.length : op.op === 'flag' || op.op === 'gone' ? op.uids.length : 1;
  return messages;
}

/** Chunk numbers by mailbox; also mailboxes that were removed. */
export function touchedChunks(entries: readonly Entry[]): Map<MailboxId, Set<number>> {
  const boxes = new Map<MailboxId, Set<number>>();
  for (const entry of entries) {
    for (const op of entry.ops) {
      if (op.op !== 'add' && op.op !== 'flag' && op.op !== 'gone' && op.op !== 'unbox') continue;
      let chunks = boxes.get(op.box);
      if (chunks === undefined) {
        chunks = new Set();
        boxes.set(op.box, chunks);
      }
      if (op.op === 'add') {
        let before = -1;
        for (const { uid } of op.messages) {
          const n = chunkOf(uid);
          if (n !== before) chunks.add(n);
          before = n;
        }
      } else if (op.op !== 'unbox') {
        for (let at = 0; at < op.uids.length; at += 2) {
          const last = chunkOf(op.uids[at + 1] as number);
          for (let n = chunkOf(op.uids[at] as number); n <= last; n++) chunks.add(n);
        }
      }
    }
  }
  return boxes;
}
