/**
 * Journal entries as octets: octet 0 is the format level, then time, origin and ops. Sets of UIDs are delta varints, or a bitmap where
 * that is shorter. Reading allocates in proportion to what is read (a bitmap octet gives at most four runs).
 */
import type { AccountId, ContentId, MailboxId, StoredEntry } from '../../store/store.ts';
import { StoreDamaged } from '../../store/store.ts';
import type { Entry, GoneCause, Op, Placed, SubmissionOutcome, UidRuns } from './entry.ts';
import { OctetReader, OctetWriter } from './octets.ts';
import { UidRunsBuilder } from './uid-runs.ts';

/** What this build writes, and the highest that it reads. */
export const ENTRY_LEVEL = 1;

/** Written by a newer release: the account stops here, nothing is skipped (design/journal.md row 24). */
export class EntryLevelTooHigh extends Error {
  override name = 'EntryLevelTooHigh';
  readonly level: number;
  constructor(level: number) {
    super(`stored with format level ${level}, this release reads up to ${ENTRY_LEVEL}`);
    this.level = level;
  }
}

const ADD = 1;
const FLAG = 2;
const SEEN_BY = 3;
const GONE = 4;
const BOX = 5;
const UNBOX = 6;
const KEYWORD = 7;
const NOTE = 8;
const OUTCOME = 9;

const ADD_KEYS = 1;
const ADD_FROM = 2;
const ADD_MOVED = 4;

/** On disk by position: append only. */
const CAUSES: readonly GoneCause[] = ['expunge', 'move', 'replace', 'mailbox-deleted', 'account-deleted', 'retention'];
/** On disk by position: append only. */
const OUTCOMES: readonly SubmissionOutcome['outcome'][] = ['queued', 'delivered', 'deferred', 'failed'];

export function encodeEntry(entry: Entry): StoredEntry {
  const out = new OctetWriter(expectedOctets(entry));
  out.octet(ENTRY_LEVEL);
  out.varint(entry.at);
  out.text(entry.origin);
  out.varint(entry.ops.length);
  const seconds = Math.floor(entry.at / 1000);
  for (const op of entry.ops) writeOp(out, op, seconds);
  return { seq: entry.seq, token: entry.token, data: out.done() };
}

/** @throws StoreDamaged when the octets are not an entry; EntryLevelTooHigh */
export function decodeEntry(stored: StoredEntry): Entry {
  const from = new OctetReader(stored.data);
  const level = from.octet();
  if (level > ENTRY_LEVEL) throw new EntryLevelTooHigh(level);
  if (level === 0) throw new StoreDamaged('entry has format level 0');
  const at = from.varint();
  const origin = from.text();
  const seconds = Math.floor(at / 1000);
  const ops: Op[] = [];
  for (let left = from.count(2); left > 0; left--) ops.push(readOp(from, seconds));
  from.end();
  return { seq: stored.seq, token: stored.token, at, origin, ops };
}

function expectedOctets(entry: Entry): number {
  let octets = 64;
  for (const op of entry.ops) octets += op.op === 'add' ? 16 * op.messages.length : 24;
  return octets;
}

function writeOp(out: OctetWriter, op: Op, seconds: number): void {
  switch (op.op) {
    case 'add': {
      out.octet(ADD);
      out.varint(op.box);
      const keys = op.keys;
      const from = op.from;
      out.octet((keys === undefined ? 0 : ADD_KEYS) | (from === undefined ? 0 : ADD_FROM) | (op.moved === true ? ADD_MOVED : 0));
      out.varint(op.messages.length);
      writePlaced(out, op.messages, seconds);
      if (keys !== undefined) for (let n = 0; n < op.messages.length; n++) out.text(keys[n] ?? '');
      if (from !== undefined) {
        out.varint(from);
        writeUidRuns(out, op.fromUids ?? new Uint32Array(0));
      }
      return;
    }
    case 'flag':
      out.octet(FLAG);
      out.varint(op.box);
      out.varint(op.set >>> 0);
      out.varint(op.clear >>> 0);
      out.signed(op.unseen);
      out.signed(op.deleted);
      out.signed(op.deletedOctets);
      writeUidRuns(out, op.uids);
      return;
    case 'seen':
      out.octet(SEEN_BY);
      out.varint(op.box);
      out.text(op.who);
      out.octet(op.seen ? 1 : 0);
      writeUidRuns(out, op.uids);
      return;
    case 'gone': {
      out.octet(GONE);
      out.varint(op.box);
      out.octet(CAUSES.indexOf(op.cause));
      out.varint(op.octets);
      out.varint(op.unseen);
      out.varint(op.deleted);
      out.varint(op.deletedOctets);
      writeUidRuns(out, op.uids);
      out.varint(op.contents.length);
      let before = 0;
      for (const content of op.contents) {
        out.signed(content - before);
        before = content;
      }
      return;
    }
    case 'box':
      out.octet(BOX);
      out.varint(op.box);
      out.varint(op.parent);
      out.text(op.name);
      out.varint(op.uidValidity);
      out.octet(op.selectable ? 1 : 0);
      out.varint(op.specialUse.length);
      for (const use of op.specialUse) out.text(use);
      return;
    case 'unbox':
      out.octet(UNBOX);
      out.varint(op.box);
      return;
    case 'keyword':
      out.octet(KEYWORD);
      out.varint(op.box);
      out.octet(op.bit);
      out.text(op.name);
      return;
    case 'note':
      out.octet(NOTE);
      out.octet(op.value === null ? 0 : 1);
      out.text(op.name);
      if (op.value !== null) out.text(op.value);
      return;
    case 'outcome':
      out.octet(OUTCOME);
      out.octet(OUTCOMES.indexOf(op.outcome));
      out.text(op.submission);
      out.text(op.recipient);
      out.text(op.reply);
      return;
  }
}

function readOp(from: OctetReader, seconds: number): Op {
  const kind = from.octet();
  switch (kind) {
    case ADD: {
      const box = readBox(from);
      const bits = from.octet();
      if (bits > (ADD_KEYS | ADD_FROM | ADD_MOVED)) throw new StoreDamaged('unknown bits in an add');
      const messages = readPlaced(from, from.count(6), seconds);
      const op: Op & { op: 'add' } = { op: 'add', box, messages };
      return {
        ...op,
        ...((bits & ADD_KEYS) !== 0 ? { keys: messages.map(() => from.text()) } : {}),
        ...((bits & ADD_FROM) !== 0 ? { from: readBox(from), fromUids: readUidRuns(from) } : {}),
        ...((bits & ADD_MOVED) !== 0 ? { moved: true } : {}),
      };
    }
    case FLAG: {
      const box = readBox(from);
      const set = from.uint32Varint();
      const clear = from.uint32Varint();
      const unseen = from.signed();
      const deleted = from.signed();
      const deletedOctets = from.signed();
      return { op: 'flag', box, set, clear, unseen, deleted, deletedOctets, uids: readUidRuns(from) };
    }
    case SEEN_BY: {
      const box = readBox(from);
      const who = from.text() as AccountId;
      const seen = readBoolean(from);
      return { op: 'seen', box, who, seen, uids: readUidRuns(from) };
    }
    case GONE: {
      const box = readBox(from);
      const cause = CAUSES[from.octet()];
      if (cause === undefined) throw new StoreDamaged('unknown cause of an expunge');
      const octets = from.varint();
      const unseen = from.varint();
      const deleted = from.varint();
      const deletedOctets = from.varint();
      const uids = readUidRuns(from);
      const contents: ContentId[] = [];
      let before = 0;
      for (let left = from.count(1); left > 0; left--) {
        before += from.signed();
        contents.push(before as ContentId);
      }
      return { op: 'gone', box, cause, octets, unseen, deleted, deletedOctets, uids, contents };
    }
    case BOX: {
      const box = readBox(from);
      const parent = from.uint32Varint() as MailboxId;
      const name = from.text();
      const uidValidity = from.uint32Varint();
      const selectable = readBoolean(from);
      const specialUse: string[] = [];
      for (let left = from.count(1); left > 0; left--) specialUse.push(from.text());
      return { op: 'box', box, parent, name, uidValidity, selectable, specialUse };
    }
    case UNBOX:
      return { op: 'unbox', box: readBox(from) };
    case KEYWORD:
      return { op: 'keyword', box: readBox(from), bit: from.octet(), name: from.text() };
    case NOTE: {
      const kept = readBoolean(from);
      const name = from.text();
      return { op: 'note', name, value: kept ? from.text() : null };
    }
    case OUTCOME: {
      const outcome = OUTCOMES[from.octet()];
      if (outcome === undefined) throw new StoreDamaged('unknown outcome of a submission');
      return { op: 'outcome', outcome, submission: from.text(), recipient: from.text(), reply: from.text() };
    }
    default:
      throw new StoreDamaged('unknown op');
  }
}

function readBox(from: OctetReader): MailboxId {
  const box = from.uint32Varint();
  if (box === 0) throw new StoreDamaged('mailbox id 0');
  return box as MailboxId;
}

function readBoolean(from: OctetReader): boolean {
  const octet = from.octet();
  if (octet > 1) throw new StoreDamaged('not a boolean');
  return octet === 1;
}

function writePlaced(out: OctetWriter, messages: readonly Placed[], seconds: number): void {
  let uid = 0;
  let content = 0;
  for (const message of messages) {
    out.varint(message.uid - uid - 1);
    out.signed(message.content - content);
    out.varint(message.size);
    out.signed(message.date - seconds);
    out.signed(message.saved - seconds);
    out.varint(message.flags >>> 0);
    uid = message.uid;
    content = message.content;
  }
}

function readPlaced(from: OctetReader, count: number, seconds: number): Placed[] {
  const messages: Placed[] = [];
  let uid = 0;
  let content = 0;
  for (let n = 0; n < count; n++) {
    uid += from.varint() + 1;
    content += from.signed();
    const size = from.uint32Varint();
    const date = seconds + from.signed();
    const saved = seconds + from.signed();
    const flags = from.uint32Varint();
    if (uid > 0xffff_ffff || content < 0 || content >= 2 ** 48) throw new StoreDamaged('UID or content id out of range');
    messages.push({ uid, content: content as ContentId, size, date, saved, flags });
  }
  return messages;
}

/** First number: runs * 2, or 1 for a bitmap. */
export function writeUidRuns(out: OctetWriter, runs: UidRuns): void {
  let deltaOctets = 0;
  let before = 0;
  for (let at = 0; at < runs.length; at += 2) {
    const lo = runs[at] as number;
    const hi = runs[at + 1] as number;
    deltaOctets += varintOctets(lo - before - 1) + varintOctets(hi - lo);
    before = hi;
  }
  const base = runs[0] ?? 1;
  const bitmapOctets = Math.ceil((before - base + 1) / 8);
  if (runs.length > 2 && bitmapOctets + 8 < deltaOctets) {
    const bits = new Uint8Array(bitmapOctets);
    for (let at = 0; at < runs.length; at += 2) {
      const hi = (runs[at + 1] as number) - base;
      for (let bit = (runs[at] as number) - base; bit <= hi; bit++) bits[bit >>> 3] = (bits[bit >>> 3] as number) | (1 << (bit & 7));
    }
    out.varint(1);
    out.varint(base);
    out.varint(bitmapOctets);
    out.octets(bits);
    return;
  }
  out.varint(runs.length);
  before = 0;
  for (let at = 0; at < runs.length; at += 2) {
    const lo = runs[at] as number;
    const hi = runs[at + 1] as number;
    out.varint(lo - before - 1);
    out.varint(hi - lo);
    before = hi;
  }
}

export function readUidRuns(from: OctetReader): UidRuns {
  const first = from.varint();
  if (first === 1) return readBitmap(from);
  if (first % 2 !== 0 || first > from.left) throw new StoreDamaged('not a set of UIDs');
  const builder = new UidRunsBuilder(first / 2);
  let before = 0;
  for (let left = first / 2; left > 0; left--) {
    const lo = before + from.varint() + 1;
    const hi = lo + from.varint();
    if (hi > 0xffff_ffff) throw new StoreDamaged('UID above 32 bits');
    builder.pushRun(lo, hi);
    before = hi;
  }
  return builder.done();
}

function readBitmap(from: OctetReader): UidRuns {
  const base = from.varint();
  const bits = from.octets(from.count(1));
  if (base < 1 || base + bits.length * 8 > 0x1_0000_0000 + 8) throw new StoreDamaged('UID out of range');
  const builder = new UidRunsBuilder();
  for (let at = 0; at < bits.length; at++) {
    const octet = bits[at] as number;
    if (octet === 0) continue;
    const first = base + at * 8;
    if (octet === 0xff && first + 7 <= 0xffff_ffff) {
      builder.pushRun(first, first + 7);
      continue;
    }
    for (let bit = 0; bit < 8; bit++) {
      if ((octet & (1 << bit)) === 0) continue;
      if (first + bit > 0xffff_ffff) throw new StoreDamaged('UID above 32 bits');
      builder.push(first + bit);
    }
  }
  return builder.done();
}

function varintOctets(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
}
