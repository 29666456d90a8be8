/** The items of FETCH that a row of packed state answers, as text. */

import { contentAtRow, DATE, FLAGS, modSeqAtRow, SAVED, SIZE } from '../../mail/journal/layout.ts';
import { emailIdText } from '../../mail/sdk-values.ts';
import type { ContentId } from '../../store/store.ts';
import { dateTimeWriter } from '../grammar/write.ts';
import type { LineBytes } from '../line-bytes.ts';
import { idIn } from '../mailboxes.ts';
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
  write(lines: LineBytes, items: readonly RowItem[], words: Uint32Array, at: number, uid: number): void {
    for (let index = 0; index < items.length; index++) {
      if (index > 0) lines.text(' ');
      const item = items[index] as RowItem;
      switch (item) {
        case 'UID':
          lines.text('UID ');
          lines.number(uid);
          break;
        case 'FLAGS':
          lines.text('FLAGS ');
          lines.text(this.#view.flagText(words[at + FLAGS] as number, uid));
          break;
        case 'RFC822.SIZE':
          lines.text('RFC822.SIZE ');
          lines.number(words[at + SIZE] as number);
          break;
        default:
          lines.text(this.item(item, words, at, uid));
      }
    }
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
        return `EMAILID (${this.emailId(words, at)})`;
      case 'SAVEDATE':
        return `SAVEDATE ${this.#dateTime((words[at + SAVED] as number) * 1000)}`;
    }
  }
  /** RFC 8474 §5.1, as this session sees it. */
  emailId(words: Uint32Array, at: number): string {
    return idIn(this.#view.access, emailIdText(contentAtRow(words, at) as ContentId));
  }
}
