/** Some messages of a FETCH, copied out of the packed state before anything is awaited. */
import type { UidRuns } from '../../mail/journal/entry.ts';
import { contentAtRow, modSeqAtRow, SIZE, WORDS } from '../../mail/journal/layout.ts';
import type { ContentId } from '../../store/store.ts';
import type { SelectedMailbox } from '../selected-mailbox.ts';

export interface PageLimits {
  readonly messages: number;
  /** Sum of RFC822.SIZE, each counted up to `eachOctets`; a page has at least one message. */
  readonly octets: number;
  readonly eachOctets: number;
}

export class MessagePage {
  readonly rows: Uint32Array;
  readonly uids: number[] = [];
  readonly sequences: number[] = [];
  readonly contents: ContentId[] = [];

  private constructor(capacity: number) {
    this.rows = new Uint32Array(capacity * WORDS);
  }

  get count(): number {
    return this.uids.length;
  }

  get lastUid(): number {
    return this.uids.at(-1) ?? 0;
  }

  /** The first messages of the runs whose MODSEQ is above `changedSince`. */
  static take(view: SelectedMailbox, uids: UidRuns, changedSince: number, limits: PageLimits): MessagePage {
    const page = new MessagePage(limits.messages);
    let octets = 0;
    view.visit(uids, (words, at, uid, sequence) => {
      if (modSeqAtRow(words, at) <= changedSince) return true;
      const size = Math.min(words[at + SIZE] as number, limits.eachOctets);
      if (page.count > 0 && (octets + size > limits.octets || page.count === limits.messages)) return false;
      octets += size;
      page.rows.set(words.subarray(at, at + WORDS), page.count * WORDS);
      page.contents.push(contentAtRow(words, at) as ContentId);
      page.sequences.push(sequence);
      page.uids.push(uid);
      return true;
    });
    return page;
  }
}
