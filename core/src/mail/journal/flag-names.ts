/** Flags by name and by bit. System flags and keywords are compared without case (RFC 9051 §2.3.2); the first spelling of a keyword is kept. */
import { MailError } from '../errors.ts';
import type { FlagBits } from './entry.ts';
import { ANSWERED, DELETED, DRAFT, FLAGGED, MAX_KEYWORDS, SEEN } from './entry.ts';

export const FIRST_KEYWORD_BIT = 5;
export const MAX_KEYWORD_OCTETS = 128;

const SYSTEM = new Map<string, FlagBits>([
  ['\\seen', SEEN],
  ['\\answered', ANSWERED],
  ['\\flagged', FLAGGED],
  ['\\deleted', DELETED],
  ['\\draft', DRAFT],
]);
/** An atom of RFC 9051 §9: printable ASCII without ( ) { % * " \ ] and space. */
const ATOM = /^[!#$&'+-Z^-z|}~[]+$/;

export interface ResolvedFlags {
  readonly bits: FlagBits;
  /** Keywords that are not in the table yet; they take the bits behind its end, in this order. */
  readonly added: readonly string[];
}
const NO_FLAGS: ResolvedFlags = { bits: 0, added: [] };

/**
 * @param unknown what to do with a keyword that the table lacks: give it a bit, or leave it out
 * @throws MailError invalid (not a flag), limit (the table is full)
 */
export function resolveFlags(names: readonly string[], table: readonly string[], unknown: 'add' | 'skip'): ResolvedFlags {
  if (names.length === 0) return NO_FLAGS;
  let bits = 0;
  let added: string[] | undefined;
  for (const name of names) {
    const system = SYSTEM.get(name) ?? SYSTEM.get(name.toLowerCase());
    if (system !== undefined) {
      bits |= system;
      continue;
    }
    if (name.length > MAX_KEYWORD_OCTETS || !ATOM.test(name)) throw new MailError('invalid', 'Not a flag');
    let at = indexOfKeyword(table, name);
    if (at < 0 && unknown === 'skip') continue;
    if (at < 0) {
      added ??= [];
      at = indexOfKeyword(added, name);
      if (at < 0) at = added.push(name) - 1;
      at += table.length;
      if (at >= MAX_KEYWORDS) throw new MailError('limit', 'The mailbox has too many keywords');
    }
    bits |= 1 << (FIRST_KEYWORD_BIT + at);
  }
  return { bits: bits >>> 0, added: added ?? NO_FLAGS.added };
}

export function indexOfKeyword(table: readonly string[], name: string): number {
  for (let at = 0; at < table.length; at++) {
    const known = table[at] as string;
    if (known === name || (known.length === name.length && known.toLowerCase() === name.toLowerCase())) return at;
  }
  return -1;
}

/** Names of the keyword bits that are set. */
export function keywordsOf(bits: FlagBits, table: readonly string[]): string[] {
  const names: string[] = [];
  for (let at = 0; at < table.length; at++) if ((bits & (1 << (FIRST_KEYWORD_BIT + at))) !== 0) names.push(table[at] as string);
  return names;
}
