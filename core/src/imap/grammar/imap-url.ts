/** IMAP URLs that name a message or a part of one (RFC 5092), absolute or as they stand in CATENATE (RFC 4469 §2). */
import { Cursor } from './cursor.ts';
import { section as sectionReader } from './section.ts';
import { ImapSyntaxError } from './syntax-error.ts';
import type { Section } from './syntax-tree.ts';

export interface ImapUrl {
  /** Of an absolute URL; `user` is undefined when none was named. Host in lower case, without port. */
  readonly server: { readonly host: string; readonly user: string | undefined } | undefined;
  /** Undefined: the selected mailbox. */
  readonly mailbox: string | undefined;
  readonly uidValidity: number | undefined;
  readonly uid: number;
  readonly section: Section;
  /** Octets from `offset` on; all of them without `length`. */
  readonly partial: { readonly offset: number; readonly length: number | undefined } | undefined;
}

/** A section may name header fields; nothing longer is of use. */
const MAX_URL_UNITS = 4096;
const UINT32_MAX = 0xffff_ffff;
/** What may stand in a URL at all (RFC 3986 §2): no space, control, quote, angle bracket or 8-bit octet. */
const URL_TEXT = /^[!#-;=?-[\]_a-z~]+$/;
const WHOLE: Section = Object.freeze({ part: [], text: 'ALL', fields: [] });
const FORBIDDEN_IN_NAME = /[\p{Cc}\u2028\u2029]/u;

/** Undefined: it is no URL of a message, or one that only other extensions understand (URLAUTH). */
export function parseImapUrl(text: string): ImapUrl | undefined {
  if (text.length > MAX_URL_UNITS || !URL_TEXT.test(text)) return undefined;
  const { server, path } = withoutServer(text);
  if (path === undefined) return undefined;
  const uidAt = path.toUpperCase().indexOf(';UID=');
  if (uidAt < 0) return undefined;
  const box = mailboxOf(path.slice(0, uidAt));
  const message = messageOf(path.slice(uidAt + 1));
  if (box === undefined || message === undefined) return undefined;
  if (server !== undefined && box.mailbox === undefined) return undefined;
  return { server, ...box, ...message };
}

function withoutServer(text: string): { readonly server: ImapUrl['server']; readonly path: string | undefined } {
  const start = text.slice(0, 7).toLowerCase() === 'imap://' ? 7 : text.startsWith('//') ? 2 : 0;
  if (start === 0) return { server: undefined, path: /^[a-z][a-z0-9+.-]*:/i.test(text) ? undefined : text };
  const slash = text.indexOf('/', start);
  if (slash < 0) return { server: undefined, path: undefined };
  const authority = text.slice(start, slash);
  const at = authority.lastIndexOf('@');
  const host = authority
    .slice(at + 1)
    .replace(/:[0-9]*$/, '')
    .toLowerCase();
  // `user;AUTH=PLAIN@host`: how to log in is of no use here.
  const user = at <= 0 ? undefined : decoded(authority.slice(0, at).split(';', 1)[0] ?? '');
  if (host === '' || (at > 0 && (user === undefined || user === ''))) return { server: undefined, path: undefined };
  return { server: { host, user }, path: text.slice(slash) };
}

/** `/mailbox;UIDVALIDITY=n/`, or nothing: the selected mailbox. */
function mailboxOf(path: string): Pick<ImapUrl, 'mailbox' | 'uidValidity'> | undefined {
  if (path === '' || path === '/') return { mailbox: undefined, uidValidity: undefined };
  if (!path.startsWith('/') || !path.endsWith('/')) return undefined;
  const [name = '', validity, ...more] = path.slice(1, -1).split(';');
  const mailbox = decoded(name);
  if (mailbox === undefined || mailbox === '' || more.length > 0 || FORBIDDEN_IN_NAME.test(mailbox)) return undefined;
  const uidValidity = validity === undefined ? undefined : numberAfter(validity, 'UIDVALIDITY=', 1);
  if (validity !== undefined && uidValidity === undefined) return undefined;
  return { mailbox: mailbox.toUpperCase() === 'INBOX' ? 'INBOX' : mailbox, uidValidity };
}

/** `UID=n/;SECTION=s/;PARTIAL=o.l`; the slash between is missing in RFC 4469's own example. */
function messageOf(path: string): Pick<ImapUrl, 'uid' | 'section' | 'partial'> | undefined {
  const [first = '', ...rest] = path.split(/\/?;/);
  const uid = numberAfter(first, 'UID=', 1);
  if (uid === undefined) return undefined;
  let section = WHOLE;
  if (rest[0]?.slice(0, 8).toUpperCase() === 'SECTION=') {
    const found = sectionOf(decoded(rest.shift()?.slice(8) ?? ''));
    if (found === undefined) return undefined;
    section = found;
  }
  const partial = rest[0] === undefined ? undefined : partialOf(rest[0]);
  if (rest.length > 1 || (rest.length === 1 && partial === undefined)) return undefined;
  return { uid, section, partial };
}

function sectionOf(text: string | undefined): Section | undefined {
  if (text === undefined || text === '') return undefined;
  const cursor = new Cursor({ text: Buffer.from(`[${text}]`, 'utf8'), literals: [] }, { utf8: true });
  try {
    const section = sectionReader(cursor);
    return cursor.atEnd ? section : undefined;
  } catch (error) {
    if (error instanceof ImapSyntaxError) return undefined;
    throw error;
  }
}

function partialOf(text: string): ImapUrl['partial'] {
  if (text.slice(0, 8).toUpperCase() !== 'PARTIAL=') return undefined;
  const [from = '', count, ...more] = text.slice(8).split('.');
  const offset = numberAfter(from, '', 0);
  const length = count === undefined ? undefined : numberAfter(count, '', 1);
  if (offset === undefined || (count !== undefined && length === undefined) || more.length > 0) return undefined;
  return { offset, length };
}

function numberAfter(text: string, name: string, least: 0 | 1): number | undefined {
  if (text.slice(0, name.length).toUpperCase() !== name) return undefined;
  const digits = text.slice(name.length);
  if (!/^[0-9]{1,10}$/.test(digits)) return undefined;
  const value = Number(digits);
  return value >= least && value <= UINT32_MAX ? value : undefined;
}

/** Percent-encoded UTF-8 as text; undefined when it is none. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}
