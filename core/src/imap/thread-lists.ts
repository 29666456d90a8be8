import type { ThreadForest } from '../mail/sorting/thread-forest.ts';

/** Text that is written in one piece. */
const PIECE = 32_768;

/** Thread lists (RFC 5256 §4, thread-list) in pieces; `numbers` by message. Iterative: a thread may be as deep as the mailbox is long. */
export function* threadLists({ roots, firstChild, nextSibling }: ThreadForest, numbers: Uint32Array): Generator<string> {
  let text = '';
  /** Siblings that follow, of the lists that are open; -1 after the last. */
  const open: number[] = [];
  for (const root of roots) {
    text += '(';
    let at = root;
    if (root < 0) {
      // Nobody is at the top of them: `((3)(6 2))`.
      at = ~root;
      open.push(nextSibling[at] as number);
      text += '(';
    }
    while (at >= 0) {
      text += numbers[at] as number;
      const child = firstChild[at] as number;
      if (child >= 0) {
        text += ' ';
        const next = nextSibling[child] as number;
        if (next >= 0) {
          open.push(next);
          text += '(';
        }
        at = child;
      } else {
        text += ')';
        let next = open.pop();
        for (; next !== undefined && next < 0; next = open.pop()) text += ')';
        at = next ?? -1;
        if (next !== undefined) {
          open.push(nextSibling[next] as number);
          text += '(';
        }
      }
      if (text.length >= PIECE) {
        yield text;
        text = '';
      }
    }
  }
  if (text !== '') yield text;
}
