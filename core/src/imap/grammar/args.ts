/** The argument list of a command declaration: `args({ messages: messageSet, destination: mailboxName })`. */
import { type Cursor, OPEN, type Reader } from './cursor.ts';

/** An argument that may be missing. */
export interface OptionalArgument<T> {
  readonly read: Reader<T>;
  /** Given: the argument is there if it begins with this octet. Otherwise it is there if anything is. */
  readonly firstOctet: number | undefined;
}

export type Argument<T> = Reader<T> | OptionalArgument<T>;

export type ArgumentsOf<Shape extends Record<string, Argument<unknown>>> = {
  readonly [Name in keyof Shape]: Shape[Name] extends Reader<infer T>
    ? T
    : Shape[Name] extends OptionalArgument<infer T>
      ? T | undefined
      : never;
};

/** An argument that ends the command, or is missing. */
export function optional<T>(read: Reader<T>): OptionalArgument<T> {
  return { read, firstOctet: undefined };
}

/** A parenthesised argument that may be missing, at the end or before others. */
export function optionalList<T>(read: Reader<T>): OptionalArgument<T> {
  return { read, firstOctet: OPEN };
}

/**
 * Reads everything after the command's name: for each argument a space and the argument, in the order of `shape`; then the
 * command must end. A command without arguments has `args({})`.
 */
export function args<const Shape extends Record<string, Argument<unknown>>>(shape: Shape): Reader<ArgumentsOf<Shape>> {
  const names = Object.keys(shape);
  const readers = Object.values(shape);
  return (cursor) => {
    // Names come from the declaration, never from the network.
    const values: Record<string, unknown> = {};
    for (let index = 0; index < readers.length; index += 1) {
      const reader = readers[index];
      const name = names[index];
      if (reader === undefined || name === undefined) continue;
      values[name] = typeof reader === 'function' ? required(cursor, reader) : maybe(cursor, reader);
    }
    cursor.end();
    return values as ArgumentsOf<Shape>;
  };
}

function required<T>(cursor: Cursor, read: Reader<T>): T {
  if (cursor.peek() !== 0x20) cursor.fail(cursor.atEnd ? 'Argument missing' : 'Space expected');
  cursor.skipSpaces();
  if (cursor.atEnd) cursor.fail('Argument missing');
  return read(cursor);
}

function maybe<T>(cursor: Cursor, { read, firstOctet }: OptionalArgument<T>): T | undefined {
  const start = cursor.offset;
  if (cursor.takeSeparator() && (firstOctet === undefined || cursor.peek() === firstOctet)) return read(cursor);
  cursor.offset = start;
  return undefined;
}
