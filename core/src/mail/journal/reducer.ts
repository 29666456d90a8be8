/**
 * The one place where entries become state, for every driver and instance. Pure but for the state that it is given: no clock, no store.
 * The account's part needs no chunks (ops carry what they do to counters); chunks are touched where they are in memory, and later, by
 * the same functions, where they are loaded (`redo`).
 */
import type { AccountId, MailboxId } from '../../store/store.ts';
import { StoreDamaged } from '../../store/store.ts';
import type { AccountState } from './account-state.ts';
import { MAX_RECENT_KEYS, MailboxRecord, RECENT_KEY_MS } from './account-state.ts';
import { aclMailbox } from './acl.ts';
import { sharedSeenMailbox } from './annotation-notes.ts';
import type { Entry, Op, UidRuns } from './entry.ts';
import { DELETED, SEEN } from './entry.ts';
import { FIRST_KEYWORD_BIT } from './flag-names.ts';
import type { PackedMailbox } from './mailbox-state.ts';
import { SeenMarks } from './seen-marks.ts';
import { NO_UIDS, UidRunsBuilder } from './uid-runs.ts';

/** What an op did to a mailbox, in the order of ops. */
export interface Change {
  readonly box: MailboxRecord;
  readonly what: 'added' | 'flagged' | 'gone' | 'keywords' | 'closed' | 'seen' | 'rights';
  readonly uids: UidRuns;
  /** Packed rows of `gone`, as they were; empty when nobody asked or the chunks are not in memory. */
  readonly rows: Uint32Array;
  /** Of `seen`: whose marks changed. */
  readonly who?: AccountId;
}
const NO_ROWS = new Uint32Array(0);

/**
 * @param wantsRows whether somebody wants the rows of messages that go from this mailbox
 * @throws StoreDamaged when the entry is not the next one, or names what does not exist: the account stops
 */
export function reduce(state: AccountState, entry: Entry, wantsRows: (box: MailboxRecord) => boolean): readonly Change[] {
  if (entry.seq !== state.seq + 1) throw new StoreDamaged(`entry ${entry.seq} follows ${state.seq}`);
  const changes: Change[] = [];
  for (const op of entry.ops) {
    if (op.op === 'outcome') continue;
    if (op.op === 'note') reduceNote(state, op, changes);
    else if (op.op === 'box') reduceBox(state, entry, op, changes);
    else reduceInBox(state, entry, op, changes, wantsRows);
  }
  state.seq = entry.seq;
  return changes;
}

/** Brings freshly loaded chunks up to date: applies what the entries say about this mailbox, guarded by each chunk's seq. */
export function redo(packed: PackedMailbox, entries: Iterable<Entry>): void {
  for (const entry of entries)
    for (const op of entry.ops) if ('box' in op && op.box === packed.info.id) applyToChunks(packed, entry, op, 'drop-rows');
}

function applyToChunks(packed: PackedMailbox, entry: Entry, op: Op, keep: 'keep-rows' | 'drop-rows'): Uint32Array {
  if (op.op === 'add') packed.applyAdd(entry.seq, op.messages);
  else if (op.op === 'flag') packed.applyFlags(entry.seq, op.uids, op.set, op.clear);
  else if (op.op === 'gone') return packed.applyGone(entry.seq, op.uids, keep);
  return NO_ROWS;
}

function reduceNote(state: AccountState, { name, value }: Op & { op: 'note' }, changes: Change[]): void {
  state.setNote(name, value);
  const shared = aclMailbox(name) ?? sharedSeenMailbox(name);
  const box = shared === undefined ? undefined : state.byId(shared);
  if (box !== undefined) changes.push({ box, what: 'rights', uids: NO_UIDS, rows: NO_ROWS });
}

function reduceInBox(
  state: AccountState,
  entry: Entry,
  op: Exclude<Op, { op: 'note' | 'outcome' | 'box' }>,
  changes: Change[],
  wantsRows: (box: MailboxRecord) => boolean,
): void {
  const box = state.byId(op.box);
  if (box === undefined) throw new StoreDamaged(`entry ${entry.seq} names mailbox ${op.box}, which does not exist`);
  const packed = box.packed;
  switch (op.op) {
    case 'add': {
      const uids = new UidRunsBuilder(1);
      let octets = 0;
      for (const message of op.messages) {
        if (message.uid < box.uidNext) throw new StoreDamaged(`entry ${entry.seq} reuses UID ${message.uid} of mailbox ${op.box}`);
        box.uidNext = message.uid + 1;
        octets += message.size;
        if ((message.flags & SEEN) === 0) box.unseen++;
        if ((message.flags & DELETED) !== 0) {
          box.deleted++;
          box.deletedOctets += message.size;
        }
        uids.push(message.uid);
      }
      box.messages += op.messages.length;
      box.octets += octets;
      box.highestModSeq = entry.seq;
      state.messages += op.messages.length;
      state.octets += octets;
      if (op.keys !== undefined) rememberKeys(state, entry, op);
      if (packed !== undefined) applyToChunks(packed, entry, op, 'drop-rows');
      changes.push({ box, what: 'added', uids: uids.done(), rows: NO_ROWS });
      return;
    }
    case 'flag':
      box.unseen += op.unseen;
      box.deleted += op.deleted;
      box.deletedOctets += op.deletedOctets;
      box.highestModSeq = entry.seq;
      if (packed !== undefined) applyToChunks(packed, entry, op, 'drop-rows');
      changes.push({ box, what: 'flagged', uids: op.uids, rows: NO_ROWS });
      return;
    case 'gone': {
      box.messages -= op.contents.length;
      box.octets -= op.octets;
      box.unseen -= op.unseen;
      box.deleted -= op.deleted;
      box.deletedOctets -= op.deletedOctets;
      box.highestModSeq = entry.seq;
      state.messages -= op.contents.length;
      state.octets -= op.octets;
      if (state.seenBy !== undefined) for (const seen of state.seenBy) if (seen.box === op.box) seen.drop(op.uids);
      const rows = packed === undefined ? NO_ROWS : applyToChunks(packed, entry, op, wantsRows(box) ? 'keep-rows' : 'drop-rows');
      changes.push({ box, what: 'gone', uids: op.uids, rows });
      return;
    }
    case 'keyword': {
      const keywords = [...box.keywords];
      keywords[op.bit - FIRST_KEYWORD_BIT] = op.name;
      if (op.bit - FIRST_KEYWORD_BIT > box.keywords.length) throw new StoreDamaged(`entry ${entry.seq} leaves a gap between keywords`);
      box.keywords = keywords;
      changes.push({ box, what: 'keywords', uids: NO_UIDS, rows: NO_ROWS });
      return;
    }
    case 'seen': {
      state.seenBy ??= [];
      let seen = state.seenMarks(op.box, op.who);
      if (seen === undefined) {
        seen = new SeenMarks(op.box, op.who);
        state.seenBy.push(seen);
      }
      seen.apply(entry.seq, op.uids, op.seen);
      changes.push({ box, what: 'seen', uids: op.uids, rows: NO_ROWS, who: op.who });
      return;
    }
    case 'unbox':
      if (box.children > 0 || box.messages > 0) throw new StoreDamaged(`entry ${entry.seq} removes mailbox ${op.box}, which is in use`);
      state.boxes.splice(state.boxes.indexOf(box), 1);
      state.rememberName(box.name, box.uidValidity);
      state.treeChanged();
      countChild(state, box.parent, -1);
      if (state.seenBy !== undefined) state.seenBy = state.seenBy.filter((seen) => seen.box !== op.box);
      box.packed = undefined;
      changes.push({ box, what: 'closed', uids: NO_UIDS, rows: NO_ROWS });
      return;
  }
}

function reduceBox(state: AccountState, entry: Entry, op: Op & { op: 'box' }, changes: Change[]): void {
  const parent = state.byId(op.parent);
  if (op.parent !== 0 && parent === undefined) throw new StoreDamaged(`entry ${entry.seq} names parent ${op.parent}, which does not exist`);
  const name = parent === undefined ? op.name : `${parent.name}/${op.name}`;
  let box = state.byId(op.box);
  state.uidValidity = Math.max(state.uidValidity, op.uidValidity);
  if (box === undefined) {
    if (op.box <= state.lastBox) throw new StoreDamaged(`entry ${entry.seq} reuses mailbox id ${op.box}`);
    box = new MailboxRecord(op.box);
    state.lastBox = op.box;
    box.parent = op.parent;
    box.name = name;
    box.highestModSeq = entry.seq;
    state.boxes.push(box);
    countChild(state, op.parent, 1);
    state.treeChanged();
  } else {
    if (box.parent !== op.parent) {
      countChild(state, box.parent, -1);
      countChild(state, op.parent, 1);
      box.parent = op.parent;
    }
    if (box.name !== name) renameSubtree(state, box, name);
    // Made selectable again, it is a new mailbox to clients.
    if (op.selectable && !box.selectable) box.highestModSeq = entry.seq;
    if (box.uidValidity !== op.uidValidity || (box.selectable && !op.selectable))
      changes.push({ box, what: 'closed', uids: NO_UIDS, rows: NO_ROWS });
  }
  box.selectable = op.selectable;
  box.uidValidity = op.uidValidity;
  if (op.specialUse.length > 0 || box.specialUse.length > 0) box.specialUse = op.specialUse;
}

function renameSubtree(state: AccountState, box: MailboxRecord, name: string): void {
  const below = state.below(box);
  const cut = box.name.length;
  for (const one of [box, ...below]) {
    state.rememberName(one.name, one.uidValidity);
    one.name = name + one.name.slice(cut);
  }
  state.treeChanged();
}

function countChild(state: AccountState, parent: MailboxId | 0, by: number): void {
  const record = state.byId(parent);
  if (record !== undefined) record.children += by;
}

function rememberKeys(state: AccountState, entry: Entry, op: Op & { op: 'add' }): void {
  state.recentKeys ??= new Map();
  const recent = state.recentKeys;
  const { keys } = op;
  if (keys === undefined) return;
  for (let n = 0; n < keys.length; n++) {
    const key = keys[n];
    const uid = op.messages[n]?.uid;
    if (key === undefined || key === '' || uid === undefined) continue;
    recent.delete(key);
    recent.set(key, { key, box: op.box, uid, seq: entry.seq, at: entry.at });
  }
  for (const [key, { at }] of recent) {
    if (recent.size <= MAX_RECENT_KEYS && at > entry.at - RECENT_KEY_MS) return;
    recent.delete(key);
  }
}
