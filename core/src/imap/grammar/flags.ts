/** flag and flag-list (RFC 9051 §2.3.2, §9). */
import { ATOM_CHAR, BACKSLASH, CLOSE, type Cursor, list, OPEN, type Reader } from './cursor.ts';
import { atom } from './strings.ts';
import type { FlagName } from './syntax-tree.ts';

export const SYSTEM_FLAGS: readonly FlagName[] = Object.freeze(['\\Answered', '\\Flagged', '\\Deleted', '\\Seen', '\\Draft']);

/** A keyword longer than this is refused. */
export const MAX_KEYWORD_OCTETS = 255;

const systemFlags = new Map(SYSTEM_FLAGS.map((flag) => [flag.slice(1).toUpperCase(), flag]));

/** flag-keyword: an atom. */
export const keyword: Reader<FlagName> = (cursor) => {
  const start = cursor.offset;
  const name = atom(cursor);
  return name.length > MAX_KEYWORD_OCTETS ? cursor.fail('Keyword too long', start) : name;
};

/** A keyword or one of the five system flags. `\Recent` and other names with a backslash cannot be set by a client. */
export const flag: Reader<FlagName> = (cursor) => {
  const start = cursor.offset;
  if (!cursor.take(BACKSLASH)) return keyword(cursor);
  const from = cursor.span(ATOM_CHAR);
  const known = systemFlags.get(cursor.since(from).toUpperCase());
  return known ?? cursor.fail('Not a flag that can be set', start);
};

/** Flags once each, without regard to case, in the client's order. */
function unique(flags: readonly FlagName[]): FlagName[] {
  const seen = new Map<string, FlagName>();
  for (const name of flags) {
    const folded = name.toLowerCase();
    if (!seen.has(folded)) seen.set(folded, name);
  }
  return [...seen.values()];
}

const flagsInParentheses = list(flag);

/** flag-list: `(\Seen $Junk)`. */
export const flagList: Reader<readonly FlagName[]> = (cursor) => unique(flagsInParentheses(cursor));

/** The flags of STORE: a flag-list, or flags without parentheses up to the end of the command. */
export function storeFlags(cursor: Cursor): readonly FlagName[] {
  if (cursor.peek() === OPEN) return flagList(cursor);
  const flags = [flag(cursor)];
  while (cursor.peek() !== CLOSE && cursor.takeSeparator()) flags.push(flag(cursor));
  return unique(flags);
}
