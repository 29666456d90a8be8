/**
 * What the grammar makes of a command's arguments: plain data, no bytes, no positions. Names are those of RFC 3501, RFC 9051
 * and of the extension named beside each type. Strings are Unicode text unless a comment says octets.
 */
import type { Literal } from '../../net/line-reader.ts';

/** What a session has agreed with its client and a reader must know. */
export interface ParseContext {
  /** UTF8=ACCEPT (RFC 9755) or IMAP4rev2 is enabled: mailbox names are UTF-8 and `&` is an ordinary character. */
  readonly utf8: boolean;
}

/* ── Numbers and sets ─────────────────────────────────────────────────────────────────────────────────────────── */

/** Stands for `*` in `SequenceSet.ranges`: the largest number in use. No sequence number or UID is 0. */
export const STAR = 0;

/** A sequence-set (RFC 9051 §9) as it was sent: not sorted, not merged, ends possibly reversed. `resolveSet` makes runs of it. */
export interface SequenceSet {
  /** Pairs first, last; a single number is a pair of equals; `STAR` is `*`. Empty if `saved`. */
  readonly ranges: Uint32Array;
  /** `$`, the result of the last SEARCH with SAVE (RFC 5182). */
  readonly saved: boolean;
}

/** partial-range (RFC 9394). Both positive: from the start, `first <= last`. Both negative: from the end, -1 the last one, `first >= last`. */
export interface PartialRange {
  readonly first: number;
  readonly last: number;
}

/* ── Flags and dates ──────────────────────────────────────────────────────────────────────────────────────────── */

/** A flag: a system flag in the case of the RFC (`\Seen`), or a keyword in the client's case. Never `\Recent`. */
export type FlagName = string;

/** date-time (RFC 9051 §9). */
export interface DateTime {
  readonly epochMs: number;
  readonly zoneMinutes: number;
}

/** A calendar day without zone or time: days since 1970-01-01, may be negative. */
export type DayNumber = number;

/* ── FETCH ────────────────────────────────────────────────────────────────────────────────────────────────────── */

export type SectionText = 'ALL' | 'HEADER' | 'HEADER.FIELDS' | 'HEADER.FIELDS.NOT' | 'TEXT' | 'MIME';

/** What stands in the brackets of `BODY[...]`. */
export interface Section {
  /** Part numbers from the outside in; empty is the message itself. */
  readonly part: readonly number[];
  /** `ALL`: nothing after the part number, so the part's content (or the whole message). */
  readonly text: SectionText;
  /** Header field names as the client wrote them, printable ASCII without colon; empty unless HEADER.FIELDS(.NOT). */
  readonly fields: readonly string[];
}

/** `<offset.length>` in octets; length is at least 1. */
export interface OctetRange {
  readonly offset: number;
  readonly length: number;
}

export type PlainFetchName =
  | 'UID'
  | 'FLAGS'
  | 'INTERNALDATE'
  | 'ENVELOPE'
  | 'BODY'
  | 'BODYSTRUCTURE'
  | 'RFC822'
  | 'RFC822.HEADER'
  | 'RFC822.TEXT'
  | 'RFC822.SIZE'
  | 'MODSEQ' // RFC 7162
  | 'EMAILID' // RFC 8474
  | 'THREADID' // RFC 8474
  | 'SAVEDATE'; // RFC 8514

export type FetchItem =
  | { readonly name: PlainFetchName }
  | { readonly name: 'PREVIEW'; readonly lazy: boolean } // RFC 8970
  | { readonly name: 'BODY[]'; readonly peek: boolean; readonly section: Section; readonly range: OctetRange | undefined }
  | { readonly name: 'BINARY[]'; readonly peek: boolean; readonly part: readonly number[]; readonly range: OctetRange | undefined }
  | { readonly name: 'BINARY.SIZE[]'; readonly part: readonly number[] };

/** FETCH after its message set. Macros are expanded, plain items are unique, order is the client's. */
export interface FetchRequest {
  readonly items: readonly FetchItem[];
  /** CHANGEDSINCE (RFC 7162), at most 2^53-1. Implies MODSEQ in the answer. */
  readonly changedSince: number | undefined;
  /** VANISHED (RFC 7162); only valid with UID FETCH, CHANGEDSINCE and QRESYNC enabled, which the command checks. */
  readonly vanished: boolean;
  readonly partial: PartialRange | undefined;
}

/* ── STORE ────────────────────────────────────────────────────────────────────────────────────────────────────── */

export interface StoreRequest {
  readonly mode: 'replace' | 'add' | 'remove';
  readonly silent: boolean;
  readonly flags: readonly FlagName[];
  /** UNCHANGEDSINCE (RFC 7162), at most 2^53-1; 0 is legal and means "only if it never had a mod-sequence". */
  readonly unchangedSince: number | undefined;
}

/* ── SEARCH, SORT, THREAD ─────────────────────────────────────────────────────────────────────────────────────── */

export type SearchTextField = 'text' | 'body' | 'subject' | 'from' | 'to' | 'cc' | 'bcc';

/**
 * A search key. UNSEEN and its like are `flag` with `set: false`; NEW is `and(recent, not seen)`, OLD is `recent` with `set: false`.
 * `and` and `or` are flat lists with at least one key. Dates compare calendar days without regard to zone (RFC 9051 §6.4.4).
 */
export type SearchKey =
  | { readonly op: 'all' }
  | { readonly op: 'and' | 'or'; readonly of: readonly SearchKey[] }
  | { readonly op: 'not' | 'fuzzy'; readonly of: SearchKey } // FUZZY: RFC 6203
  | { readonly op: 'sequence' | 'uid'; readonly in: SequenceSet }
  | { readonly op: 'flag'; readonly flag: FlagName; readonly set: boolean }
  | { readonly op: 'recent'; readonly set: boolean }
  | { readonly op: SearchTextField; readonly contains: string }
  | { readonly op: 'header'; readonly name: string; readonly contains: string } // '' asks whether the field is there
  | {
      readonly op: 'date';
      readonly field: 'internal' | 'sent' | 'saved';
      readonly relation: 'before' | 'on' | 'since';
      readonly day: DayNumber;
    }
  | { readonly op: 'saveDateSupported' } // RFC 8514
  | { readonly op: 'older' | 'younger'; readonly seconds: number } // RFC 5032, by internal date
  | { readonly op: 'larger' | 'smaller'; readonly octets: number }
  | { readonly op: 'modSeq'; readonly atLeast: number; readonly entry: ModSeqEntry | undefined }
  | { readonly op: 'emailId' | 'threadId'; readonly is: string };

/** `"/flags/\\Seen" all` before the number of a MODSEQ key (RFC 7162 §3.1.5). */
export interface ModSeqEntry {
  readonly flag: FlagName;
  readonly type: 'priv' | 'shared' | 'all';
}

/** RETURN options (RFC 4731, 5182, 5267, 6203, 9394). `RETURN ()` is `all`, as is a RETURN that names no result but SAVE is not. */
export interface SearchReturn {
  readonly min: boolean;
  readonly max: boolean;
  readonly all: boolean;
  readonly count: boolean;
  readonly save: boolean;
  readonly relevancy: boolean;
  readonly update: boolean;
  readonly context: boolean;
  readonly partial: PartialRange | undefined;
}

export interface SearchProgram {
  /** Undefined: no RETURN, so an untagged SEARCH answers (ESEARCH under rev2). */
  readonly returns: SearchReturn | undefined;
  /** As in the list of BADCHARSET, upper case; undefined if none was given. Strings in `key` are decoded already. */
  readonly charset: string | undefined;
  readonly key: SearchKey;
}

export type SortKeyName = 'ARRIVAL' | 'CC' | 'DATE' | 'DISPLAYFROM' | 'DISPLAYTO' | 'FROM' | 'RELEVANCY' | 'SIZE' | 'SUBJECT' | 'TO';

export interface SortCriterion {
  readonly key: SortKeyName;
  readonly reverse: boolean;
}

/** SORT (RFC 5256, 5957, 5267). */
export interface SortProgram extends SearchProgram {
  readonly criteria: readonly SortCriterion[];
}

/** THREAD (RFC 5256). The algorithm is upper case and may be one that we do not know. */
export interface ThreadProgram {
  readonly algorithm: string;
  readonly charset: string | undefined;
  readonly key: SearchKey;
}

/* ── Mailboxes ────────────────────────────────────────────────────────────────────────────────────────────────── */

export type StatusItem =
  | 'MESSAGES'
  | 'RECENT'
  | 'UIDNEXT'
  | 'UIDVALIDITY'
  | 'UNSEEN'
  | 'DELETED'
  | 'DELETED-STORAGE' // RFC 9208
  | 'SIZE' // RFC 8438
  | 'HIGHESTMODSEQ' // RFC 7162
  | 'MAILBOXID' // RFC 8474
  | 'APPENDLIMIT'; // RFC 7889

export type ListSelection = 'SUBSCRIBED' | 'REMOTE' | 'RECURSIVEMATCH' | 'SPECIAL-USE';

export interface ListReturn {
  readonly subscribed: boolean;
  readonly children: boolean;
  readonly specialUse: boolean;
  readonly myRights: boolean; // RFC 8440
  /** METADATA (...) of RFC 9590; empty if not asked. */
  readonly metadata: readonly MetadataEntry[];
  /** STATUS (...) of RFC 5819; empty if not asked. */
  readonly status: readonly StatusItem[];
}

/** LIST, basic and extended (RFC 5258). Reference and patterns are Unicode; `*` and `%` are wildcards in patterns. */
export interface ListRequest {
  /** Any syntax of RFC 5258 was used, so `""` as only pattern does not ask for the hierarchy delimiter. */
  readonly extended: boolean;
  readonly selection: ReadonlySet<ListSelection>;
  readonly reference: string;
  readonly patterns: readonly string[];
  readonly returns: ListReturn;
}

/** QRESYNC parameter of SELECT and EXAMINE (RFC 7162 §3.2.5). */
export interface QresyncParameter {
  readonly uidValidity: number;
  readonly modSeq: number;
  readonly knownUids: SequenceSet | undefined;
  /** Sets of equal length: message `sequences[i]` had UID `uids[i]`. */
  readonly sequenceMatch: { readonly sequences: SequenceSet; readonly uids: SequenceSet } | undefined;
}

export interface SelectParameters {
  readonly condstore: boolean;
  readonly qresync: QresyncParameter | undefined;
}

/* ── METADATA (RFC 5464) ──────────────────────────────────────────────────────────────────────────────────────── */

export interface MetadataEntry {
  /** Lower case: names are compared without case. */
  readonly name: string;
  /** As the client wrote it, which is how it is answered. */
  readonly asked: string;
}

export type MetadataDepth = '0' | '1' | 'INFINITY';

export interface GetMetadataRequest {
  /** '' is the server. */
  readonly mailbox: string;
  readonly entries: readonly MetadataEntry[];
  readonly depth: MetadataDepth;
  /** Octets. */
  readonly maxSize: number | undefined;
}

export interface SetMetadataRequest {
  readonly mailbox: string;
  /** By name in lower case; `null` removes. */
  readonly entries: ReadonlyMap<string, Buffer | null>;
}

export type QuotaResource = 'STORAGE' | 'MESSAGE' | 'MAILBOX' | 'ANNOTATION-STORAGE';

export interface QuotaLimit {
  /** Upper case; may be one that we do not know. */
  readonly resource: string;
  readonly limit: number;
}

/* ── APPEND ───────────────────────────────────────────────────────────────────────────────────────────────────── */

/** A piece of a CATENATE (RFC 4469). */
export type CatenatePart = { readonly url: string } | { readonly literal: Literal; readonly utf8: boolean };

export interface AppendMessage {
  readonly flags: readonly FlagName[];
  readonly internalDate: DateTime | undefined;
  /** The message came as `UTF8 (~{n}...)` (RFC 9755 §4). */
  readonly utf8: boolean;
  /** One literal, unless CATENATE was used. */
  readonly content: Literal | readonly CatenatePart[];
}

/** APPEND with its messages (more than one: RFC 3502). */
export interface AppendRequest {
  readonly mailbox: string;
  readonly messages: readonly AppendMessage[];
}

/* ── The rest ─────────────────────────────────────────────────────────────────────────────────────────────────── */

/** AUTHENTICATE. `initialResponse` is decoded base64; empty for `=`, undefined if none was sent. */
export interface AuthenticateRequest {
  readonly mechanism: string;
  readonly initialResponse: Buffer | undefined;
}

/** ID (RFC 2971): field name in lower case to value; NIL as a whole is an empty map. */
export type IdFields = ReadonlyMap<string, string | null>;
