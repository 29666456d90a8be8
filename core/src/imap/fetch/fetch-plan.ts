/** What a FETCH needs to load and in which order it answers, worked out once for all its messages. */
import type { MetaColumn } from '../../store/store.ts';
import type { FetchItem, FetchRequest, OctetRange, Section } from '../grammar/syntax-tree.ts';
import { section as sectionText } from '../grammar/write.ts';

/** Items that a row of packed state answers. */
export type RowItem = 'UID' | 'FLAGS' | 'INTERNALDATE' | 'RFC822.SIZE' | 'MODSEQ' | 'EMAILID' | 'SAVEDATE';

export type PlannedItem =
  | { readonly kind: 'row'; readonly item: RowItem }
  | { readonly kind: 'column'; readonly label: string; readonly column: 'envelope' | 'structure' | 'body' }
  | { readonly kind: 'preview' }
  /** Told from the header block. */
  | { readonly kind: 'thread-id' }
  /** Octets of the message: `head` sections need the header block only. */
  | {
      readonly kind: 'section';
      readonly label: string;
      readonly section: Section;
      readonly range: OctetRange | undefined;
      readonly needs: 'head' | 'content';
    }
  | { readonly kind: 'binary'; readonly label: string; readonly part: readonly number[]; readonly range: OctetRange | undefined }
  | { readonly kind: 'binary-size'; readonly label: string; readonly part: readonly number[] };

export interface FetchPlan {
  /** In the order of the answer. */
  readonly items: readonly PlannedItem[];
  /** All items are of kind `row`. */
  readonly rowItems: readonly RowItem[] | undefined;
  readonly columns: readonly MetaColumn[];
  readonly needsContent: boolean;
  /** BODY[...], BINARY[...], RFC822 and RFC822.TEXT set \Seen (RFC 9051 §6.4.5). */
  readonly setsSeen: boolean;
  readonly showsFlags: boolean;
  readonly showsModSeq: boolean;
}

const WHOLE: Section = { part: [], text: 'ALL', fields: [] };
const HEADER: Section = { part: [], text: 'HEADER', fields: [] };
const TEXT: Section = { part: [], text: 'TEXT', fields: [] };

function isHeadOnly({ part, text }: Section): boolean {
  return part.length === 0 && (text === 'HEADER' || text === 'HEADER.FIELDS' || text === 'HEADER.FIELDS.NOT');
}

function sectionItem(label: string, section: Section, range?: OctetRange): PlannedItem {
  return { kind: 'section', label: rangeLabel(label, range), section, range, needs: isHeadOnly(section) ? 'head' : 'content' };
}

function rangeLabel(label: string, range: OctetRange | undefined): string {
  return range === undefined ? label : `${label}<${range.offset}>`;
}

function planned(item: FetchItem): PlannedItem {
  switch (item.name) {
    case 'ENVELOPE':
      return { kind: 'column', label: 'ENVELOPE', column: 'envelope' };
    case 'BODYSTRUCTURE':
      return { kind: 'column', label: 'BODYSTRUCTURE', column: 'structure' };
    case 'BODY':
      return { kind: 'column', label: 'BODY', column: 'body' };
    case 'PREVIEW':
      return { kind: 'preview' };
    case 'THREADID':
      return { kind: 'thread-id' };
    case 'RFC822':
      return sectionItem('RFC822', WHOLE);
    case 'RFC822.HEADER':
      return sectionItem('RFC822.HEADER', HEADER);
    case 'RFC822.TEXT':
      return sectionItem('RFC822.TEXT', TEXT);
    case 'BODY[]':
      return sectionItem(`BODY[${sectionText(item.section)}]`, item.section, item.range);
    case 'BINARY[]':
      return { kind: 'binary', label: rangeLabel(`BINARY[${item.part.join('.')}]`, item.range), part: item.part, range: item.range };
    case 'BINARY.SIZE[]':
      return { kind: 'binary-size', label: `BINARY.SIZE[${item.part.join('.')}]`, part: item.part };
    default:
      return { kind: 'row', item: item.name };
  }
}

function isSeenBy(item: FetchItem): boolean {
  if (item.name === 'BODY[]' || item.name === 'BINARY[]') return !item.peek;
  return item.name === 'RFC822' || item.name === 'RFC822.TEXT';
}

/** `uid`: shown asked or not, as UID FETCH does (RFC 9051 §6.4.9). */
export function planFetch({ items, changedSince }: FetchRequest, { uid }: { readonly uid: 'always' | 'asked' }): FetchPlan {
  const names = new Set(items.map(({ name }) => name));
  const list: PlannedItem[] = [];
  if (uid === 'always' && !names.has('UID')) list.push({ kind: 'row', item: 'UID' });
  for (const item of items) list.push(planned(item));
  if (changedSince !== undefined && !names.has('MODSEQ')) list.push({ kind: 'row', item: 'MODSEQ' }); // RFC 7162 §3.1.4.1
  const needsContent = list.some(
    (item) => item.kind === 'binary' || item.kind === 'binary-size' || (item.kind === 'section' && item.needs === 'content'),
  );
  const columns = new Set<MetaColumn>();
  for (const item of list) {
    if (item.kind === 'column') columns.add(item.column);
    else if (item.kind === 'preview') columns.add('preview');
    else if ((item.kind === 'section' || item.kind === 'thread-id') && !needsContent) columns.add('headText');
  }
  const rowItems: RowItem[] = [];
  for (const item of list) if (item.kind === 'row') rowItems.push(item.item);
  return {
    items: list,
    rowItems: rowItems.length === list.length ? rowItems : undefined,
    columns: [...columns],
    needsContent,
    setsSeen: items.some(isSeenBy),
    showsFlags: rowItems.includes('FLAGS'),
    showsModSeq: rowItems.includes('MODSEQ'),
  };
}

/** A plan of row items only, for the replies of STORE. */
export function rowPlan(items: readonly RowItem[]): FetchPlan {
  return {
    items: items.map((item) => ({ kind: 'row', item })),
    rowItems: items,
    columns: [],
    needsContent: false,
    setsSeen: false,
    showsFlags: items.includes('FLAGS'),
    showsModSeq: items.includes('MODSEQ'),
  };
}
