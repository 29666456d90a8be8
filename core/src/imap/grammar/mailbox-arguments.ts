/** Parameters of SELECT, EXAMINE and CREATE, and QUOTA (RFC 7162, RFC 6154, RFC 9208). */
import { BACKSLASH, CLOSE, type Cursor, list, OPEN, type Reader } from './cursor.ts';
import { modSequence, number64, nzNumber } from './numbers.ts';
import { plainSet } from './sequence-set.ts';
import { atom, upperAtom } from './strings.ts';
import type { QresyncParameter, QuotaLimit, SelectParameters } from './syntax-tree.ts';

function sequenceMatch(cursor: Cursor): QresyncParameter['sequenceMatch'] {
  const start = cursor.offset;
  cursor.expect(OPEN, 'List expected');
  const sequences = plainSet(cursor);
  cursor.space();
  const uids = plainSet(cursor);
  cursor.expect(CLOSE, 'Closing parenthesis expected');
  return countOf(sequences.ranges) === countOf(uids.ranges) ? { sequences, uids } : cursor.fail('Sets of different length', start);
}

function countOf(ranges: Uint32Array): number {
  let count = 0;
  for (let index = 0; index < ranges.length; index += 2) count += Math.abs((ranges[index + 1] ?? 0) - (ranges[index] ?? 0)) + 1;
  return count;
}

/** `(uidvalidity modseq [known-uids] [(sequences uids)])`. */
function qresyncParameter(cursor: Cursor): QresyncParameter {
  cursor.space();
  cursor.expect(OPEN, 'List expected');
  const uidValidity = nzNumber(cursor);
  cursor.space();
  const modSeq = modSequence(cursor);
  let knownUids: QresyncParameter['knownUids'];
  let match: QresyncParameter['sequenceMatch'];
  if (cursor.takeSeparator() && cursor.peek() !== OPEN && cursor.peek() !== CLOSE) {
    knownUids = plainSet(cursor);
    cursor.takeSeparator();
  }
  if (cursor.peek() === OPEN) match = sequenceMatch(cursor);
  cursor.skipSpaces();
  cursor.expect(CLOSE, 'Closing parenthesis expected');
  return { uidValidity, modSeq, knownUids, sequenceMatch: match };
}

/** The list after the mailbox name: `(CONDSTORE)`, `(QRESYNC (...))`. */
export const selectParameters: Reader<SelectParameters> = (cursor) => {
  let condstore = false;
  let qresync: QresyncParameter | undefined;
  list((at) => {
    const start = at.offset;
    const name = at.takeWord();
    if (name === 'CONDSTORE') condstore = true;
    else if (name === 'QRESYNC' && qresync === undefined) qresync = qresyncParameter(at);
    else at.fail('Unknown parameter', start);
  }, 1)(cursor);
  return { condstore, qresync };
};

export const NO_SELECT_PARAMETERS: SelectParameters = Object.freeze({ condstore: false, qresync: undefined });

const SPECIAL_USES = ['\\All', '\\Archive', '\\Drafts', '\\Flagged', '\\Important', '\\Junk', '\\Sent', '\\Trash'];
const specialUses = new Map(SPECIAL_USES.map((use) => [use.toUpperCase(), use]));

/** use-attr; one that we do not know comes as it was written, for NO [USEATTR]. */
const specialUse: Reader<string> = (cursor) => {
  cursor.expect(BACKSLASH, 'Special use expected');
  const name = `\\${atom(cursor)}`;
  return specialUses.get(name.toUpperCase()) ?? name;
};

const useList = list(specialUse);

/** The list after the mailbox name of CREATE: `(USE (\Drafts))`. */
export const createSpecialUse: Reader<readonly string[]> = (cursor) => {
  let uses: readonly string[] = [];
  list((at) => {
    const start = at.offset;
    if (at.takeWord() !== 'USE') at.fail('Unknown parameter', start);
    at.space();
    uses = [...new Set([...uses, ...useList(at)])];
  }, 1)(cursor);
  return uses;
};

const quotaLimit: Reader<QuotaLimit> = (cursor) => {
  const resource = upperAtom(cursor);
  cursor.space();
  return { resource, limit: number64(cursor) };
};

/** `(STORAGE 512 MESSAGE 100)` of SETQUOTA; may be empty. */
export const quotaLimits: Reader<readonly QuotaLimit[]> = list(quotaLimit);
