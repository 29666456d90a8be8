/** THREAD (RFC 5256 §3, BASE.6.4.THREAD): ORDEREDSUBJECT and REFERENCES. Nothing here is recursive: threads may be as deep as the mailbox is long. */
import { decodeHeaderText } from '../../mime/header-text.ts';
import { asBuffer } from '../../mime/octets.ts';
import { TimeSlice } from '../search/time-slice.ts';
import { baseSubject } from './base-subject.ts';
import { EnvelopeReader } from './envelope-reader.ts';
import { HeadFields } from './head-fields.ts';
import { sortedIndices } from './merge-sort.ts';
import { messageIds } from './message-ids.ts';
import type { MessageRows } from './message-rows.ts';
import { readMetadata, type SortingDeps } from './metadata-pages.ts';
import { ReferenceTree } from './reference-tree.ts';
import { internalDatesMs, setSentDate } from './sort-messages.ts';
import { mergeSubjects } from './subject-merge.ts';
import { TextColumn } from './text-column.ts';
import { buildForest, type ThreadForest, TOP } from './thread-forest.ts';

export const THREAD_ALGORITHMS = ['ORDEREDSUBJECT', 'REFERENCES'] as const;
export type ThreadAlgorithm = (typeof THREAD_ALGORITHMS)[number];

const SUBJECT = 0;
const MESSAGE_ID = 1;
const REFERENCES = 2;
const IN_REPLY_TO = 3;
const FIELDS = ['subject', 'message-id', 'references', 'in-reply-to'] as const;

/**
 * Threads of the messages in `rows`, and of no others. Of References longer than `MAX_MESSAGE_IDS` the newest ids count; ids of messages
 * that are not there are forgotten when there are absurdly many. What cannot be read is a thread of its own. Works in slices of 5 ms.
 * @throws MailError locked, unavailable; the signal's reason
 */
export async function threadMessages(
  deps: SortingDeps,
  rows: MessageRows,
  algorithm: ThreadAlgorithm,
  signal: AbortSignal,
): Promise<ThreadForest> {
  const slice = new TimeSlice(signal);
  return algorithm === 'REFERENCES' ? byReferences(deps, rows, slice) : byOrderedSubject(deps, rows, slice);
}

async function byOrderedSubject(deps: SortingDeps, rows: MessageRows, slice: TimeSlice): Promise<ThreadForest> {
  const dates = internalDatesMs(rows);
  const subjects = new TextColumn(rows.count);
  await readMetadata(deps, rows, ['sentAt', 'envelope'], slice, (message, row) => {
    setSentDate(dates, message, row);
    if (row.envelope === undefined) return;
    subjects.set(message, baseSubject(decodeHeaderText(new EnvelopeReader(row.envelope).subject() ?? '')).text);
  });
  const order = await byDate(dates, slice);
  // The oldest message of a subject is the parent of all others.
  const firstOf = new Int32Array(subjects.size).fill(TOP);
  const parents = new Int32Array(rows.count);
  for (const message of order) {
    const subject = subjects.ids[message] as number;
    parents[message] = firstOf[subject] as number;
    if (firstOf[subject] === TOP) firstOf[subject] = message;
  }
  return buildForest(parents, order, 0);
}

async function byReferences(deps: SortingDeps, rows: MessageRows, slice: TimeSlice): Promise<ThreadForest> {
  const dates = internalDatesMs(rows);
  const subjects = new TextColumn(rows.count);
  const isReply = new Uint8Array(rows.count);
  const fields = new HeadFields(FIELDS);
  let tree: ReferenceTree | undefined = new ReferenceTree(rows.count);
  const { starts, ends } = fields;
  await readMetadata(deps, rows, ['sentAt', 'head'], slice, (message, row) => {
    setSentDate(dates, message, row);
    if (row.head === undefined) return;
    const head = asBuffer(row.head);
    fields.scan(head);
    const idsIn = (field: number): readonly string[] =>
      starts[field] === -1 ? [] : messageIds(head, starts[field] as number, ends[field] as number);
    const references = idsIn(REFERENCES);
    tree?.add(message, idsIn(MESSAGE_ID)[0], references.length > 0 ? references : idsIn(IN_REPLY_TO).slice(0, 1));
    if (starts[SUBJECT] === -1) return;
    const { text, isReply: isMarked } = baseSubject(decodeHeaderText(head.toString('latin1', starts[SUBJECT], ends[SUBJECT])));
    subjects.set(message, text);
    if (isMarked) isReply[message] = 1;
  });
  const order = await byDate(dates, slice);
  const { parents, dummies } = tree.finish();
  tree = undefined;
  if (slice.isOver) await slice.pass();
  const all = mergeSubjects({ parents, dummies, order, subjects, isReply });
  if (slice.isOver) await slice.pass();
  return buildForest(parents, order, all);
}

function byDate(dates: Float64Array, slice: TimeSlice): Promise<Uint32Array> {
  return sortedIndices(dates.length, (a, b) => (dates[a] as number) - (dates[b] as number), slice);
}
