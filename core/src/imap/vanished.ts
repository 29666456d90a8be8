/** Which messages have gone since a MODSEQ: VANISHED (EARLIER) of RFC 7162 §3.2.10. */
import type { UidRuns } from '../mail/journal/entry.ts';
import { compactRuns, intersectUids, NO_UIDS, subtractUids } from '../mail/journal/uid-runs.ts';
import { JournalPruned, type Seq } from '../store/store.ts';
import type { CommandContext } from './command.ts';
import { resolveSet } from './grammar/sequence-set.ts';
import type { QresyncParameter } from './grammar/syntax-tree.ts';
import { numberSet } from './grammar/write.ts';
import type { SelectedMailbox } from './selected-mailbox.ts';

/** Entries of the journal that one command reads; behind that, looking at the mailbox as it is costs less. */
const MAX_ENTRIES = 16_384;
/** Runs of UIDs in one VANISHED: a line that every client can read. */
const LINE_RUNS = 4096;
/** Pairs of a sequence match that are looked at; clients send a few dozen. */
const MAX_PAIRS = 16_384;

type SequenceMatch = QresyncParameter['sequenceMatch'];

/**
 * UIDs among `known` that went after `modSeq`, those that the session still counts left out: they are told at the command's end. Reads
 * the changes from the journal; below its floor everything that is not there has gone, from where `match` ends to be right on.
 * @throws MailError unavailable, ConnectionGone
 */
export async function vanishedSince(
  view: SelectedMailbox,
  modSeq: Seq,
  known: UidRuns,
  options: { readonly match?: SequenceMatch; readonly signal: AbortSignal },
): Promise<UidRuns> {
  const { mail } = view.access;
  if (known.length === 0 || modSeq >= view.info.highestModSeq) return NO_UIDS;
  if (mail.head - modSeq <= MAX_ENTRIES) {
    const gone = await goneByJournal(view, modSeq, options.signal);
    if (gone !== undefined) return view.missing(intersectUids(gone, known));
  }
  return view.missing(subtractUids(known, stillThere(view, options.match)));
}

/** Undefined when the entries are no longer kept. */
async function goneByJournal(view: SelectedMailbox, modSeq: Seq, signal: AbortSignal): Promise<UidRuns | undefined> {
  const pairs: number[] = [];
  try {
    for await (const { ops } of view.access.mail.changes(modSeq)) {
      signal.throwIfAborted();
      for (const op of ops) if (op.op === 'gone' && op.box === view.box) for (const uid of op.uids) pairs.push(uid);
    }
  } catch (error) {
    if (error instanceof JournalPruned) return undefined;
    throw error;
  }
  return compactRuns(pairs);
}

/**
 * Up to the last pair that is still right, nothing has gone (RFC 7162 §3.2.5.2).
 * @returns a run from 1 on, or nothing
 */
function stillThere(view: SelectedMailbox, match: SequenceMatch): UidRuns {
  if (match === undefined) return NO_UIDS;
  let last = 0;
  eachPair(match, (sequence, uid) => {
    if (view.sequenceOf(uid) !== sequence) return false;
    last = uid;
    return true;
  });
  return last === 0 ? NO_UIDS : Uint32Array.of(1, last);
}

/** Both sets rise, or the pairs mean nothing and the first wrong one ends it. */
function eachPair({ sequences, uids }: Exclude<SequenceMatch, undefined>, visit: (sequence: number, uid: number) => boolean): void {
  let at = 0;
  let left = MAX_PAIRS;
  let uid = uids.ranges[0] ?? 0;
  for (let pair = 0; pair < sequences.ranges.length; pair += 2) {
    const end = sequences.ranges[pair + 1] ?? 0;
    for (let sequence = sequences.ranges[pair] ?? 0; sequence <= end; sequence += 1) {
      if (left === 0 || !visit(sequence, uid)) return;
      left -= 1;
      if (uid < (uids.ranges[at + 1] ?? 0)) uid += 1;
      else {
        at += 2;
        uid = uids.ranges[at] ?? 0;
      }
    }
  }
}

/** Those that the client says it knows; all that there ever were when it does not say. */
export function knownUids(view: SelectedMailbox, known: QresyncParameter['knownUids']): UidRuns {
  const everything = view.everything;
  return known === undefined ? everything : intersectUids(resolveSet(known, 0xffff_ffff), everything);
}

/** Writes VANISHED with the tag that tells it from news (RFC 7162 §3.2.10.1). */
export async function writeVanishedEarlier({ respond }: CommandContext, gone: UidRuns): Promise<void> {
  for (let at = 0; at < gone.length; at += 2 * LINE_RUNS) {
    respond.untagged(`VANISHED (EARLIER) ${numberSet(gone.subarray(at, at + 2 * LINE_RUNS))}`);
    if (respond.isFull) await respond.drained();
  }
}
