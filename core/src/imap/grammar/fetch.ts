/** FETCH and STORE after the message set (RFC 9051 §6.4.5, §6.4.6; RFC 7162, 8970, 8474, 8514, 9394). */
import { type Cursor, list, nameOf, OPEN, type Reader } from './cursor.ts';
import { storeFlags } from './flags.ts';
import { modSequence, number64 } from './numbers.ts';
import { atItemEnd, atSection, binarySection, octetRange, section } from './section.ts';
import { partialRange } from './sequence-set.ts';
import type { FetchItem, FetchRequest, PartialRange, PlainFetchName, StoreRequest } from './syntax-tree.ts';

/** Each may cost a whole message, so an item list is not as long as a line allows. */
export const MAX_FETCH_ITEMS = 256;

function plain(name: PlainFetchName): FetchItem {
  return Object.freeze({ name });
}

const plainItems = new Map<string, FetchItem>(
  (
    [
      'UID',
      'FLAGS',
      'INTERNALDATE',
      'ENVELOPE',
      'BODY',
      'BODYSTRUCTURE',
      'RFC822',
      'RFC822.HEADER',
      'RFC822.TEXT',
      'RFC822.SIZE',
      'MODSEQ',
      'EMAILID',
      'THREADID',
      'SAVEDATE',
    ] as const satisfies readonly PlainFetchName[]
  ).map((name) => [name, plain(name)]),
);

function itemsNamed(names: readonly string[]): readonly FetchItem[] {
  return Object.freeze(names.flatMap((name) => plainItems.get(name) ?? []));
}

const FAST = ['FLAGS', 'INTERNALDATE', 'RFC822.SIZE'];
const macros = new Map([
  ['FAST', itemsNamed(FAST)],
  ['ALL', itemsNamed([...FAST, 'ENVELOPE'])],
  ['FULL', itemsNamed([...FAST, 'ENVELOPE', 'BODY'])],
]);

const lazyOnly = list(nameOf(['LAZY'], 'Unknown PREVIEW modifier'), 1);

/** The rest of fetch-att after its name. */
function itemAfter(cursor: Cursor, word: string, start: number): FetchItem {
  if (atSection(cursor)) {
    switch (word) {
      case 'BODY':
      case 'BODY.PEEK':
        return { name: 'BODY[]', peek: word === 'BODY.PEEK', section: section(cursor), range: octetRange(cursor) };
      case 'BINARY':
      case 'BINARY.PEEK':
        return { name: 'BINARY[]', peek: word === 'BINARY.PEEK', part: binarySection(cursor), range: octetRange(cursor) };
      case 'BINARY.SIZE':
        return { name: 'BINARY.SIZE[]', part: binarySection(cursor) };
      default:
        return cursor.fail('Unknown FETCH item', start);
    }
  }
  const item = plainItems.get(word);
  if (item !== undefined) return item;
  return word === 'PREVIEW' ? { name: 'PREVIEW', lazy: takeLazy(cursor) } : cursor.fail('Unknown FETCH item', start);
}

/** `PREVIEW (LAZY)`: the list belongs to the item before it. */
function takeLazy(cursor: Cursor): boolean {
  const start = cursor.offset;
  cursor.skipSpaces();
  if (cursor.offset === start || cursor.peek() !== OPEN) {
    cursor.offset = start;
    return false;
  }
  const open = cursor.offset;
  cursor.offset += 1;
  cursor.skipSpaces();
  const isLazy = cursor.takeWord() === 'LAZY';
  // `PREVIEW (CHANGEDSINCE 1)`: a modifier of the command.
  cursor.offset = isLazy ? open : start;
  return isLazy && lazyOnly(cursor).length > 0;
}

const fetchItem: Reader<FetchItem> = (cursor) => {
  const start = cursor.offset;
  const item = itemAfter(cursor, cursor.word('FETCH item expected'), start);
  return atItemEnd(cursor) ? item : cursor.fail('Space expected');
};

const itemList = list(fetchItem, 1);

/** Plain items once each; the others may differ, and answering one twice is what was asked for. */
function uniqueItems(cursor: Cursor, items: readonly FetchItem[]): readonly FetchItem[] {
  if (items.length === 1) return items;
  if (items.length > MAX_FETCH_ITEMS) cursor.fail('Too many FETCH items');
  return [...new Set(items)];
}

function fetchItems(cursor: Cursor): readonly FetchItem[] {
  if (cursor.peek() === OPEN) return uniqueItems(cursor, itemList(cursor));
  const start = cursor.offset;
  const macro = macros.get(cursor.takeWord());
  if (macro !== undefined && atItemEnd(cursor)) return macro;
  cursor.offset = start;
  return [fetchItem(cursor)];
}

/** fetch-att in parentheses, without macros: what NOTIFY shows of new messages (RFC 5465 §8). */
export const fetchItemList: Reader<readonly FetchItem[]> = (cursor) => uniqueItems(cursor, itemList(cursor));

/** fetch-att, a list of them or a macro, then modifiers in parentheses. */
export const fetchRequest: Reader<FetchRequest> = (cursor) => {
  const items = fetchItems(cursor);
  let changedSince: number | undefined;
  let vanished = false;
  let partial: PartialRange | undefined;
  // One list by RFC 4466; clients of PARTIAL have been seen to open another.
  while (cursor.takeSeparator()) {
    modifiers(cursor, (name) => {
      if (name === 'CHANGEDSINCE' && changedSince === undefined) {
        cursor.space();
        changedSince = modSequence(cursor);
      } else if (name === 'VANISHED') {
        vanished = true;
      } else if (name === 'PARTIAL' && partial === undefined) {
        cursor.space();
        partial = partialRange(cursor);
      } else {
        return false;
      }
      return true;
    });
  }
  return { items, changedSince, vanished, partial };
};

/** A list of names with values; `take` reads the value and says whether it knows the name. */
function modifiers(cursor: Cursor, take: (name: string) => boolean): void {
  list((at) => {
    const start = at.offset;
    const name = at.word('Modifier expected');
    if (!take(name)) at.fail('Unknown modifier', start);
  }, 1)(cursor);
}

const storeModes = new Map([
  ['FLAGS', false],
  ['FLAGS.SILENT', true],
]);
const PLUS = 0x2b;
const MINUS = 0x2d;

/** store-modifiers and store-att-flags. */
export const storeRequest: Reader<StoreRequest> = (cursor) => {
  let unchangedSince: number | undefined;
  if (cursor.peek() === OPEN) {
    modifiers(cursor, (name) => {
      if (name !== 'UNCHANGEDSINCE' || unchangedSince !== undefined) return false;
      cursor.space();
      unchangedSince = number64(cursor);
      return true;
    });
    cursor.space();
  }
  const start = cursor.offset;
  const mode = cursor.take(PLUS) ? 'add' : cursor.take(MINUS) ? 'remove' : 'replace';
  const silent = storeModes.get(cursor.takeWord());
  if (silent === undefined) return cursor.fail('FLAGS expected', start);
  cursor.space();
  return { mode, silent, flags: storeFlags(cursor), unchangedSince };
};
