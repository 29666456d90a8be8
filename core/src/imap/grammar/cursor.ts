/** The place of a reader in a command, and the few moves that all readers are made of. */
import type { ClientCommand, Literal } from '../../net/line-reader.ts';
import { ImapSyntaxError } from './syntax-error.ts';
import type { ParseContext } from './syntax-tree.ts';

/**
 * Reads one thing at the cursor: returns its value and leaves the cursor just after it, or throws ImapSyntaxError.
 * Depends on nothing but the command, the cursor's offset and its context; after an error the offset is unspecified.
 */
export type Reader<T> = (cursor: Cursor) => T;

/** Parentheses, NOT, OR, FUZZY: deeper is refused (design/reliability.md §1.2). */
export const MAX_NESTING = 50;

/* Classes of octets, RFC 9051 §9. */
export const ATOM_CHAR = 1;
export const ASTRING_CHAR = 2;
export const TAG_CHAR = 4;
export const LIST_CHAR = 8;
/** Letters, digits, `.`, `-` and `_`: what names of commands, items and options are made of; an atom would swallow `[`. */
export const WORD_CHAR = 16;

const classes = new Uint8Array(256);
for (let octet = 0x21; octet < 0x7f; octet += 1) {
  const char = String.fromCharCode(octet);
  const isAtom = !'(){%*"\\]'.includes(char);
  if (isAtom) classes[octet] = ATOM_CHAR | ASTRING_CHAR | LIST_CHAR | (char === '+' ? 0 : TAG_CHAR);
  else if (char === ']') classes[octet] = ASTRING_CHAR | LIST_CHAR | TAG_CHAR;
  else if (char === '*' || char === '%') classes[octet] = LIST_CHAR;
  if (/[A-Za-z0-9._-]/.test(char)) classes[octet] = (classes[octet] ?? 0) | WORD_CHAR;
}

export function isClass(octet: number, charClass: number): boolean {
  return ((classes[octet] ?? 0) & charClass) !== 0;
}

export const SPACE = 0x20;
export const OPEN = 0x28;
export const CLOSE = 0x29;
export const STAR_SIGN = 0x2a;
export const QUOTE = 0x22;
export const BRACE = 0x7b;
export const BACKSLASH = 0x5c;

export class Cursor {
  readonly text: Buffer;
  readonly literals: readonly Literal[];
  readonly context: ParseContext;
  offset: number;
  #depth = 0;

  constructor(command: ClientCommand, context: ParseContext, offset = 0) {
    this.text = command.text;
    this.literals = command.literals;
    this.context = context;
    this.offset = offset;
  }

  /** Never returns, and is typed so that it can stand in a `return` or after a test. */
  fail(message: string, offset: number = this.offset): never {
    throw new ImapSyntaxError(message, offset);
  }

  /** The octet at the cursor, -1 at the end. */
  peek(): number {
    return this.text[this.offset] ?? -1;
  }

  get atEnd(): boolean {
    return this.offset >= this.text.length;
  }

  /** Takes the octet if it is next. */
  take(octet: number): boolean {
    if (this.text[this.offset] !== octet) return false;
    this.offset += 1;
    return true;
  }

  expect(octet: number, message: string): void {
    if (this.text[this.offset] !== octet) this.fail(message);
    this.offset += 1;
  }

  skipSpaces(): void {
    while (this.text[this.offset] === SPACE) this.offset += 1;
  }

  /** SP. More than one is tolerated, as peers do; none is not. */
  space(): void {
    this.expect(SPACE, 'Space expected');
    this.skipSpaces();
  }

  /** True if another argument follows, and then the cursor is on it. Spaces at the end of a command are tolerated. */
  takeSeparator(): boolean {
    if (this.text[this.offset] !== SPACE) return false;
    this.skipSpaces();
    return !this.atEnd;
  }

  /** The command must be over, but for spaces. */
  end(): void {
    this.skipSpaces();
    if (!this.atEnd) this.fail('Unexpected text after the last argument');
  }

  /** Moves past the octets of a class. @returns where they began; compare with `offset` */
  span(charClass: number): number {
    const start = this.offset;
    const text = this.text;
    let offset = start;
    while (offset < text.length && ((classes[text[offset] ?? 0] ?? 0) & charClass) !== 0) offset += 1;
    this.offset = offset;
    return start;
  }

  /** The text from `start` to the cursor; only for octets known to be ASCII. */
  since(start: number): string {
    return this.text.toString('latin1', start, this.offset);
  }

  /** A name in upper case, '' if there is none. */
  takeWord(): string {
    const start = this.span(WORD_CHAR);
    return this.offset === start ? '' : this.since(start).toUpperCase();
  }

  word(message: string): string {
    const word = this.takeWord();
    if (word === '') this.fail(message);
    return word;
  }

  /** The literal announced at the cursor, moving past it; undefined if there is none. */
  takeLiteral(): Literal | undefined {
    const { literals, offset } = this;
    let low = 0;
    let high = literals.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((literals[middle]?.at ?? 0) < offset) low = middle + 1;
      else high = middle;
    }
    const literal = literals[low];
    if (literal?.at !== offset) return undefined;
    this.offset = literal.next;
    return literal;
  }

  /** A cursor on other octets, without literals: for a syntax inside a string. */
  within(text: Buffer): Cursor {
    return new Cursor({ text, literals: [] }, this.context);
  }

  /** Call on the way into anything that can hold itself, with `leave` on the way out. */
  enter(): void {
    this.#depth += 1;
    if (this.#depth > MAX_NESTING) this.fail('Nested too deeply');
  }

  leave(): void {
    this.#depth -= 1;
  }
}

/** The pure form of a reader. @throws ImapSyntaxError */
export function read<T>(reader: Reader<T>, command: ClientCommand, context: ParseContext, offset = 0): { value: T; next: number } {
  const cursor = new Cursor(command, context, offset);
  const value = reader(cursor);
  return { value, next: cursor.offset };
}

/** A parenthesised list of `item`, at least `least` of them. Spaces inside the parentheses are tolerated. */
export function list<T>(item: Reader<T>, least = 0): Reader<T[]> {
  return (cursor) => {
    cursor.expect(OPEN, 'List expected');
    const start = cursor.offset;
    const items: T[] = [];
    cursor.skipSpaces();
    while (!cursor.take(CLOSE)) {
      if (items.length > 0 && cursor.text[cursor.offset - 1] !== SPACE) cursor.fail('Space or closing parenthesis expected');
      items.push(item(cursor));
      cursor.skipSpaces();
    }
    if (items.length < least) cursor.fail('Empty list', start);
    return items;
  };
}

/** One of a fixed set of names. The lookup is a Map: names come from the network. */
export function oneOf<T>(names: Iterable<readonly [string, T]>, message: string): Reader<T> {
  const values = new Map(names);
  return (cursor) => {
    const start = cursor.offset;
    const value = values.get(cursor.takeWord());
    return value === undefined ? cursor.fail(message, start) : value;
  };
}

/** The same, where the value is the name itself. */
export function nameOf<const Names extends readonly string[]>(names: Names, message: string): Reader<Names[number]> {
  return oneOf(
    names.map((name) => [name, name] as const),
    message,
  );
}
