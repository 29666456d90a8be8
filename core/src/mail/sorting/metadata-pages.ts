/** Metadata of many messages, a page at a time, with turns for others between messages. */
import type { ContentId, MetaColumn } from '../../store/store.ts';
import { MailError } from '../errors.ts';
import { asMailError } from '../hook-errors.ts';
import type { MailLog } from '../log.ts';
import type { TimeSlice } from '../search/time-slice.ts';
import type { ContentMetaRow, ContentReader } from '../services.ts';
import type { MessageRows } from './message-rows.ts';

/** Messages in a page, and octets that their header blocks may have together. */
const PAGE = 500;
const PAGE_OCTETS = 64 * 1024 * 1024;
/** A header block is kept up to this size (mime/limits). */
const HEAD_AT_MOST = 1024 * 1024;
/** Damaged messages that are named in the log for each command; the others are counted. */
const DAMAGED_LOGGED = 20;

export interface SortingDeps {
  readonly content: ContentReader;
  /** Told of messages that are too damaged to be read; never of what is in them. */
  readonly log?: MailLog | undefined;
}

/**
 * Calls `take` for each message whose metadata can be read, in order; a content that is gone or damaged is left out, and the log told of
 * the damage.
 * @throws MailError locked, unavailable; the signal's reason
 */
export async function readMetadata(
  { content, log }: SortingDeps,
  rows: MessageRows,
  columns: readonly MetaColumn[],
  slice: TimeSlice,
  take: (message: number, row: ContentMetaRow) => void,
): Promise<void> {
  let damaged = 0;
  const noteDamage = (message: number, error: unknown): void => {
    rethrowUnlessDamaged(error);
    damaged += 1;
    if (damaged > DAMAGED_LOGGED) return;
    log?.warn({ uid: rows.uids[message], content: rows.contents[message], err: error }, 'A damaged message was sorted without its header');
  };
  const idsFrom = (start: number, end: number): ContentId[] => {
    const ids: ContentId[] = [];
    for (let message = start; message < end; message++) ids.push(rows.contents[message] as ContentId);
    return ids;
  };
  for (let start = 0; start < rows.count; ) {
    const end = pageEnd(rows, start);
    let page: readonly (ContentMetaRow | undefined)[] | undefined;
    try {
      page = await content.meta(idsFrom(start, end), columns);
    } catch (error) {
      rethrowUnlessDamaged(error);
    }
    // Not `restart`: what lies in memory is answered without anybody else having had a turn.
    if (slice.isOver) await slice.pass();
    for (let message = start; message < end; message++) {
      try {
        // One damaged content fails its page: then they are read one by one.
        const row = page === undefined ? (await content.meta(idsFrom(message, message + 1), columns))[0] : page[message - start];
        if (row !== undefined) taken(take, message, row);
      } catch (error) {
        noteDamage(message, error);
      }
      if (slice.isOver) await slice.pass();
    }
    start = end;
  }
  if (damaged > DAMAGED_LOGGED) log?.warn({ messages: damaged }, 'Damaged messages were sorted without their headers');
}

function pageEnd({ sizes, count }: MessageRows, start: number): number {
  let octets = 0;
  let end = start;
  for (; end < count && end - start < PAGE; end++) {
    octets += Math.min(sizes[end] as number, HEAD_AT_MOST);
    if (octets > PAGE_OCTETS && end > start) break;
  }
  return end;
}

function rethrowUnlessDamaged(error: unknown): void {
  const known = asMailError(error);
  if (!(known instanceof MailError) || known.code !== 'damaged') throw known;
}

/** What fails while octets become text is the message's fault. @throws MailError damaged */
function taken(take: (message: number, row: ContentMetaRow) => void, message: number, row: ContentMetaRow): void {
  try {
    take(message, row);
  } catch (error) {
    throw new MailError('damaged', 'The stored message is damaged', { cause: error });
  }
}
