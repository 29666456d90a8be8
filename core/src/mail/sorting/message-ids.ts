import { hash } from 'node:crypto';
import { HeaderScanner, MORE } from '../../mime/header-scanner.ts';
import { MAX_MESSAGE_IDS } from '../../mime/limits.ts';

const LESS = 0x3c;
const GREATER = 0x3e;
const AT = 0x40;
const QUOTE = 0x22;
const OPEN = 0x28;
const BRACKET = 0x5b;
const SPACE = 0x20;
const DOT = 0x2e;

/** Longer ids are known by their hash: a header field of one id may have 256 KiB. */
const MAX_ID_UNITS = 250;

/**
 * The Message IDs in a field value, in one form for each id (RFC 5256 §2.3): without brackets, white space and comments, quotes only where
 * they are needed. What has no `@` is none. Of more than `MAX_MESSAGE_IDS` the last ones. Linear. The strings hold on to nothing else.
 */
export function messageIds(octets: Buffer, from: number, to: number): string[] {
  const ids: string[] = [];
  let first = 0;
  eachMessageId(octets, from, to, (id) => {
    ids.push(id);
    if (ids.length - first > MAX_MESSAGE_IDS) first += 1;
    return true;
  });
  return first === 0 ? ids : ids.slice(first);
}

/** The first of them, however many there are. */
export function firstMessageId(octets: Buffer, from: number, to: number): string | undefined {
  let first: string | undefined;
  eachMessageId(octets, from, to, (id) => {
    first = id;
    return false;
  });
  return first;
}

/** Until `take` says no. */
function eachMessageId(octets: Buffer, from: number, to: number, take: (id: string) => boolean): void {
  let scanner: HeaderScanner | undefined;
  for (let at = octets.indexOf(LESS, from); at >= 0 && at < to; ) {
    let id = plainId(octets, at + 1, to);
    if (id === undefined) {
      scanner ??= new HeaderScanner(octets.toString('latin1', from, to));
      scanner.position = at + 1 - from;
      const text = scannedId(scanner);
      id = { text, next: from + scanner.position };
    }
    if (id.text !== undefined && !take(id.text.length <= MAX_ID_UNITS ? id.text : `${hash('sha256', id.text, 'base64')}>`)) return;
    at = octets.indexOf(LESS, id.next);
  }
}

interface IdAt {
  readonly text: string | undefined;
  /** Where to look for the next `<`: behind all that was looked at but a `<`. */
  readonly next: number;
}

/** An id that says what it is, as nearly all do; `undefined` for one with quoted strings, comments or a domain literal. */
function plainId(octets: Buffer, from: number, to: number): IdAt | undefined {
  let sign = -1;
  let isSpaced = false;
  for (let at = from; at < to; at++) {
    const octet = octets[at] as number;
    if (octet > AT && octet !== BRACKET) continue;
    if (octet === AT) sign = at;
    else if (octet <= SPACE) isSpaced = true;
    else if (octet === GREATER) {
      if (sign <= from || sign === at - 1) return { text: undefined, next: at };
      const text = octets.toString('latin1', from, at);
      return { text: isSpaced ? text.replaceAll(/[\0- ]+/g, '') : text, next: at };
    } else if (octet === LESS) return { text: undefined, next: at };
    else if (octet === QUOTE || octet === OPEN || octet === BRACKET) return undefined;
  }
  return { text: undefined, next: to };
}

/** From after the `<` up to the `>`, with quoted strings, comments or a domain literal (RFC 5322 §3.6.4 and §4.5.4). */
function scannedId(scanner: HeaderScanner): string | undefined {
  if (scanner.skipSpace() !== MORE) return undefined;
  const local = localPart(scanner);
  if (local === undefined || scanner.peek() !== AT) return undefined;
  scanner.text = '';
  if (scanner.domain() !== MORE || scanner.text === '' || scanner.peek() !== GREATER) return undefined;
  const domain = scanner.text.replaceAll(/[\0- ]+/g, '');
  // A copy of its own: what the scanner gives are windows on the whole field.
  return Buffer.from(`${local}@${domain}`, 'latin1').toString('latin1');
}

/** Words with dots between them; quoted only where dot-atom cannot say it. */
function localPart(scanner: HeaderScanner): string | undefined {
  let local = '';
  for (;;) {
    scanner.text = '';
    const outcome = scanner.peek() === QUOTE ? scanner.quotedString() : scanner.atom();
    if (outcome !== MORE) return undefined;
    local += scanner.text;
    if (scanner.peek() !== DOT) break;
    scanner.position += 1;
    local += '.';
    if (scanner.skipSpace() !== MORE) return undefined;
  }
  return isDotAtom(local) ? local : `"${local.replaceAll(/["\\]/g, '\\$&')}"`;
}

function isDotAtom(text: string): boolean {
  if (text === '' || text.startsWith('.') || text.endsWith('.') || text.includes('..')) return false;
  return !/[\0- ()<>[\]:;@\\,"\x7f]/.test(text);
}
