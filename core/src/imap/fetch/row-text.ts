/** The items of FETCH that a row of packed state answers, as text. */

import { contentAtRow, DATE, FLAGS, modSeqAtRow, SAVED, SIZE } from '../../mail/journal/layout.ts';
import { emailIdText } from '../../mail/sdk-values.ts';
import type { ContentId } from '../../store/store.ts';
import { dateTimeWriter } from '../grammar/write.ts';
import type { SelectedMailbox } from '../selected-mailbox.ts';
import type { RowItem } from './fetch-plan.ts';

/** One for each FETCH: listings go through neighbouring days. */
export class RowText {
  readonly #view: SelectedMailbox;
  readonly #dateTime = dateTimeWriter();

  constructor(view: SelectedMailbox) {
    this.#view = view;
  }

  /** The items with spaces between. */
  all(items: readonly RowItem[], words: Uint32Array, at: number, uid: number): string {
    let text = this.item(items[0] ?? 'UID', words, at, uid);
    for (let index = 1; index < items.length; index++) text += ` ${this.item(items[index] as RowItem, words, at, uid)}`;
    return text;
  }

  item(item: RowItem, words: Uint32Array, at: number, uid: number): string {
    switch (item) {
      case 'UID':
        return `UID ${uid}`;
      case 'FLAGS':
        return `FLAGS ${this.#view.flagText(words[at + FLAGS] as number, uid)}`;
      case 'RFC822.SIZE':
        return `RFC822.SIZE ${words[at + SIZE] as number}`;
      case 'INTERNALDATE':
        return `INTERNALDATE ${this.#dateTime((words[at + DATE] as number) * 1000)}`;
      case 'MODSEQ':
        return `MODSEQ (${modSeqAtRow(words, at)})`;
      case 'EMAILID':
        return `EMAILID (${emailIdText(contentAtRow(words, at) as ContentId)})`;
      case 'THREADID':
        return 'THREADID NIL'; // RFC 8474 §5.2: threads are not kept
      case 'SAVEDATE':
        return `SAVEDATE ${this.#dateTime((words[at + SAVED] as number) * 1000)}`;
    }
  }
}
