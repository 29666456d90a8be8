/** Search keys of IMAP as the services' question: numbers become UIDs of the session's view, dates become moments (INTERNALDATE is UTC). */
import type { Flag, ModSeq, SearchQuery } from '@pochard/plugin-sdk';
import type { UidRuns } from '../mail/journal/entry.ts';
import { uidRanges } from '../mail/sdk-values.ts';
import type { DayNumber, SearchKey, SequenceSet } from './grammar/syntax-tree.ts';

const DAY_MS = 86_400_000;

function inUids(uids: UidRuns): SearchQuery {
  return { op: 'uid', in: uidRanges(uids) };
}
function unless(set: boolean, query: SearchQuery): SearchQuery {
  return set ? query : { op: 'not', of: query };
}
function midnight(day: DayNumber): Date {
  return new Date(day * DAY_MS);
}

/** What numbers and \Recent mean in the mailbox that is searched. */
export interface SearchView {
  resolveLoosely(set: SequenceSet, by: 'uid' | 'sequence'): UidRuns;
  recentUids(): UidRuns;
  /** As the account whose mailbox it is writes it. */
  ownEmailId(id: string): string;
}

/** `nowMs`: for OLDER and YOUNGER (RFC 5032). */
export function searchQuery(key: SearchKey, view: SearchView, nowMs: number): SearchQuery {
  switch (key.op) {
    case 'all':
      return key;
    case 'and':
    case 'or':
      return { op: key.op, of: key.of.map((inner) => searchQuery(inner, view, nowMs)) };
    case 'not':
    case 'fuzzy':
      return { op: key.op, of: searchQuery(key.of, view, nowMs) };
    case 'sequence':
    case 'uid':
      return inUids(view.resolveLoosely(key.in, key.op));
    case 'flag':
      return unless(key.set, { op: 'flag', flag: key.flag as Flag });
    case 'recent':
      return unless(key.set, inUids(view.recentUids()));
    case 'header':
      return { op: 'header', name: key.name, contains: key.contains };
    case 'date':
      return dateQuery(key.field, key.relation, key.day);
    case 'saveDateSupported':
      return { op: 'all' }; // every mailbox keeps it (RFC 8514)
    case 'older':
      return { op: 'date', field: 'internal', before: new Date(nowMs - key.seconds * 1000) };
    case 'younger':
      return { op: 'date', field: 'internal', from: new Date(nowMs - key.seconds * 1000) };
    case 'larger':
      return { op: 'size', above: key.octets };
    case 'smaller':
      return { op: 'size', below: key.octets };
    case 'modSeq':
      // Entries are not kept by flag: the message's own MODSEQ is the superset that RFC 7162 §3.1.5 allows.
      return { op: 'modSeq', atLeast: key.atLeast as ModSeq };
    case 'emailId':
      return { op: 'emailId', is: view.ownEmailId(key.is) };
    case 'threadId':
      return { op: 'threadId', is: key.is.startsWith('TM') ? `T${view.ownEmailId(key.is.slice(1))}` : key.is };
    default:
      return { op: key.op, contains: key.contains };
  }
}

function dateQuery(field: 'internal' | 'sent' | 'saved', relation: 'before' | 'on' | 'since', day: DayNumber): SearchQuery {
  switch (relation) {
    case 'before':
      return { op: 'date', field, before: midnight(day) };
    case 'since':
      return { op: 'date', field, from: midnight(day) };
    case 'on':
      return { op: 'date', field, from: midnight(day), before: midnight(day + 1) };
  }
}

/** A MODSEQ key anywhere: the answer then tells the highest MODSEQ (RFC 7162 §3.1.5). */
export function asksModSeq(key: SearchKey): boolean {
  switch (key.op) {
    case 'modSeq':
      return true;
    case 'and':
    case 'or':
      return key.of.some(asksModSeq);
    case 'not':
    case 'fuzzy':
      return asksModSeq(key.of);
    default:
      return false;
  }
}

/** Message numbers and `$`, which mean something in the selected mailbox only. */
export function asksNumbers(key: SearchKey): boolean {
  switch (key.op) {
    case 'sequence':
      return true;
    case 'uid':
      return key.in.saved;
    case 'and':
    case 'or':
      return key.of.some(asksNumbers);
    case 'not':
    case 'fuzzy':
      return asksNumbers(key.of);
    default:
      return false;
  }
}
