/** For tests and benchmarks: messages in memory, with what SORT and THREAD read of them. */
import type { ContentId, MetaColumn } from '../../store/store.ts';
import { runOf } from '../journal/uid-runs.ts';
import { TestMailbox, type TestMessage } from '../search/mailbox.fixture.ts';
import type { ContentMetaRow, ContentReader } from '../services.ts';
import { MessageRows } from './message-rows.ts';
import type { ThreadForest } from './thread-forest.ts';

export class SortingMailbox {
  readonly box = new TestMailbox();
  /** Numbers of messages that were asked for at a time. */
  readonly pages: number[] = [];
  readonly content: ContentReader = {
    meta: async (ids: readonly ContentId[], columns: readonly MetaColumn[]) => {
      this.pages.push(ids.length);
      const rows = await this.box.content.meta(ids, columns);
      return rows.map((row, n): ContentMetaRow | undefined => {
        const parsed = this.box.content.message(ids[n] as number)?.parsed;
        return row === undefined || parsed === undefined ? undefined : { ...row, envelope: parsed.envelope };
      });
    },
    open: () => Promise.reject(new Error('neither SORT nor THREAD opens a message')),
  };

  add(message: TestMessage): void {
    this.box.add(message);
  }

  /** A message of header fields only. */
  addHead(lines: readonly string[], date = 0): void {
    this.box.add({ raw: `${lines.join('\r\n')}\r\n\r\n`, date });
  }

  /** All messages; row n has sequence number n + 1. */
  rows(): MessageRows {
    const { state } = this.box;
    const rows = new MessageRows(state.count);
    state.visit(runOf(1, 0xffff_ffff), (words, at, uid) => {
      rows.push(words, at, uid);
    });
    return rows;
  }
}

export type NestedThread = readonly [message: number | undefined, ...children: NestedThread[]];

/** As nested lists of sequence numbers, `undefined` for a dummy. Recursive: for small threads. */
export function nested({ roots, firstChild, nextSibling }: ThreadForest): NestedThread[] {
  const chain = (first: number): NestedThread[] => {
    const threads: NestedThread[] = [];
    for (let at = first; at >= 0; at = nextSibling[at] as number) threads.push([at + 1, ...chain(firstChild[at] as number)]);
    return threads;
  };
  return [...roots].map((root) => (root < 0 ? [undefined, ...chain(~root)] : [root + 1, ...chain(firstChild[root] as number)]));
}
