/** For tests: the meaning of SEARCH, a message and a key at a time, reading everything. */
import type { SearchQuery } from '@pochard/plugin-sdk';
import { parseAddressList } from '../../mime/address.ts';
import { fold } from '../../mime/fold.ts';
import { headerFieldRanges } from '../../mime/header-fields.ts';
import { decodeHeaderText } from '../../mime/header-text.ts';
import { bodyText, headerText, headerTexts } from '../../mime/search-text.ts';
import { contentAtRow, DATE, FLAGS, modSeqAtRow, SAVED, SIZE } from '../journal/layout.ts';
import { ThreadRoots, threadIdText } from '../sorting/thread-ids.ts';
import { foldHeader } from './header-fold.ts';
import type { TestMailbox } from './mailbox.fixture.ts';

const SYSTEM_FLAGS = ['\\seen', '\\answered', '\\flagged', '\\deleted', '\\draft'];

interface Row {
  readonly box: TestMailbox;
  readonly words: Uint32Array;
  readonly at: number;
  readonly uid: number;
}

export function naiveSearch(box: TestMailbox, query: SearchQuery, within: Uint32Array): number[] {
  const found: number[] = [];
  box.state.visit(within, (words, at, uid) => {
    if (matches(query, { box, words, at, uid })) found.push(uid);
  });
  return found;
}

function headerFieldsNamed(head: Uint8Array, wanted: string): string[] {
  const octets = Buffer.from(head);
  const ranges = [...headerFieldRanges(octets)].filter(
    ({ start, nameEnd }) => octets.toString('latin1', start, nameEnd).toLowerCase() === wanted,
  );
  return ranges.map(({ valueStart, end }) => octets.toString('latin1', valueStart, end));
}

function matches(query: SearchQuery, row: Row): boolean {
  const { box, words, at, uid } = row;
  const message = box.content.message(contentAtRow(words, at));
  if (message === undefined) throw new Error('no content');
  const { octets, parsed } = message;
  const limit = Number.POSITIVE_INFINITY;
  const isBetween = (value: number, from: Date | undefined, before: Date | undefined) =>
    (from === undefined || value >= from.getTime()) && (before === undefined || value < before.getTime());
  const inField = (name: string, contains: string) =>
    headerTexts(parsed.head)
      .get(name.toLowerCase())
      ?.some((value) => foldHeader(value).includes(foldHeader(contains))) ?? false;
  const inAddresses = (name: string, contains: string) =>
    headerFieldsNamed(parsed.head, name).some((raw) =>
      parseAddressList(raw).some(({ name: display, mailbox, host }) =>
        [display, host === undefined || host === 'MISSING_DOMAIN' || mailbox === 'MISSING_MAILBOX' ? undefined : `${mailbox}@${host}`].some(
          (text) => text !== undefined && foldHeader(decodeHeaderText(text)).includes(foldHeader(contains)),
        ),
      ),
    );
  switch (query.op) {
    case 'all':
      return true;
    case 'and':
      return query.of.every((part) => matches(part, row));
    case 'or':
      return query.of.some((part) => matches(part, row));
    case 'not':
      return !matches(query.of, row);
    case 'fuzzy':
      return matches(query.of, row);
    case 'flag': {
      const names = [...SYSTEM_FLAGS, ...box.state.info.keywords.map((name) => name.toLowerCase())];
      const bit = names.indexOf(query.flag.toLowerCase());
      return bit >= 0 && ((words[at + FLAGS] ?? 0) & (1 << bit)) !== 0;
    }
    case 'uid':
      return query.in.some(([first, last]) => uid >= Math.min(first, last) && uid <= Math.max(first, last));
    case 'size': {
      const size = words[at + SIZE] ?? 0;
      return (query.above === undefined || size > query.above) && (query.below === undefined || size < query.below);
    }
    case 'modSeq':
      return modSeqAtRow(words, at) >= query.atLeast;
    case 'emailId':
      return `M${contentAtRow(words, at)}` === query.is;
    case 'threadId':
      return threadIdText(new ThreadRoots().digest(parsed.head), `M${contentAtRow(words, at)}`) === query.is;
    case 'date': {
      if (query.field !== 'sent')
        return isBetween((words[at + (query.field === 'internal' ? DATE : SAVED)] ?? 0) * 1000, query.from, query.before);
      const { sentDate, sentZoneMinutes = 0 } = parsed;
      return sentDate !== undefined && isBetween(sentDate + sentZoneMinutes * 60_000, query.from, query.before);
    }
    case 'header':
      return inField(query.name, query.contains);
    case 'body':
      return fold(bodyText(octets, parsed.parts, { limit })).includes(fold(query.contains));
    case 'text':
      return (
        foldHeader(headerText(parsed.head)).includes(foldHeader(query.contains)) ||
        fold(bodyText(octets, parsed.parts, { scope: 'text', limit })).includes(fold(query.contains))
      );
    case 'subject':
      return inField(query.op, query.contains);
    default:
      return inField(query.op, query.contains) || inAddresses(query.op, query.contains);
  }
}
