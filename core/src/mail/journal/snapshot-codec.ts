/** Account state as octets: format level, fields, CRC-32 of all before it. The snapshot is primary data: what does not read is refused, never guessed. */
import { crc32 } from 'node:zlib';
import type { AccountId, MailboxId, Snapshot } from '../../store/store.ts';
import { StoreDamaged } from '../../store/store.ts';
import { AccountState, MailboxRecord } from './account-state.ts';
import { MAX_KEYWORDS } from './entry.ts';
import { EntryLevelTooHigh, readUidRuns, writeUidRuns } from './entry-codec.ts';
import { OctetReader, OctetWriter } from './octets.ts';
import { type SeenChange, SeenMarks } from './seen-marks.ts';

const SNAPSHOT_LEVEL = 1;

export function encodeSnapshot(account: AccountId, state: AccountState): Snapshot {
  const out = new OctetWriter(256 + state.boxes.length * 96 + state.notesOctets);
  out.octet(SNAPSHOT_LEVEL);
  out.varint(state.seq);
  out.varint(state.uidValidity);
  out.varint(state.lastBox);
  out.varint(state.octets);
  out.varint(state.messages);
  out.varint(state.boxes.length);
  for (const box of state.boxes) writeBox(out, box);
  out.varint(state.notes?.size ?? 0);
  for (const [name, value] of state.notes ?? []) {
    out.text(name);
    out.text(value);
  }
  out.varint(state.recentKeys?.size ?? 0);
  for (const recent of state.recentKeys?.values() ?? []) {
    out.text(recent.key);
    out.varint(recent.box);
    out.varint(recent.uid);
    out.varint(recent.seq);
    out.varint(recent.at);
  }
  out.varint(state.formerNames?.size ?? 0);
  for (const [name, uidValidity] of state.formerNames ?? []) {
    out.text(name);
    out.varint(uidValidity);
  }
  out.varint(state.seenBy?.length ?? 0);
  for (const seen of state.seenBy ?? []) {
    out.varint(seen.box);
    out.text(seen.who);
    writeUidRuns(out, seen.uids);
    out.varint(seen.changes.length);
    for (const change of seen.changes) {
      out.varint(change.seq);
      writeUidRuns(out, change.uids);
    }
  }
  out.uint32(crc32(out.written()));
  return { account, applied: state.seq, data: out.done() };
}

/** @throws StoreDamaged; EntryLevelTooHigh when a newer release wrote it */
export function decodeSnapshot(snapshot: Snapshot): AccountState {
  const { data } = snapshot;
  const level = data[0];
  if (level === undefined || data.length < 5) throw new StoreDamaged('snapshot is empty');
  if (level > SNAPSHOT_LEVEL) throw new EntryLevelTooHigh(level);
  const end = data.length - 4;
  const sum = new DataView(data.buffer, data.byteOffset + end, 4).getUint32(0, true);
  if (crc32(data.subarray(0, end)) !== sum) throw new StoreDamaged('snapshot does not match its checksum');
  const from = new OctetReader(data.subarray(0, end), 1);
  const state = new AccountState();
  state.seq = from.varint();
  if (state.seq !== snapshot.applied) throw new StoreDamaged('snapshot is not of the entry that it says');
  state.uidValidity = from.uint32Varint();
  state.lastBox = from.uint32Varint();
  state.octets = from.varint();
  state.messages = from.varint();
  for (let left = from.count(16); left > 0; left--) state.boxes.push(readBox(from));
  for (let left = from.count(2); left > 0; left--) state.setNote(from.text(), from.text());
  for (let left = from.count(5); left > 0; left--) {
    state.recentKeys ??= new Map();
    const key = from.text();
    const box = from.uint32Varint() as MailboxId;
    state.recentKeys.set(key, { key, box, uid: from.uint32Varint(), seq: from.varint(), at: from.varint() });
  }
  for (let left = from.count(2); left > 0; left--) {
    state.formerNames ??= new Map();
    state.formerNames.set(from.text(), from.uint32Varint());
  }
  for (let left = from.count(4); left > 0; left--) {
    state.seenBy ??= [];
    const box = from.uint32Varint() as MailboxId;
    const who = from.text() as AccountId;
    const uids = readUidRuns(from);
    const changes: SeenChange[] = [];
    for (let more = from.count(2); more > 0; more--) changes.push({ seq: from.varint(), uids: readUidRuns(from) });
    state.seenBy.push(new SeenMarks(box, who, uids, changes));
  }
  from.end();
  // Without the room that an array grown by one keeps: most accounts are small and idle.
  state.boxes = state.boxes.slice();
  linkTree(state);
  return state;
}

function writeBox(out: OctetWriter, box: MailboxRecord): void {
  out.varint(box.id);
  out.varint(box.parent);
  out.text(box.name);
  out.octet(box.selectable ? 1 : 0);
  out.varint(box.uidValidity);
  out.varint(box.uidNext);
  out.varint(box.highestModSeq);
  out.varint(box.messages);
  out.varint(box.unseen);
  out.varint(box.deleted);
  out.varint(box.deletedOctets);
  out.varint(box.octets);
  out.varint(box.recentFrom);
  out.varint(box.specialUse.length);
  for (const use of box.specialUse) out.text(use);
  out.varint(box.keywords.length);
  for (const keyword of box.keywords) out.text(keyword);
}

function readBox(from: OctetReader): MailboxRecord {
  const box = new MailboxRecord(from.uint32Varint() as MailboxId);
  box.parent = from.uint32Varint() as MailboxId;
  box.name = from.text();
  box.selectable = from.octet() === 1;
  box.uidValidity = from.uint32Varint();
  box.uidNext = from.varint();
  box.highestModSeq = from.varint();
  box.messages = from.varint();
  box.unseen = from.varint();
  box.deleted = from.varint();
  box.deletedOctets = from.varint();
  box.octets = from.varint();
  box.recentFrom = from.varint();
  const uses: string[] = [];
  for (let left = from.count(1); left > 0; left--) uses.push(from.text());
  if (uses.length > 0) box.specialUse = uses;
  const keywords: string[] = [];
  for (let left = from.count(1); left > 0; left--) keywords.push(from.text());
  if (keywords.length > MAX_KEYWORDS) throw new StoreDamaged('mailbox has too many keywords');
  if (keywords.length > 0) box.keywords = keywords;
  return box;
}

/** Counts children, and refuses a tree whose ids do not rise or whose parents are missing. */
function linkTree(state: AccountState): void {
  let before = 0;
  for (const box of state.boxes) {
    if (box.id <= before || box.id > state.lastBox) throw new StoreDamaged('mailbox ids of the snapshot do not rise');
    before = box.id;
    if (box.parent === 0) continue;
    const parent = state.byId(box.parent);
    if (parent === undefined) throw new StoreDamaged('mailbox of the snapshot has no parent');
    parent.children++;
  }
}
